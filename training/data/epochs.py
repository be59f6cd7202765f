"""The order in which items are trained on: all of them once, in an order drawn anew, before any comes again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Epochs:
    """The endless sequence of shuffled epochs. Any part of it follows from (seed, rank) alone, so that runs resume."""

    def __init__(self, count: int, seed: int) -> None:
        """Args:
        count: items of an epoch, at least one.
        seed: of the orders.
        """
        self._count, self._seed = count, seed
        self._orders: dict[tuple[int, int], NDArray[np.int64]] = {}

    def take(self, first: int, count: int, rank: int) -> NDArray[np.int64]:
        """The indices of ``count`` items from position ``first`` of a process's sequence."""
        places = range(first, first + count)
        return np.array([self._order(i // self._count, rank)[i % self._count] for i in places], np.int64)

    def _order(self, epoch: int, rank: int) -> NDArray[np.int64]:
        """The order of one epoch. Two are kept, because a batch can cross the end of an epoch."""
        if (epoch, rank) not in self._orders:
            if len(self._orders) > 1:
                self._orders.clear()
            self._orders[epoch, rank] = np.random.default_rng([self._seed, epoch, rank]).permutation(self._count)
        return self._orders[epoch, rank]
