"""A WaveNet as ONNX: the step of models/networks/wavenet.py with few nodes, followed by the draw of the symbol.

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

from typing import NamedTuple

import numpy as np
from onnx import TensorProto

from ancestral.models.architectures.acoustic import PITCH_CHANNELS, AcousticSpec
from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.spec import SYMBOLS
from ancestral.training.export import Graph, WeightFile

# The acoustic model (models/networks/acoustic.py) as ONNX: its parts before and after the length regulator.
#
# ``encode``: ``phonemes [B, P]``, ``word_starts [B, P]``, ``speaker [B]`` and ``mask [B, P, 1]``, 0 in the padding,
# to ``encoded [B, P, channels]`` and ``durations [B, P]``, the logarithm of each one's frames plus one.
# ``decode``: ``repeated [B, F, channels]``, ``positions [B, F, 3]``, ``speaker [B]`` and ``mask [B, F, 1]`` to ``frames
# [B, F, outputs]``. Between them models/text/acoustic.py rounds durations and repeats the phonemes.
#
# In a model that predicts F0 before the mels, ``pitch`` has these inputs of ``decode`` and gives ``pitch [B, F, 2]``,
# log-F0 and the logit of voicing. Further inputs of ``decode`` are ``pitch``, with voicing, and ``ripple [B, F,
# bands]`` (:func:`ancestral.models.audio.features.harmonic_ripple`), and its ``frames`` are the mels, ``[B, F,
# bands]``.


def acoustic_graphs(spec: AcousticSpec, weights: WeightFile) -> list[Graph]:
    pitch = [predict_pitch(spec, weights)] if spec.pitch_layers else []
    return [encode(spec, weights), *pitch, decode(spec, weights)]


def encode(spec: AcousticSpec, weights: WeightFile) -> Graph:
    """Phonemes in context, and their durations."""
    g = Graph("encode", weights)
    phonemes, starts = g.input("phonemes", "int64", "B", "P"), g.input("word_starts", "float32", "B", "P")
    speaker, mask = g.input("speaker", "int64", "B"), g.input("mask", "float32", "B", "P", 1)
    begins = g.op("MatMul", g.op("Unsqueeze", starts, g.constant([2])), g.weight("word_start"))
    x = g.op("Add", g.op("Gather", g.weight("phoneme"), phonemes, axis=0), begins)
    x = g.op("Mul", g.op("Add", x, _speaker(g, speaker, "encoder")), mask)
    x = d = _blocks(g, spec, "encoder", spec.encoder_layers, spec.kernel_size, x, mask)
    d = _blocks(g, spec, "duration", spec.duration_layers, spec.duration_kernel_size, d, mask)
    d = g.op("Add", g.op("MatMul", d, g.weight("duration_out")), g.weight("duration_bias"))
    g.output("encoded", x, "float32", "B", "P", spec.channels)
    g.output("durations", g.op("Squeeze", d, g.constant([2])), "float32", "B", "P")
    return g


def predict_pitch(spec: AcousticSpec, weights: WeightFile) -> Graph:
    """Log-F0 and voicing from the phonemes' vectors, each repeated for its frames."""
    g = Graph("pitch", weights)
    x, mask = _frames(g, spec, "pitch")
    x = g.op("Mul", x, mask)
    for number, dilation in enumerate(spec.pitch_dilations):
        x = _block(g, spec, f"pitch.{number}", spec.kernel_size, x, mask, dilation)
    pitch = g.op("Add", g.op("MatMul", x, g.weight("pitch_out")), g.weight("pitch_bias"))
    g.output("pitch", pitch, "float32", "B", "F", PITCH_CHANNELS)
    return g


def decode(spec: AcousticSpec, weights: WeightFile) -> Graph:
    """Frames from the phonemes' vectors, each repeated for its frames."""
    g = Graph("decode", weights)
    x, mask = _frames(g, spec, "decoder")
    ripple = None
    if spec.pitch_layers:
        pitch = g.input("pitch", "float32", "B", "F", PITCH_CHANNELS)
        ripple = g.input("ripple", "float32", "B", "F", spec.bands)
        x = g.op("Add", x, g.op("MatMul", pitch, g.weight("pitch_in")))
        x = g.op("Add", x, g.op("MatMul", ripple, g.weight("ripple_in")))
    x = _blocks(g, spec, "decoder", spec.decoder_layers, spec.kernel_size, g.op("Mul", x, mask), mask)
    frames = g.op("Add", g.op("MatMul", x, g.weight("frames_out")), g.weight("frames_bias"))
    if ripple is not None:
        depth = g.op("Add", g.op("MatMul", x, g.weight("ripple_out")), g.weight("ripple_bias"))
        frames = g.op("Add", frames, g.op("Mul", ripple, depth))
    g.output("frames", frames, "float32", "B", "F", spec.decoded)
    return g


def _frames(g: Graph, spec: AcousticSpec, stack: str) -> tuple[str, str]:
    """The inputs of a stack over frames: their sum ``[B, F, channels]``, and the mask."""
    x = g.input("repeated", "float32", "B", "F", spec.channels)
    positions = g.input("positions", "float32", "B", "F", spec.position_channels)
    speaker, mask = g.input("speaker", "int64", "B"), g.input("mask", "float32", "B", "F", 1)
    x = g.op("Add", x, g.op("MatMul", positions, g.weight("position")))
    return g.op("Add", x, _speaker(g, speaker, stack)), mask


def _speaker(g: Graph, speaker: str, stack: str) -> str:
    """``[B, 1, channels]``."""
    who = g.op("MatMul", g.op("Gather", g.weight("speaker"), speaker, axis=0), g.weight(f"{stack}_speaker"))
    return g.op("Unsqueeze", who, g.constant([1]))


def _blocks(g: Graph, spec: AcousticSpec, stack: str, count: int, kernel_size: int, x: str, mask: str) -> str:
    """Residual blocks of ``x [B, T, channels]``."""
    for number in range(count):
        x = _block(g, spec, f"{stack}.{number}", kernel_size, x, mask)
    return x


def _block(g: Graph, spec: AcousticSpec, name: str, kernel_size: int, x: str, mask: str, dilation: int = 1) -> str:
    """x + (a * sigmoid(b)) W, where [a, b] is a convolution of the normalised x."""
    reach = kernel_size // 2 * dilation
    square = g.op("ReduceMean", g.op("Mul", x, x), g.constant([2]), keepdims=1)
    size = g.op("Sqrt", g.op("Add", square, g.constant(np.float32(1e-6))))
    normal = g.op("Mul", g.op("Mul", g.op("Div", x, size), g.weight(f"{name}.scale")), mask)
    taps = g.weight(f"{name}.taps", shape=(kernel_size, spec.channels, 2 * spec.channels))
    kernel, bias = g.op("Transpose", taps, perm=[2, 1, 0]), g.weight(f"{name}.taps_bias")
    wide = {"dilations": [dilation]} if dilation > 1 else {}
    z = g.op("Conv", g.op("Transpose", normal, perm=[0, 2, 1]), kernel, bias, pads=[reach, reach], **wide)
    a, b = g.ops("Split", 2, g.op("Transpose", z, perm=[0, 2, 1]), axis=2, num_outputs=2)
    out = g.op("MatMul", g.op("Mul", a, g.op("Sigmoid", b)), g.weight(f"{name}.out"))
    return g.op("Mul", g.op("Add", x, g.op("Add", out, g.weight(f"{name}.out_bias"))), mask)


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
    return [step(spec, weights), steps(spec, weights), chunk(spec, weights)]


def step(spec: WaveNetSpec, weights: WeightFile) -> Graph:
    return _unrolled("step", spec, weights, 1)


def steps(spec: WaveNetSpec, weights: WeightFile) -> Graph:
    """:data:`UNROLLED` steps."""
    return _unrolled("steps", spec, weights, UNROLLED)


def chunk(spec: WaveNetSpec, weights: WeightFile) -> Graph:
    """Sample as many steps as there are rows of ``uniforms``."""
    g = Graph("chunk", weights)
    carried, position, fixed, given = _inputs(g, spec, "T")
    body = Graph("body", weights, outer=g)
    inner = _Carried(body.input("symbol_in", "int64", "B"), body.input("ring_in", "float32", "rows", "R"))
    at = body.input("position_in", "int64", "B")
    row = [body.input(f"{name}_in", kind, "B") for name, kind in _GIVEN]
    after, logits = _step(body, spec, fixed, inner, at, *row)
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
    rows = [_rows(g, value, count) for value in given]
    symbols, logits = [], []
    for t in range(count):
        at = g.op("Add", position, g.constant([t])) if t else position
        carried, scores = _step(g, spec, fixed, carried, at, *(row[t] for row in rows))
        symbols.append(carried.symbol)
        logits.append(scores)
    first = g.constant([0])
    made, scores = (
        g.op("Concat", *(g.op("Unsqueeze", value, first) for value in values), axis=0) for values in (symbols, logits)
    )
    return _finished(g, spec, carried, made, scores, count)


def _rows(g: Graph, value: str, count: int) -> list[str]:
    first = g.constant([0])
    parts = g.ops("Split", count, value, axis=0, num_outputs=count) if count > 1 else [value]
    return [g.op("Squeeze", part, first) for part in parts]


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
    g: Graph,
    spec: WaveNetSpec,
    fixed: _Fixed,
    before: _Carried,
    position: str,
    frame: str,
    temperature: str,
    uniform: str,
    forced: str,
) -> tuple[_Carried, str]:
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
