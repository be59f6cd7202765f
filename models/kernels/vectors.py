"""Copies and sums of whole vectors, as LLVM code: between arrays that numba cannot tell apart, without views.

numba makes a view of an array for every slice, and checks each index for being negative unless it comes from a plain
range; where a few dozen numbers are moved, that costs more than the moving.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped
from numba.core import config
from numba.extending import intrinsic
from numpy.typing import NDArray

cgutils: Any = untyped
Array = NDArray[np.float32]

WIDTH = 16
"""Numbers in a vector: all sizes are multiples of it."""
FLOATS = ir.VectorType(ir.FloatType(), WIDTH)


def _intrinsic(of: Callable[[Any, Any, Any], Any]) -> Any:
    """``target[to : to + size] = of(source[at : at + size], target[to : to + size])``, both arrays as if flat."""

    @intrinsic(prefer_literal=True)
    def vectorised(typing, source, at, target, to, size):  # type: ignore[no-untyped-def]  # numba's protocol
        count = size.literal_value
        signature = types.void(source, at, target, to, size)

        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]  # numba's protocol
            kinds = signature.args
            starts = []
            for array, index in ((0, 1), (2, 3)):
                data = context.make_array(kinds[array])(context, builder, args[array]).data
                starts.append(builder.gep(data, [context.cast(builder, args[index], kinds[index], types.intp)]))
            places = [
                [
                    builder.bitcast(builder.gep(start, [ir.IntType(64)(first)]), FLOATS.as_pointer())
                    for first in range(0, count, WIDTH)
                ]
                for start in starts
            ]
            for source, target in zip(*places, strict=True):
                old = builder.load(target, align=4)
                builder.store(of(builder, builder.load(source, align=4), old), target, align=4)
            return context.get_dummy_value()

        return signature, generate

    return vectorised


def _interpreted(of: Callable[[Array, Array], Array]) -> Any:
    """The same in numpy."""

    def move(source: Array, at: int, target: Array, to: int, size: int) -> None:
        wanted = target.reshape(-1)[to : to + size]
        wanted[:] = of(source.reshape(-1)[at : at + size], wanted)

    return move


def _larger(builder: Any, new: Any, _: Any) -> Any:
    zero = ir.Constant(FLOATS, [0.0] * WIDTH)
    return builder.select(builder.fcmp_ordered(">", new, zero), new, zero)


_PLAIN = bool(vars(config)["DISABLE_JIT"])
copy: Any = _interpreted(lambda new, _: new) if _PLAIN else _intrinsic(lambda _, new, __: new)
"""``copy(source, at, target, to, size)``."""
add: Any = _interpreted(lambda new, old: old + new) if _PLAIN else _intrinsic(lambda b, new, old: b.fadd(old, new))
"""``add(source, at, target, to, size)``."""
rectify: Any = _interpreted(lambda new, _: np.maximum(new, 0)) if _PLAIN else _intrinsic(_larger)
"""``rectify(source, at, target, to, size)``."""
