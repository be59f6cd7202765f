"""Products of activations with packed matrices, in the precision that the activations are kept in.

float32 activations are multiplied as they are (models/portable.py). Bytes are multiplied by matrices in int8
(models/kernels/gemm.py): ``byte - 128`` is a number in whole units, the sums are integers, and so exact in any order.
Sizes are arguments, so that one compiled loop serves all networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils as untyped
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from ancestral.models.kernels.gemm import (
    LEVELS,
    Emitter,
    Instructions,
    Precision,
    best_instructions,
    int8_words,
    pack,
    unpack,
)
from ancestral.models.kernels.vectors import FLOATS, INTS, WIDTH
from ancestral.models.portable import add_to_each, tanh

cgutils: Any = untyped
ZERO = 128

_HALF = np.float32(0.5)
_LEVELS, _TO_ZERO = np.float32(LEVELS), np.float32(ZERO + 0.5)
_OPTIONS: Any = {"fastmath": {"contract"}, "error_model": "numpy", "boundscheck": False}
_ONE = np.ones(1, np.float32)
_BYTES = np.empty(0, np.uint8)
_TILES = {Instructions.PORTABLE: (1, 1), Instructions.AVX2: (2, 1), Instructions.AVX512_VNNI: (4, 4)}
"""Rows, and vectors of outputs, whose sums are kept in registers at a time, at most."""


@dataclass(frozen=True)
class _Product:
    """The operands of one product, as LLVM values: pointers, and sizes in elements."""

    x: Any
    stride: Any
    matrix: Any
    inputs: Any
    outputs: Any
    sums: Any

    def write(self, emitter: Emitter, units: list[Any], vectors: int) -> None:
        """All outputs of ``len(units)`` rows: so many vectors at a time, then fewer."""
        b, done = emitter.b, emitter.index(0)
        while vectors:
            size = emitter.index(vectors * WIDTH)
            tiles, begin = b.udiv(b.sub(self.outputs, done), size), done
            with cgutils.for_range(b, tiles) as loop:
                self._write_tile(emitter, units, b.add(begin, b.mul(loop.index, size)), vectors)
            done = b.add(begin, b.mul(tiles, size))
            vectors //= 2

    def _write_tile(self, e: Emitter, units: list[Any], first: Any, vectors: int) -> None:
        """Vectors of sums of a few rows, from output ``first`` on, over all inputs."""
        b, rows = e.b, range(len(units))
        quads = b.gep(self.matrix, [b.add(b.mul(e.index(2), self.outputs), self.inputs)])
        at = [b.add(first, e.index(n * WIDTH)) for n in range(vectors)]
        added = [e.load(self.matrix, b.add(self.outputs, n), INTS) for n in at]
        held = {(row, n): cgutils.alloca_once_value(b, added[n]) for row in rows for n in range(vectors)}
        words_of = [
            b.bitcast(b.gep(self.x, [b.mul(self.stride, e.index(row))]), ir.IntType(32).as_pointer()) for row in rows
        ]
        with cgutils.for_range(b, b.lshr(self.inputs, e.index(2))) as loop:
            line = b.mul(loop.index, self.outputs)
            taken = [e.bytes_of(e.load(quads, b.add(line, n), INTS), signed=True) for n in at]
            for row in rows:
                four = e.bytes_of(e.splat(b.load(b.gep(words_of[row], [loop.index]), align=1)), signed=False)
                for n in range(vectors):
                    b.store(e.add_bytes(b.load(held[row, n]), four, taken[n]), held[row, n])
        for (row, n), total in held.items():
            target = b.add(b.mul(self.outputs, e.index(row)), at[n])
            scale = b.fmul(e.load(self.matrix, at[n], FLOATS), units[row])
            new = e.fma(b.sitofp(b.load(total), FLOATS), scale, e.load(self.sums, target, FLOATS))
            e.store(new, self.sums, target)


def _add_bytes(typing, x, stride, weights, inputs, outputs, sums, count, units, step, instructions):  # type: ignore[no-untyped-def]  # numba's protocol
    """``sums[n] += units[n * step] * (x[n * stride :][:inputs] - 128) @ matrix`` for n below ``count``."""
    size = types.intp
    signature = types.void(x, size, weights, size, size, sums, size, units, size, instructions)
    most_rows, vectors = _TILES[Instructions(instructions.literal_value)]

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]  # numba's protocol
        x, weights, sums, units = (
            context.make_array(signature.args[n])(context, builder, args[n]).data for n in (0, 2, 5, 7)
        )
        _, stride, _, inputs, outputs, _, count, _, step, _ = args
        emitter = Emitter(builder, instructions.literal_value, 0, 0, 0, 0)
        done, index = emitter.index(0), emitter.index
        for rows in sorted({most_rows, 1}, reverse=True):
            tiles = builder.udiv(builder.sub(count, done), index(rows))
            with cgutils.for_range(builder, tiles) as loop:
                at = builder.add(done, builder.mul(loop.index, index(rows)))
                own, target = (
                    builder.gep(array, [builder.mul(at, width)]) for array, width in ((x, stride), (sums, outputs))
                )
                places = [builder.mul(step, builder.add(at, index(row))) for row in range(rows)]
                splat = [emitter.splat(builder.load(builder.gep(units, [place]))) for place in places]
                _Product(own, stride, weights, inputs, outputs, target).write(emitter, splat, vectors)
            done = builder.add(done, builder.mul(tiles, index(rows)))
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return signature, generate


add_bytes: Any = intrinsic(prefer_literal=True)(_add_bytes)


@njit(fastmath={"contract", "nnan", "nsz"}, error_model="numpy", boundscheck=False)
def round_to_bytes(x, size, out):  # type: ignore[no-untyped-def]  # numba infers the types
    """Numbers as bytes; returns their unit, of which the largest number is 127."""
    largest = np.float32(0.0)
    for j in range(size):
        largest = max(largest, abs(x[j]))
    inverse = _LEVELS / largest if largest > 0 else np.float32(0.0)
    for j in range(size):
        out[j] = np.uint8(np.int32(x[j] * inverse + _TO_ZERO))
    return largest / _LEVELS


def products(x: Any, stride: int, weights: Any, inputs: int, outputs: int, sums: Any, count: int, like: Any) -> int:
    """``sums[n] += x[n * stride :][:inputs] @ matrix`` for n below ``count``; windows may overlap.

    Args:
        x: float32, or bytes in units that the matrix contains.
        stride: from one window to the next.
        weights: begin with the matrix: ``[inputs, outputs]``, or as words for bytes.
        inputs: a multiple of 4 for bytes.
        outputs: a multiple of 16 for bytes.
        sums: ``[count, outputs]``.
        count: of the windows.
        like: an array of bytes, to round each window to bytes, or of float32.

    Returns:
        The number of words of the matrix.
    """
    if like.dtype != np.uint8:
        add_to_each(x, stride, weights, inputs, outputs, sums, count)
        return inputs * outputs
    size = int8_words(inputs, outputs)
    matrix, scales, _ = unpack(Precision.INT8, weights[:size], inputs, outputs)
    for n in range(count):
        window, unit = x[n * stride : n * stride + inputs], np.float32(1)
        if x.dtype != np.uint8:
            rounded = np.empty(inputs, np.uint8)
            unit, window = round_to_bytes(window, inputs, rounded), rounded
        sums[n] += ((window.astype(np.float32) - ZERO) @ matrix) * (scales * unit)
    return size


def _of_floats(x, stride, weights, inputs, outputs, sums, count, like):  # type: ignore[no-untyped-def]  # numba's
    add_to_each(x, stride, weights, inputs, outputs, sums, count)
    return inputs * outputs


@overload(products, jit_options=_OPTIONS)
def _products(x, stride, weights, inputs, outputs, sums, count, like):  # type: ignore[no-untyped-def]  # numba's
    if like.dtype != types.uint8:
        return _of_floats
    instructions = int(best_instructions())

    def of_bytes(x, stride, weights, inputs, outputs, sums, count, like):  # type: ignore[no-untyped-def]  # numba's
        add_bytes(x, stride, weights, inputs, outputs, sums, count, _ONE, 0, instructions)
        return int8_words(inputs, outputs)

    def of_rounded(x, stride, weights, inputs, outputs, sums, count, like):  # type: ignore[no-untyped-def]  # numba's
        rounded, units = np.empty(count * inputs, np.uint8), np.empty(count, np.float32)
        for n in range(count):
            units[n] = round_to_bytes(x[n * stride :], inputs, rounded[n * inputs :])
        add_bytes(rounded, inputs, weights, inputs, outputs, sums, count, units, 1, instructions)
        return int8_words(inputs, outputs)

    return of_bytes if x.dtype == types.uint8 else of_rounded


class ByteMatrix:
    """A matrix ``[inputs, outputs]`` in int8, each output in a unit of its own; one that :meth:`takes` allows."""

    @staticmethod
    def takes(matrix: NDArray[np.float32]) -> bool:
        """Whether a matrix has inputs in groups of 4 and outputs in groups of 16."""
        return len(matrix) % 4 == 0 and len(matrix.T) % WIDTH == 0

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        self._inputs, self._outputs = matrix.shape
        self._words = pack(Precision.INT8, matrix, np.ones(self._inputs, np.float32))

    def product(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """``x [N, inputs] @ matrix``, each row rounded to 127 levels on either side: ``float32 [N, outputs]``."""
        sums = np.zeros((len(x), self._outputs), np.float32)
        rows = np.ascontiguousarray(x, np.float32).reshape(-1)
        _add_rounded(rows, self._inputs, self._words, self._outputs, sums)
        return sums


@njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)
def _add_rounded(x, inputs, words, outputs, sums):  # type: ignore[no-untyped-def]  # numba infers the types
    products(x, inputs, words, inputs, outputs, sums, len(sums), _BYTES)


def _gate_to_floats(a, b, gated, size):  # type: ignore[no-untyped-def]  # numba infers the types
    for j in range(size):
        gated[j] = tanh(a[j]) * (_HALF * tanh(_HALF * b[j]) + _HALF)


def _gate_to_bytes(a, b, gated, size):  # type: ignore[no-untyped-def]  # numba infers the types
    for j in range(size):
        value = tanh(a[j]) * (_HALF * tanh(_HALF * b[j]) + _HALF)
        gated[j] = np.uint8(np.int32(value * _LEVELS + _TO_ZERO))


def gate(a: Any, b: Any, gated: Any, size: int) -> None:
    """tanh(a) * sigmoid(b); in units of 1 / 127 if ``gated`` has bytes."""
    to: Any = _gate_to_bytes if gated.dtype == np.uint8 else _gate_to_floats
    to(a, b, gated, size)


@overload(gate, jit_options=_OPTIONS)
def _gate(a, b, gated, size):  # type: ignore[no-untyped-def]  # numba's protocol
    return _gate_to_bytes if gated.dtype == types.uint8 else _gate_to_floats
