"""Products of vectors with packed matrices in two precisions, as LLVM code: most of the time of a step.

numba compiles loops over scalars and leaves vectorisation to LLVM, which here keeps no sums in registers, uses half of
a 512-bit register on processors that are said to prefer it, and has no pattern for dot products of bytes. So this one
operation is written as LLVM code. Outputs are computed sixteen at a time; their sums stay in registers over all inputs,
for every lane that shares the pass over the weights.

``fp32`` is a chain of fused multiply-adds in the order of the inputs, ``int8`` sums integers, which is exact in any
order: so a stream's bits depend neither on the lanes beside it nor on the instructions of the processor, as long as it
can fuse a product with its sum.

A matrix lies in 32-bit words, ``[inputs / n][outputs]`` with the n = 1 or 4 inputs of a word next to each other:

- fp32: the number.
- int8: four weights, signed, rounded to a scale of their output. Inputs are rounded to units of their own, which are
  known beforehand, and limited to 127 of them; 128 is added, because the instructions multiply unsigned bytes with
  signed ones. Before the words stand the scales of the outputs, float32 ``[outputs]``, what the 128 add to their sums,
  int32 ``[outputs]``, and the inverse units, float32 ``[inputs]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped
from numba.core import config
from numba.extending import intrinsic, register_jitable
from numpy.typing import NDArray

from ancestral.models.kernels.vectors import FLOATS, INTS, ROUNDING, WIDTH, Builder
from ancestral.models.portable import assembly

Array = NDArray[np.float32]
cgutils: Any = untyped

LEVELS = 127
"""Levels of int8 on either side of zero."""


class Precision(IntEnum):
    """The number format of the large matrices."""

    FP32 = 0
    INT8 = 1


class Instructions(IntEnum):
    """The instructions for dot products of bytes; all give the same bits."""

    PORTABLE = 0
    AVX2 = 1
    AVX512_VNNI = 2


def best_instructions() -> Instructions:
    """The fastest instructions of the processor that numba compiles for."""
    if re.search(r"vpdpbusd.*zmm", assembly()):
        return Instructions.AVX512_VNNI
    return Instructions.AVX2 if re.search(r"vpaddd.*ymm", assembly()) else Instructions.PORTABLE


@register_jitable
def int8_words(inputs: int, outputs: int) -> int:
    """The length of a matrix packed in int8; compiled loops call it, too."""
    return inputs // 4 * outputs + 2 * outputs + inputs


def words(precision: Precision, inputs: int, outputs: int) -> int:
    """The length of a packed matrix."""
    return int8_words(inputs, outputs) if precision is Precision.INT8 else inputs * outputs


def pack(precision: Precision, matrix: Array, units: Array) -> Array:
    """A matrix ``[inputs, outputs]`` as its words, in an array of type float32.

    Args:
        precision: of the words.
        matrix: what multiplies.
        units: of the inputs, ``[inputs]``, for int8.
    """
    if precision is Precision.FP32:
        return matrix.ravel()
    matrix = matrix * units[:, None]
    scales = np.abs(matrix).max(axis=0) / np.float32(LEVELS)
    levels = np.rint(matrix / np.where(scales, scales, np.float32(1))).astype(np.int32)
    quads = np.ascontiguousarray(levels.astype(np.int8).reshape(len(matrix) // 4, 4, -1).transpose(0, 2, 1))
    added = (-128 * levels.sum(axis=0)).astype(np.int32)
    return np.concatenate([scales, added.view(np.float32), 1 / units, quads.reshape(-1).view(np.float32)])


def unpack(precision: Precision, packed: Array, inputs: int, outputs: int) -> tuple[Array, Array, Array]:
    """The matrix of :func:`pack` in whole numbers ``[inputs, outputs]``, the scales of its outputs, and the inverse
    units of its inputs. For fp32 the last two are 1."""
    if precision is Precision.FP32:
        return packed.reshape(-1, outputs), np.ones(outputs, np.float32), np.ones(inputs, np.float32)
    scales, inverse = packed[:outputs], packed[2 * outputs : 2 * outputs + inputs]
    words = packed[2 * outputs + inputs :].view(np.int8).reshape(-1, outputs, 4)
    return words.transpose(0, 2, 1).reshape(-1, outputs).astype(np.float32), scales, inverse


_F32, _I32, _I8 = ir.FloatType(), ir.IntType(32), ir.IntType(8)
_SHORTS = ir.VectorType(ir.IntType(16), 2 * WIDTH)
_REGISTERS = {Instructions.PORTABLE: 4, Instructions.AVX2: 4, Instructions.AVX512_VNNI: 24}
"""Vectors of sums that are kept in registers at a time, at most."""
_UNROLLED = 4


class Emitter(Builder):
    """Writes the code of one product: ``sums[lane] += x[lane] @ matrix[:, :columns]``."""

    def __init__(self, builder: Any, instructions: int, inputs: int, outputs: int, columns: int, lanes: int) -> None:
        super().__init__(builder)
        self.columns = columns
        self.instructions, self.inputs, self.outputs, self.lanes = instructions, inputs, outputs, lanes

    def blocks(self) -> list[range]:
        """Vectors of outputs, in groups of equal size whose sums fit into the registers."""
        count = self.columns // WIDTH
        most = max(1, _REGISTERS[Instructions(self.instructions)] // self.lanes)
        size = max(n for n in range(1, count + 1) if count % n == 0 and n <= most)
        return [range(first, first + size) for first in range(0, count, size)]

    def sweep(
        self,
        matrix: Any,
        start: Callable[[int, int], Any],
        prepare: Callable[[int, Any], list[Any]],
        take: Callable[[Any], list[Any]],
        add: Callable[[Any, list[Any], list[Any]], Any],
        finish: Callable[[int, int, Any], None],
        groups: int,
    ) -> None:
        """Go over the words once for every block of outputs.

        ``start(lane, vector)`` gives the sums to begin with, ``prepare(lane, group)`` what a lane needs of its inputs
        for one row of words, ``take(words)`` what all need of a vector of words, ``add(sum, prepared, taken)`` the new
        sum; ``finish(lane, vector, sum)`` takes it.
        """
        step = max(n for n in range(1, _UNROLLED + 1) if groups % n == 0)
        for block in self.blocks():
            places = [(lane, vector) for lane in range(self.lanes) for vector in block]
            held = {place: cgutils.alloca_once_value(self.b, start(*place)) for place in places}
            with cgutils.for_range(self.b, self.index(groups // step)) as loop:
                for n in range(step):
                    group = self.b.add(self.b.mul(loop.index, self.index(step)), self.index(n))
                    row = self.b.mul(group, self.index(self.outputs))
                    read = {v: take(self.load(matrix, self.b.add(row, self.index(v * WIDTH)), INTS)) for v in block}
                    for lane in range(self.lanes):
                        prepared = prepare(lane, group)
                        for vector in block:
                            place = held[lane, vector]
                            self.b.store(add(self.b.load(place), prepared, read[vector]), place)
            for place in places:
                finish(*place, self.b.load(held[place]))

    def bytes_of(self, quads: Any, *, signed: bool) -> list[Any]:
        """Four bytes a word, as the instructions take them."""
        b = self.b
        if self.instructions == Instructions.AVX512_VNNI:
            return [quads]
        shift = b.ashr if signed else b.lshr
        if self.instructions == Instructions.AVX2:
            pairs = b.bitcast(quads, _SHORTS)
            eight = ir.Constant(_SHORTS, [8] * 2 * WIDTH)
            return [shift(b.shl(pairs, eight), eight), shift(pairs, eight)]
        return [shift(b.shl(quads, self.constant(24 - 8 * n)), self.constant(24)) for n in range(4)]

    def add_bytes(self, total: Any, x: list[Any], weights: list[Any]) -> Any:
        """The sums with the products of four inputs, unsigned, and four weights, signed."""
        b = self.b
        if self.instructions == Instructions.AVX512_VNNI:
            return self.call("llvm.x86.avx512.vpdpbusd.512", INTS, total, x[0], weights[0])
        if self.instructions == Instructions.AVX2:
            return b.add(total, b.add(self._pairs(x[0], weights[0]), self._pairs(x[1], weights[1])))
        for value, weight in zip(x, weights, strict=True):
            total = b.add(total, b.mul(value, weight))
        return total

    def _pairs(self, a: Any, b: Any) -> Any:
        """Products of shorts, neighbours added (vpmaddwd), in two halves."""

        def half(value: Any, first: int) -> Any:
            picked = ir.Constant(ir.VectorType(_I32, WIDTH), list(range(first, first + WIDTH)))
            return self.b.shuffle_vector(value, value, picked)

        kind = ir.VectorType(_I32, WIDTH // 2)
        low, high = (self.call("llvm.x86.avx2.pmadd.wd", kind, half(a, first), half(b, first)) for first in (0, WIDTH))
        return self.b.shuffle_vector(low, high, ir.Constant(INTS, list(range(WIDTH))))


class _Product:
    """One product: the addresses of its operands, and the code of each precision."""

    def __init__(self, emitter: Emitter, x: Any, x_stride: Any, matrix: Any, sums: Any, sums_stride: Any) -> None:
        self.e, self.b = emitter, emitter.b
        self.matrix = matrix
        self.x = [self.b.gep(x, [self.b.mul(x_stride, emitter.index(lane))]) for lane in range(emitter.lanes)]
        self.sums = [self.b.gep(sums, [self.b.mul(sums_stride, emitter.index(lane))]) for lane in range(emitter.lanes)]

    def _begin(self, lane: int, vector: int) -> Any:
        return self.e.load(self.sums[lane], self.e.index(vector * WIDTH), FLOATS)

    def _end(self, lane: int, vector: int, total: Any) -> None:
        self.e.store(total, self.sums[lane], self.e.index(vector * WIDTH))

    def _inputs(self, lane: int, group: Any, count: int) -> list[Any]:
        """The next ``count`` inputs of a lane, each in a vector of its own."""
        first = self.b.mul(group, self.e.index(count))
        indices = [self.b.add(first, self.e.index(n)) for n in range(count)]
        return [self.e.splat(self.e.load(self.x[lane], index, _F32)) for index in indices]

    def fp32(self) -> None:
        e = self.e

        def take(words: Any) -> list[Any]:
            return [self.b.bitcast(words, FLOATS)]

        def add(total: Any, x: list[Any], weights: list[Any]) -> Any:
            return e.fma(x[0], weights[0], total)

        e.sweep(self.matrix, self._begin, lambda lane, i: self._inputs(lane, i, 1), take, add, self._end, e.inputs)

    def int8(self) -> None:
        e = self.e
        lanes = self._rounded()
        words = self.b.gep(self.matrix, [e.index(2 * e.outputs + e.inputs)])

        def start(_: int, vector: int) -> Any:
            return e.load(self.matrix, e.index(e.outputs + vector * WIDTH), INTS)

        def inputs(lane: int, group: Any) -> list[Any]:
            return e.bytes_of(e.splat(e.load(lanes[lane], group, _I32)), signed=False)

        def take(words: Any) -> list[Any]:
            return e.bytes_of(words, signed=True)

        def finish(lane: int, vector: int, total: Any) -> None:
            scales = e.load(self.matrix, e.index(vector * WIDTH), FLOATS)
            self._end(lane, vector, e.fma(self.b.sitofp(total, FLOATS), scales, self._begin(lane, vector)))

        e.sweep(words, start, inputs, take, e.add_bytes, finish, e.inputs // 4)

    def _rounded(self) -> list[Any]:
        """The address of the lanes' inputs as unsigned bytes."""
        e, b = self.e, self.b
        stored = [cgutils.alloca_once(b, _I32, e.inputs // 4) for _ in range(e.lanes)]
        for i in range(0, e.inputs, WIDTH):
            inverse = e.load(self.matrix, e.index(2 * e.outputs + i), FLOATS)
            for x, levels in zip(self.x, stored, strict=True):
                value = e.fma(e.load(x, e.index(i), FLOATS), inverse, e.constant(ROUNDING))
                level = b.sub(b.bitcast(value, INTS), b.bitcast(e.constant(ROUNDING), INTS))
                level = e.call("llvm.smin.v16i32", INTS, level, e.constant(LEVELS))
                level = e.call("llvm.smax.v16i32", INTS, level, e.constant(-LEVELS))
                unsigned = b.add(level, e.constant(128))
                e.store(b.trunc(unsigned, ir.VectorType(_I8, WIDTH)), levels, e.index(i // 4))
        return stored


def interpreted(
    x: Array,
    weights: Array,
    at: int,
    inputs: int,
    outputs: int,
    sums: Array,
    lanes: int,
    precision: int,
    instructions: int,
) -> None:
    """The result of :func:`add_products` in numpy, up to the order of its sums."""
    _interpreted_first(x, weights, at, inputs, outputs, outputs, sums, lanes, precision, instructions)


def _interpreted_first(
    x: Array,
    weights: Array,
    at: int,
    inputs: int,
    outputs: int,
    columns: int,
    sums: Array,
    lanes: int,
    precision: int,
    instructions: int,
) -> None:
    size = words(Precision(precision), inputs, outputs)
    matrix, scales, inverse = unpack(Precision(precision), weights[at : at + size], inputs, outputs)
    for lane in range(lanes):
        row = x[lane, :inputs]
        if precision == Precision.INT8:
            row = np.rint(row * inverse).clip(-LEVELS, LEVELS)
        sums[lane, :columns] += (row @ matrix[:, :columns]) * scales[:columns]


def _generate(context: Any, builder: Any, signature: Any, args: Any, outputs: int, columns: int, *sizes: int) -> Any:
    """The code of an intrinsic: ``x, weights, at, inputs, outputs`` come first in ``args``, ``sums`` fourth from the
    end; ``sizes`` are the inputs, lanes, precision and instructions."""
    kinds, (inputs, lanes, precision, instructions) = signature.args, sizes
    x, weights, sums = (context.make_array(kinds[n])(context, builder, args[n]) for n in (0, 1, -4))
    widths = [cgutils.unpack_tuple(builder, array.shape)[1] for array in (x, sums)]
    matrix = builder.gep(weights.data, [context.cast(builder, args[2], kinds[2], types.intp)])
    emitter = Emitter(builder, instructions, inputs, outputs, columns, lanes)
    product = _Product(emitter, x.data, widths[0], matrix, sums.data, widths[1])
    (product.fp32, product.int8)[precision]()
    # Of what surrounds the product, too. llvmlite knows no attributes with values, and prints what it is given.
    set.add(builder.function.attributes, '"prefer-vector-width"="512"')
    return context.get_dummy_value()


@intrinsic(prefer_literal=True)
def _vectorised(typing, x, weights, at, inputs, outputs, sums, lanes, precision, instructions):  # type: ignore[no-untyped-def]  # numba's protocol
    """``sums[lane] += x[lane] @ matrix`` for ``lanes`` rows, where the packed matrix begins at ``weights[at]``."""
    sizes = [literal.literal_value for literal in (outputs, outputs, inputs, lanes, precision, instructions)]
    signature = types.void(x, weights, at, inputs, outputs, sums, lanes, precision, instructions)
    return signature, lambda *given: _generate(*given, *sizes)


@intrinsic(prefer_literal=True)
def _vectorised_first(typing, x, weights, at, inputs, outputs, columns, sums, lanes, precision, instructions):  # type: ignore[no-untyped-def]  # numba's protocol
    """``sums[lane] += x[lane] @ matrix[:, :columns]`` for ``lanes`` rows."""
    sizes = [literal.literal_value for literal in (outputs, columns, inputs, lanes, precision, instructions)]
    signature = types.void(x, weights, at, inputs, outputs, columns, sums, lanes, precision, instructions)
    return signature, lambda *given: _generate(*given, *sizes)


add_products: Callable[..., None] = interpreted if vars(config)["DISABLE_JIT"] else _vectorised
add_first_products: Callable[..., None] = _interpreted_first if vars(config)["DISABLE_JIT"] else _vectorised_first
