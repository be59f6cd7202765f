"""Scalar functions that compiled kernels share (numba inlines them; a caller never pays for a call)."""

from __future__ import annotations

import numpy as np
from numba import njit

_LIMIT = np.float32(7.90531110763549805)
_P = tuple(
    np.float32(c)
    for c in (
        -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
        1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
    )
)  # fmt: skip
_Q = tuple(
    np.float32(c) for c in (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
)
_P0, _P1, _P2, _P3, _P4, _P5, _P6 = _P
_Q0, _Q1, _Q2, _Q3 = _Q


@njit(cache=True, fastmath={"contract"}, error_model="numpy", inline="always")
def tanh(x):  # type: ignore[no-untyped-def]  # numba infers the types
    """tanh of a float32 as a rational function (the minimax coefficients that Eigen uses), a few ulp from exact.

    Without branches or calls, so that LLVM vectorises the loop around it.
    """
    x = min(max(x, -_LIMIT), _LIMIT)
    y = x * x
    p = (((((_P0 * y + _P1) * y + _P2) * y + _P3) * y + _P4) * y + _P5) * y + _P6
    q = ((_Q0 * y + _Q1) * y + _Q2) * y + _Q3
    return x * p / q
