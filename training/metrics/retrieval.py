"""Retrieval of identities: whether the vector of one picture of somebody leads to other pictures of the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ancestral.training.data.identities import first_two
from ancestral.training.data.images import Images, Pictures

Vectors = Callable[[Images], NDArray[np.float32]]
"""What compares pictures: ``[N, H, W, C]`` to ``[N, F]``."""

_BATCH = 256
_EQUAL = 1e-9
"""Squared distances that differ by less are equal."""


class Retrieval(NamedTuple):
    """How often the identity that was asked for is found."""

    rank_1: float
    """The share of the queries whose identity is the nearest in the gallery."""
    rank_5: float
    """The share of those whose identity is among the nearest five."""
    chance_1: float
    chance_5: float
    identities: int
    """Number of identities in the gallery."""


def retrieve(vectors: Vectors, pictures: Pictures) -> Retrieval:
    """How well the first picture of everybody finds the second one, in a gallery of one picture of each.

    Args:
        vectors: what compares them.
        pictures: with identities; those that are alone in their identity are left out.
    """
    numbers = pictures.identities
    assert numbers is not None
    asked, found = first_two(numbers)
    return retrieval(vectors(pictures.images[asked]), numbers[asked], vectors(pictures.images[found]), numbers[found])


def retrieval(
    queries: NDArray[np.float32], asked: NDArray[np.int64], gallery: NDArray[np.float32], owners: NDArray[np.int64]
) -> Retrieval:
    """Rank the identities of a gallery for each query, by the distance of their nearest picture.

    Identities that are equally near count as nearer than the one asked for, so vectors that are all alike find nobody.

    Args:
        queries: vectors ``[Q, F]``.
        asked: their identities ``[Q]``, all of them in the gallery.
        gallery: vectors ``[G, F]`` of other pictures.
        owners: their identities ``[G]``.
    """
    known, column = np.unique(owners, return_inverse=True)
    assert np.isin(asked, known).all()
    nearest = np.full((len(known), len(queries)), np.inf)
    np.minimum.at(nearest, column, squared_distances(gallery, queries))
    own = nearest[np.searchsorted(known, asked), np.arange(len(queries))]
    rank = (nearest <= own + _EQUAL).sum(axis=0)
    count = len(known)
    return Retrieval(float((rank <= 1).mean()), float((rank <= 5).mean()), 1 / count, min(5 / count, 1.0), count)


def squared_distances(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """``[N, M]`` of vectors ``[N, F]`` and ``[M, F]``."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    found: NDArray[np.float64] = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * a @ b.T
    return found


@torch.no_grad()
def embed(encoder: nn.Module, symbols: Images) -> NDArray[np.float32]:
    """The vectors ``[N, code]`` of pictures ``[N, H, W, C]``."""
    parts = [
        encoder(torch.from_numpy(symbols[start : start + _BATCH].astype(np.int64)))
        for start in range(0, len(symbols), _BATCH)
    ]
    return torch.cat(parts).float().numpy()
