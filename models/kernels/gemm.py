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
- int8: four weights, each plus 128, rounded to a scale of its output; the scales, float32 ``[outputs]``, stand before
  the words. Every input vector is rounded to a scale of its own, its largest number over 127, in the moment it is used.
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
from numba.extending import intrinsic
from numpy.typing import NDArray

from ancestral.models.portable import assembly

Array = NDArray[np.float32]
cgutils: Any = untyped

WIDTH = 16
"""Outputs in a vector: all sizes are multiples of it."""


class Precision(IntEnum):
    """The number format of the large matrices."""

    FP32 = 0
    INT8 = 1

    @property
    def inputs_per_word(self) -> int:
        """Weights in 32 bits."""
        return (1, 4)[self]


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


def words(precision: Precision, inputs: int, outputs: int) -> int:
    """The length of a packed matrix."""
    return inputs // precision.inputs_per_word * outputs + (outputs if precision is Precision.INT8 else 0)


def unpack(precision: Precision, packed: Array, outputs: int) -> Array:
    """The inverse of :func:`pack`: the matrix as it multiplies, ``[inputs, outputs]``."""
    if precision is Precision.FP32:
        return packed.reshape(-1, outputs)
    levels = packed[outputs:].view(np.uint8).reshape(-1, outputs, 4).transpose(0, 2, 1).reshape(-1, outputs)
    return (levels.astype(np.float32) - 128) * packed[:outputs]


def pack(precision: Precision, matrix: Array) -> Array:
    """A matrix ``[inputs, outputs]`` as its words, in an array of type float32."""
    if precision is Precision.FP32:
        return matrix.ravel()
    scales = np.abs(matrix).max(axis=0) / np.float32(127)
    levels = np.rint(matrix / np.where(scales, scales, np.float32(1))).astype(np.int32) + 128
    quads = levels.astype(np.uint8).reshape(len(matrix) // 4, 4, -1).transpose(0, 2, 1)
    return np.concatenate([scales, np.ascontiguousarray(quads).reshape(-1).view(np.float32)])


_F32, _I32, _I8 = ir.FloatType(), ir.IntType(32), ir.IntType(8)
FLOATS, INTS = ir.VectorType(_F32, WIDTH), ir.VectorType(_I32, WIDTH)
_SHORTS = ir.VectorType(ir.IntType(16), 2 * WIDTH)
# Added to a float, it leaves the nearest integer in the lowest bits of the sum.
_ROUNDING = 1.5 * 2.0**23
_REGISTERS = {Instructions.PORTABLE: 4, Instructions.AVX2: 4, Instructions.AVX512_VNNI: 24}
"""Vectors of sums that are kept in registers at a time, at most."""
_UNROLLED = 4
_NOTHING = 1e-30
"""A vector of int8 without a larger number is zero."""


class Emitter:
    """Writes the code of one product: ``sums[lane] += x[lane] @ matrix``."""

    def __init__(self, builder: Any, instructions: int, inputs: int, outputs: int, lanes: int) -> None:
        self.b = builder
        self.instructions, self.inputs, self.outputs, self.lanes = instructions, inputs, outputs, lanes

    def call(self, name: str, kind: Any, *args: Any) -> Any:
        signature = ir.FunctionType(kind, [a.type for a in args])
        return self.b.call(cgutils.get_or_insert_function(self.b.module, signature, name), args)

    def load(self, pointer: Any, index: Any, kind: Any) -> Any:
        """A vector (or a scalar) that begins at word ``index``."""
        at = self.b.gep(pointer, [index])
        return self.b.load(self.b.bitcast(at, kind.as_pointer()), align=4)

    def store(self, value: Any, pointer: Any, index: Any) -> None:
        at = self.b.gep(pointer, [index])
        self.b.store(value, self.b.bitcast(at, value.type.as_pointer()), align=4)

    def splat(self, value: Any) -> Any:
        kind = ir.VectorType(value.type, WIDTH)
        first = self.b.insert_element(ir.Constant(kind, ir.Undefined), value, _I32(0))
        return self.b.shuffle_vector(first, first, ir.Constant(INTS, [0] * WIDTH))

    def constant(self, value: Any) -> Any:
        kind = FLOATS if isinstance(value, float) else INTS
        return ir.Constant(kind, [value] * WIDTH)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return self.call("llvm.fma.v16f32", FLOATS, a, b, c)

    def index(self, value: int) -> Any:
        return ir.Constant(ir.IntType(64), value)

    def blocks(self) -> list[range]:
        """Vectors of outputs, in groups of equal size whose sums fit into the registers."""
        count = self.outputs // WIDTH
        most = max(1, _REGISTERS[Instructions(self.instructions)] // self.lanes)
        size = max(n for n in range(1, count + 1) if count % n == 0 and n <= most)
        return [range(first, first + size) for first in range(0, count, size)]

    def sweep(
        self,
        matrix: Any,
        start: Callable[[int, int], Any],
        prepare: Callable[[int, Any], list[Any]],
        add: Callable[[Any, list[Any], Any], Any],
        finish: Callable[[int, int, Any], None],
        groups: int,
    ) -> None:
        """Go over the words once for every block of outputs.

        ``start(lane, vector)`` gives the sums to begin with, ``prepare(lane, group)`` what a lane needs of its inputs
        for one row of words, ``add(sum, prepared, words)`` the new sum; ``finish(lane, vector, sum)`` takes it.
        """
        step = max(n for n in range(1, _UNROLLED + 1) if groups % n == 0)
        for block in self.blocks():
            places = [(lane, vector) for lane in range(self.lanes) for vector in block]
            held = {place: cgutils.alloca_once_value(self.b, start(*place)) for place in places}
            with cgutils.for_range(self.b, self.index(groups // step)) as loop:
                for n in range(step):
                    group = self.b.add(self.b.mul(loop.index, self.index(step)), self.index(n))
                    row = self.b.mul(group, self.index(self.outputs))
                    read = {v: self.load(matrix, self.b.add(row, self.index(v * WIDTH)), INTS) for v in block}
                    for lane in range(self.lanes):
                        prepared = prepare(lane, group)
                        for vector in block:
                            place = held[lane, vector]
                            self.b.store(add(self.b.load(place), prepared, read[vector]), place)
            for place in places:
                finish(*place, self.b.load(held[place]))

    def signed_bytes(self, quads: Any) -> list[Any]:
        """Four signed bytes a word, as the instructions take them."""
        b = self.b
        if self.instructions == Instructions.AVX512_VNNI:
            return [quads]
        if self.instructions == Instructions.AVX2:
            pairs = b.bitcast(quads, _SHORTS)
            eight = ir.Constant(_SHORTS, [8] * 2 * WIDTH)
            return [b.ashr(b.shl(pairs, eight), eight), b.ashr(pairs, eight)]
        return [b.ashr(b.shl(quads, self.constant(24 - 8 * n)), self.constant(24)) for n in range(4)]

    def add_bytes(self, total: Any, x: list[Any], words: Any) -> Any:
        """The sums with the products of four weights, unsigned, and four inputs."""
        b = self.b
        if self.instructions == Instructions.AVX512_VNNI:
            return self.call("llvm.x86.avx512.vpdpbusd.512", INTS, total, words, x[0])
        if self.instructions == Instructions.AVX2:
            pairs = b.bitcast(words, _SHORTS)
            even = b.and_(pairs, ir.Constant(_SHORTS, [255] * 2 * WIDTH))
            odd = b.lshr(pairs, ir.Constant(_SHORTS, [8] * 2 * WIDTH))
            return b.add(total, b.add(self._pairs(even, x[0]), self._pairs(odd, x[1])))
        for n, value in enumerate(x):
            weights = b.and_(b.lshr(words, self.constant(8 * n)), self.constant(255))
            total = b.add(total, b.mul(weights, value))
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
        def add(total: Any, x: list[Any], words: Any) -> Any:
            return self.e.fma(x[0], self.b.bitcast(words, FLOATS), total)

        self.e.sweep(self.matrix, self._begin, lambda lane, i: self._inputs(lane, i, 1), add, self._end, self.e.inputs)

    def int8(self) -> None:
        e, lanes = self.e, [self._rounded(lane) for lane in range(self.e.lanes)]
        scales, words = self.matrix, self.b.gep(self.matrix, [e.index(e.outputs)])

        def finish(lane: int, vector: int, total: Any) -> None:
            _, scale, correction = lanes[lane]
            exact = self.b.sitofp(self.b.add(total, e.splat(correction)), FLOATS)
            factor = self.b.fmul(e.splat(scale), e.load(scales, e.index(vector * WIDTH), FLOATS))
            self._end(lane, vector, e.fma(exact, factor, self._begin(lane, vector)))

        def inputs(lane: int, group: Any) -> list[Any]:
            return e.signed_bytes(e.splat(e.load(lanes[lane][0], group, _I32)))

        e.sweep(words, lambda lane, vector: e.constant(0), inputs, e.add_bytes, finish, e.inputs // 4)

    def _rounded(self, lane: int) -> tuple[Any, Any, Any]:
        """A lane's inputs as signed bytes, their scale, and -128 times their sum."""
        e, b = self.e, self.b
        vectors = [e.load(self.x[lane], e.index(i), FLOATS) for i in range(0, e.inputs, WIDTH)]
        sizes = [b.and_(b.bitcast(v, INTS), e.constant(0x7FFFFFFF)) for v in vectors]  # ordered as the numbers are
        largest = sizes[0]
        for other in sizes[1:]:
            largest = e.call("llvm.smax.v16i32", INTS, largest, other)
        top = b.bitcast(e.call("llvm.vector.reduce.smax.v16i32", _I32, largest), _F32)
        some = b.fcmp_ordered(">", top, _F32(_NOTHING))
        inverse = b.select(some, b.fdiv(_F32(127.0), top), _F32(0.0))
        stored, total = cgutils.alloca_once(b, _I32, e.inputs // 4), e.constant(0)
        for i, v in enumerate(vectors):
            level = b.bitcast(e.fma(v, e.splat(inverse), e.constant(_ROUNDING)), INTS)
            e.store(b.trunc(level, ir.VectorType(_I8, WIDTH)), stored, e.index(i * WIDTH // 4))
            total = b.add(total, b.sub(level, b.bitcast(e.constant(_ROUNDING), INTS)))
        sum_ = e.call("llvm.vector.reduce.add.v16i32", _I32, total)
        return stored, b.fmul(top, _F32(1.0 / 127.0)), b.mul(sum_, _I32(-128))


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
    size = words(Precision(precision), inputs, outputs)
    matrix = unpack(Precision(precision), weights[at : at + size], outputs)
    for lane in range(lanes):
        row = x[lane, :inputs]
        if precision == Precision.INT8:
            top = np.abs(row).max()
            row = np.rint(row * (np.float32(127) / top if top > _NOTHING else np.float32(0))) * (top / np.float32(127))
        sums[lane, :outputs] += row @ matrix


@intrinsic(prefer_literal=True)
def _vectorised(typing, x, weights, at, inputs, outputs, sums, lanes, precision, instructions):  # type: ignore[no-untyped-def]  # numba's protocol
    """``sums[lane] += x[lane] @ matrix`` for ``lanes`` rows, where the packed matrix begins at ``weights[at]``."""
    sizes = [literal.literal_value for literal in (inputs, outputs, lanes, precision, instructions)]
    signature = types.void(x, weights, at, inputs, outputs, sums, lanes, precision, instructions)

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]  # numba's protocol
        kinds = signature.args
        inputs, outputs, lanes, precision, instructions = sizes
        arrays = {n: context.make_array(kinds[n])(context, builder, args[n]) for n in (0, 1, 5)}
        widths = {n: cgutils.unpack_tuple(builder, arrays[n].shape)[1] for n in (0, 5)}
        start = context.cast(builder, args[2], kinds[2], types.intp)
        matrix = builder.gep(arrays[1].data, [start])
        emitter = Emitter(builder, instructions, inputs, outputs, lanes)
        product = _Product(emitter, arrays[0].data, widths[0], matrix, arrays[5].data, widths[5])
        (product.fp32, product.int8)[precision]()
        # Of what surrounds the product, too. llvmlite knows no attributes with values, and prints what it is given.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return signature, generate


add_products: Callable[..., None] = interpreted if vars(config)["DISABLE_JIT"] else _vectorised
