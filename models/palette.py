"""What symbols look like: as numbers for a network, as colours for people; and the nearest colours of a palette.

Indices into a palette have no order, so a network sees the colours, not the indices.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ancestral.models.spec import PictureSpec

WHITE = 255


@cache
def input_table(spec: PictureSpec) -> NDArray[np.float32]:
    """The numbers from -1 to 1 that each symbol enters the network as: ``float32 [levels, planes]``, read-only."""
    if spec.palette:
        values = rgba(spec)[:, : spec.planes] * (2.0 / WHITE) - 1.0
    else:
        # The scale is rounded first and the product is not, as in a fused multiply-add.
        values = np.arange(spec.levels)[:, None] * np.float64(np.float32(2.0 / (spec.levels - 1))) - 1.0
    table = values.astype(np.float32)
    table.flags.writeable = False
    return table


def rgba(spec: PictureSpec) -> NDArray[np.uint8]:
    """The colours of a palette, ``uint8 [levels, 4]``."""
    codes = [bytes.fromhex(colour[1:].ljust(8, "f")) for colour in spec.palette]
    return np.array([[*code] for code in codes], np.uint8)


def pixels_of(symbols: NDArray[np.uint8], spec: PictureSpec) -> NDArray[np.uint8]:
    """Symbols ``[..., C]`` as 8-bit pixels, grey or RGB; what is transparent is white.

    Without a palette the highest level is white.
    """
    if not spec.palette:
        return symbols * np.uint8(WHITE // (spec.levels - 1))
    colours = rgba(spec)
    opaque: NDArray[np.uint8] = np.where(colours[:, 3:] == 0, np.uint8(WHITE), colours[:, :3])
    return opaque[symbols[..., 0]]


def nearest_symbols(pixels: NDArray[np.uint8], spec: PictureSpec) -> tuple[NDArray[np.uint8], float]:
    """The nearest colours of a palette, and how far they are.

    Args:
        pixels: ``[H, W, 4]``, RGBA. Those that are less than half opaque become the transparent colour, if there is
            one; the others are taken as opaque.
        spec: with a palette.

    Returns:
        The symbols ``[H, W, 1]``, and the root mean square of the distances of the opaque pixels' channels, in 0..255.
    """
    colours = rgba(spec)[:, :3].astype(np.float32)
    hidden = pixels[..., 3] < 128 if spec.transparent else np.zeros(pixels.shape[:2], bool)
    flat, where = np.unique(pixels[..., :3].reshape(-1, 3), axis=0, return_inverse=True)
    first = int(spec.transparent)  # the transparent entry has no colour
    apart = ((flat[:, None].astype(np.float32) - colours[None, first:]) ** 2).mean(axis=2)
    nearest, squares = apart.argmin(axis=1) + first, apart.min(axis=1)
    symbols = nearest[where].reshape(hidden.shape)
    seen = squares[where].reshape(hidden.shape)[~hidden]
    distance = float(np.sqrt(seen.mean())) if seen.size else 0.0
    return np.where(hidden, 0, symbols).astype(np.uint8)[..., None], distance
