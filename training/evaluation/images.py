"""Evaluation of image models: likelihood of real pictures and its baselines, sampled pictures and their sheets."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ancestral.models.engines.images.engine import ImageEngine
from ancestral.models.engines.images.request import ImageStreamRequest
from ancestral.models.palette import pixels_of
from ancestral.models.spec import STYLE, ImageSpec
from ancestral.training.data.images import Images, Pictures, png_size, write_sheet
from ancestral.training.evaluation.judges import nearest
from ancestral.training.tasks.images import nats

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
    return _drawn(engine, rows, temperature, guidance, seed)


def draw_named(
    engine: ImageEngine, count: int, temperature: float = 1.0, guidance: float = 1.0, seed: int = 0
) -> tuple[Pictures, float]:
    """Pictures of which every attribute is named, all its values alike; and the seconds per picture.

    Labels that are not applicable beside the others are not named: a colour of no garment.
    """
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.integers(0, len(values), count) for _, values in engine.spec.attributes], axis=1)
    named = [engine.applicable_labels(row) for row in rows.tolist()]
    return _drawn(engine, named, temperature, guidance, seed)


def draw_matched(
    engine: ImageEngine, pictures: Pictures, count: int, temperature: float = 1.0, guidance: float = 1.0, seed: int = 0
) -> Pictures:
    """``count`` pictures, each sampled for the labels of one of these, chosen at random with replacement."""
    chosen = np.random.default_rng(seed).integers(0, len(pictures.labels), count)
    known = [
        [None if label == len(values) else label for label, values in zip(row, engine.spec.conditions, strict=True)]
        for row in pictures.labels[chosen].tolist()
    ]
    return _drawn(engine, known, temperature, guidance, seed)[0]


def _drawn(
    engine: ImageEngine, rows: Sequence[Sequence[int | None]], temperature: float, guidance: float, seed: int
) -> tuple[Pictures, float]:
    """A picture of each row of labels, with the seeds from ``seed`` on; and the seconds per picture."""
    requests = [ImageStreamRequest(seed + i, temperature, engine.embed_labels(row)) for i, row in enumerate(rows)]
    if guidance != 1.0:
        free = [engine.unconditional(row) for row in rows]
        requests = [replace(r, guidance=guidance, unconditional=h) for r, h in zip(requests, free, strict=True)]
    begin = time.perf_counter()
    images = engine.draw(requests)
    unspecified = [len(names) for names in engine.spec.conditions]
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
    chosen = made.images[first]
    found, _ = nearest(pixels_of(chosen, spec), real, spec, _NEAREST)
    shown = pixels_of(real[found], spec) if spec.palette else real[found]
    rows = np.concatenate([pixels_of(chosen, spec)[:, None], shown], axis=1)
    write_sheet(rows.reshape(-1, *rows.shape[2:]), 1 + _NEAREST, file)
