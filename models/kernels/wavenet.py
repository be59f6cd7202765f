"""One compiled loop that samples or scores a WaveNet with cached activations (Fast WaveNet, Le Paine et al. 2016).

The sizes of the network are free variables of the loop, constants when it is compiled: loops of known length are a
third faster. They are integers, because the key of numba's cache on disk is the pickle of a loop's free variables: with
a function among them, the key would differ in every process, and each would compile instead of loading the loop.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ancestral.models.kernels.block_draw import block_draw
from ancestral.models.kernels.categorical import draw, log_likelihood
from ancestral.models.kernels.gemm import Instructions, Precision, add_first_products, add_products
from ancestral.models.kernels.noise import uniform
from ancestral.models.kernels.sources import sources
from ancestral.models.kernels.vectors import add, copy, rectify
from ancestral.models.kernels.wavenet_layout import Layout
from ancestral.models.portable import tanh
from ancestral.models.spec import SYMBOLS

POSITION, SYMBOL, FRAME = 0, 1, 2
"""Columns of ``marks``: the next position, the symbol before it, the frame of the current gate biases (-1: none)."""

_LIMIT = np.float32(3.3)
# The minimax polynomial of tanh between 0 and the limit.
_T0, _T1, _T2, _T3, _T4, _T5, _T6 = (
    np.float32(c)
    for c in (
        9.92762436e-1, -2.98945499e-1, 8.25602554e-2, -1.51958551e-2, 1.67422878e-3, -9.88169124e-5, 2.39070482e-6,
    )
)  # fmt: skip
_HALF = np.float32(0.5)
_LOG2_E = 1.4426950408889634
_ZERO = np.float32(0.0)


class Sampler(Protocol):
    """A compiled loop for a fixed number of lanes, each lane a stream at its own position."""

    def __call__(
        self,
        weights: NDArray[np.float32],
        rings: NDArray[np.float32],
        biases: NDArray[np.float32],
        marks: NDArray[np.int64],
        conditions: NDArray[np.float32],
        hop: int,
        seeds: NDArray[np.int64],
        temperatures: NDArray[np.float64],
        min_ps: NDArray[np.float64],
        symbols: NDArray[np.uint8],
        likelihoods: NDArray[np.float64],
    ) -> None:
        """Advance every lane by as many positions as ``symbols`` has columns.

        Args:
            weights: as :meth:`Layout.pack` lays them.
            rings: ``[lanes, ring]``, in and out: the ring buffers of every layer.
            biases: ``[lanes, layers * gate]``, in and out: the gate biases of the frame in ``marks``.
            marks: ``[lanes, 3]``, in and out.
            conditions: ``[lanes, frames, condition]``: h of the frames that the call passes, beginning with the one
                that the lane's position lies in.
            hop: samples a frame.
            seeds: ``[lanes]``.
            temperatures: ``[lanes, frames]``, of the same frames as ``conditions``.
            min_ps: ``[lanes]``.
            symbols: ``[lanes, positions]``: written when sampling, read when scoring.
            likelihoods: ``[lanes, positions]`` to score, ``[lanes, 0]`` to sample: ln p of every symbol, written.
        """


@njit(fastmath={"contract"}, error_model="numpy", inline="always")
def _gate(z, gated, half):  # type: ignore[no-untyped-def]  # numba infers the types
    """tanh(a) * sigmoid(b) with [a, b] = z."""
    for j in range(half):
        gated[j] = tanh(z[j]) * (_HALF * tanh(_HALF * z[half + j]) + _HALF)


@njit(fastmath={"contract"}, error_model="numpy", inline="always")
def _coarse_tanh(x):  # type: ignore[no-untyped-def]  # numba infers the types
    """tanh within 0.0014, a sixth of the unit in which int8 gates are rounded, without a division."""
    x = min(max(x, -_LIMIT), _LIMIT)
    y = x * x
    return x * ((((((_T6 * y + _T5) * y + _T4) * y + _T3) * y + _T2) * y + _T1) * y + _T0)


@njit(fastmath={"contract"}, error_model="numpy", inline="always")
def _coarse_gate(z, gated, half):  # type: ignore[no-untyped-def]  # numba infers the types
    """:func:`_gate` for int8."""
    for j in range(half):
        gated[j] = _coarse_tanh(z[j]) * (_HALF * _coarse_tanh(_HALF * z[half + j]) + _HALF)


@cache
def sampler(layout: Layout, lanes: int, instructions: Instructions) -> Sampler:
    """The loop for a network's sizes and a number of lanes; its first call compiles it, or loads it from the cache."""
    ONE, EXACT, PRECISION, INSTRUCTIONS = 1, int(Precision.FP32), int(layout.precision), int(instructions)
    LANES, LAYERS, CYCLE = lanes, layout.layers, layout.cycle
    RESIDUAL, GATE, HIDDEN, SKIP = layout.residual, layout.gate, layout.gate // 2, layout.skip
    HEAD, WIDTH, RING, SOURCES = layout.head, layout.condition, layout.ring, sources()
    FLOW, COARSE = RESIDUAL + SKIP, layout.precision is Precision.INT8
    TAPS, LAYERS_AT, LAYER_SIZE, TAPS_SIZE = 2 * RESIDUAL, layout.layers_at, layout.layer_size, layout.taps_size
    HEAD_AT, OUTPUT_AT, CONDITION_AT = layout.head_at, layout.output_at, layout.condition_at

    @njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy", boundscheck=False)
    def loop(weights, rings, biases, marks, conditions, hop, seeds, temperatures, min_ps, symbols, likelihoods):  # type: ignore[no-untyped-def]  # numba infers the types
        _ = SOURCES  # a free variable, so that the key of the cache changes with the files
        taps, z = np.empty((LANES, 2 * RESIDUAL), np.float32), np.empty((LANES, GATE), np.float32)
        # The residual path and the sum of the skips are adjacent: one product adds to both.
        gated, flow = np.empty((LANES, HIDDEN), np.float32), np.empty((LANES, FLOW), np.float32)
        skips, hidden = np.empty((LANES, SKIP), np.float32), np.empty((LANES, HEAD), np.float32)
        logits, cumulative = np.empty((LANES, SYMBOLS), np.float32), np.empty(SYMBOLS, np.float64)
        first = marks[:, POSITION] // hop
        scores = likelihoods.shape[1] > 0
        for t in range(symbols.shape[1]):
            for lane in range(LANES):
                frame = marks[lane, POSITION] // hop
                if frame != marks[lane, FRAME]:
                    h, frame_biases = (
                        conditions[lane : lane + 1, frame - first[lane]],
                        biases[lane].reshape(LAYERS, GATE),
                    )
                    biases[lane] = weights[CONDITION_AT : CONDITION_AT + LAYERS * GATE]
                    for layer in range(LAYERS):
                        matrix = CONDITION_AT + LAYERS * GATE + layer * WIDTH * GATE
                        z_of = frame_biases[layer : layer + 1]
                        add_products(h, weights, matrix, WIDTH, GATE, z_of, ONE, EXACT, INSTRUCTIONS)
                    marks[lane, FRAME] = frame
                copy(weights, marks[lane, SYMBOL] * RESIDUAL, flow, lane * FLOW, RESIDUAL)
                copy(weights, SYMBOLS * RESIDUAL, flow, lane * FLOW + RESIDUAL, SKIP)
            ring = 0
            for layer in range(LAYERS):
                at, dilation = LAYERS_AT + layer * LAYER_SIZE, 1 << (layer % CYCLE)
                for lane in range(LANES):
                    row = lane * RING + ring + (marks[lane, POSITION] & (dilation - 1)) * RESIDUAL
                    copy(rings, row, taps, lane * TAPS, RESIDUAL)
                    copy(flow, lane * FLOW, taps, lane * TAPS + RESIDUAL, RESIDUAL)
                    copy(flow, lane * FLOW, rings, row, RESIDUAL)
                    copy(biases, (lane * LAYERS + layer) * GATE, z, lane * GATE, GATE)
                ring += dilation * RESIDUAL
                add_products(taps, weights, at, TAPS, GATE, z, LANES, PRECISION, INSTRUCTIONS)
                for lane in range(LANES):
                    if COARSE:
                        _coarse_gate(z[lane], gated[lane], HIDDEN)
                    else:
                        _gate(z[lane], gated[lane], HIDDEN)
                    add(weights, at + TAPS_SIZE, flow, lane * FLOW, RESIDUAL)
                onward = at + TAPS_SIZE + RESIDUAL
                add_products(gated, weights, onward, HIDDEN, FLOW, flow, LANES, PRECISION, INSTRUCTIONS)
            for lane in range(LANES):
                rectify(flow, lane * FLOW + RESIDUAL, skips, lane * SKIP, SKIP)
                copy(weights, HEAD_AT, hidden, lane * HEAD, HEAD)
            add_products(skips, weights, HEAD_AT + HEAD, SKIP, HEAD, hidden, LANES, PRECISION, INSTRUCTIONS)
            for lane in range(LANES):
                rectify(hidden, lane * HEAD, hidden, lane * HEAD, HEAD)
                copy(weights, OUTPUT_AT, logits, lane * SYMBOLS, SYMBOLS)
            add_products(hidden, weights, OUTPUT_AT + SYMBOLS, HEAD, SYMBOLS, logits, LANES, PRECISION, INSTRUCTIONS)
            for lane in range(LANES):
                if scores:
                    symbol = np.int64(symbols[lane, t])
                    likelihoods[lane, t] = log_likelihood(logits[lane], symbol, cumulative)
                else:
                    u = uniform(seeds[lane], marks[lane, POSITION])
                    temperature = temperatures[lane, marks[lane, FRAME] - first[lane]]
                    if COARSE and temperature > 0.0:
                        factor = np.float32(_LOG2_E / temperature)
                        symbol = block_draw(logits, lane, factor, np.float32(min_ps[lane]), np.float32(u))
                    else:
                        symbol = np.int64(draw(logits[lane], temperature, min_ps[lane], u, cumulative))
                    symbols[lane, t] = symbol
                marks[lane, SYMBOL] = symbol
                marks[lane, POSITION] += 1

    compiled: Sampler = loop
    return compiled


class Rebuilder(Protocol):
    """A compiled loop that brings the ring buffers of one stream to where its symbols lead."""

    def __call__(
        self,
        weights: NDArray[np.float32],
        ring: NDArray[np.float32],
        position: int,
        conditions: NDArray[np.float32],
        hop: int,
        symbols: NDArray[np.uint8],
    ) -> None:
        """Go over the layers one after another, each at all positions that later ones need.

        Args:
            weights: as :meth:`Layout.pack` lays them.
            ring: ``[ring]``, zeros; written. Right if the first position is 0, or if there are as many positions as
                the network sees.
            position: the first.
            conditions: ``[frames, condition]``: h of the frames that the positions lie in.
            hop: samples a frame.
            symbols: ``[positions]``: the one before each.
        """


@cache
def rebuilder(layout: Layout, instructions: Instructions) -> Rebuilder:
    """The loop for a network's sizes. Several positions share a pass over a layer's weights; each has the bits that
    :func:`sampler` gives it, and neither skips nor the head are needed."""
    ONE, EXACT, PRECISION, INSTRUCTIONS = 1, int(Precision.FP32), int(layout.precision), int(instructions)
    ROWS, LAYERS, CYCLE = 4, layout.layers, layout.cycle
    RESIDUAL, GATE, HIDDEN, FLOW = layout.residual, layout.gate, layout.gate // 2, layout.residual + layout.skip
    TAPS, LAYERS_AT, LAYER_SIZE, TAPS_SIZE = 2 * RESIDUAL, layout.layers_at, layout.layer_size, layout.taps_size
    WIDTH, CONDITION_AT, SOURCES = layout.condition, layout.condition_at, sources()
    SEEN, COARSE = sum(1 << (layer % CYCLE) for layer in range(LAYERS)), layout.precision is Precision.INT8

    @njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy", boundscheck=False)
    def loop(weights, ring, position, conditions, hop, symbols):  # type: ignore[no-untyped-def]  # numba infers the types
        _ = SOURCES  # see sampler
        count = len(symbols)
        # Rows after the last position fill the last pass; nothing reads what comes of them.
        flow, onward = np.zeros((2, count + ROWS, RESIDUAL), np.float32)
        taps, z = np.empty((ROWS, TAPS), np.float32), np.empty((ROWS, GATE), np.float32)
        gated, bias = np.empty((ROWS, HIDDEN), np.float32), np.empty((1, GATE), np.float32)
        for t in range(count):
            copy(weights, np.int64(symbols[t]) * RESIDUAL, flow, t * RESIDUAL, RESIDUAL)
        first, behind, at_ring = position // hop, SEEN, 0
        for layer in range(LAYERS):
            at, dilation = LAYERS_AT + layer * LAYER_SIZE, 1 << (layer % CYCLE)
            matrix = CONDITION_AT + LAYERS * GATE + layer * WIDTH * GATE
            for t in range(max(0, count - dilation), count):
                copy(flow, t * RESIDUAL, ring, at_ring + ((position + t) & (dilation - 1)) * RESIDUAL, RESIDUAL)
            at_ring += dilation * RESIDUAL
            behind -= dilation
            begin, frame = max(0, count - behind), -1
            for start in range(begin, count if layer + 1 < LAYERS else 0, ROWS):
                for row in range(ROWS):
                    t = start + row
                    now = min((position + t) // hop - first, len(conditions) - 1)
                    if now != frame:
                        frame = now
                        copy(weights, CONDITION_AT + layer * GATE, bias, 0, GATE)
                        h = conditions[frame : frame + 1]
                        add_products(h, weights, matrix, WIDTH, GATE, bias, ONE, EXACT, INSTRUCTIONS)
                    if t < dilation:  # before the first position
                        taps[row, :RESIDUAL] = _ZERO
                    else:
                        copy(flow, (t - dilation) * RESIDUAL, taps, row * TAPS, RESIDUAL)
                    copy(flow, t * RESIDUAL, taps, row * TAPS + RESIDUAL, RESIDUAL)
                    copy(bias, 0, z, row * GATE, GATE)
                add_products(taps, weights, at, TAPS, GATE, z, ROWS, PRECISION, INSTRUCTIONS)
                for row in range(ROWS):
                    if COARSE:
                        _coarse_gate(z[row], gated[row], HIDDEN)
                    else:
                        _gate(z[row], gated[row], HIDDEN)
                    copy(flow, (start + row) * RESIDUAL, onward, (start + row) * RESIDUAL, RESIDUAL)
                    add(weights, at + TAPS_SIZE, onward, (start + row) * RESIDUAL, RESIDUAL)
                to, sums = at + TAPS_SIZE + RESIDUAL, onward[start:]
                add_first_products(gated, weights, to, HIDDEN, FLOW, RESIDUAL, sums, ROWS, PRECISION, INSTRUCTIONS)
            flow, onward = onward, flow

    compiled: Rebuilder = loop
    return compiled
