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

from ancestral.models.kernels.categorical import draw, log_likelihood
from ancestral.models.kernels.gemm import Instructions, Precision, add_products
from ancestral.models.kernels.noise import uniform
from ancestral.models.kernels.sources import sources
from ancestral.models.kernels.wavenet_layout import Layout
from ancestral.models.portable import tanh
from ancestral.models.spec import SYMBOLS

POSITION, SYMBOL, FRAME = 0, 1, 2
"""Columns of ``marks``: the next position, the symbol before it, the frame of the current gate biases (-1: none)."""

_HALF = np.float32(0.5)
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


@njit(error_model="numpy", inline="always")
def _rectify(x, out, size):  # type: ignore[no-untyped-def]  # numba infers the types
    for j in range(size):
        out[j] = max(x[j], _ZERO)


@njit(error_model="numpy", inline="always")
def _copy(x, out, size):  # type: ignore[no-untyped-def]  # numba infers the types
    # Its callers pass views that begin at the right place: an index from a plain range is known not to be negative, and
    # only such loops are vectorised.
    for j in range(size):
        out[j] = x[j]


@cache
def sampler(layout: Layout, lanes: int, instructions: Instructions) -> Sampler:
    """The loop for a network's sizes and a number of lanes; its first call compiles it, or loads it from the cache."""
    ONE, EXACT, PRECISION, INSTRUCTIONS = 1, int(Precision.FP32), int(layout.precision), int(instructions)
    LANES, LAYERS, CYCLE = lanes, layout.layers, layout.cycle
    RESIDUAL, GATE, HIDDEN, SKIP = layout.residual, layout.gate, layout.gate // 2, layout.skip
    HEAD, WIDTH, SOURCES = layout.head, layout.condition, sources()
    FLOW = RESIDUAL + SKIP
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
                    _copy(weights[CONDITION_AT:], biases[lane], LAYERS * GATE)
                    for layer in range(LAYERS):
                        matrix = CONDITION_AT + LAYERS * GATE + layer * WIDTH * GATE
                        z_of = frame_biases[layer : layer + 1]
                        add_products(h, weights, matrix, WIDTH, GATE, z_of, ONE, EXACT, INSTRUCTIONS)
                    marks[lane, FRAME] = frame
                _copy(weights[marks[lane, SYMBOL] * RESIDUAL :], flow[lane], RESIDUAL)
                _copy(weights[SYMBOLS * RESIDUAL :], flow[lane, RESIDUAL:], SKIP)
            ring = 0
            for layer in range(LAYERS):
                at, dilation = LAYERS_AT + layer * LAYER_SIZE, 1 << (layer % CYCLE)
                for lane in range(LANES):
                    row = ring + (marks[lane, POSITION] & (dilation - 1)) * RESIDUAL
                    _copy(rings[lane, row:], taps[lane], RESIDUAL)
                    _copy(flow[lane], taps[lane, RESIDUAL:], RESIDUAL)
                    _copy(flow[lane], rings[lane, row:], RESIDUAL)
                    _copy(biases[lane, layer * GATE :], z[lane], GATE)
                ring += dilation * RESIDUAL
                add_products(taps, weights, at, TAPS, GATE, z, LANES, PRECISION, INSTRUCTIONS)
                for lane in range(LANES):
                    _gate(z[lane], gated[lane], HIDDEN)
                    for j in range(RESIDUAL):
                        flow[lane, j] += weights[at + TAPS_SIZE + j]
                onward = at + TAPS_SIZE + RESIDUAL
                add_products(gated, weights, onward, HIDDEN, FLOW, flow, LANES, PRECISION, INSTRUCTIONS)
            for lane in range(LANES):
                _rectify(flow[lane, RESIDUAL:], skips[lane], SKIP)
                _copy(weights[HEAD_AT:], hidden[lane], HEAD)
            add_products(skips, weights, HEAD_AT + HEAD, SKIP, HEAD, hidden, LANES, PRECISION, INSTRUCTIONS)
            for lane in range(LANES):
                _rectify(hidden[lane], hidden[lane], HEAD)
                _copy(weights[OUTPUT_AT:], logits[lane], SYMBOLS)
            add_products(hidden, weights, OUTPUT_AT + SYMBOLS, HEAD, SYMBOLS, logits, LANES, PRECISION, INSTRUCTIONS)
            for lane in range(LANES):
                if scores:
                    symbol = np.int64(symbols[lane, t])
                    likelihoods[lane, t] = log_likelihood(logits[lane], symbol, cumulative)
                else:
                    u = uniform(seeds[lane], marks[lane, POSITION])
                    temperature = temperatures[lane, marks[lane, FRAME] - first[lane]]
                    symbol = np.int64(draw(logits[lane], temperature, min_ps[lane], u, cumulative))
                    symbols[lane, t] = symbol
                marks[lane, SYMBOL] = symbol
                marks[lane, POSITION] += 1

    compiled: Sampler = loop
    return compiled
