"""What is drawn for one step of training: items epoch by epoch, pictures of the same identities, regions to redraw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


class Epochs:
    """The endless sequence of shuffled epochs. Any part of it follows from (seed, rank) alone, so that runs resume."""

    def __init__(self, count: int, seed: int) -> None:
        """Args:
        count: items of an epoch, at least one.
        seed: of the orders.
        """
        self._count, self._seed = count, seed
        self._orders: dict[tuple[int, int], NDArray[np.int64]] = {}

    def take(self, first: int, count: int, rank: int) -> NDArray[np.int64]:
        """The indices of ``count`` items from position ``first`` of a process's sequence."""
        places = range(first, first + count)
        return np.array([self._order(i // self._count, rank)[i % self._count] for i in places], np.int64)

    def _order(self, epoch: int, rank: int) -> NDArray[np.int64]:
        """The order of one epoch. Two are kept, because a batch can cross the end of an epoch."""
        if (epoch, rank) not in self._orders:
            if len(self._orders) > 1:
                self._orders.clear()
            self._orders[epoch, rank] = np.random.default_rng([self._seed, epoch, rank]).permutation(self._count)
        return self._orders[epoch, rank]


class IdentityBatches:
    """Batches of pictures in which everybody has company. Every identity comes once before any comes again.

    A batch follows from (seed, step, rank) alone, so that runs resume.
    """

    def __init__(self, identities: NDArray[np.int64], people: int, each: int, seed: int) -> None:
        """Group the pictures.

        Args:
            identities: ``[N]``, of all pictures. Those that are alone in their identity are never drawn.
            people: identities of a batch (P), at least two.
            each: pictures of each (K), at least two; fewer of an identity that has fewer.
            seed: of the order.

        Raises:
            ValueError: fewer than ``people`` identities have two pictures.
        """
        order = np.argsort(identities, kind="stable")
        starts = np.flatnonzero(np.diff(identities[order])) + 1
        self._groups = [group for group in np.split(order, starts) if len(group) > 1]
        if len(self._groups) < people:
            raise ValueError(f"only {len(self._groups)} identities have two pictures; a batch needs {people}")
        self._people, self._each, self._seed = people, each, seed
        self._epochs = Epochs(len(self._groups), seed)

    def batch(self, step: int, rank: int) -> NDArray[np.int64]:
        """The indices of the pictures of a batch, those of an identity beside each other."""
        rng = np.random.default_rng([self._seed, step, rank])
        chosen = np.unique(self._epochs.take(step * self._people, self._people, rank))
        groups = (self._groups[number] for number in chosen)
        return np.concatenate([rng.permutation(group)[: self._each] for group in groups])


def first_two(identities: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The indices of the first and of the second picture of every identity that has two: to ask with, and to find."""
    order = np.argsort(identities, kind="stable")
    same = identities[order][1:] == identities[order][:-1]
    first = np.flatnonzero(same & ~np.concatenate([[False], same[:-1]]))
    return order[first], order[first + 1]


Mask = NDArray[np.bool_]
_Rng = np.random.Generator


def kept_pixels(rng: _Rng, count: int, height: int, width: int) -> Mask:
    """The pixels that stay, ``bool [count, H, W]``, around regions of many shapes and sizes; each has both."""
    masks = np.empty((count, height, width), np.bool_)
    for mask in masks:
        shape = _SHAPES[rng.choice(len(_SHAPES), p=_SHARES)]
        region = shape(rng, height, width)
        mask[:] = ~region if region.any() and not region.all() else np.arange(height)[:, None] < height // 2
    return masks


def _rectangle(rng: _Rng, height: int, width: int) -> Mask:
    region = np.zeros((height, width), np.bool_)
    (top, bottom), (left, right) = (_span(rng, size) for size in (height, width))
    region[top:bottom, left:right] = True
    return region


def _span(rng: _Rng, size: int) -> tuple[int, int]:
    length = int(rng.integers(max(size // 8, 1), size * 7 // 8 + 1))
    start = int(rng.integers(0, size - length + 1))
    return start, start + length


def _frame(rng: _Rng, height: int, width: int) -> Mask:
    """All but a rectangle."""
    return ~_rectangle(rng, height, width)


def _side(rng: _Rng, height: int, width: int) -> Mask:
    """All on one side of a line: the lower rows, the right columns, a corner."""
    angle = rng.choice([0.0, 0.5, 1.0, 1.5, *rng.uniform(0.0, 2.0, 2)]) * np.pi
    rows, columns = np.mgrid[:height, :width]
    distance = (rows - (height - 1) / 2) * np.sin(angle) + (columns - (width - 1) / 2) * np.cos(angle)
    return np.asarray(distance > rng.uniform(-0.4, 0.4) * min(height, width))


def _strokes(rng: _Rng, height: int, width: int) -> Mask:
    """A few strokes of a round brush, each going on in nearly its own direction."""
    rows, columns = np.mgrid[:height, :width]
    region = np.zeros((height, width), np.bool_)
    for _ in range(rng.integers(1, 4)):
        place, angle = rng.uniform(0, (height, width)), rng.uniform(0, 2 * np.pi)
        radius = rng.uniform(0.04, 0.16) * min(height, width)
        for _ in range(rng.integers(1, 12)):
            region |= (rows - place[0]) ** 2 + (columns - place[1]) ** 2 <= radius**2
            angle += rng.normal(0.0, 0.5)
            place = np.clip(place + radius * np.array([np.sin(angle), np.cos(angle)]), 0, (height - 1, width - 1))
    return region


_SHAPES: tuple[Callable[[_Rng, int, int], Mask], ...] = (_rectangle, _frame, _side, _strokes)
_SHARES = (0.4, 0.1, 0.2, 0.3)
