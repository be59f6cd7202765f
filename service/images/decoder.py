"""The symbols of a job as pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.spec import COARSE_STRIDE, ImageSpec

Pixels = NDArray[np.uint8]
"""``[H, W, C]``: grey (C = 1) or RGB, 0 … 255."""

UNDRAWN = 127
"""The grey of pixels that have not been sampled yet."""


class BatchDecoder:
    """Decodes the symbols of one job, in order, to the pixels of its pictures.

    Args:
        spec: of the model.
        count: of the pictures.
    """

    def __init__(self, spec: ImageSpec, count: int) -> None:
        self.pixels: Pixels = np.full((count, spec.height, spec.width, spec.channels), UNDRAWN, np.uint8)
        """``[pictures, H, W, C]``; rows that have not been sampled yet are grey."""
        self.rows = 0
        """Rows that have been sampled."""
        self._height = spec.height
        self._row = np.empty((0, count, spec.width, spec.channels), np.uint8)
        self._gain = np.uint8(255 // (spec.levels - 1))

    def __call__(self, symbols: NDArray[np.uint8]) -> Pixels:
        """Add the next symbols, which are whole rows. Returns their pixels, ``[rows, pictures, W, C]``."""
        new = symbols.reshape(-1, *self._row.shape[1:]) * self._gain
        self.pixels[:, self.rows : self.rows + len(new)] = new.swapaxes(0, 1)
        self.rows += len(new)
        return new

    def coarse(self, data: bytes) -> Pixels:
        """The pixels ``[pictures, rows, columns, C]`` of the coarse scale, from its symbols."""
        count, height, width, channels = self.pixels.shape
        rows, columns = height // COARSE_STRIDE, width // COARSE_STRIDE
        return np.frombuffer(data, np.uint8).reshape(count, rows, columns, channels) * self._gain

    @property
    def complete(self) -> bool:
        """Whether every row has been sampled."""
        return self.rows == self._height
