"""What this machine's arithmetic and memory allow: the fastest that a WaveNet's products could be done on one core.

A symbol costs every weight of the network one multiply-add, and one reading unless other streams share it. So many
symbols a second are possible as multiply-adds, or as readings, whichever is fewer, and a sampler that reached the
roofline would do everything else in no time. Both are measured on the spot: multiply-adds in registers, reading on an
array as large as the packed weights, which therefore comes from the same cache.
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

from models.architectures.wavenet import WaveNetSpec
from models.kernels.gemm import (
    FLOATS,
    INTS,
    WIDTH,
    Emitter,
    Precision,
    best_instructions,
)
from models.kernels.wavenet_layout import Layout, aligned
from models.spec import SYMBOLS

cgutils: Any = untyped
_CHAINS = 12
"""Independent sums, enough to keep every unit busy, few enough for the registers."""
_REPETITIONS = 15
_SECONDS = 0.03


def roofline(spec: WaveNetSpec, precision: Precision, batch: int) -> float:
    """Symbols per CPU-second, of all streams together, that no sampler of this network can exceed here.

    Args:
        spec: of the network.
        precision: of its weights.
        batch: streams that share each reading.
    """
    layout = Layout.of(spec, precision)
    weights = layout.condition_at - layout.layers_at
    by_arithmetic = multiply_adds_per_second(precision is Precision.INT8) / multiply_adds(spec)
    return min(by_arithmetic, batch * words_per_second(weights) / weights)


def multiply_adds(spec: WaveNetSpec) -> int:
    """Of one symbol, without conditioning, which is shared by all symbols of a frame."""
    residual, hidden, skip, head = spec.residual_channels, spec.hidden_channels, spec.skip_channels, spec.head_channels
    layer = 2 * residual * 2 * hidden + hidden * (residual + skip)
    return spec.layers * layer + skip * head + head * SYMBOLS


@cache
def multiply_adds_per_second(of_bytes: bool) -> float:
    """In registers, sixteen fused ones of floats at a time, or sixty-four of bytes."""
    each = (4 if of_bytes else 1) * WIDTH * _CHAINS
    way, kind = int(best_instructions()), int(of_bytes)

    def work(count: int) -> int:
        return _multiply_adds(count, kind, way)  # type: ignore[call-arg]  # numba fills in the rest

    compiled: Any = njit(work)
    return each * _fastest(compiled, 1000)


@cache
def words_per_second(size: int) -> float:
    """32-bit words read from an array of ``size``, again and again."""
    words = aligned(np.zeros(-(-size // (WIDTH * _CHAINS)) * WIDTH * _CHAINS, np.float32))

    def work(words: Any, count: int) -> int:
        total = 0
        for _ in range(count):
            total += _read(words)  # type: ignore[call-arg]  # numba fills in the rest
        return total

    compiled: Any = njit(work)
    return len(words) * _fastest(partial(compiled, words), 1)


def _fastest(work: Callable[[int], int], count: int) -> float:
    """Rounds of ``work`` a CPU-second in the best of several tries: what the machine can, not what it mostly does."""
    work(1)
    while (spent := _seconds(work, count)) < _SECONDS:
        count *= 2
    return count / min(spent, *(_seconds(work, count) for _ in range(_REPETITIONS)))


def _seconds(work: Callable[[int], int], count: int) -> float:
    start = time.thread_time()
    work(count)
    return time.thread_time() - start


def _sum_of(builder: Any, emitter: Emitter, sums: list[Any]) -> Any:
    """One number that depends on all sums, so that none is left out."""
    total = builder.load(sums[0])
    for other in sums[1:]:
        total = builder.add(total, builder.load(other))
    return builder.sext(emitter.call("llvm.vector.reduce.add.v16i32", ir.IntType(32), total), ir.IntType(64))


@intrinsic(prefer_literal=True)
def _multiply_adds(typing, count, of_bytes, instructions):  # type: ignore[no-untyped-def]  # numba's protocol
    """``count`` rounds of one multiply-add for each chain."""
    bytes_, way = of_bytes.literal_value, instructions.literal_value

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]  # numba's protocol
        emitter = Emitter(builder, way, 0, 0, 1)
        rounds = context.cast(builder, args[0], signature.args[0], types.intp)
        some = emitter.splat(builder.trunc(rounds, ir.IntType(32)))  # unknown to the compiler
        below_one = builder.fdiv(emitter.constant(1.0), builder.sitofp(some, FLOATS))
        sums = [cgutils.alloca_once_value(builder, ir.Constant(INTS, [n] * WIDTH)) for n in range(_CHAINS)]
        with cgutils.for_range(builder, rounds):
            for place in sums:
                if bytes_:
                    builder.store(emitter.add_bytes(builder.load(place), emitter.signed_bytes(some), some), place)
                else:
                    value = builder.bitcast(builder.load(place), FLOATS)
                    builder.store(builder.bitcast(emitter.fma(value, below_one, below_one), INTS), place)
        return _sum_of(builder, emitter, sums)

    return types.int64(count, of_bytes, instructions), generate


@intrinsic
def _read(typing, words):  # type: ignore[no-untyped-def]  # numba's protocol
    """Sum all words."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]  # numba's protocol
        emitter = Emitter(builder, 0, 0, 0, 1)
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
