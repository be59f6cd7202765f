"""The noise that symbols are drawn with: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers", section 4).

The seed contract: the symbol at position t of a stream uses one uniform number, a pure function of (seed, t). The key
of the generator is the seed, its counter the position, both low word first; there is no state. So the noise does not
depend on the slot, the batch or the chunk in which a position is sampled, on a restart before it, or on the machine: it
is computed from integers, and its floating-point arithmetic is exact. In C it is models/kernels/draw.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WORD = np.uint64(0xFFFFFFFF)
BITS = np.uint64(32)
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
DROPPED = np.uint64(12)
HALF = 0.5
SCALE = 2.0**-52


def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Ten rounds over the counter words c0..c3 with the key words k0, k1: four words of 32 random bits.

    Every word is a uint64 below 2^32, scalar or array: the same code runs in numpy and, compiled, in the kernels.
    """
    for _ in range(10):
        p0 = _MULTIPLIER_0 * c0
        p1 = _MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (p1 >> BITS) ^ c1 ^ k0, p1 & WORD, (p0 >> BITS) ^ c3 ^ k1, p0 & WORD
        k0 = (k0 + _WEYL_0) & WORD
        k1 = (k1 + _WEYL_1) & WORD
    return c0, c1, c2, c3


def uniforms(seed: int, start: int, count: int) -> NDArray[np.float64]:
    """The numbers of positions ``start`` to ``start + count - 1``.

    Args:
        seed: 0 to 2^64 - 1.
        start: the first position, 0 to 2^64 - 1.
        count: how many.

    Returns:
        ``float64 [count]``: the middles of 2^52 equal cells, so strictly between 0 and 1.
    """
    key, counter = np.uint64(seed), np.uint64(start) + np.arange(count, dtype=np.uint64)
    zero = np.zeros(count, np.uint64)
    low, high, _, _ = philox(counter & WORD, counter >> BITS, zero, zero, key & WORD, key >> BITS)
    random: NDArray[np.uint64] = ((high << BITS) | low) >> DROPPED
    return (random.astype(np.float64) + HALF) * SCALE
