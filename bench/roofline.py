"""The roofline of WaveNet sampling: the highest rate that arithmetic and memory of one core of this machine allow.

A symbol needs one multiply-add per weight, and one read of every weight, which the streams of a batch share. The
roofline is the smaller of the two rates that follow; a sampler would reach it if everything else took no time. Both are
measured here: multiply-adds in registers, and reads of an array as large as the packed weights, which therefore comes
from the same cache level.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils as untyped
from numba.extending import intrinsic

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.kernels.gemm import Emitter, Precision, best_instructions
from ancestral.models.kernels.vectors import FLOATS, INTS, WIDTH, Builder
from ancestral.models.kernels.wavenet_layout import Layout, aligned
from ancestral.models.spec import SYMBOLS

cgutils: Any = untyped
_CHAINS = 12
"""Independent sums: enough to keep all execution units busy, few enough for the registers."""
_REPETITIONS = 15
_SECONDS = 0.03


def roofline(spec: WaveNetSpec, precision: Precision, batch: int) -> float:
    """Upper bound of symbols per CPU-second, all streams together, on this machine.

    Args:
        spec: the network.
        precision: of its weights.
        batch: number of streams that share each read.
    """
    layout = Layout.of(spec, precision)
    weights = layout.condition_at - layout.layers_at
    by_arithmetic = multiply_adds_per_second(precision is Precision.INT8) / multiply_adds(spec)
    return min(by_arithmetic, batch * words_per_second(weights) / weights)


def multiply_adds(spec: WaveNetSpec) -> int:
    """Multiply-adds per symbol, without conditioning, which all symbols of a frame share."""
    residual, hidden, skip, head = spec.residual_channels, spec.hidden_channels, spec.skip_channels, spec.head_channels
    layer = 2 * residual * 2 * hidden + hidden * (residual + skip)
    return spec.layers * layer + skip * head + head * SYMBOLS


@cache
def multiply_adds_per_second(of_bytes: bool) -> float:
    """Rate of multiply-adds in registers, sixteen floats or sixty-four bytes per instruction."""
    each = (4 if of_bytes else 1) * WIDTH * _CHAINS
    way, kind = int(best_instructions()), int(of_bytes)

    def work(count: int) -> int:
        return _multiply_adds(count, kind, way)  # type: ignore[call-arg]  # numba fills in the rest

    compiled: Any = njit(work)
    return each * _fastest(compiled, 1000)


@cache
def words_per_second(size: int) -> float:
    """Rate of reading 32-bit words from an array of ``size`` words repeatedly."""
    words = aligned(np.zeros(-(-size // (WIDTH * _CHAINS)) * WIDTH * _CHAINS, np.float32))

    def work(words: Any, count: int) -> int:
        total = 0
        for _ in range(count):
            total += _read(words)  # type: ignore[call-arg]  # numba fills in the rest
        return total

    compiled: Any = njit(work)
    return len(words) * _fastest(partial(compiled, words), 1)


def _fastest(work: Callable[[int], int], count: int) -> float:
    """Rounds of ``work`` per CPU-second, the best of several measurements."""
    work(1)
    while (spent := _seconds(work, count)) < _SECONDS:
        count *= 2
    return count / min(spent, *(_seconds(work, count) for _ in range(_REPETITIONS)))


def _seconds(work: Callable[[int], int], count: int) -> float:
    start = time.thread_time()
    work(count)
    return time.thread_time() - start


def _sum_of(builder: Any, emitter: Builder, sums: list[Any]) -> Any:
    """One number that depends on all sums, so that the compiler removes none."""
    total = builder.load(sums[0])
    for other in sums[1:]:
        total = builder.add(total, builder.load(other))
    return builder.sext(emitter.call("llvm.vector.reduce.add.v16i32", ir.IntType(32), total), ir.IntType(64))


@intrinsic(prefer_literal=True)
def _multiply_adds(typing, count, of_bytes, instructions):  # type: ignore[no-untyped-def]  # numba's protocol
    """Do ``count`` rounds of one multiply-add per chain."""
    bytes_, way = of_bytes.literal_value, instructions.literal_value

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]  # numba's protocol
        emitter = Emitter(builder, way, 0, 0, 0, 1)
        rounds = context.cast(builder, args[0], signature.args[0], types.intp)
        some = emitter.splat(builder.trunc(rounds, ir.IntType(32)))  # unknown to the compiler
        below_one = builder.fdiv(emitter.constant(1.0), builder.sitofp(some, FLOATS))
        quads = emitter.bytes_of(some, signed=True)
        sums = [cgutils.alloca_once_value(builder, ir.Constant(INTS, [n] * WIDTH)) for n in range(_CHAINS)]
        with cgutils.for_range(builder, rounds):
            for place in sums:
                if bytes_:
                    builder.store(emitter.add_bytes(builder.load(place), quads, quads), place)
                else:
                    value = builder.bitcast(builder.load(place), FLOATS)
                    builder.store(builder.bitcast(emitter.fma(value, below_one, below_one), INTS), place)
        return _sum_of(builder, emitter, sums)

    return types.int64(count, of_bytes, instructions), generate


@intrinsic
def _read(typing, words):  # type: ignore[no-untyped-def]  # numba's protocol
    """Sum all words."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]  # numba's protocol
        emitter = Builder(builder)
        array = context.make_array(signature.args[0])(context, builder, args[0])
        sums = [cgutils.alloca_once_value(builder, ir.Constant(INTS, [0] * WIDTH)) for _ in range(_CHAINS)]
        steps = builder.udiv(array.nitems, emitter.index(WIDTH * _CHAINS))
        with cgutils.for_range(builder, steps) as loop:
            start = builder.mul(loop.index, emitter.index(WIDTH * _CHAINS))
            for n, place in enumerate(sums):
                word = emitter.load(array.data, builder.add(start, emitter.index(n * WIDTH)), INTS)
                builder.store(builder.add(builder.load(place), word), place)
        return _sum_of(builder, emitter, sums)

    return types.int64(words), generate
