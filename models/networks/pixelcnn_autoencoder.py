"""The PixelCNN autoencoder (arXiv:1606.05328, sections 3.3 and 3.4): an encoder, and a Gated PixelCNN of its vector."""

from __future__ import annotations

from torch import Tensor

from ancestral.models.architectures.pixelcnn_autoencoder import PixelCNNAutoencoderSpec
from ancestral.models.networks.encoder import Encoder
from ancestral.models.networks.pixelcnn import GatedPixelCNN


class PixelCNNAutoencoder(GatedPixelCNN):
    """A Gated PixelCNN whose h is that of a picture."""

    def __init__(self, spec: PixelCNNAutoencoderSpec, part: bool = False) -> None:
        super().__init__(spec, part)
        if not part:
            self.encoder = Encoder(spec.encoder)

    def h_of(self, symbols: Tensor, given: Tensor | None) -> Tensor:
        """The vectors of pictures: ``given`` are like ``symbols``, and those themselves if it is None."""
        h: Tensor = self.encoder(symbols if given is None else given)
        return h
