"""Evaluation of image models: likelihood of real pictures, class accuracy of samples, nearest training pictures."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models.engines.images.engine import ImageEngine, ImageStreamRequest
from models.networks.image import input_pixels
from models.palette import pixels_of
from models.spec import STYLE, ImageSpec
from models.training.data.images import Images, Pictures, binarise, png_size, write_sheet
from models.training.tasks.images import nats

_BATCH = 100
_SHOWN = 10
"""Pictures of a class on a sheet."""
_SMALL = 64
"""The side, in pixels, up to which a picture is shown at twice its size."""
_NEAREST = 6


def marginal_nats(
    model: nn.Module, spec: ImageSpec, pictures: Pictures, prior: NDArray[np.float64], device: torch.device
) -> float:
    """Mean -ln p of pictures of unknown class: the exact sum over classes of p(class) p(picture | class).

    Args:
        model: the network of ``spec``, which has classes.
        spec: of the model; its first attribute is the class.
        pictures: as the model sees them.
        prior: p of each class.
        device: that the model is on.
    """
    joint = []
    for label in range(len(spec.conditions[0])):
        row = [label, *(len(names) for names in spec.conditions[1:])]
        labels = np.tile(np.array(row, np.int64), (len(pictures.images), 1))
        parts = [part.sum(axis=(1, 2, 3)) for part in nats(model, pictures.images, labels, device)]
        joint.append(math.log(prior[label]) - np.concatenate(parts).astype(np.float64))
    return float(-np.logaddexp.reduce(joint, axis=0).mean())


def independent_nats(train: Images, images: Images, levels: int) -> float:
    """Mean -ln p of pictures under the baseline of independent sub-pixels, with the frequencies of the training set.

    Args:
        train: symbols, ``[N, H, W, C]``.
        images: symbols to score.
        levels: of a symbol; every count starts at one.
    """
    cells = train[0].size
    index = np.arange(cells)
    counts = np.ones((cells, levels))
    for image in train.reshape(len(train), cells):
        counts[index, image] += 1
    logs = np.log(counts / counts.sum(axis=1, keepdims=True))
    return float(-np.mean([logs[index, image].sum() for image in images.reshape(len(images), cells)]))


def png_bits(images: Images, spec: ImageSpec) -> float:
    """Bits per sub-pixel that PNG needs for pictures ``[N, H, W, C]``, including headers."""
    return 8.0 * sum(png_size(image, spec) for image in images) / images.size


class Classifier:
    """A small convolutional classifier; it is trained on real pictures when it is created."""

    def __init__(self, pictures: Pictures, spec: ImageSpec, classes: int, seen: int = 500_000, seed: int = 0) -> None:
        """Train.

        Args:
            pictures: real ones, not binarised; the first label counts.
            spec: of the symbols that it will classify.
            classes: the number of classes.
            seen: training examples in all, so that small sets get more epochs.
            seed: of the initial weights and of the order.
        """
        torch.manual_seed(seed)
        self._spec = spec
        self._network = _classifier(spec, classes)
        rng = np.random.default_rng(seed)
        count, steps = len(pictures.images), seen // _BATCH
        epoch = max(count // _BATCH, 1)
        optimizer = torch.optim.AdamW(self._network.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
        for step in range(steps):
            if step % epoch == 0:
                order = rng.permutation(count)
            chosen = order[step % epoch * _BATCH :][:_BATCH]
            images = pictures.images[chosen]
            symbols = binarise(images, rng) if spec.binary else images
            optimizer.zero_grad()
            loss = F.cross_entropy(self._logits(symbols), torch.from_numpy(pictures.labels[chosen, 0]))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        self._network.eval()

    @torch.no_grad()
    def classify(self, symbols: Images) -> NDArray[np.int64]:
        """The most likely class of each picture ``[N, H, W, C]``."""
        parts = [self._logits(symbols[i : i + _BATCH]).argmax(dim=1) for i in range(0, len(symbols), _BATCH)]
        return torch.cat(parts).numpy()

    def _logits(self, symbols: Images) -> Tensor:
        pixels = input_pixels(self._spec, torch.from_numpy(symbols).long())
        logits: Tensor = self._network(pixels.permute(0, 3, 1, 2))
        return logits


def _classifier(spec: ImageSpec, classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in ((spec.channels * spec.planes, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    hidden = 64 * (spec.height // 4) * (spec.width // 4)
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(hidden, 128), nn.ReLU(), nn.Linear(128, classes)
    )


def draw_classes(
    engine: ImageEngine, each: int, temperature: float = 1.0, guidance: float = 1.0, seed: int = 0
) -> tuple[Pictures, float]:
    """``each`` pictures of every value of the first attribute, in all styles in turn; and the seconds per picture.

    Other attributes are drawn by the seeds. Guidance is relative to pictures of any class in the same style.
    """
    spec = engine.spec
    (first, classes), *_ = spec.attributes
    pairs = [(label, number) for label in range(len(classes)) for number in range(each)]
    rows = []
    for index, (label, number) in enumerate(pairs):
        named = {STYLE: number % len(spec.named.get(STYLE, (None,)))} | {first: label}
        rows.append(engine.draw_labels([named.get(attribute) for attribute in spec.named], seed + index))
    requests = [ImageStreamRequest(seed + i, temperature, engine.embed_labels(row)) for i, row in enumerate(rows)]
    if guidance != 1.0:
        free = [engine.unconditional(row) for row in rows]
        requests = [replace(r, guidance=guidance, unconditional=h) for r, h in zip(requests, free, strict=True)]
    begin = time.perf_counter()
    images = engine.draw(requests)
    unspecified = [len(names) for names in spec.conditions]
    labels = [[none if label is None else label for label, none in zip(row, unspecified, strict=True)] for row in rows]
    return Pictures(images, np.array(labels, np.int64)), (time.perf_counter() - begin) / len(rows)


def write_classes(made: Pictures, spec: ImageSpec, file: Path) -> None:
    """Write a sheet of sampled pictures, ten of each class in a row; small ones at twice their size."""
    images = pixels_of(made.images, spec)
    rows = [images[made.labels[:, 0] == label][:_SHOWN] for label in np.unique(made.labels[:, 0])]
    scale = 2 if max(images.shape[1:3]) <= _SMALL else 1
    write_sheet(np.concatenate(rows).repeat(scale, axis=1).repeat(scale, axis=2), len(rows[0]), file)


def write_nearest(made: Pictures, real: Images, spec: ImageSpec, file: Path) -> None:
    """Write a sheet of one sampled picture of every class and, beside each, the six nearest real ones.

    Real pictures are pixels or, with a palette, symbols.
    """
    _, first = np.unique(made.labels[:, 0], return_index=True)
    drawn = pixels_of(made.images[first], spec)
    shown = pixels_of(real, spec) if spec.palette else real
    rows = np.concatenate([drawn[:, None], shown[nearest(drawn, shown, _NEAREST)]], axis=1)
    write_sheet(rows.reshape(-1, *drawn.shape[1:]), 1 + _NEAREST, file)


def nearest(images: Images, real: Images, count: int) -> NDArray[np.int64]:
    """The ``count`` nearest real pictures of each picture, by squared distance: ``[N, count]``, nearest first."""
    flat = real.reshape(len(real), -1).astype(np.float32)
    norms = (flat**2).sum(axis=1)
    found = [
        np.argsort(norms - 2.0 * (flat @ image))[:count] for image in images.reshape(len(images), -1).astype(np.float32)
    ]
    return np.stack(found)
