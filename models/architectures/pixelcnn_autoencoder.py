"""A Gated PixelCNN conditioned on a picture, not on labels (van den Oord et al. 2016, arXiv:1606.05328).

Section 3.4, the PixelCNN autoencoder: a convolutional encoder gives the vector h of a picture, and the PixelCNN decodes
it; both are trained end to end. Section 3.3, portraits: the encoder is the embedding network of faces, which stays as
it is, and the PixelCNN draws other pictures of the same person.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ancestral.models.architectures import encoder, pixelcnn
from ancestral.models.architectures.encoder import EncoderSpec
from ancestral.models.architectures.pixelcnn import PIXELCNN, PixelCNNSpec
from ancestral.models.spec import ENCODER_PREFIX, SpecError, option
from ancestral.models.tensors import Table, prefixed

CONDITIONINGS = ("class", "location")
_CONDITIONS = ("vertical_condition", "horizontal_condition")
"""The weights V of h."""


@dataclass(frozen=True)
class PixelCNNAutoencoderSpec(PixelCNNSpec):
    """A Gated PixelCNN whose h is what an encoder gives of a picture, ``condition_channels`` numbers.

    With ``portraits`` the picture that h is of shows the same person as the one that the network draws; without, it is
    the same picture.
    """

    kind: ClassVar[str] = "pixelcnn-autoencoder"

    gated: bool = True
    condition_channels: int = option(10, "Numbers of the vector h of a picture.", least=1)
    conditioning: str = option("class", "V·h in every layer, or V * m(h).", choices=CONDITIONINGS)
    encoder_layers: int = option(3, "Convolutions with stride 2.", least=1)
    encoder_features: int = option(32, "Of the first; each later one has twice as many.", least=1)
    normalised: bool = option(False, "Whether h has length 1.", off="not-normalised")
    portraits: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("encoder_layers", "encoder_features")
        for name in ("normalised", "portraits"):
            if not isinstance(getattr(self, name), bool):
                raise SpecError(f"{name}: must be true or false, not {getattr(self, name)!r}")
        if not self.gated:
            raise SpecError("gated: must be true, as the decoder of an autoencoder is")
        if self.context_channels:
            raise SpecError("context_channels: must be 0, because a network that draws from a picture draws no edits")
        if self.attributes:
            raise SpecError("attributes: must be none, because the network is conditioned on a picture")

    @classmethod
    def for_pictures(cls, shape: tuple[int, int, int], data: Mapping[str, Any], **options: Any) -> Self:
        """The spec for pictures of this form; attributes are not used."""
        return super().for_pictures(shape, {**data, "attributes": (), "label_rows": 0}, **options)

    @property
    def title(self) -> str:
        return "Portraits by a Gated PixelCNN" if self.portraits else "PixelCNN autoencoder"

    @property
    def drawn_from(self) -> str:
        return "person" if self.portraits else "picture"

    @property
    def encoder(self) -> EncoderSpec:
        names = ("height", "width", "channels", "levels", "palette", "normalised")
        shared = {name: getattr(self, name) for name in names}
        return EncoderSpec(
            layers=self.encoder_layers, features=self.encoder_features, code=self.condition_channels, **shared
        )


def tensors(spec: PixelCNNAutoencoderSpec) -> Table:
    """The weights: those of the PixelCNN, and those of the encoder.

    The numbers of a vector of length 1 are small: the weights that it meets first begin larger, so that it is noticed.
    """
    table = pixelcnn.tensors(spec)
    if spec.normalised:
        first = ("conditioner.map",) if spec.conditioning == "location" else _CONDITIONS
        scale = spec.condition_channels**0.5
        table |= {name: dataclasses.replace(table[name], std=table[name].std * scale) for name in first}
    return table | prefixed(ENCODER_PREFIX, encoder.tensors(spec.encoder))


PIXELCNN_AUTOENCODER = dataclasses.replace(
    PIXELCNN,
    spec=PixelCNNAutoencoderSpec,
    tensors=tensors,
    network="ancestral.models.networks.pixelcnn_autoencoder:PixelCNNAutoencoder",
    task="ancestral.training.tasks.reconstruction:ReconstructionTask",
)
