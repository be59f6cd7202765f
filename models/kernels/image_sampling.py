"""What the compiled loops of image networks share: from the features of a sub-pixel to its symbol."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ancestral.models.categorical import GUIDED_MIN_P
from ancestral.models.kernels.byte_products import products
from ancestral.models.kernels.categorical import bounds, draw, log_likelihood
from ancestral.models.kernels.noise import uniform
from ancestral.models.kernels.vectors import WIDTH
from ancestral.models.portable import add_to_each

_ZERO, _INFINITY = np.float32(0.0), np.float32(np.inf)
_LOG_MIN_P = np.float32(math.log(GUIDED_MIN_P))


@njit(error_model="numpy")
def copy(x, out, size):  # type: ignore[no-untyped-def]  # numba infers the types
    for j in range(size):
        out[j] = x[j]


@njit(error_model="numpy")
def rectify(x, out, size):  # type: ignore[no-untyped-def]  # numba infers the types
    for j in range(size):
        out[j] = max(x[j], _ZERO)


@njit(fastmath={"contract"}, error_model="numpy")
def add(x, out, size):  # type: ignore[no-untyped-def]  # numba infers the types
    for j in range(size):
        out[j] += x[j]


@njit(fastmath={"contract"}, error_model="numpy")
def distribution(channels, levels, each, weights, c, out, begin, size, skips, hidden, logits):  # type: ignore[no-untyped-def]  # inferred
    """The logits of channel ``c`` from the inputs of the skips, ``out[:, begin : begin + size]``.

    ``each`` is the number of output features of a channel. Returns the number of weights that were read.
    """
    lanes, seen = len(out), (c + 1) * each
    total = np.empty((lanes, each), np.float32)
    for lane in range(lanes):
        copy(weights, total[lane], each)
    at = each
    at += products(out.reshape(-1)[begin:], out.shape[1], weights[at:], size, each, total, lanes, out)
    for lane in range(lanes):
        rectify(total[lane], skips[lane, c * each :], each)
        copy(weights[at:], total[lane], each)
    at += each
    at += products(skips.reshape(-1), channels * each, weights[at:], seen, each, total, lanes, out)
    for lane in range(lanes):
        rectify(total[lane], hidden[lane, c * each :], each)
        copy(weights[at:], logits[lane], levels)
    at += levels
    if levels % WIDTH:
        add_to_each(hidden.reshape(-1), channels * each, weights[at:], seen, levels, logits, lanes)
        return at + seen * levels
    return at + products(hidden.reshape(-1), channels * each, weights[at:], seen, levels, logits, lanes, out)


@njit(fastmath={"contract"}, error_model="numpy")
def _guide(logits, free, guidance):  # type: ignore[no-untyped-def]  # numba infers the types
    least = logits.max() + _LOG_MIN_P if guidance > 1.0 else -_INFINITY
    for j in range(len(logits)):
        guided = free[j] + guidance * (logits[j] - free[j])
        logits[j] = guided if logits[j] >= least else -_INFINITY


@njit(fastmath={"contract"}, error_model="numpy")
def take_symbols(  # type: ignore[no-untyped-def]  # numba infers the types
    t, x, c, channels, logits, cumulative, seeds,
    temperatures, guidances, unconditional, noise_index, symbols, likelihoods, reaches, intervals,
):  # fmt: skip
    """The symbol of one sub-pixel of every lane, given or drawn, and where that is wanted its likelihood, or the noise
    that leads to it or to one at most as far from it as each of ``reaches``.

    The logits of a guided picture become those of :func:`ancestral.models.categorical.guide`; its unconditional pass is
    in the lane behind it, and copies the symbol.
    """
    levels, i = logits.shape[1], x * channels + c
    for lane in range(1, len(logits)):
        if unconditional[lane]:
            _guide(logits[lane - 1], logits[lane], guidances[lane - 1])
    for lane in range(len(logits)):
        if unconditional[lane]:
            symbols[lane, t, i] = symbols[lane - 1, t, i]
        elif noise_index[lane, t, x] >= 0:
            u = uniform(seeds[lane], noise_index[lane, t, x] * channels + c)
            symbols[lane, t, i] = draw(logits[lane], temperatures[lane], 0.0, u, cumulative)
        if likelihoods.shape[1] > 0:
            symbol = np.int64(symbols[lane, t, i])
            likelihoods[lane, t, i] = log_likelihood(logits[lane], symbol, cumulative)
        if intervals.shape[1] > 0 and not unconditional[lane]:
            symbol = np.int64(symbols[lane, t, i])
            for k in range(len(reaches)):
                first, last = max(symbol - reaches[k], 0), min(symbol + reaches[k], levels - 1)
                low, high = bounds(logits[lane], temperatures[lane], first, last, cumulative)
                intervals[lane, t, i, k, 0], intervals[lane, t, i, k, 1] = low, high
