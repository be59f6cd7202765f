"""Pixels to PNG, WebP and JPEG. The same pixels give the same bytes, with one version of Pillow."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from service.images.decoder import Pixels

MEDIA_TYPES: Final = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
"""The formats of :func:`encode`, and their ``Content-Type``."""
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "png": {"compress_level": 6},
    "webp": {"lossless": True, "method": 4},
    "jpeg": {"quality": 95, "subsampling": 0},
}


_NO_TEXTS: Final[Mapping[str, str]] = {}


def encode(
    pixels: Pixels,
    form: str,
    scale: int = 1,
    texts: Mapping[str, str] = _NO_TEXTS,
    size: tuple[int, int] | None = None,
) -> bytes:
    """An image file.

    Args:
        pixels: of the picture.
        form: a key of :data:`MEDIA_TYPES`; all but jpeg are lossless.
        scale: side of the square, in pixels, that one pixel becomes.
        texts: ASCII texts by keyword, for the text chunks of a PNG file; other formats do without.
        size: width and height of a larger file, with the picture in its middle; None for a file of its own size.
    """
    large = np.ascontiguousarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1))
    if size is not None:
        large = _padded(large, size, _edge_colour(pixels))
    image = Image.fromarray(large[..., 0] if large.shape[2] == 1 else large)
    file = io.BytesIO()
    options = dict(_OPTIONS[form])
    if form == "png":
        options["pnginfo"] = info = PngInfo()
        for keyword, text in texts.items():
            info.add_text(keyword, text)
    image.save(file, form.upper(), **options)
    return file.getvalue()


def _edge_colour(pixels: Pixels) -> NDArray[np.uint8]:
    """The most frequent colour of the outermost pixels ``[C]``; of several, the darkest."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colours, counts = np.unique(edge, axis=0, return_counts=True)
    found: NDArray[np.uint8] = colours[counts.argmax()]
    return found


def _padded(large: Pixels, size: tuple[int, int], colour: NDArray[np.uint8]) -> Pixels:
    height, width, channels = large.shape
    canvas = np.empty((size[1], size[0], channels), large.dtype)
    canvas[:] = colour
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    canvas[top : top + height, left : left + width] = large
    return canvas
