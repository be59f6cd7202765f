"""Which of many seeds fits what was seen: Wald's sequential probability ratio test, seed by seed.

A wrong seed is left after the few symbols at which its noise does not lead to what was seen, so that a million of them
take a tenth of a second. The sum of logarithms that is compared is one of :mod:`ancestral_models.detection`: the right
seed's own sum falls below ``-FLOOR`` with a probability of at most exp(-FLOOR).
"""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from ancestral_models.native import INTEGER, NUMBER, Function, array

Floats = NDArray[np.float64]
REJECTED = -np.inf
FLOOR = 12.0
"""Nats: the right seed is left early with a probability of e^-12, if the shares of ancestral_models/detection.py are
right."""

_SEEDS, _POSITIONS, _FLOATS = array("u8"), array("i8"), array("f8")
_INTERVALS = Function("search_intervals", _SEEDS, INTEGER, _POSITIONS, INTEGER, *[_FLOATS] * 4, NUMBER, _FLOATS)
_LINEAR = Function("search_linear", _SEEDS, INTEGER, _POSITIONS, INTEGER, _FLOATS, NUMBER, _FLOATS)
_NOISE = Function("standard_noise", ctypes.c_uint64, ctypes.c_uint64, INTEGER, _FLOATS)


def standard_noise(seed: int, start: int, count: int) -> Floats:
    """The noise of positions ``start`` to ``start + count - 1`` in standard form: mean 0, variance 1, uniform."""
    scores = np.empty(count)
    _NOISE(seed, start, count, scores)
    return scores


def search_intervals(
    seeds: NDArray[np.uint64], positions: NDArray[np.int64], low: Floats, high: Floats, hits: Floats, misses: Floats
) -> Floats:
    """The sum of every seed ``[S]``: ``hits[i]`` where its noise lies in an interval, else ``misses[i]``.

    A seed is left, with :data:`REJECTED`, when its sum falls below minus :data:`FLOOR`.

    Args:
        seeds: ``[S]``.
        positions: ``[N]``, the telling ones first; likewise the other arrays.
        low: where the intervals begin.
        high: where they end, not included.
        hits: in nats.
        misses: in nats.
    """
    sums = np.empty(len(seeds))
    _INTERVALS(seeds, len(seeds), positions, len(positions), low, high, hits, misses, -FLOOR, sums)
    return sums


def search_linear(seeds: NDArray[np.uint64], positions: NDArray[np.int64], weights: Floats) -> Floats:
    """The sum of every seed ``[S]`` of a z - a^2 / 2, with a of ``weights [N]`` and z its noise in standard form; seeds
    are left as by :func:`search_intervals`.

    Args:
        seeds: ``[S]``.
        positions: ``[N]``, the telling ones first.
        weights: ``[N]``.
    """
    sums = np.empty(len(seeds))
    _LINEAR(seeds, len(seeds), positions, len(positions), weights, -FLOOR, sums)
    return sums
