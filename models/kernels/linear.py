"""Products of vectors with a matrix stored [in][out], of any size, for one vector or four at a time.

The loop over outputs is innermost, so that LLVM vectorises it, and several inputs share each pass over the sums. Every
number is the same chain of multiply-adds, in the order of the inputs, whether its vector is alone or one of four: that
is what makes a stream's bits independent of who shares the batch. The only fast-math flag is ``contract`` (fuse a
product with its sum); none may reorder.
"""

from __future__ import annotations

import numpy as np
from numba import njit

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
