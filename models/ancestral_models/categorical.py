"""From logits to symbols and likelihoods, in double precision."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

GUIDED_MIN_P: Final = 0.03
"""The ``min_p`` of :func:`guide`."""


def guide(
    conditional: NDArray[np.float64],
    unconditional: NDArray[np.float64],
    guidance: float | NDArray[np.float64],
    min_p: float = GUIDED_MIN_P,
) -> NDArray[np.float64]:
    """The logits of classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598).

    They are the unconditional ones plus ``guidance`` times the difference. Above 1, symbols are left out that are less
    likely under the conditions than ``min_p`` times the most likely one, as in contrastive decoding (Li et al. 2022,
    arXiv:2210.15097): the difference between two small probabilities says little, and multiplied it tears pictures.

    Args:
        conditional: logits ``[N, levels]``.
        unconditional: ``[N, levels]``.
        guidance: of all rows, or ``[N]``; 1 gives the conditional logits.
        min_p: the engines' for all but checks of their rounding.

    Returns:
        ``[N, levels]``, -inf for what is left out.
    """
    strength = np.reshape(guidance, (-1, 1))
    least = conditional.max(axis=1, keepdims=True) + math.log(min_p)
    logits = unconditional + strength * (conditional - unconditional)
    return np.where((strength > 1.0) & (conditional < least), -np.inf, logits)


def draw(
    logits: NDArray[np.floating[Any]],
    temperature: float | NDArray[np.float64],
    noise: NDArray[np.float64],
    min_p: float = 0.0,
) -> NDArray[np.int64]:
    """The first symbol whose cumulative probability exceeds the noise; at temperature 0 the most likely one.

    Args:
        logits: ``[N, levels]``.
        temperature: divides them; at least 0, or ``[N]``, each above 0.
        noise: ``[N]``, uniform in (0, 1).
        min_p: symbols are left out that are less likely than this share of the most likely one.

    Returns:
        ``[N]``.
    """
    if not np.any(temperature):
        return np.asarray(logits.argmax(axis=1))
    sums = cumulative(logits, temperature, min_p)
    return np.asarray((sums[:, :-1] <= noise[:, None] * sums[:, -1:]).sum(axis=1))


def cumulative(
    logits: NDArray[np.floating[Any]], temperature: float | NDArray[np.float64], min_p: float = 0.0
) -> NDArray[np.float64]:
    """Cumulative sums of exp(logit / temperature), up to a factor: ``[N, levels]``.

    Args:
        logits: ``[N, levels]``.
        temperature: of all rows, or ``[N]``; above 0.
        min_p: see :func:`draw`.
    """
    exact = logits.astype(np.float64)
    rows = np.reshape(temperature, (-1, 1))
    shares = np.exp((exact - exact.max(axis=1, keepdims=True)) / rows)
    if min_p > 0.0:
        shares[shares < min_p] = 0.0
    return np.asarray(shares.cumsum(axis=1))


def log_likelihoods(logits: NDArray[np.floating[Any]], symbols: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """ln p of symbols ``[N]`` at temperature 1, in nats, from logits ``[N, levels]``."""
    exact = logits.astype(np.float64)
    exact -= exact.max(axis=1, keepdims=True)
    return np.asarray(exact[np.arange(len(exact)), symbols] - np.log(np.exp(exact).sum(axis=1)))


# The noise that symbols are drawn with: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers", section 4).
#
# The seed contract: the symbol at position t of a stream uses one uniform number, a pure function of (seed, t). The key
# of the generator is the seed, its counter the position, both low word first; there is no state. So the noise does not
# depend on the slot, the batch or the chunk in which a position is sampled, on a restart before it, or on the machine:
# it is computed from integers, and its floating-point arithmetic is exact. In C it is ancestral_models/kernels/draw.h.


WORD = np.uint64(0xFFFFFFFF)
BITS = np.uint64(32)
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)


def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Ten rounds over the counter words c0..c3 with the key words k0, k1: four words of 32 random bits.

    Every word is a uint64 below 2^32, scalar or array.
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
    random: NDArray[np.uint64] = ((high << BITS) | low) >> np.uint64(12)
    return (random.astype(np.float64) + 0.5) * 2.0**-52
