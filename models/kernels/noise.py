"""The noise of models/noise.py, a number at a time, for compiled kernels."""

from __future__ import annotations

import numpy as np
from numba import njit

from ancestral.models.noise import BITS, DROPPED, HALF, SCALE, WORD, philox

_philox = njit(inline="always")(philox)


@njit(inline="always")
def uniform(seed, position):  # type: ignore[no-untyped-def]  # numba infers the types
    """The number of one position: what ``uniforms(seed, position, 1)`` holds, bit for bit."""
    key, counter, zero = np.uint64(seed), np.uint64(position), np.uint64(0)
    low, high, _, _ = _philox(counter & WORD, counter >> BITS, zero, zero, key & WORD, key >> BITS)
    return (np.float64(((high << BITS) | low) >> DROPPED) + HALF) * SCALE
