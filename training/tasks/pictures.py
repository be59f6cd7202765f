"""What all tasks of pictures share: the data, the weights that a run starts from, and the checkpoint it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ancestral.models.checkpoint import Checkpoint, Tensors, save
from ancestral.models.networks import build_network
from ancestral.models.spec import PictureSpec
from ancestral.training.data.epochs import Epochs
from ancestral.training.data.images import Images, Pictures, PictureSet, binarise, held_out, matching_pictures
from ancestral.training.model_card import picture_card
from ancestral.training.precision import fastest_precision
from ancestral.training.start import load_weights, read_start


@dataclass(frozen=True)
class PictureTask:
    """Pictures of two levels are binarised anew each time; held-out ones always in the same way."""

    spec: PictureSpec
    data: Path
    batch: int = 16
    """Pictures per process and step."""
    precision: str = field(default_factory=fastest_precision)
    """Precision of the arithmetic."""
    start: Path | None = None
    """The checkpoint whose weights the run starts from, of the same spec."""
    seed: int = 0
    unit: str = "pictures"
    half: ClassVar[bool] = False
    """Whether checkpoints are in half precision."""

    @cached_property
    def pictures(self) -> PictureSet:
        """The data.

        Raises:
            ValueError: they are not pictures of the spec's size and palette.
        """
        return matching_pictures(self.data, self.spec)

    def network(self) -> nn.Module:
        """The network to train, with the weights of ``start`` if there are any.

        Raises:
            ValueError: ``start`` holds no such network.
        """
        network = build_network(self.spec)
        if self._start is not None:
            load_weights(network, self._weights(network, self._start.tensors))
        return network

    def _may_differ(self) -> Sequence[str]:
        """Fields of the spec in which ``start`` may differ."""
        return ()

    def _weights(self, network: nn.Module, tensors: Tensors) -> Tensors:
        """The weights of ``start`` for the new network."""
        return dict(tensors)

    @cached_property
    def _start(self) -> Checkpoint | None:
        """The checkpoint ``start``, read once, so that the model card names the weights that were really used."""
        return read_start(self.start, self.spec, self._may_differ())

    @cached_property
    def _epochs(self) -> Epochs:
        return Epochs(len(self.pictures.train.images), self.seed)

    def _symbols(self, images: Images, *key: int) -> Tensor:
        """Pictures ``int64 [B, H, W, C]`` as the network sees them in training; ``key`` is what the noise follows from,
        beside the seed."""
        return self._drawn(images, np.random.default_rng([self.seed, *key]))

    def _drawn(self, images: Images, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy((binarise(images, rng) if self.spec.binary else images).astype(np.int64))

    def held_out(self, pictures: Pictures, count: int | None = None) -> Pictures:
        """The first pictures of a set, or all, as the model sees them in evaluation."""
        return held_out(pictures, self.spec, self.seed, count)

    def export(self, model: nn.Module, out: Path, trained: dict[str, Any], figures: dict[str, float]) -> None:
        """Write the averaged weights as a checkpoint; see :class:`~ancestral.training.loop.Task`."""
        tensors = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()} | self._beside()
        if self._start is not None:
            trained = trained | {"started from the weights of SHA-256": self._start.sha256}
        text = picture_card(self.spec, self.pictures.source, len(self.pictures.train.images), trained, figures)
        save(out, self.spec, tensors, text, half=self.half)

    def _beside(self) -> Tensors:
        """What a checkpoint has beside the weights."""
        return {}
