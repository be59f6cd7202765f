"""Pixels to PNG, WebP and JPEG. The same pixels give the same bytes, with one version of Pillow."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from PIL import Image

from service.images.decoder import Pixels

MEDIA_TYPES: Final = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
"""The formats of :func:`encode`, and their ``Content-Type``."""
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "png": {"compress_level": 6},
    "webp": {"lossless": True, "method": 4},
    "jpeg": {"quality": 95, "subsampling": 0},
}


def encode(pixels: Pixels, form: str, scale: int = 1) -> bytes:
    """An image file.

    Args:
        pixels: of the picture.
        form: a key of :data:`MEDIA_TYPES`; all but jpeg are lossless.
        scale: side of the square, in pixels, that one pixel becomes.
    """
    large = np.ascontiguousarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1))
    image = Image.fromarray(large[..., 0] if large.shape[2] == 1 else large)
    file = io.BytesIO()
    image.save(file, form.upper(), **_OPTIONS[form])
    return file.getvalue()
