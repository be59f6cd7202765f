"""Which of many seeds fits what was seen: Wald's sequential probability ratio test, seed by seed.

A wrong seed is left after the few symbols at which its noise does not lead to what was seen, so that a million of them
take a tenth of a second. The sum of logarithms that is compared is one of :mod:`ancestral.models.detection`: the right
seed's own sum falls below ``-floor`` with a probability of at most exp(-floor).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ancestral.models.kernels.noise import uniform
from ancestral.models.kernels.sources import sources

Floats = NDArray[np.float64]
_SCORE = 2.0 * 3.0**0.5
REJECTED = -np.inf


@cache
def _loops() -> tuple[Callable[..., None], Callable[..., None], Callable[..., None]]:
    """The loops; their first calls compile them, or load them from the cache."""
    SOURCES = sources()

    @njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)
    def intervals(seeds, positions, low, high, hits, misses, floor, sums):  # type: ignore[no-untyped-def]  # inferred
        _ = SOURCES  # a free variable, so that the key of the cache changes with the files
        for s in range(len(seeds)):
            total = 0.0
            for i in range(len(positions)):
                u = uniform(seeds[s], positions[i])
                total += hits[i] if low[i] <= u < high[i] else misses[i]
                if total < floor:
                    total = REJECTED
                    break
            sums[s] = total

    @njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)
    def linear(seeds, positions, weights, floor, sums):  # type: ignore[no-untyped-def]  # inferred
        _ = SOURCES
        for s in range(len(seeds)):
            total = 0.0
            for i in range(len(positions)):
                u, a = uniform(seeds[s], positions[i]), weights[i]
                total += a * (_SCORE * (u - 0.5)) - 0.5 * a * a
                if total < floor:
                    total = REJECTED
                    break
            sums[s] = total

    @njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)
    def run(seed, start, scores):  # type: ignore[no-untyped-def]  # inferred
        _ = SOURCES
        for t in range(len(scores)):
            scores[t] = _SCORE * (uniform(seed, start + t) - 0.5)

    return intervals, linear, run


def standard_noise(seed: int, start: int, count: int) -> Floats:
    """The noise of positions ``start`` to ``start + count - 1`` in standard form: mean 0, variance 1, uniform."""
    scores = np.empty(count)
    _loops()[2](np.uint64(seed), np.uint64(start), scores)
    return scores


def search_intervals(
    seeds: NDArray[np.uint64],
    positions: NDArray[np.int64],
    low: Floats,
    high: Floats,
    hits: Floats,
    misses: Floats,
    floor: float,
) -> Floats:
    """The sum of every seed ``[S]``: ``hits[i]`` where its noise lies in an interval, else ``misses[i]``.

    Args:
        seeds: ``[S]``.
        positions: ``[N]``, the telling ones first; likewise the other arrays.
        low: where the intervals begin.
        high: where they end, not included.
        hits: in nats.
        misses: in nats.
        floor: a seed is left, with :data:`REJECTED`, when its sum falls below minus this.
    """
    sums = np.empty(len(seeds))
    _loops()[0](seeds, positions, low, high, hits, misses, -floor, sums)
    return sums


def search_linear(seeds: NDArray[np.uint64], positions: NDArray[np.int64], weights: Floats, floor: float) -> Floats:
    """The sum of every seed ``[S]`` of a z - a^2 / 2, with a of ``weights [N]`` and z its noise in standard form.

    Args:
        seeds: ``[S]``.
        positions: ``[N]``, the telling ones first.
        weights: ``[N]``.
        floor: as of :func:`search_intervals`.
    """
    sums = np.empty(len(seeds))
    _loops()[1](seeds, positions, weights, -floor, sums)
    return sums
