"""Products of vectors with a matrix stored [in][out], for one vector or four at a time.

The loop over outputs is innermost, so that LLVM vectorises it, and several inputs share each pass over the sums. Every
number is the same chain of multiply-adds, in the order of the inputs, whether its vector is alone or one of four: that
is what makes a stream's bits independent of who shares the batch. The only fast-math flag is ``contract`` (fuse a
product with its sum); none may reorder.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_1, _2, _3, _4, _5, _6, _7 = (np.uint64(n) for n in range(1, 8))


@njit(fastmath={"contract"}, error_model="numpy", inline="always")
def add_product(x, weights, at, inputs, outputs, sums):  # type: ignore[no-untyped-def]  # numba infers the types
    """``sums[:outputs] += x[:inputs] @ matrix``, where the matrix begins at ``weights[at]``."""
    whole = inputs - inputs % 8
    for i in range(0, whole, 8):
        row = at + i * outputs
        x0, x1, x2, x3, x4, x5, x6, x7 = x[i], x[i + 1], x[i + 2], x[i + 3], x[i + 4], x[i + 5], x[i + 6], x[i + 7]
        for j in range(outputs):
            total = sums[j] + x0 * weights[row + j]
            total += x1 * weights[row + outputs + j]
            total += x2 * weights[row + 2 * outputs + j]
            total += x3 * weights[row + 3 * outputs + j]
            total += x4 * weights[row + 4 * outputs + j]
            total += x5 * weights[row + 5 * outputs + j]
            total += x6 * weights[row + 6 * outputs + j]
            sums[j] = total + x7 * weights[row + 7 * outputs + j]
    for i in range(whole, inputs):
        row = at + i * outputs
        x0 = x[i]
        for j in range(outputs):
            sums[j] += x0 * weights[row + j]


@njit(fastmath={"contract"}, error_model="numpy", inline="always")
def add_four_products(x, first, weights, at, inputs, outputs, sums):  # type: ignore[no-untyped-def]  # inferred
    """The same for rows ``first`` to ``first + 3`` of ``x`` and ``sums``: a weight that is read serves four vectors."""
    a, b, c, d = first, first + 1, first + 2, first + 3
    whole = inputs - inputs % 4
    for i in range(0, whole, 4):
        row = at + i * outputs
        a0, a1, a2, a3 = x[a, i], x[a, i + 1], x[a, i + 2], x[a, i + 3]
        b0, b1, b2, b3 = x[b, i], x[b, i + 1], x[b, i + 2], x[b, i + 3]
        c0, c1, c2, c3 = x[c, i], x[c, i + 1], x[c, i + 2], x[c, i + 3]
        d0, d1, d2, d3 = x[d, i], x[d, i + 1], x[d, i + 2], x[d, i + 3]
        for j in range(outputs):
            w0 = weights[row + j]
            w1 = weights[row + outputs + j]
            w2 = weights[row + 2 * outputs + j]
            w3 = weights[row + 3 * outputs + j]
            sums[a, j] = (((sums[a, j] + a0 * w0) + a1 * w1) + a2 * w2) + a3 * w3
            sums[b, j] = (((sums[b, j] + b0 * w0) + b1 * w1) + b2 * w2) + b3 * w3
            sums[c, j] = (((sums[c, j] + c0 * w0) + c1 * w1) + c2 * w2) + c3 * w3
            sums[d, j] = (((sums[d, j] + d0 * w0) + d1 * w1) + d2 * w2) + d3 * w3
    for i in range(whole, inputs):
        row = at + i * outputs
        for j in range(outputs):
            w0 = weights[row + j]
            sums[a, j] += x[a, i] * w0
            sums[b, j] += x[b, i] * w0
            sums[c, j] += x[c, i] * w0
            sums[d, j] += x[d, i] * w0


@njit(fastmath={"contract"}, error_model="numpy", inline="always")
def add_products(x, weights, at, inputs, outputs, sums, lanes):  # type: ignore[no-untyped-def]  # numba infers the types
    """``sums[lane] += x[lane] @ matrix`` for every lane; there is one, or a multiple of four."""
    if lanes == 1:  # a constant, so that the other branch is not even compiled
        add_product(x[0], weights, at, inputs, outputs, sums[0])
    else:
        for lane in range(0, lanes, 4):
            add_four_products(x, lane, weights, at, inputs, outputs, sums)


@njit(fastmath={"contract"}, error_model="numpy", boundscheck=False)
def add_to_one(x, weights, inputs, outputs, sums):  # type: ignore[no-untyped-def]  # numba infers the types
    """``sums[:outputs] += x[:inputs] @ weights``, compiled once for all sizes.

    Indices are unsigned: of a signed one numba asks whether it counts from the end, and no such loop is vectorised.
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
