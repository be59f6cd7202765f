"""Indexed colour: a palette by weighted k-means, and pictures as indices into it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.models.palette import WHITE

Bytes = NDArray[np.uint8]

_ROUNDS = 40
_RARE = 0.5
"""Power of a colour's frequency that weights it: below 1, so that small parts in colours of their own keep them."""


def make_palette(images: Bytes, size: int, background: tuple[int, int, int] | None = None) -> Bytes:
    """The colours that represent pictures best: k-means (Lloyd 1982) from a k-means++ start, in RGB.

    Args:
        images: ``[N, H, W, 4]`` RGBA, of which pixels with alpha 0 do not count.
        size: the most colours, 1 to 256.
        background: a colour that is kept exactly.

    Returns:
        ``[P, 3]``, P ≤ ``size``, sorted by brightness; exactly those of the pictures if there are no more.
    """
    pixels = images[images[..., 3] > 0][:, :3]
    codes, counts = np.unique(colour_codes(pixels), return_counts=True)
    colours = _colours(codes).astype(np.float64)
    if len(codes) > size:
        weights = counts.astype(np.float64) ** _RARE
        colours = _k_means(colours, weights, size, np.random.default_rng(0))
        if background is not None:
            colours[((colours - background) ** 2).sum(axis=1).argmin()] = background
    palette = np.unique(np.round(colours).astype(np.uint8), axis=0)
    return palette[np.argsort(palette @ np.array([0.299, 0.587, 0.114]), kind="stable")]


def with_alpha(colours: Bytes, *, transparent: bool) -> Bytes:
    """Colours ``[P, 3]`` as the opaque entries of a palette, RGBA; ``transparent``: behind a transparent one."""
    opaque = np.insert(colours, 3, WHITE, axis=1)
    return np.concatenate([np.zeros((1, 4), np.uint8), opaque]) if transparent else opaque


def to_indices(images: Bytes, palette: Bytes) -> Bytes:
    """The index of the nearest palette colour of each pixel.

    Args:
        images: ``[N, H, W, 3]`` or ``[N, H, W, 4]``; pixels with alpha 0 become the transparent entry.
        palette: ``[P, 4]`` RGBA; at most one entry is transparent.

    Returns:
        ``[N, H, W]``.
    """
    opaque = np.flatnonzero(palette[:, 3])
    codes, known = colour_codes(images[..., :3]), np.zeros(1 << 24, np.bool_)
    known[codes] = True
    (found,) = known.nonzero()
    nearest = np.zeros(len(known), np.uint8)
    nearest[found] = opaque[_nearest(_colours(found).astype(np.float64), palette[opaque, :3].astype(np.float64))]
    indices = nearest[codes]
    if images.shape[-1] == 4:
        (transparent,) = np.flatnonzero(palette[:, 3] == 0)
        indices[images[..., 3] == 0] = transparent
    return indices


def colour_codes(pixels: Bytes) -> NDArray[np.int32]:
    """RGB ``[..., 3]`` as one number each, so that colours can be counted fast: ``[...]``."""
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _colours(codes: NDArray[np.integer]) -> Bytes:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)


def _k_means(
    colours: NDArray[np.float64], weights: NDArray[np.float64], size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    centres = colours[[int(weights.argmax())]]
    distances = ((colours - centres[0]) ** 2).sum(axis=1)
    while len(centres) < size:
        chance = weights * distances
        centre = colours[rng.choice(len(colours), p=chance / chance.sum())]
        centres = np.concatenate([centres, centre[None]])
        distances = np.minimum(distances, ((colours - centre) ** 2).sum(axis=1))
    for _ in range(_ROUNDS):
        nearest = _nearest(colours, centres)
        mass = np.bincount(nearest, weights, size)
        sums = np.stack([np.bincount(nearest, weights * channel, size) for channel in colours.T], axis=1)
        centres = np.where(mass[:, None] > 0, sums / np.maximum(mass, 1e-9)[:, None], centres)
    return centres


def _nearest(colours: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.int64]:
    norms = (centres**2).sum(axis=1)
    parts = [
        (norms - 2.0 * (part @ centres.T)).argmin(axis=1) for part in np.array_split(colours, len(colours) // 4096 + 1)
    ]
    return np.concatenate(parts)
