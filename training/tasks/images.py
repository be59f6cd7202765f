"""Training an image network, of any architecture, on a set of pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ancestral.models.architectures.pixelcnn import CONTEXT_PREFIX, PixelCNNSpec
from ancestral.models.checkpoint import Checkpoint, Tensors, load
from ancestral.models.engines import load_image_engine
from ancestral.models.engines.images.engine import ImageStreamRequest
from ancestral.models.palette import pixels_of
from ancestral.models.spec import LABEL_ROWS, STYLE, ImageSpec
from ancestral.training.data.batches import kept_pixels
from ancestral.training.data.images import Pictures, PictureSet, write_sheet
from ancestral.training.tasks.pictures import PictureTask

_VALIDATED = 500
_ROWS, _COLUMNS = 4, 10
"""Size of a sheet; with attributes there is a column for each value of the first one."""
_SCORED = 50
"""Pictures scored at once."""


@dataclass(frozen=True)
class ImageTask(PictureTask):
    """Whole pictures, in epochs, scored in bits per sub-pixel. ``start`` may not draw edits yet."""

    spec: ImageSpec
    label_dropout: float = 1 / 20
    """The probability of replacing each label by "unspecified": low, because people name most labels."""
    unconditional: float = 0.1
    """The share of the pictures that lose all labels but the style, as in the unconditional pass of guidance, and of
    those that lose each label but the style with probability 1/2. Labels that are left out each by itself are hardly
    ever left out together."""
    edited: float = 0.25
    """The share of the pictures that are edits, of a network that draws them: only their regions are scored."""
    measure: str = "bits/dim"

    @cached_property
    def pictures(self) -> PictureSet:
        """The data.

        Raises:
            ValueError: they are not pictures of the spec's size, or have another palette or other attributes.
        """
        spec, pictures = self.spec, super().pictures
        if spec.attributes and (spec.attributes, spec.label_rows) != (pictures.attributes, len(pictures.label_rows)):
            raise ValueError(f"{self.data}: its attributes are not the model's")
        return pictures

    def _may_differ(self) -> Sequence[str]:
        return ["label_rows", *(["context_channels"] if self._draws_edits else [])]

    def _weights(self, network: nn.Module, tensors: Tensors) -> Tensors:
        kept = {name: tensor for name, tensor in tensors.items() if name != LABEL_ROWS}
        return self._new_context(network) | kept

    @staticmethod
    def _new_context(network: nn.Module) -> Tensors:
        """The map of what edits keep as it is before training, adding nothing: so the network is the one it was."""
        state = {n: t.numpy() for n, t in network.state_dict().items() if n.startswith(CONTEXT_PREFIX)}
        return {name: np.zeros_like(t) if name.endswith("out") else t for name, t in state.items()}

    @property
    def _draws_edits(self) -> bool:
        return isinstance(self.spec, PixelCNNSpec) and self.spec.context_channels > 0

    def _batch(self, step: int, rank: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Pictures ``int64 [B, H, W, C]``, and what the network is given beside them: labels, if it has conditions, and
        the pixels that edits keep, if it draws them."""
        train = self.pictures.train
        chosen = self._epochs.take(step * self.batch, self.batch, rank)
        rng = np.random.default_rng([self.seed, step, rank])
        labels = train.labels[chosen].copy()
        images = self._drawn(train.images[chosen], rng)
        kind = rng.random(len(labels))
        sparse = np.where(kind < 2 * self.unconditional, 0.5, self.label_dropout)
        rates = np.where(kind < self.unconditional, 1.0, sparse)
        kept = np.zeros(images.shape[:3], np.bool_)
        if self._draws_edits:
            edits = rng.random(len(labels)) < self.edited
            kept[edits] = kept_pixels(rng, int(edits.sum()), *images.shape[1:3])
            # Of an edit people name what is to change; the picture shows the rest.
            rates = np.where(edits & (rng.random(len(labels)) < 0.5), 0.75, rates)
        for column, (name, values) in enumerate(self.spec.attributes):
            dropped = rng.random(len(labels)) < (self.label_dropout if name == STYLE else rates)
            labels[dropped, column] = len(values)
        given = torch.from_numpy(labels) if self.spec.conditions else None
        return images, given, torch.from_numpy(kept) if self._draws_edits else None

    def loss(self, model: nn.Module, step: int, rank: int, device: torch.device) -> tuple[Tensor, int]:
        """Mean bits per sub-pixel of one batch; see :class:`Task`."""
        images, given, kept = (part if part is None else part.to(device) for part in self._batch(step, rank))
        assert images is not None, "a batch has pictures"
        logits: Tensor = model(images, given, getattr(torch, self.precision), kept)
        if kept is None:
            nats = F.cross_entropy(logits.float().flatten(0, 3), images.flatten())
        else:
            drawn = ~kept[..., None].expand_as(images)
            nats = F.cross_entropy(logits[drawn].float(), images[drawn])
        return nats / math.log(2), len(images)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Likelihood of validation pictures, in full precision: with their labels, and unconditional."""
        chosen = self.held_out(self.pictures.valid, _VALIDATED)
        figures = likelihood(model, self.spec, chosen, device)
        if self._draws_edits:
            figures["bits_per_dim_edited"] = edited_bits(model, chosen, device)
        return {f"valid_{name}": value for name, value in figures.items()}

    def export(self, model: nn.Module, out: Path, trained: dict[str, Any], figures: dict[str, float]) -> None:
        """Write the averaged weights as a checkpoint, and a sheet of pictures beside it."""
        super().export(model, out, trained, figures)
        self._draw_sheet(load(out), out.with_name("sheets") / f"{trained['step']:07d}.png")

    def _beside(self) -> Tensors:
        return {LABEL_ROWS: self.pictures.label_rows} if self.spec.label_rows else {}

    def _draw_sheet(self, checkpoint: Checkpoint, file: Path) -> None:
        """Four pictures of every value of the first attribute, a column each, to see the progress of the training."""
        engine, spec = load_image_engine("native", checkpoint), self.spec
        labels: Sequence[int | None] = range(len(spec.conditions[0])) if spec.conditions else [None] * _COLUMNS
        nothing = (None,) * (len(spec.conditions) - 1)
        requests = []
        for seed, label in enumerate([*labels] * _ROWS):
            h = engine.embed_labels(engine.draw_labels((label, *nothing), seed)) if spec.conditions else None
            requests.append(ImageStreamRequest(seed, h=h))
        write_sheet(pixels_of(engine.draw(requests), spec), len(labels), file)


@torch.no_grad()
def nats(
    model: nn.Module, images: NDArray[np.uint8], given: NDArray[np.int64] | None, device: torch.device
) -> Iterator[NDArray[np.float32]]:
    """-ln p of every sub-pixel, ``[B, H, W, C]``, batch by batch.

    Args:
        model: an image network.
        images: symbols.
        given: what the network is given beside each of them: labels, or a picture; None: nothing.
        device: that the model is on.
    """
    for start in range(0, len(images), _SCORED):
        symbols = torch.from_numpy(images[start : start + _SCORED].astype(np.int64)).to(device)
        part = None if given is None else torch.from_numpy(given[start : start + _SCORED]).to(device)
        logits = model(symbols, part)
        scores = F.cross_entropy(logits.flatten(0, 3), symbols.flatten(), reduction="none").view(symbols.shape)
        yield scores.cpu().numpy()


def likelihood(model: nn.Module, spec: ImageSpec, pictures: Pictures, device: torch.device) -> dict[str, float]:
    """Nats per picture and bits per sub-pixel (``bits_per_dim``); with conditions also ``…_unconditional``."""
    ways: dict[str, NDArray[np.int64] | None] = {"": pictures.labels if spec.conditions else None}
    if spec.conditions:
        ways["_unconditional"] = np.tile([len(names) for names in spec.conditions], (len(pictures.images), 1))
    figures = {}
    for way, labels in ways.items():
        total = sum(float(part.sum()) for part in nats(model, pictures.images, labels, device))
        figures[f"nats{way}"] = total / len(pictures.images)
        figures[f"bits_per_dim{way}"] = total / pictures.images.size / math.log(2)
    return figures


@torch.no_grad()
def edited_bits(model: nn.Module, pictures: Pictures, device: torch.device) -> float:
    """Bits per sub-pixel of regions of pictures, given the rest of each and its labels; the same regions every time."""
    kept = kept_pixels(np.random.default_rng(0), len(pictures.images), *pictures.images.shape[1:3])
    total = 0.0
    for start in range(0, len(kept), _SCORED):
        images, labels, shown = (
            torch.from_numpy(part[start : start + _SCORED]).to(device)
            for part in (pictures.images.astype(np.int64), pictures.labels, kept)
        )
        drawn = ~shown[..., None].expand_as(images)
        logits = model(images, labels, None, shown)[drawn]
        total += float(F.cross_entropy(logits, images[drawn], reduction="sum"))
    return float(total / math.log(2) / int((~kept).sum()) / pictures.images.shape[3])
