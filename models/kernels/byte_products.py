"""Products of vectors that are rounded to bytes, each by itself, with a matrix in bytes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.models.native import INTEGER, Function, array

LEVELS: Final = 127
"""Of a byte, on either side of zero."""
_INPUTS, _OUTPUTS, _ROW = 4, 16, 32
_MOST_INPUTS = 4096
_rounded_rows = Function("rounded_rows", array("f4"), INTEGER, INTEGER, INTEGER, array("i1"), array("f4"))
_byte_products = Function(
    "byte_products", array("i1"), array("i4"), INTEGER, INTEGER, array("i1"), INTEGER, array("i4")
)


def packed(levels: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """A matrix of whole numbers from -127 to 127 ``[inputs, outputs]``, inputs in fours, as vectors.h has it: what 128
    in every input would take from the sums of the outputs, and the numbers ``[inputs / 4, outputs, 4]``."""
    whole = levels.astype(np.int32)
    fours = whole.astype(np.int8).reshape(len(whole) // 4, 4, -1).transpose(0, 2, 1)
    return (-128 * whole.sum(axis=0)).astype(np.int32), np.ascontiguousarray(fours)


def levels_of(matrix: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """A matrix ``[inputs, outputs]`` in whole numbers of a unit of each output, and the units, in its own precision."""
    scales = np.abs(matrix).max(axis=0, initial=0.0) / matrix.dtype.type(LEVELS)
    return np.rint(matrix / np.where(scales, scales, matrix.dtype.type(1))), scales


def rounded(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the levels of :func:`byte_matrix` stand for."""
    levels, scales = levels_of(matrix)
    return np.asarray(levels * scales, np.float32)


def byte_matrix(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """A matrix ``[inputs, outputs]`` as images.h reads it, in an array of type float32: the scales of the outputs,
    and what :func:`packed` gives of the levels."""
    levels, scales = levels_of(np.pad(matrix, ((0, -len(matrix) % _INPUTS), (0, 0))))
    offset, fours = packed(levels)
    return np.concatenate([scales, offset.view(np.float32), fours.reshape(-1).view(np.float32)])


class ByteMatrix:
    """A matrix ``[inputs, outputs]`` in int8, each output in a unit of its own; one that :meth:`takes` allows."""

    @staticmethod
    def takes(matrix: NDArray[np.float32]) -> bool:
        """Whether a matrix has inputs in groups of 4 and outputs in groups of 16, and is not too large."""
        return len(matrix) % _INPUTS == 0 and len(matrix.T) % _OUTPUTS == 0 and len(matrix) <= _MOST_INPUTS

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        assert self.takes(matrix), matrix.shape
        self._inputs, self._outputs = matrix.shape
        levels, scales = levels_of(np.pad(matrix.astype(np.float64), ((0, -len(matrix) % _ROW), (0, 0))))
        self._offset, self._levels = packed(levels)
        self._scales = scales.astype(np.float32)

    def product(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """``x [N, inputs] @ matrix``, each row rounded to 127 levels on either side: ``float32 [N, outputs]``."""
        rows, padded = np.ascontiguousarray(x, np.float32), 4 * len(self._levels)
        assert rows.shape[1] == self._inputs, x.shape
        rounded, units = np.zeros((len(rows), padded), np.int8), np.empty((len(rows), 1), np.float32)
        sums = np.zeros((len(rows), self._outputs), np.int32)
        _rounded_rows(rows, len(rows), self._inputs, padded, rounded, units)
        _byte_products(self._levels, self._offset, padded, self._outputs, rounded, len(rows), sums)
        products: NDArray[np.float32] = sums.astype(np.float32) * (self._scales * units)
        return products
