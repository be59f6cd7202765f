"""Arithmetic with the same bits on every processor that fuses a product with its sum.

numpy's products are those of a BLAS, which adds in an order of its own on each kind of processor, and its exponential
rounds otherwise with AVX-512 than without. What sound or a picture is made from is computed with these functions
instead, so that a job which one machine has begun can be ended by another.

Products are those of vectors with a matrix stored [in][out], of any size, for one vector or four at a time. The loop
over outputs is innermost, so that LLVM vectorises it, and several inputs share each pass over the sums. Every number is
the same chain of multiply-adds, in the order of the inputs, whether its vector is alone or one of four: that is what
makes a stream's bits independent of who shares the batch. The only fast-math flag is ``contract`` (fuse a product with
its sum); none may reorder.
"""

from __future__ import annotations

import math
from functools import cache

import llvmlite.binding as llvm
import numpy as np
from numba import njit
from numba.core.registry import cpu_target
from numpy.typing import NDArray

Array = NDArray[np.float32]

_PROBE = """
declare float @llvm.fma.f32(float, float, float)
define float @fused(float %a, float %b, float %c) {
  %sum = call float @llvm.fma.f32(float %a, float %b, float %c)
  ret float %sum
}
define <8 x i32> @wide(<8 x i32> %a, <8 x i32> %b) {
  %sum = add <8 x i32> %a, %b
  ret <8 x i32> %sum
}
declare i32 @llvm.vector.reduce.add.v64i32(<64 x i32>)
define i32 @dot(<64 x i8> %a, <64 x i8> %b) {
  %x = zext <64 x i8> %a to <64 x i32>
  %y = sext <64 x i8> %b to <64 x i32>
  %products = mul nsw <64 x i32> %x, %y
  %sum = call i32 @llvm.vector.reduce.add.v64i32(<64 x i32> %products)
  ret i32 %sum
}
"""


@cache
def assembly() -> str:
    """The assembly of :data:`_PROBE` for the processor that numba compiles for: this one, unless NUMBA_CPU_NAME names
    another."""
    text: str = cpu_target.target_context.codegen()._tm.emit_assembly(llvm.parse_assembly(_PROBE))
    return text


def fuses() -> bool:
    """Whether products are fused with sums, as they are on every processor that can."""
    return "fmadd" in assembly()


def native_name(*parts: str) -> str:
    """The name of a compiled engine: ``native``, ``native-int8``.

    Only engines of one name go on with each other's jobs. It ends in ``-unfused`` where products are not fused, because
    their bits are others.
    """
    return "-".join(["native", *parts, *([] if fuses() else ["unfused"])])


_1, _2, _3, _4, _5, _6, _7 = (np.uint64(n) for n in range(1, 8))


@njit(fastmath={"contract"}, error_model="numpy", boundscheck=False)
def add_to_one(x, weights, inputs, outputs, sums):  # type: ignore[no-untyped-def]  # numba infers the types
    """``sums[:outputs] += x[:inputs] @ weights``, compiled once for all sizes.

    Indices are unsigned: for signed ones numba adds a check for negative indices, which prevents vectorisation.
    """
    wide, whole = np.uint64(outputs), inputs // 8
    for block in range(whole):
        i = np.uint64(8 * block)
        r0 = i * wide
        r1, r2, r3, r4, r5, r6 = (
            r0 + wide,
            r0 + _2 * wide,
            r0 + _3 * wide,
            r0 + _4 * wide,
            r0 + _5 * wide,
            r0 + _6 * wide,
        )
        r7 = r0 + _7 * wide
        x0, x1, x2, x3 = x[i], x[i + _1], x[i + _2], x[i + _3]
        x4, x5, x6, x7 = x[i + _4], x[i + _5], x[i + _6], x[i + _7]
        for j in range(wide):
            total = sums[j] + x0 * weights[r0 + j]
            total += x1 * weights[r1 + j]
            total += x2 * weights[r2 + j]
            total += x3 * weights[r3 + j]
            total += x4 * weights[r4 + j]
            total += x5 * weights[r5 + j]
            total += x6 * weights[r6 + j]
            sums[j] = total + x7 * weights[r7 + j]
    for rest in range(8 * whole, inputs):
        row, only = np.uint64(rest) * wide, x[rest]
        for j in range(wide):
            sums[j] += only * weights[row + j]


@njit(fastmath={"contract"}, error_model="numpy", boundscheck=False)
def add_to_each(x, stride, weights, inputs, outputs, sums, count):  # type: ignore[no-untyped-def]  # inferred
    """``sums[n, :outputs] += x[n * stride :][:inputs] @ weights`` for n below ``count``; windows may overlap.

    Four share each pass over the weights; every number is the same as that of :func:`add_to_one`.
    """
    wide, step, whole, together = np.uint64(outputs), np.uint64(stride), inputs // 4, count // 4
    for group in range(together):
        a = np.uint64(4 * group)
        b, c, d = a + _1, a + _2, a + _3
        xa = a * step
        xb, xc, xd = xa + step, xa + _2 * step, xa + _3 * step
        for block in range(whole):
            i = np.uint64(4 * block)
            r0 = i * wide
            r1, r2, r3 = r0 + wide, r0 + _2 * wide, r0 + _3 * wide
            a0, a1, a2, a3 = x[xa + i], x[xa + i + _1], x[xa + i + _2], x[xa + i + _3]
            b0, b1, b2, b3 = x[xb + i], x[xb + i + _1], x[xb + i + _2], x[xb + i + _3]
            c0, c1, c2, c3 = x[xc + i], x[xc + i + _1], x[xc + i + _2], x[xc + i + _3]
            d0, d1, d2, d3 = x[xd + i], x[xd + i + _1], x[xd + i + _2], x[xd + i + _3]
            for j in range(wide):
                w0, w1, w2, w3 = weights[r0 + j], weights[r1 + j], weights[r2 + j], weights[r3 + j]
                sums[a, j] = (((sums[a, j] + a0 * w0) + a1 * w1) + a2 * w2) + a3 * w3
                sums[b, j] = (((sums[b, j] + b0 * w0) + b1 * w1) + b2 * w2) + b3 * w3
                sums[c, j] = (((sums[c, j] + c0 * w0) + c1 * w1) + c2 * w2) + c3 * w3
                sums[d, j] = (((sums[d, j] + d0 * w0) + d1 * w1) + d2 * w2) + d3 * w3
        for rest in range(4 * whole, inputs):
            i = np.uint64(rest)
            row = i * wide
            a0, b0, c0, d0 = x[xa + i], x[xb + i], x[xc + i], x[xd + i]
            for j in range(wide):
                w0 = weights[row + j]
                sums[a, j] += a0 * w0
                sums[b, j] += b0 * w0
                sums[c, j] += c0 * w0
                sums[d, j] += d0 * w0
    for n in range(4 * together, count):
        add_to_one(x[n * stride :], weights, inputs, outputs, sums[n])


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


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy", boundscheck=False)
def _product(x, weights, sums):  # type: ignore[no-untyped-def]  # numba infers the types
    rows, inputs = x.shape
    add_to_each(x.reshape(-1), inputs, weights.reshape(-1), inputs, weights.shape[1], sums, rows)


def product(x: Array, weights: Array) -> Array:
    """``x [N, in] @ weights [in, out]``, or one vector ``[in]``; ``float32 [N, out]``, or ``[out]``."""
    rows = np.ascontiguousarray(np.atleast_2d(x), np.float32)
    sums = np.zeros((len(rows), weights.shape[1]), np.float32)
    _product(rows, np.ascontiguousarray(weights, np.float32), sums)
    return sums if np.ndim(x) == 2 else sums[0]


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy", boundscheck=False)
def _sigmoid_in_place(x):  # type: ignore[no-untyped-def]  # numba infers the types
    half = np.float32(0.5)
    for i in range(x.size):
        x[i] = half + half * tanh(half * x[i])


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``, in the shape of x."""
    out = np.array(x, np.float32, order="C")
    _sigmoid_in_place(out.reshape(-1))
    return out


def silu(x: Array) -> Array:
    """``x / (1 + exp(-x))``, in the shape of x."""
    return x * sigmoid(x)


@njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)
def _exp_in_place(x):  # type: ignore[no-untyped-def]  # numba infers the types
    for i in range(x.size):
        x[i] = math.exp(x[i])


def exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The exponential of the C library, in the shape of x."""
    out = np.array(x, np.float64, order="C")
    _exp_in_place(out.reshape(-1))
    return out
