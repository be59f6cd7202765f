"""Judges of sampled pictures: a classifier of attributes, precision and recall, nearest training pictures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ancestral.models.networks.image import input_pixels
from ancestral.models.palette import pixels_of
from ancestral.models.spec import ImageSpec
from ancestral.training.data.images import Images, Pictures, binarise

_BATCH = 100
_HIDDEN = 256
"""Features of a picture."""
_CHUNK = 2048
"""Real pictures that are compared at once."""
_NEIGHBOURS = 3
"""k of precision and recall, as in their paper."""
_NEAR = 0.05
"""The share of real test pictures that count as near to the training set."""


class Classifier:
    """A small convolutional classifier of all attributes; it is trained on real pictures when it is created."""

    def __init__(self, pictures: Pictures, spec: ImageSpec, seen: int = 500_000, seed: int = 0) -> None:
        """Train.

        Args:
            pictures: real ones, not binarised. Labels that are unspecified are left out of the loss.
            spec: of the symbols that it will classify.
            seen: training examples in all, so that small sets get more epochs.
            seed: of the initial weights and of the order.
        """
        torch.manual_seed(seed)
        self._spec = spec
        self._features, self._heads = _trunk(spec), nn.ModuleList(nn.Linear(_HIDDEN, len(v)) for v in spec.conditions)
        rng = np.random.default_rng(seed)
        count, steps = len(pictures.images), seen // _BATCH
        epoch = max(count // _BATCH, 1)
        parameters = [*self._features.parameters(), *self._heads.parameters()]
        optimizer = torch.optim.AdamW(parameters, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
        for step in range(steps):
            if step % epoch == 0:
                order = rng.permutation(count)
            chosen = order[step % epoch * _BATCH :][:_BATCH]
            images = pictures.images[chosen]
            symbols = binarise(images, rng) if spec.binary else images
            optimizer.zero_grad()
            self._loss(symbols, torch.from_numpy(pictures.labels[chosen])).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        self._features.eval()

    def _loss(self, symbols: Images, labels: Tensor) -> Tensor:
        features = self._features(self._input(symbols))
        losses = [
            F.cross_entropy(head(features), column, ignore_index=len(values), reduction="sum")
            for head, column, values in zip(self._heads, labels.T, self._spec.conditions, strict=True)
        ]
        return torch.stack(losses).sum() / len(symbols)

    @torch.no_grad()
    def features(self, symbols: Images) -> NDArray[np.float32]:
        """The last hidden layer for pictures ``[N, H, W, C]``: ``[N, 256]``."""
        parts = [self._features(self._input(symbols[i : i + _BATCH])) for i in range(0, len(symbols), _BATCH)]
        return torch.cat(parts).numpy()

    @torch.no_grad()
    def classify(self, symbols: Images) -> NDArray[np.int64]:
        """The most likely value of each attribute of pictures ``[N, H, W, C]``: ``[N, attributes]``."""
        features = torch.from_numpy(self.features(symbols))
        return torch.stack([head(features).argmax(dim=1) for head in self._heads], dim=1).numpy()

    def accuracy(self, pictures: Pictures) -> dict[str, float]:
        """The share of pictures whose label is recognised, for each attribute; unspecified labels do not count.

        Returns:
            NaN for an attribute that no picture has.
        """
        return self._shares(pictures, self.classify(pictures.images) == pictures.labels)

    def adherence(self, pictures: Pictures) -> dict[str, float]:
        """Of pictures with all labels: :meth:`accuracy`, and as ``all`` the share of those with all recognised."""
        right = self.classify(pictures.images) == pictures.labels
        return self._shares(pictures, right) | {"all": float(right.all(axis=1).mean())}

    def _shares(self, pictures: Pictures, right: NDArray[np.bool_]) -> dict[str, float]:
        shares = {}
        for column, (name, values) in enumerate(self._spec.attributes):
            known = right[pictures.labels[:, column] < len(values), column]
            shares[name] = float(known.mean()) if len(known) else float("nan")
        return shares

    def _input(self, symbols: Images) -> Tensor:
        return input_pixels(self._spec, torch.from_numpy(symbols).long()).permute(0, 3, 1, 2)


def _trunk(spec: ImageSpec) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in ((spec.channels * spec.planes, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    size = 64 * (spec.height // 4) * (spec.width // 4)
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(size, _HIDDEN), nn.ReLU())


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
    """The same of test pictures."""
    copies: float
    """The share of sampled pictures that are nearer than nineteen in twenty test pictures."""
    equal: float
    """The share that equals a training picture."""
    equal_of_real: float
    """The same of test pictures."""


def count_copies(sampled: Images, test: Images, train: Images, spec: ImageSpec) -> Copies:
    """Compare sampled and test symbols with the training set, which is pixels or, with a palette, symbols."""
    mine, theirs = (nearest(pixels_of(images, spec), train, spec, 1)[1][:, 0] for images in (sampled, test))
    threshold = np.quantile(theirs, _NEAR)
    # Sums in single precision are not exact: pixels that differ in one step are 1 / sqrt(size) apart.
    same = 0.5 / np.sqrt(train[0].size)
    shares = (float((mine < threshold).mean()), float((mine < same).mean()), float((theirs < same).mean()))
    return Copies(float(np.median(mine)), float(np.median(theirs)), *shares)
