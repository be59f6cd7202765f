"""A WaveNet as ONNX: the step of ancestral_models/networks/wavenet.py with few nodes, followed by the draw of the
symbol.

On a CPU every node of a step costs about half a microsecond, so there is one product for all past taps, one for all
skips, and residual biases are folded: z = W(h' + c) with c the sum of the biases below, a constant. Three graphs hold
the same step: ``step`` once, ``steps`` :data:`UNROLLED` times in a row (CUDA graphs allow no loops), ``chunk`` in a
Scan, as often as its inputs say.

inputs: ``symbol [B]``, the last one; ``position [B]``, the next one; ``lane [B]`` = 0 … B - 1; ``ring [B * rows, R]``,
each lane's ring buffers, row offset(layer) + t mod dilation holding the layer's input at t; ``biases [layers, N,
gate]``, V·h + b of N frames; ``log_min_p [B]``, ln of the share of the most likely symbol below which symbols are left
out, or -inf; ``frame [T, B]``, the frame of each lane and step; ``temperature [T, B]``, above 0; ``uniforms [T, B]``;
``forced [T, B]``, a symbol to take instead of the drawn one, or -1.
outputs: ``symbols [T, B]``, ``logits [T, B, 256]``, and ``next_symbol`` and ``next_ring`` for the next call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from onnx import TensorProto

from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.spec import SYMBOLS
from ancestral_training.export import Graph, WeightFile

UNROLLED = 8


class _Fixed(NamedTuple):
    """Values that are the same at every step."""

    starts: str
    """``[layers, B]``: the first row of each layer's ring buffer."""
    dilations: str
    """``[layers, 1]``."""
    offsets: str
    """``[layers, 1, R]``: what the residual biases below a layer add to its input."""
    shift: str
    """``[layers, 1, gate]``: what they add to its gates."""
    biases: str
    log_min_p: str
    """``[B, 1]``."""


class _Carried(NamedTuple):
    """Values that one step passes to the next."""

    symbol: str
    ring: str


def graphs(spec: WaveNetSpec, weights: WeightFile) -> list[Graph]:
    unrolled = [_unrolled(name, spec, weights, count) for name, count in (("step", 1), ("steps", UNROLLED))]
    return [*unrolled, chunk(spec, weights)]


def chunk(spec: WaveNetSpec, weights: WeightFile) -> Graph:
    """Sample as many steps as there are rows of ``uniforms``."""
    g = Graph("chunk", weights)
    carried, position, fixed, given = _inputs(g, spec, "T")
    body = Graph("body", weights, outer=g)
    inner = _Carried(body.input("symbol_in", "int64", "B"), body.input("ring_in", "float32", "rows", "R"))
    at = body.input("position_in", "int64", "B")
    row = [body.input(f"{name}_in", kind, "B") for name, kind in _GIVEN]
    after, logits = _step(body, spec, fixed, inner, at, row)
    body.output("symbol_out", after.symbol, "int64", "B")
    body.output("ring_out", after.ring, "float32", "rows", "R")
    body.output("position_out", body.op("Add", at, body.constant([1])), "int64", "B")
    body.output("symbol_made", after.symbol, "int64", "B")
    body.output("logits_made", logits, "float32", "B", SYMBOLS)
    symbol, ring, _, symbols, scores = g.ops(
        "Scan", 5, carried.symbol, carried.ring, position, *given, body=body.proto(), num_scan_inputs=len(given)
    )
    return _finished(g, spec, _Carried(symbol, ring), symbols, scores, "T")


_GIVEN = (("frame", "int64"), ("temperature", "float64"), ("uniforms", "float64"), ("forced", "int64"))
"""Inputs that have a row for every step."""


def _unrolled(name: str, spec: WaveNetSpec, weights: WeightFile, count: int) -> Graph:
    g = Graph(name, weights)
    carried, position, fixed, given = _inputs(g, spec, count)
    rows = [g.parts(value, count) for value in given]
    symbols, logits = [], []
    for t in range(count):
        at = g.op("Add", position, g.constant([t])) if t else position
        carried, scores = _step(g, spec, fixed, carried, at, [row[t] for row in rows])
        symbols.append(carried.symbol)
        logits.append(scores)
    return _finished(g, spec, carried, g.stacked(symbols), g.stacked(logits), count)


def _inputs(g: Graph, spec: WaveNetSpec, time: int | str) -> tuple[_Carried, str, _Fixed, list[str]]:
    layers, residual, gate = spec.layers, spec.residual_channels, spec.gate_channels
    symbol, position, lane = (g.input(name, "int64", "B") for name in ("symbol", "position", "lane"))
    ring = g.input("ring", "float32", "rows", residual)
    biases = g.input("biases", "float32", layers, "N", gate)
    log_min_p = g.op("Unsqueeze", g.input("log_min_p", "float64", "B"), g.constant([1]))
    given = [g.input(name, kind, time, "B") for name, kind in _GIVEN]
    dilations = np.array(spec.dilations)[:, None]
    begin = g.op("Mul", lane, g.constant([int(dilations.sum())]))
    below = np.zeros((1, residual), np.float32)
    offsets = g.op("Concat", g.constant(below), g.op("CumSum", g.weight("residual_bias"), g.constant(0)), axis=0)
    offsets = g.op("Unsqueeze", offsets, g.constant([1]))
    fixed = _Fixed(
        starts=g.op("Add", begin, g.constant(np.cumsum(dilations)[:, None] - dilations)),
        dilations=g.constant(dilations),
        offsets=offsets,
        shift=g.op("MatMul", offsets, g.weight("current")),
        biases=biases,
        log_min_p=log_min_p,
    )
    return _Carried(symbol, ring), position, fixed, given


def _step(
    g: Graph, spec: WaveNetSpec, fixed: _Fixed, before: _Carried, position: str, row: Sequence[str]
) -> tuple[_Carried, str]:
    """One step; ``row`` has the inputs of :data:`_GIVEN`."""
    frame, temperature, uniform, forced = row
    layers, residual, gate = spec.layers, spec.residual_channels, spec.gate_channels
    slots = g.op("Add", g.op("Mod", position, fixed.dilations), fixed.starts)
    past = g.op("MatMul", g.op("Gather", before.ring, slots, axis=0), g.weight("past"))
    biases = g.op("Add", g.op("Gather", fixed.biases, frame, axis=1), fixed.shift)
    z = g.op("Reshape", g.op("Add", past, biases), g.constant([-1, gate]))
    parts = g.ops("Split", layers, z, axis=0, num_outputs=layers) if layers > 1 else [z]
    h = g.op("Gather", g.weight("embedding"), before.symbol, axis=0)
    inputs, gated = [], []
    for layer, part in enumerate(parts):
        inputs.append(h)
        a, b = g.ops("Split", 2, g.op("Gemm", h, g.weight("current", layer), part), axis=1, num_outputs=2)
        gated.append(g.op("Mul", g.op("Tanh", a), g.op("Sigmoid", b)))
        if layer < layers - 1:
            h = g.op("Gemm", gated[layer], g.weight("residual", layer), h)
    seen = g.op("Reshape", g.op("Concat", *inputs, axis=0), g.constant([layers, -1, residual]))
    rows = g.op("Reshape", g.op("Add", seen, fixed.offsets), g.constant([-1, residual]))
    ring = g.op("ScatterND", before.ring, g.op("Reshape", slots, g.constant([-1, 1])), rows)
    skip = g.weight("skip", shape=(layers * spec.hidden_channels, spec.skip_channels))
    x = g.op("Gemm", g.op("Concat", *gated, axis=1), skip, g.weight("skip_bias"))
    x = g.op("Gemm", g.op("Relu", x), g.weight("head"), g.weight("head_bias"))
    logits = g.op("Gemm", g.op("Relu", x), g.weight("output"), g.weight("output_bias"))
    drawn = draw(g, logits, g.op("Unsqueeze", temperature, g.constant([1])), uniform, SYMBOLS, fixed.log_min_p)
    given = g.op("GreaterOrEqual", forced, g.constant([0]))
    return _Carried(g.op("Where", given, forced, drawn), ring), logits


def draw(g: Graph, logits: str, temperature: str, uniform: str, levels: int, log_min_p: str | None = None) -> str:
    """The first symbol whose cumulative probability exceeds the noise, in double precision.

    Args:
        g: the graph.
        logits: ``float32 [..., levels]``.
        temperature: ``float64 [..., 1]``, above 0.
        uniform: ``float64 [...]``.
        levels: how many symbols there are.
        log_min_p: ``float64 [..., 1]``: symbols are left out that are less likely than exp of it times the most likely
            one; none if absent or -inf.

    Returns:
        ``int64 [...]``.
    """
    exact = g.op("Div", g.op("Cast", logits, to=TensorProto.DOUBLE), temperature)
    if log_min_p is not None:
        least = g.op("Add", g.op("ReduceMax", exact, g.constant([-1]), keepdims=1), log_min_p)
        exact = g.op("Where", g.op("Less", exact, least), g.constant(np.array(-np.inf)), exact)
    cumulative = g.op("CumSum", g.op("Softmax", exact, axis=-1), g.constant(-1))
    below = g.op("LessOrEqual", cumulative, g.op("Unsqueeze", uniform, g.constant([-1])))
    count = g.op("ReduceSum", g.op("Cast", below, to=TensorProto.INT64), g.constant([-1]), keepdims=0)
    # The last sum may be rounded to a little less than 1.
    return g.op("Min", count, g.constant([levels - 1]))


def _finished(g: Graph, spec: WaveNetSpec, after: _Carried, symbols: str, logits: str, time: int | str) -> Graph:
    g.output("symbols", symbols, "int64", time, "B")
    g.output("logits", logits, "float32", time, "B", SYMBOLS)
    g.output("next_symbol", after.symbol, "int64", "B")
    g.output("next_ring", after.ring, "float32", "rows", spec.residual_channels)
    return g
