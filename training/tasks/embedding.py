"""Training an encoder of pictures to tell identities apart, with the triplet loss (1606.05328, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ancestral.models.architectures.encoder import EncoderSpec
from ancestral.models.checkpoint import Checkpoint, save
from ancestral.models.networks import build_network
from ancestral.training.data.identities import IdentityBatches
from ancestral.training.data.images import Pictures, PictureSet, binarise, held_out, matching_pictures
from ancestral.training.metrics.retrieval import embed, retrieve
from ancestral.training.model_card import picture_card
from ancestral.training.precision import fastest_precision
from ancestral.training.start import load_weights, read_start
from ancestral.training.triplets import triplet_loss

_EACH = 4
"""Pictures of one identity in a batch (K)."""


@dataclass(frozen=True)
class EmbeddingTask:
    """The triplet loss, without a unit, over batches of ``batch / 4`` identities with up to four pictures each.

    Pictures of two levels are binarised anew each time; held-out ones always in the same way.
    """

    spec: EncoderSpec
    data: Path
    batch: int = 256
    """Pictures per process and step."""
    precision: str = field(default_factory=fastest_precision)
    """Precision of the convolutions."""
    start: Path | None = None
    """The checkpoint whose weights the run starts from, of the same spec."""
    seed: int = 0
    unit: str = "pictures"
    measure: str = "triplet loss"

    @cached_property
    def pictures(self) -> PictureSet:
        """The data.

        Raises:
            ValueError: they are not pictures of the spec's size and palette, or have no identities.
        """
        pictures = matching_pictures(self.data, self.spec)
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
        network = build_network(self.spec)
        if self._start is not None:
            load_weights(network, dict(self._start.tensors))
        return network

    @cached_property
    def _start(self) -> Checkpoint | None:
        """The checkpoint ``start``, read once, so that the model card names the weights that were really used."""
        return read_start(self.start, self.spec)

    @cached_property
    def _batches(self) -> IdentityBatches:
        if self.batch < 2 * _EACH or self.batch % _EACH:
            raise ValueError(f"batch: must be a multiple of {_EACH}, at least {2 * _EACH}, not {self.batch}")
        return IdentityBatches(_known(self.pictures.train), self.batch // _EACH, _EACH, self.seed)

    def loss(self, model: nn.Module, step: int, rank: int, device: torch.device) -> tuple[Tensor, int]:
        """The triplet loss of one batch; see :class:`~ancestral.training.loop.Task`."""
        train = self.pictures.train
        chosen = self._batches.batch(step, rank)
        images = train.images[chosen]
        if self.spec.binary:
            images = binarise(images, np.random.default_rng([self.seed, step, rank, 1]))
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            vectors = model(torch.from_numpy(images.astype(np.int64)).to(device))
        identities = torch.from_numpy(_known(train)[chosen]).to(device)
        return triplet_loss(vectors.float(), identities), len(chosen)

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Retrieval of validation identities, in full precision."""
        pictures = held_out(self.pictures.valid, self.spec, self.seed)
        figures = retrieve(partial(embed, model.to("cpu")), pictures)._asdict()
        return {f"valid_{name}": float(value) for name, value in figures.items()}

    def export(self, model: nn.Module, out: Path, trained: dict[str, Any], figures: dict[str, float]) -> None:
        """Write the averaged weights as a checkpoint; see :class:`~ancestral.training.loop.Task`."""
        tensors = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}
        if self._start is not None:
            trained = trained | {"started from the weights of SHA-256": self._start.sha256}
        pictures = self.pictures
        save(
            out,
            self.spec,
            tensors,
            picture_card(self.spec, pictures.source, len(pictures.train.images), trained, figures),
        )


def _known(pictures: Pictures) -> NDArray[np.int64]:
    assert pictures.identities is not None
    return pictures.identities
