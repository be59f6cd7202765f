"""Pictures for corpora from SVG and from larger pictures: 32 × 32, on white."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.training.data.images import decoded

SIZE = 32
Image = NDArray[np.uint8]


def rendered(svg: str) -> Image:
    """An SVG of equal width and height, on white: ``[32, 32, 3]``, the means of 2 × 2 pixels.

    Raises:
        ImportError: resvg-py is not installed.
    """
    resvg: Any = import_module("resvg_py")  # imported here, since only corpora need it
    return on_white(bytes(resvg.svg_to_bytes(svg_string=svg, width=2 * SIZE, height=2 * SIZE, skip_system_fonts=True)))


def on_white(data: bytes) -> Image:
    """An encoded picture on white, reduced to 32 × 32 by averaging squares; it is cropped to whole squares first."""
    pixels = np.asarray(decoded(data, "picture").convert("RGBA"), np.float64)
    side = min(pixels.shape[:2]) // SIZE * SIZE
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    pixels = pixels[top : top + side, left : left + side]
    opacity = pixels[..., 3:] / 255.0
    laid = pixels[..., :3] * opacity + 255.0 * (1.0 - opacity)
    step = side // SIZE
    means: Image = np.round(laid.reshape(SIZE, step, SIZE, step, 3).mean(axis=(1, 3))).astype(np.uint8)
    return means
