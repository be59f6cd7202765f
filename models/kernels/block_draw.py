"""The draw of a symbol for int8, in single precision and in two steps: one of sixteen blocks, then one of its symbols.

:func:`ancestral.models.kernels.categorical.draw` sums 256 exponentials in double precision, so that engines agree; what
int8 rounds away is far larger than what single precision does. The order of every sum is fixed: the same bits on every
processor.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped
from numba.core import config
from numba.extending import intrinsic

from ancestral.models.kernels.vectors import FLOATS, INTS, ROUNDING, WIDTH, Builder
from ancestral.models.spec import SYMBOLS

cgutils: Any = untyped

_INT, _FLOAT = ir.IntType(32), ir.FloatType()
_SMALLEST = -126.0
# The Taylor polynomial of 2^r, whose error is 1e-7 for |r| <= 1/2.
_POWERS = tuple(math.log(2.0) ** n / math.factorial(n) for n in range(7))
_BELOW_ONE = 1.0 - 2.0**-23


class _Draw(Builder):
    """The code of one draw."""

    def _shuffled(self, a: Any, b: Any, places: list[int]) -> Any:
        return self.b.shuffle_vector(a, b, ir.Constant(INTS, places))

    def _larger(self, a: Any, b: Any) -> Any:
        return self.b.select(self.b.fcmp_ordered(">", a, b), a, b)

    def _largest(self, rows: list[Any]) -> Any:
        """The largest of all numbers, in every place."""
        while len(rows) > 1:
            rows = [self._larger(a, b) for a, b in zip(rows[::2], rows[1::2], strict=True)]
        (row,) = rows
        for far in (8, 4, 2, 1):
            row = self._larger(row, self._shuffled(row, row, [place ^ far for place in range(WIDTH)]))
        return row

    def _power(self, x: Any) -> Any:
        """2 to the x, x at most 0."""
        b = self.b
        x = self._larger(x, self.constant(_SMALLEST))
        shifted = b.fadd(x, self.constant(ROUNDING))
        rest = b.fsub(x, b.fsub(shifted, self.constant(ROUNDING)))
        value = self.constant(_POWERS[-1])
        for coefficient in _POWERS[-2::-1]:
            value = self.fma(value, rest, self.constant(coefficient))
        exponent = b.shl(b.bitcast(shifted, INTS), self.constant(23))
        return b.bitcast(b.add(b.bitcast(value, INTS), exponent), FLOATS)

    def _sums(self, rows: list[Any]) -> Any:
        """The sum of each of sixteen vectors, in order: neighbours are added, four times."""
        even = list(range(0, 2 * WIDTH, 2))
        odd = [place + 1 for place in even]
        while len(rows) > 1:
            rows = [
                self.b.fadd(self._shuffled(a, c, even), self._shuffled(a, c, odd))
                for a, c in zip(rows[::2], rows[1::2], strict=True)
            ]
        return rows[0]

    def _cumulative(self, row: Any) -> Any:
        """The sum of the numbers up to each place."""
        for far in (1, 2, 4, 8):
            moved = [place - far if place >= far else WIDTH for place in range(WIDTH)]
            row = self.b.fadd(row, self._shuffled(row, self.constant(0.0), moved))
        return row

    def _first_above(self, numbers: Any, cumulative: Any, target: Any) -> Any:
        """The first place of a number that is not zero with a cumulative sum above the target; if rounding has left
        none, the last that is not zero."""
        b, bits = self.b, ir.IntType(WIDTH)
        some = b.fcmp_ordered(">", numbers, self.constant(0.0))
        above = b.and_(some, b.fcmp_ordered(">", cumulative, self.splat(target)))
        some, above = (b.zext(b.bitcast(mask, bits), _INT) for mask in (some, above))
        first = self.call("llvm.cttz.i32", _INT, above, ir.IntType(1)(0))
        last = b.sub(_INT(31), self.call("llvm.ctlz.i32", _INT, some, ir.IntType(1)(0)))
        return b.select(b.icmp_signed("!=", above, _INT(0)), first, last)

    def __call__(self, logits: Any, factor: Any, min_p: Any, noise: Any) -> Any:
        """The symbol, an int32."""
        b = self.b
        rows = [self.load(logits, _INT(first), FLOATS) for first in range(0, SYMBOLS, WIDTH)]
        top, factor, least = self._largest(rows), self.splat(factor), self.splat(min_p)
        stored = cgutils.alloca_once(b, _FLOAT, SYMBOLS)
        shares = []
        for number, row in enumerate(rows):
            share = self._power(b.fmul(b.fsub(row, top), factor))
            shares.append(b.select(b.fcmp_ordered(">=", share, least), share, self.constant(0.0)))
            self.store(shares[-1], stored, _INT(number * WIDTH))
        sums = self._sums(shares)
        blocks = self._cumulative(sums)
        below = b.select(b.fcmp_ordered("<", noise, _FLOAT(_BELOW_ONE)), noise, _FLOAT(_BELOW_ONE))
        target = b.fmul(below, b.extract_element(blocks, _INT(WIDTH - 1)))
        block = self._first_above(sums, blocks, target)
        later = b.icmp_signed(">", block, _INT(0))
        before = b.extract_element(blocks, b.sub(block, b.zext(later, _INT)))
        before = b.select(later, before, _FLOAT(0.0))
        first = b.mul(block, _INT(WIDTH))
        row = self.load(stored, first, FLOATS)
        return b.add(first, self._first_above(row, self._cumulative(row), b.fsub(target, before)))


@intrinsic
def _vectorised(typing, logits, row, factor, min_p, noise):  # type: ignore[no-untyped-def]  # numba's protocol
    signature = types.int64(logits, row, types.float32, types.float32, types.float32)

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]  # numba's protocol
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        start = builder.mul(context.cast(builder, args[1], signature.args[1], types.intp), ir.IntType(64)(SYMBOLS))
        symbol = _Draw(builder)(builder.gep(data, [start]), *args[2:])
        return builder.zext(symbol, ir.IntType(64))

    return signature, generate


def _interpreted(logits: Any, row: int, factor: float, min_p: float, noise: float) -> int:
    """The result of :func:`block_draw` in numpy, up to rounding."""
    shares = np.exp2((logits[row] - logits[row].max()) * factor)
    shares[shares < min_p] = 0
    sums = np.cumsum(shares)
    return int(np.searchsorted(sums, noise * sums[-1], side="right"))


block_draw: Any = _interpreted if vars(config)["DISABLE_JIT"] else _vectorised
"""``block_draw(logits [lanes, 256], lane, factor, min_p, noise)``: the first symbol whose cumulative probability
exceeds ``noise``. ``factor`` is log2(e) over the temperature; symbols are left out that are less likely than the share
``min_p`` of the most likely one."""
