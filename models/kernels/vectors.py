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
FLOATS, INTS = ir.VectorType(ir.FloatType(), WIDTH), ir.VectorType(ir.IntType(32), WIDTH)
ROUNDING = 1.5 * 2.0**23
"""Added to a float, it leaves the nearest integer in the lowest bits of the sum."""


class Builder:
    """Writes LLVM code on vectors.

    Args:
        builder: of llvmlite.
    """

    def __init__(self, builder: Any) -> None:
        self.b = builder

    def call(self, name: str, kind: Any, *args: Any) -> Any:
        """A function of LLVM that returns this type."""
        signature = ir.FunctionType(kind, [a.type for a in args])
        return self.b.call(cgutils.get_or_insert_function(self.b.module, signature, name), args)

    def load(self, pointer: Any, index: Any, kind: Any) -> Any:
        """A vector (or a scalar) that begins at word ``index``."""
        at = self.b.gep(pointer, [index])
        return self.b.load(self.b.bitcast(at, kind.as_pointer()), align=4)

    def store(self, value: Any, pointer: Any, index: Any) -> None:
        """Write a vector from word ``index`` on."""
        at = self.b.gep(pointer, [index])
        self.b.store(value, self.b.bitcast(at, value.type.as_pointer()), align=4)

    def splat(self, value: Any) -> Any:
        kind = ir.VectorType(value.type, WIDTH)
        first = self.b.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
        return self.b.shuffle_vector(first, first, ir.Constant(INTS, [0] * WIDTH))

    def constant(self, value: Any) -> Any:
        """A vector of a number that is known when it is compiled."""
        kind = FLOATS if isinstance(value, float) else INTS
        return ir.Constant(kind, [value] * WIDTH)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a * b + c, rounded once."""
        return self.call("llvm.fma.v16f32", FLOATS, a, b, c)

    def index(self, value: int) -> Any:
        """A number of words."""
        return ir.Constant(ir.IntType(64), value)


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
    """:func:`_intrinsic` in numpy."""

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
