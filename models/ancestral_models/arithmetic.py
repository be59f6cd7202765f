"""Arithmetic with the same bits on every processor.

numpy's products are those of a BLAS, which adds in an order of its own on each kind of processor, and its exponential
rounds otherwise with AVX-512 than without. What sound or a picture is made from is computed with these functions
instead (ancestral_models/kernels/floats.c), so that a job which one machine has begun can be ended by another. Every
number of a product is the same chain of products and sums, in the order of the inputs, whichever rows are beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral_models.native import INTEGER, Function, array

Array = NDArray[np.float32]

_F32, _F64 = array(np.float32), array(np.float64)
_float_products = Function("float_products", _F32, INTEGER, INTEGER, _F32, INTEGER, INTEGER, _F32)
_sigmoids = Function("sigmoids", _F32, INTEGER)
_exponentials = Function("exponentials", _F64, INTEGER)


def product(x: Array, weights: Array) -> Array:
    """``x [N, in] @ weights [in, out]``, or one vector ``[in]``; ``float32 [N, out]``, or ``[out]``."""
    rows = np.ascontiguousarray(np.atleast_2d(x), np.float32)
    inputs, outputs = weights.shape
    assert rows.shape[1] == inputs, f"{rows.shape} @ {weights.shape}"
    sums = np.zeros((len(rows), outputs), np.float32)
    _float_products(rows, inputs, len(rows), np.ascontiguousarray(weights, np.float32), inputs, outputs, sums)
    return sums if np.ndim(x) == 2 else sums[0]


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``, in the shape of x."""
    out = np.array(x, np.float32, order="C")
    _sigmoids(out, out.size)
    return out


def silu(x: Array) -> Array:
    """``x / (1 + exp(-x))``, in the shape of x."""
    return x * sigmoid(x)


def exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The exponential, in the shape of x; beyond 700 on either side it stays what it is there."""
    out = np.array(x, np.float64, order="C")
    _exponentials(out, out.size)
    return out
