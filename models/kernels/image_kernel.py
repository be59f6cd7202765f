"""The call of a compiled loop over pictures: what pixelcnn.c and pixelrnn.c are given besides their states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.models.native import INTEGER, Function, array, room

Array = NDArray[np.float32]


class ImageLoop:
    """The functions ``<name>_run`` and ``<name>_scratch``.

    Args:
        name: of the architecture.
        sizes: of the network, in the order of the C structure ``Sizes``.
        weights: packed for them.
        state: the kinds of the arrays that a picture's state consists of.
        table: the numbers of each symbol, ``[levels, planes]``.
    """

    def __init__(self, name: str, sizes: Sequence[int], weights: Array, state: Sequence[str], table: Array) -> None:
        self._sizes, self._weights, self._table = np.array(sizes, np.int64), weights, table
        floats, integers, symbols = array("f4"), array("i8"), array("u1")
        states = [kind for one in state for kind in (array(one), INTEGER)]
        self._scratch = Function(f"{name}_scratch", integers, INTEGER, returns=INTEGER)
        self._run = Function(
            f"{name}_run", integers, floats, floats, integers, *states, floats, integers, integers, array("f8"), floats,
            array("?"), integers, symbols, array("f8"), integers, array("f8"), symbols,
        )  # fmt: skip

    def run(
        self,
        state: Sequence[NDArray[Any]],
        conditions: Array,
        rows: NDArray[np.int64],
        seeds: NDArray[np.int64],
        temperatures: NDArray[np.float64],
        guidances: Array,
        unconditional: NDArray[np.bool_],
        noise_index: NDArray[np.int64],
        symbols: NDArray[np.uint8],
        likelihoods: NDArray[np.float64],
        reaches: NDArray[np.int64],
        intervals: NDArray[np.float64],
    ) -> None:
        """See ``ImageKernel.run`` (models/engines/images/native.py)."""
        lanes, steps, _ = symbols.shape
        scratch = room(self._scratch(self._sizes, lanes))
        shape = np.array([lanes, steps, *conditions.shape[1:], len(reaches)], np.int64)
        states = [part for one in state for part in (one, one.shape[1])]
        self._run(
            self._sizes, self._weights, self._table, shape, *states, np.ascontiguousarray(conditions, np.float32), rows,
            seeds, temperatures, guidances, unconditional, noise_index, symbols,
            likelihoods if likelihoods.shape[1] else None, reaches, intervals if intervals.shape[1] else None, scratch,
        )  # fmt: skip
