"""Pixels to PNG, WebP and JPEG. The same pixels give the same bytes, with one version of Pillow."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ancestral.images.pixels import Pixels
from ancestral.models.palette import WHITE

MEDIA_TYPES: Final = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
"""The formats of :func:`encode`, and their ``Content-Type``."""
SUFFIXES: Final = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg"}
"""Formats by the ends of files' names."""
MOVING_SUFFIXES: Final = {".png": "png", ".webp": "webp"}
"""The suffixes of formats that can move."""
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
    options = {"pnginfo": _texts(texts)} if form == "png" else {}
    return _file(_image(pixels, scale, size), form, options)


def encode_indexed(
    symbols: NDArray[np.uint8],
    colours: NDArray[np.uint8],
    scale: int = 1,
    texts: Mapping[str, str] = _NO_TEXTS,
    size: tuple[int, int] | None = None,
) -> bytes:
    """A PNG file of indices into a palette.

    Args:
        symbols: ``[H, W, 1]``.
        colours: RGBA, ``[P, 4]``; the first may be transparent.
        scale: as for :func:`encode`.
        texts: as for :func:`encode`.
        size: as for :func:`encode`.
    """
    image = _image(symbols, scale, size)
    image.putpalette(colours[:, :3].tobytes())
    transparent = {"transparency": 0} if colours[0, 3] == 0 else {}
    return _file(image, "png", {"pnginfo": _texts(texts), **transparent})


def encode_moving(frames: Sequence[Pixels], form: str, frames_per_second: int) -> bytes:
    """A file that shows pictures one after the other, again and again.

    Args:
        frames: of one size.
        form: ``png`` (APNG) or ``webp``; both lossless.
        frames_per_second: as near as whole milliseconds come to it.
    """
    first, *others = (_image(frame, 1, None) for frame in frames)
    options = {"save_all": True, "append_images": others, "duration": round(1000 / frames_per_second), "loop": 0}
    return _file(first, form, options)


def mask_file(kept: NDArray[np.bool_]) -> bytes:
    """A PNG file of ``kept [H, W]`` as the mask of an edit: transparent where it is false, else black."""
    pixels = np.zeros((*kept.shape, 4), np.uint8)
    pixels[..., 3] = np.where(kept, WHITE, 0)
    return encode(pixels, "png")


def _image(pixels: Pixels, scale: int, size: tuple[int, int] | None) -> Image.Image:
    large = np.ascontiguousarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1))
    if size is not None:
        large = _padded(large, size, _edge_colour(pixels))
    return Image.fromarray(large[..., 0] if large.shape[2] == 1 else large)


def _texts(texts: Mapping[str, str]) -> PngInfo:
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    return info


def _file(image: Image.Image, form: str, options: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    image.save(file, form.upper(), **_OPTIONS[form], **options)
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
