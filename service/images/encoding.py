"""Pixels to PNG, WebP and JPEG. The same pixels give the same bytes, with one version of Pillow."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""``[H, W, C]``: grey (C = 1) or RGB, 255 the brightest."""

MEDIA_TYPES: Final = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
"""The formats that :func:`encode` makes, and what each is called in ``Content-Type``."""
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "png": {"compress_level": 6},
    "webp": {"lossless": True, "method": 4},
    "jpeg": {"quality": 95, "subsampling": 0},
}


def encode(pixels: Pixels, form: str, scale: int = 1) -> bytes:
    """A file.

    Args:
        pixels: of the picture.
        form: a key of :data:`MEDIA_TYPES`; all but jpeg keep every pixel as it is.
        scale: how many pixels, each way, a pixel becomes.
    """
    large = np.ascontiguousarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1))
    image = Image.fromarray(large[..., 0] if large.shape[2] == 1 else large)
    file = io.BytesIO()
    image.save(file, form.upper(), **_OPTIONS[form])
    return file.getvalue()
