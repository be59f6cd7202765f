"""The symbols of a job as pixels."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ancestral.catalog.palettes import colours_of, nearest
from ancestral.models.palette import WHITE, pixels_of, rgba
from ancestral.models.spec import COARSE_STRIDE, ImageSpec

Pixels = NDArray[np.uint8]
"""``[H, W, C]``: grey (C = 1), RGB or RGBA, 0 … 255."""

UNDRAWN = 127
"""The grey of pixels that have not been sampled yet."""


class BatchDecoder:
    """Decodes the symbols of one job, in order, to the pixels of its pictures.

    Args:
        spec: of the model.
        count: of the pictures.
        transparent: whether the transparent colour of the palette remains so, and pixels are RGBA; else it is white.
        palette: to put the pictures into, as :func:`ancestral.catalog.palettes.check_palette` gives it.
    """

    def __init__(
        self, spec: ImageSpec, count: int, *, transparent: bool = False, palette: str | tuple[str, ...] | None = None
    ) -> None:
        self.symbols = np.zeros((count, spec.height, spec.width, spec.channels), np.uint8)
        """``[pictures, H, W, C]``; those that have not been sampled yet are 0."""
        self.rows = 0
        """Rows that have been sampled."""
        self._spec, self._transparent = spec, transparent
        self.colours: NDArray[np.uint8] | None = None
        """RGBA ``[P, 4]`` of indexed files: the given palette's, or else the model's; None if there is neither."""
        self._indices: NDArray[np.uint8] | None = None
        """``[levels]``: for each colour of the model's palette, the nearest of the given one."""
        self._given = None if palette is None else colours_of(palette)
        if spec.palette:
            own = rgba(spec)
            self.colours = own if transparent else np.where(own[:, 3:] == 0, np.uint8(WHITE), own)
        if self._given is not None:
            first = np.zeros((int(transparent), 4), np.uint8)
            opaque = np.pad(self._given, ((0, 0), (0, 1)), constant_values=WHITE)
            if self.colours is not None:
                self._indices = nearest(self.colours[:, :3], self._given) + np.uint8(transparent)
                self._indices[self.colours[:, 3] == 0] = 0
            self.colours = np.concatenate([first, opaque])
        blank = self._shown(self.symbols[:, :1])
        blank[..., :3] = UNDRAWN
        if transparent:
            blank[..., 3] = WHITE
        self.pixels: Pixels = np.repeat(blank, spec.height, axis=1)
        """``[pictures, H, W, C]``; rows that have not been sampled yet are grey."""

    @property
    def channels(self) -> int:
        """Numbers of a pixel: 1, 3 or 4."""
        return int(self.pixels.shape[3])

    def __call__(self, symbols: NDArray[np.uint8]) -> Pixels:
        """Add the next symbols, which are whole rows. Returns their pixels, ``[rows, pictures, W, C]``."""
        count, _, width, channels = self.symbols.shape
        new = symbols.reshape(-1, count, width, channels)
        pixels, end = self._shown(new), self.rows + len(new)
        self.symbols[:, self.rows : end] = new.swapaxes(0, 1)
        self.pixels[:, self.rows : end] = pixels.swapaxes(0, 1)
        self.rows = end
        return pixels

    def coarse(self, data: bytes) -> Pixels:
        """The pixels ``[pictures, rows, columns, C]`` of the coarse scale, from its symbols."""
        count, height, width, channels = self.symbols.shape
        rows, columns = height // COARSE_STRIDE, width // COARSE_STRIDE
        return self._shown(np.frombuffer(data, np.uint8).reshape(count, rows, columns, channels))

    def indices(self, symbols: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Symbols ``[..., C]`` as indices into :attr:`colours`, ``[..., 1]``."""
        if self._indices is not None:
            return self._indices[symbols]
        if self._given is None:
            return symbols
        pixels = pixels_of(symbols, self._spec)
        return nearest(np.broadcast_to(pixels, (*pixels.shape[:-1], 3)), self._given)[..., None]

    def _shown(self, symbols: NDArray[np.uint8]) -> Pixels:
        if self.colours is None:
            return pixels_of(symbols, self._spec)
        shown = self.colours[self.indices(symbols)[..., 0]]
        return shown if self._transparent else np.ascontiguousarray(shown[..., :3])

    @property
    def complete(self) -> bool:
        """Whether every row has been sampled."""
        return self.rows == self._spec.height


# Pixels to PNG, WebP and JPEG. The same pixels give the same bytes, with one version of Pillow.

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
    pixels: Pixels, form: str, scale: int = 1, texts: Mapping[str, str] = _NO_TEXTS, size: tuple[int, int] | None = None
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
