"""Training a PixelCNN that is conditioned on a picture: an autoencoder, or portraits (1606.05328, 3.4 and 3.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ancestral.models.architectures.pixelcnn import PixelCNNAutoencoderSpec
from ancestral.models.checkpoint import Checkpoint, load
from ancestral.models.engines import load_image_engine
from ancestral.models.networks.pixelcnn import PixelCNNAutoencoder
from ancestral.models.palette import pixels_of
from ancestral.training.data.batches import IdentityBatches, first_two
from ancestral.training.data.images import Pictures, PictureSet, spread
from ancestral.training.metrics import reconstruct, write_rows
from ancestral.training.start import load_weights
from ancestral.training.tasks.images import ImageTask, nats

_SHOWN, _SAMPLES = 10, 4
"""Pictures of a sheet, and reconstructions of each."""
_VALIDATED = 500


@dataclass(frozen=True)
class ReconstructionTask(ImageTask):
    """The network sees a picture as the vector h and has to predict it or, for portraits, another one of that person.

    The encoder of an autoencoder is trained with the decoder; that of portraits stays as it is.
    """

    spec: PixelCNNAutoencoderSpec
    encoder: Path | None = None
    """The checkpoint of the encoder, exactly for portraits."""

    @cached_property
    def pictures(self) -> PictureSet:
        """The pictures; portraits need identities.

        Raises:
            ValueError: portraits are to be trained on pictures without identities.
        """
        pictures = super().pictures
        if self.spec.portraits and pictures.train.identities is None:
            raise ValueError(f"{self.data}: identity_train is missing, which portraits need")
        return pictures

    def network(self) -> nn.Module:
        """The network to train; that of portraits has the given encoder, which is not trained.

        Raises:
            ValueError: ``start`` holds another network, or the encoder is missing, superfluous or another one.
        """
        network = super().network()
        assert isinstance(network, PixelCNNAutoencoder)
        if self.spec.portraits != (self.encoder is not None):
            raise ValueError("encoder: portraits need the checkpoint of one, and an autoencoder trains its own")
        if self._encoder is not None:
            _ = self._pairs
            load_weights(network.encoder, dict(self._encoder.tensors))
            network.encoder.requires_grad_(False)
        return network

    @cached_property
    def _encoder(self) -> Checkpoint | None:
        if self.encoder is None:
            return None
        found = load(self.encoder)
        if found.spec != self.spec.encoder:
            raise ValueError(f"{self.encoder}: its spec is not that of the network's encoder")
        return found

    @cached_property
    def _pairs(self) -> IdentityBatches:
        """Batches in which the two pictures of a person lie beside each other."""
        if self.batch < 4 or self.batch % 2:
            raise ValueError(f"batch: must be even and at least 4, for pairs of pictures, not {self.batch}")
        return IdentityBatches(self.pictures.train.known_identities, self.batch // 2, 2, self.seed)

    def _batch(self, step: int, rank: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Pictures, and for portraits the pictures that h is of: of a pair, each is predicted from the other."""
        if not self.spec.portraits:
            return super()._batch(step, rank)
        symbols = self._symbols(self.pictures.train.images[self._pairs.batch(step, rank)], step, rank, 1)
        return symbols, symbols.view(-1, 2, *symbols.shape[1:]).flip(1).flatten(0, 1), None

    def pairs(self, pictures: Pictures, count: int | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Held-out pictures that h is of, and those that are to be predicted, as the model sees them."""
        seen = self.held_out(pictures, None if self.spec.portraits else count)
        if not self.spec.portraits:
            return seen.images, seen.images
        given, wanted = first_two(pictures.known_identities)
        chosen = spread(len(given), count)
        return seen.images[given[chosen]], seen.images[wanted[chosen]]

    @torch.no_grad()
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Likelihood of validation pictures, in full precision: given themselves or, for portraits, the other one."""
        given, wanted = self.pairs(self.pictures.valid, _VALIDATED)
        total = sum(float(part.sum()) for part in nats(model, wanted, given.astype(np.int64), device))
        return {"valid_nats": total / len(wanted), "valid_bits_per_dim": total / wanted.size / math.log(2)}

    def _draw_sheet(self, checkpoint: Checkpoint, file: Path) -> None:
        """Reconstructions of validation pictures, or portraits, below each of them."""
        engine = load_image_engine("native", checkpoint)
        given, _ = self.pairs(self.pictures.valid, _SHOWN)
        write_rows([pixels_of(one, self.spec) for one in (given, *reconstruct(engine, given, _SAMPLES))], file)
