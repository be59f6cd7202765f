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
