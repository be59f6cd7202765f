"""Training an encoder of pictures to tell identities apart, with the triplet loss (1606.05328, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from ancestral.models.architectures.encoder import EncoderSpec
from ancestral.training.data.identities import IdentityBatches
from ancestral.training.data.images import PictureSet
from ancestral.training.metrics.retrieval import embed, retrieve
from ancestral.training.tasks.pictures import PictureTask
from ancestral.training.triplets import triplet_loss

_EACH = 4
"""Pictures of one identity in a batch (K)."""


@dataclass(frozen=True)
class EmbeddingTask(PictureTask):
    """The triplet loss, without a unit, over batches of ``batch / 4`` identities with up to four pictures each."""

    spec: EncoderSpec
    batch: int = 256
    measure: str = "triplet loss"

    @cached_property
    def pictures(self) -> PictureSet:
        """The data.

        Raises:
            ValueError: they are not pictures of the spec's size and palette, or have no identities.
        """
        pictures = super().pictures
        if pictures.train.identities is None:
            raise ValueError(f"{self.data}: identity_train is missing")
        return pictures

    def network(self) -> nn.Module:
        """The network to train, with the weights of ``start`` if there are any.

        Raises:
            ValueError: ``start`` holds no encoder, or another one; the output has no length of 1; the pictures or the
                batch are too few.
        """
        if not self.spec.normalised:
            raise ValueError("normalised: the triplet loss needs vectors of length 1")
        _ = self._batches
        return super().network()

    @cached_property
    def _batches(self) -> IdentityBatches:
        if self.batch < 2 * _EACH or self.batch % _EACH:
            raise ValueError(f"batch: must be a multiple of {_EACH}, at least {2 * _EACH}, not {self.batch}")
        return IdentityBatches(self.pictures.train.known_identities, self.batch // _EACH, _EACH, self.seed)

    def loss(self, model: nn.Module, step: int, rank: int, device: torch.device) -> tuple[Tensor, int]:
        """The triplet loss of one batch; see :class:`~ancestral.training.loop.Task`."""
        train = self.pictures.train
        chosen = self._batches.batch(step, rank)
        symbols = self._symbols(train.images[chosen], step, rank, 1)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            vectors = model(symbols.to(device))
        identities = torch.from_numpy(train.known_identities[chosen]).to(device)
        return triplet_loss(vectors.float(), identities), len(chosen)

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Retrieval of validation identities, in full precision."""
        figures = retrieve(partial(embed, model.to("cpu")), self.held_out(self.pictures.valid))._asdict()
        return {f"valid_{name}": float(value) for name, value in figures.items()}
