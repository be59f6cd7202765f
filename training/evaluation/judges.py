"""Judges of sampled pictures: classifiers that are trained here, precision and recall, nearest training pictures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ancestral.models.architectures.classifier import ClassifierSpec
from ancestral.models.classification import PictureClassifier
from ancestral.models.networks import build_network
from ancestral.models.palette import pixels_of
from ancestral.models.spec import ImageSpec, PictureSpec
from ancestral.training.data.batches import Epochs
from ancestral.training.data.images import Images, Pictures, binarise
from ancestral.training.metrics import classification_loss, classifier_of

_BATCH = 100
_CHUNK = 2048
"""Real pictures that are compared at once."""
_NEIGHBOURS = 3
"""k of precision and recall, as in their paper."""
_NEAR = 0.05
"""The share of real test pictures that count as near to the training set."""


def train_classifier(pictures: Pictures, spec: ClassifierSpec, seen: int = 500_000, seed: int = 0) -> PictureClassifier:
    """A classifier of all attributes, trained on real pictures in memory, for a model that has none of its own.

    Args:
        pictures: real ones, not binarised. Labels that are unspecified are left out of the loss.
        spec: of the classifier.
        seen: training examples in all, so that small sets get more epochs.
        seed: of the initial weights and of the order.
    """
    torch.manual_seed(seed)
    network = build_network(spec)
    rng, epochs, steps = np.random.default_rng(seed), Epochs(len(pictures.images), seed), seen // _BATCH
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for step in range(steps):
        chosen = epochs.take(step * _BATCH, _BATCH, 0)
        images = pictures.images[chosen]
        symbols = binarise(images, rng) if spec.binary else images
        optimizer.zero_grad()
        logits = network(torch.from_numpy(symbols.astype(np.int64)))
        classification_loss(spec, logits, torch.from_numpy(pictures.labels[chosen])).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return classifier_of(spec, network)


def classifier_spec(spec: PictureSpec, attributes: tuple[tuple[str, tuple[str, ...]], ...]) -> ClassifierSpec:
    """The spec of a classifier of what a network draws."""
    return ClassifierSpec(spec.height, spec.width, spec.channels, spec.levels, spec.palette, attributes)


class Fidelity(NamedTuple):
    """Precision and recall of sampled pictures (Kynkäänniemi et al. 2019, section 3)."""

    precision: float
    """The share of sampled pictures that lie among the real ones."""
    recall: float
    """The share of real pictures that lie among the sampled ones."""


def precision_recall(sampled: NDArray[np.float32], real: NDArray[np.float32]) -> Fidelity:
    """Precision and recall of features ``[N, F]`` and ``[M, F]``, N and M best equal and in the hundreds.

    A picture lies among others if it is within the distance of one of them to its third nearest neighbour.
    """
    across = _distances(sampled, real)
    within = across <= _radii(real)
    around = across <= _radii(sampled)[:, None]
    return Fidelity(float(within.any(axis=1).mean()), float(around.any(axis=0).mean()))


def _radii(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The squared distance of each to its third nearest neighbour; the nearest of all is itself."""
    rank = min(_NEIGHBOURS, len(features) - 1)
    return np.partition(_distances(features, features), rank, axis=1)[:, rank]


def _distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    squares: NDArray[np.float32] = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * (a @ b.T)
    return squares.clip(0.0)


def nearest(images: Images, real: Images, spec: ImageSpec, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The ``count`` nearest real pictures of each picture, nearest first.

    Args:
        images: pixels ``[N, H, W, C]``.
        real: pixels or, with a palette, symbols.
        spec: of the symbols.
        count: at most as many as there are real pictures.

    Returns:
        Their indices, and the root mean squares of the differences in pixels, 0 to 255: ``[N, count]`` each.
    """
    flat = images.reshape(len(images), -1).astype(np.float32)
    squares = np.zeros((len(images), 0), np.float32)
    indices = np.zeros((len(images), 0), np.int64)
    for start in range(0, len(real), _CHUNK):
        chunk = real[start : start + _CHUNK]
        pixels = pixels_of(chunk, spec) if spec.palette else chunk
        found = _distances(flat, pixels.reshape(len(pixels), -1).astype(np.float32))
        squares = np.concatenate([squares, found], axis=1)
        numbers = np.broadcast_to(np.arange(start, start + len(chunk)), found.shape)
        indices = np.concatenate([indices, numbers], axis=1)
        order = np.argsort(squares, axis=1, kind="stable")[:, :count]
        squares = np.take_along_axis(squares, order, axis=1)
        indices = np.take_along_axis(indices, order, axis=1)
    return indices, np.sqrt(squares / flat.shape[1])


class Copies(NamedTuple):
    """How near sampled pictures are to training pictures, beside real test pictures."""

    distance: float
    """The median distance to the nearest training picture, in root mean squares of pixels, 0 to 255."""
    distance_of_real: float
    """The median distance of test pictures."""
    copies: float
    """The share of sampled pictures that are nearer than nineteen in twenty test pictures."""
    equal: float
    """The share that equals a training picture."""
    equal_of_real: float
    """The share of test pictures."""


def count_copies(sampled: Images, test: Images, train: Images, spec: ImageSpec) -> Copies:
    """Compare sampled and test symbols with the training set, which is pixels or, with a palette, symbols."""
    mine, theirs = (nearest(pixels_of(images, spec), train, spec, 1)[1][:, 0] for images in (sampled, test))
    threshold = np.quantile(theirs, _NEAR)
    # Sums in single precision are not exact: pixels that differ in one step are 1 / sqrt(size) apart.
    same = 0.5 / np.sqrt(train[0].size)
    shares = (float((mine < threshold).mean()), float((mine < same).mean()), float((theirs < same).mean()))
    return Copies(float(np.median(mine)), float(np.median(theirs)), *shares)
