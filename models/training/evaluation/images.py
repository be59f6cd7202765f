"""Judges of pictures: how likely real ones are, what a classifier reads in drawn ones, which real ones are near."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models.conditioning import with_kind
from models.engines.images.engine import ImageEngine, ImageStreamRequest
from models.spec import PixelCNNSpec
from models.training.data.images import (
    Images,
    Pictures,
    binarise,
    png_size,
    shown,
    write_sheet,
)
from models.training.tasks.pixelcnn import nats

_BATCH = 100
_SHOWN = 10
"""Pictures of a class on a sheet."""
_SMALL = 64
"""Pixels each way, up to which a picture is shown twice as large."""
_NEAREST = 6


def marginal_nats(
    model: nn.Module, spec: PixelCNNSpec, pictures: Pictures, prior: NDArray[np.float64], device: torch.device
) -> float:
    """Mean -ln p of pictures whose class is not told: the exact sum over classes of p(class) p(picture | class).

    Args:
        model: the network of ``spec``, which has classes.
        spec: of the model.
        pictures: as the model sees them.
        prior: p of each class.
        device: that the model is on.
    """
    joint = []
    for label in range(len(spec.classes)):
        asked = [label, *(len(names) for names in spec.conditions[1:])]
        labels = np.tile(np.array(asked, np.int64), (len(pictures.images), 1))
        parts = [part.sum(axis=(1, 2, 3)) for part in nats(model, pictures.images, labels, device)]
        joint.append(math.log(prior[label]) - np.concatenate(parts).astype(np.float64))
    return float(-np.logaddexp.reduce(joint, axis=0).mean())


def independent_nats(train: Images, images: Images, levels: int) -> float:
    """Mean -ln p of pictures under the baseline that every sub-pixel is drawn by itself, as often as in training.

    Args:
        train: symbols, ``[N, H, W, C]``.
        images: symbols to score.
        levels: of a symbol; each is counted once more than it occurs.
    """
    cells = train[0].size
    place = np.arange(cells)
    counts = np.ones((cells, levels))
    for image in train.reshape(len(train), cells):
        counts[place, image] += 1
    logs = np.log(counts / counts.sum(axis=1, keepdims=True))
    return float(-np.mean([logs[place, image].sum() for image in images.reshape(len(images), cells)]))


def png_bits(images: Images, levels: int) -> float:
    """Bits per sub-pixel that PNG needs for pictures ``[N, H, W, C]``, its headers included."""
    return 8.0 * sum(png_size(image, levels) for image in images) / images.size


class Classifier:
    """A small convolutional network that tells classes apart; it is trained on real pictures when it is made."""

    def __init__(self, pictures: Pictures, levels: int, classes: int, seen: int = 500_000, seed: int = 0) -> None:
        """Train.

        Args:
            pictures: real ones, not binarised; the first label counts.
            levels: of the symbols that it will see.
            classes: how many there are.
            seen: pictures that it is shown, so that few pictures are passed through more often.
            seed: of its start and of the order.
        """
        torch.manual_seed(seed)
        self._levels = levels
        self._network = _classifier(pictures.images.shape, classes)
        rng = np.random.default_rng(seed)
        count, steps = len(pictures.images), seen // _BATCH
        a_pass = max(count // _BATCH, 1)
        optimizer = torch.optim.AdamW(self._network.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
        for step in range(steps):
            if step % a_pass == 0:
                order = rng.permutation(count)
            chosen = order[step % a_pass * _BATCH :][:_BATCH]
            images = pictures.images[chosen]
            symbols = binarise(images, rng) if levels == 2 else images
            optimizer.zero_grad()
            loss = F.cross_entropy(self._logits(symbols), torch.from_numpy(pictures.labels[chosen, 0]))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        self._network.eval()

    @torch.no_grad()
    def read(self, symbols: Images) -> NDArray[np.int64]:
        """The class that each picture ``[N, H, W, C]`` looks like."""
        parts = [self._logits(symbols[i : i + _BATCH]).argmax(dim=1) for i in range(0, len(symbols), _BATCH)]
        return torch.cat(parts).numpy()

    def _logits(self, symbols: Images) -> Tensor:
        pixels = torch.from_numpy(symbols).float().permute(0, 3, 1, 2) * (2.0 / (self._levels - 1)) - 1.0
        logits: Tensor = self._network(pixels)
        return logits


def _classifier(shape: Sequence[int], classes: int) -> nn.Sequential:
    _, height, width, channels = shape
    layers: list[nn.Module] = []
    for inputs, outputs in ((channels, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    hidden = 64 * (height // 4) * (width // 4)
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(hidden, 128), nn.ReLU(), nn.Linear(128, classes)
    )


def draw_classes(
    engine: ImageEngine, each: int, temperature: float = 1.0, guidance: float = 1.0, seed: int = 0
) -> tuple[Pictures, float]:
    """``each`` pictures of every class, of kinds that their seeds draw, in all styles in turn and away from any class
    in that style; and the seconds that one took."""
    spec = engine.spec
    pairs = [(label, number) for label in range(len(spec.classes)) for number in range(each)]
    asked = []
    for index, (label, number) in enumerate(pairs):
        all_told = {"class": label, "style": number % max(len(spec.styles), 1), "kind": None}
        asked.append(with_kind(spec, [all_told[condition] for condition in spec.named], seed + index))
    requests = [ImageStreamRequest(seed + i, temperature, engine.asked(labels)) for i, labels in enumerate(asked)]
    if guidance != 1.0:
        away = [engine.away(labels) for labels in asked]
        requests = [replace(r, guidance=guidance, away=h) for r, h in zip(requests, away, strict=True)]
    begin = time.perf_counter()
    images = engine.draw(requests)
    unasked = [len(names) for names in spec.conditions]
    told = [[none if label is None else label for label, none in zip(labels, unasked, strict=True)] for labels in asked]
    return Pictures(images, np.array(told, np.int64)), (time.perf_counter() - begin) / len(asked)


def write_classes(made: Pictures, levels: int, file: Path) -> None:
    """Write a sheet of drawn pictures, every class a row of ten, for the eye: small ones twice as large."""
    images = shown(made.images, levels)
    rows = [images[made.labels[:, 0] == label][:_SHOWN] for label in np.unique(made.labels[:, 0])]
    scale = 2 if max(images.shape[1:3]) <= _SMALL else 1
    write_sheet(np.concatenate(rows).repeat(scale, axis=1).repeat(scale, axis=2), len(rows[0]), file)


def write_nearest(made: Pictures, real: Images, levels: int, file: Path) -> None:
    """Write a sheet of one drawn picture of every class and, beside each, the six nearest real ones."""
    _, first = np.unique(made.labels[:, 0], return_index=True)
    drawn = shown(made.images[first], levels)
    rows = np.concatenate([drawn[:, None], real[nearest(drawn, real, _NEAREST)]], axis=1)
    write_sheet(rows.reshape(-1, *drawn.shape[1:]), 1 + _NEAREST, file)


def nearest(images: Images, real: Images, count: int) -> NDArray[np.int64]:
    """The ``count`` nearest real pictures of each picture, by squared distance: ``[N, count]``, nearest first."""
    flat = real.reshape(len(real), -1).astype(np.float32)
    norms = (flat**2).sum(axis=1)
    found = [
        np.argsort(norms - 2.0 * (flat @ image))[:count] for image in images.reshape(len(images), -1).astype(np.float32)
    ]
    return np.stack(found)
