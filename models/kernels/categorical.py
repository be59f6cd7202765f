"""From logits to a symbol by the inverse of the cumulative distribution, in double precision.

The logits are float32, all that follows is float64: then two engines whose logits differ by rounding disagree about a
symbol only where its noise falls within that rounding of a boundary, and never by what is added here.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_LOG2_E = 1.4426950408889634074
_LN2_HIGH, _LN2_LOW = 6.93145751953125e-1, 1.42860682030941723212e-6
# Added to a double, it leaves the nearest integer in the lowest bits of the sum.
_ROUNDING = 1.5 * 2.0**52
_EXPONENT_BIAS, _MANTISSA_BITS = np.int64(1023), np.int64(52)
_SMALLEST = -700.0
_BLOCK = 16
_WIDENED = 2.0**-48


@njit(fastmath={"contract"}, error_model="numpy", inline="always")
def exp(x):  # type: ignore[no-untyped-def]  # numba infers the types
    """exp of a float64 in [-700, 700] within two ulp (Cephes' rational function).

    Without branches or calls, so that LLVM vectorises the loop around it; the library's would cost 256 calls a symbol.
    """
    shifted = x * _LOG2_E + _ROUNDING
    power = shifted - _ROUNDING
    r = (x - power * _LN2_HIGH) - power * _LN2_LOW
    s = r * r
    p = r * ((1.26177193074810590878e-4 * s + 3.02994407707441961300e-2) * s + 9.99999999999999999910e-1)
    q = ((3.00198505138664455042e-6 * s + 2.52448340349684104192e-3) * s + 2.27265548208155028766e-1) * s + 2.0
    bits = (np.float64(shifted).view(np.int64) + _EXPONENT_BIAS) << _MANTISSA_BITS
    return (1.0 + 2.0 * (p / (q - p))) * np.int64(bits).view(np.float64)


@njit(error_model="numpy", inline="always")
def most_likely(logits):  # type: ignore[no-untyped-def]  # numba infers the types
    """The symbol of the largest logit; the lowest of several."""
    best = 0
    for j in range(1, len(logits)):
        if logits[j] > logits[best]:
            best = j
    return best


@njit(error_model="numpy", inline="always")
def _largest(logits):  # type: ignore[no-untyped-def]  # numba infers the types
    """The largest logit, sought in four places at a time."""
    a = b = c = d = logits[0]
    whole = len(logits) - len(logits) % 4
    for j in range(0, whole, 4):
        a, b, c, d = max(a, logits[j]), max(b, logits[j + 1]), max(c, logits[j + 2]), max(d, logits[j + 3])
    for j in range(whole, len(logits)):
        a = max(a, logits[j])
    return max(max(a, b), max(c, d))


@njit(fastmath={"contract"}, error_model="numpy", inline="always")
def _accumulate(logits, temperature, min_p, cumulative):  # type: ignore[no-untyped-def]  # numba infers the types
    """Write the cumulative sums of exp((logit - largest logit) / temperature), without the terms below ``min_p``.

    Returns the largest logit.
    """
    count, top = len(cumulative), _largest(logits)
    for j in range(count):
        cumulative[j] = exp(max((np.float64(logits[j]) - np.float64(top)) / temperature, _SMALLEST))
    if min_p > 0.0:
        for j in range(count):
            cumulative[j] = cumulative[j] if cumulative[j] >= min_p else 0.0
    # Within blocks first, because the sums of one block do not wait for those of another.
    for start in range(0, count, _BLOCK):
        for j in range(start + 1, min(start + _BLOCK, count)):
            cumulative[j] += cumulative[j - 1]
    for start in range(_BLOCK, count, _BLOCK):
        before = cumulative[start - 1]
        for j in range(start, min(start + _BLOCK, count)):
            cumulative[j] += before
    return top


@njit(fastmath={"contract"}, error_model="numpy", inline="always")
def draw(logits, temperature, min_p, noise, cumulative):  # type: ignore[no-untyped-def]  # numba infers the types
    """The first symbol whose cumulative probability exceeds ``noise``; at temperature 0 the most likely one.

    Args:
        logits: ``float32 [levels]``.
        temperature: divides them; at least 0.
        min_p: symbols are left out that are less likely than this share of the most likely one.
        noise: uniform in (0, 1).
        cumulative: scratch, ``float64 [levels]``.
    """
    if temperature == 0.0:
        return most_likely(logits)
    _accumulate(logits, temperature, min_p, cumulative)
    last = len(cumulative) - 1
    target = noise * cumulative[last]
    symbol = 0
    for j in range(last):
        symbol += cumulative[j] <= target
    return symbol


@njit(error_model="numpy", inline="always")
def log_likelihood(logits, symbol, cumulative):  # type: ignore[no-untyped-def]  # numba infers the types
    """ln p(symbol) at temperature 1, in nats."""
    top = _accumulate(logits, 1.0, 0.0, cumulative)
    return np.float64(logits[symbol]) - np.float64(top) - math.log(cumulative[len(cumulative) - 1])


@njit(fastmath={"contract"}, error_model="numpy", inline="always")
def bounds(logits, temperature, first, last, cumulative):  # type: ignore[no-untyped-def]  # numba infers the types
    """The noise with which :func:`draw` gives one of the symbols ``first`` to ``last``: at least and below what.

    Both are widened by 2^-48, which covers the rounding of their division: noise that leads to one of these symbols is
    never outside. At temperature 0 all noise leads to the most likely symbol.
    """
    if temperature == 0.0:
        best = most_likely(logits)
        return (0.0, 1.0) if first <= best <= last else (0.0, 0.0)
    _accumulate(logits, temperature, 0.0, cumulative)
    end = len(cumulative) - 1
    low = cumulative[first - 1] / cumulative[end] - _WIDENED if first > 0 else 0.0
    high = cumulative[last] / cumulative[end] + _WIDENED if last < end else 1.0
    return max(low, 0.0), min(high, 1.0)
