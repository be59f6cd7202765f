"""Regions of pictures, as people draw them: what a network that draws edits is trained and judged on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

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
