"""16-bit samples: how sound is delivered, and stored where it has been filtered already."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FULL_SCALE = np.float32(32767.0)


def to_int16(wave: NDArray[np.float32]) -> NDArray[np.int16]:
    """Sound ``[T]``, nominally in [-1, 1], to 16 bits, little-endian; values outside are clipped."""
    scaled: NDArray[np.float32] = np.clip(np.rint(wave * _FULL_SCALE), -32768, 32767)
    return scaled.astype("<i2")


def from_int16(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Sound ``float32 [T]`` that :func:`to_int16` turns into the same samples again."""
    return np.asarray(samples, np.float32) / _FULL_SCALE
