"""The symbols of a job as pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.images.palettes import colours_of, nearest
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
        palette: to put the pictures into, as :func:`ancestral.images.palettes.check_palette` gives it.
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
