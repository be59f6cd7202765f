"""Batches for the triplet loss: several pictures of each identity (FaceNet: Schroff et al. 2015, arXiv:1503.03832)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.training.data.epochs import Epochs


class IdentityBatches:
    """Batches of pictures in which everybody has company. Every identity comes once before any comes again.

    A batch follows from (seed, step, rank) alone, so that runs resume.
    """

    def __init__(self, identities: NDArray[np.int64], people: int, each: int, seed: int) -> None:
        """Group the pictures.

        Args:
            identities: ``[N]``, of all pictures. Those that are alone in their identity are never drawn.
            people: identities of a batch (P), at least two.
            each: pictures of each (K), at least two; fewer of an identity that has fewer.
            seed: of the order.

        Raises:
            ValueError: fewer than ``people`` identities have two pictures.
        """
        order = np.argsort(identities, kind="stable")
        starts = np.flatnonzero(np.diff(identities[order])) + 1
        self._groups = [group for group in np.split(order, starts) if len(group) > 1]
        if len(self._groups) < people:
            raise ValueError(f"only {len(self._groups)} identities have two pictures; a batch needs {people}")
        self._people, self._each, self._seed = people, each, seed
        self._epochs = Epochs(len(self._groups), seed)

    def batch(self, step: int, rank: int) -> NDArray[np.int64]:
        """The indices of the pictures of a batch, those of an identity beside each other."""
        rng = np.random.default_rng([self._seed, step, rank])
        chosen = np.unique(self._epochs.take(step * self._people, self._people, rank))
        groups = (self._groups[number] for number in chosen)
        return np.concatenate([rng.permutation(group)[: self._each] for group in groups])


def first_two(identities: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The indices of the first and of the second picture of every identity that has two: to ask with, and to find."""
    order = np.argsort(identities, kind="stable")
    same = identities[order][1:] == identities[order][:-1]
    first = np.flatnonzero(same & ~np.concatenate([[False], same[:-1]]))
    return order[first], order[first + 1]
