"""A PixelCNN as ONNX, one row at a time: the part that depends on the rows above, once; the row, as often as needed.

``above``: ``pixels [B, C * planes, first, W]``, the rows before as numbers from -1 to 1, zeros beyond the picture;
``features [n, B, F, reach, W]``, the layers' features of the rows before; ``condition [B, P, width]``, what V is
multiplied by, P = W where every pixel has its own, else 1; with ``coarse_inputs``, ``map [B, W, map_width]``, the
coarse pixels' map of this row. Its outputs are ``base [layers, B, gate, W]`` (the original network: ``begun
[B, features, W]`` and ``base [n, B, F, W]``) and, gated, ``made [n, B, F, W]``, the features of this row.

``beside``: a row of ``symbols [B, W, C]`` with the outputs of ``above``, ``uniforms [B, W, C]``, ``temperature [B]``,
above 0, ``guidance [B]``, and ``unconditional [B]``, the lane of the unconditional pass; guidance has no effect where
that is the lane itself. Its outputs are ``logits [B, W, C, levels]``, correct where the symbols before are; ``drawn [B,
W, C]``, the symbols that the guided logits and the noise give; and of the original network ``made``. A row that is
drawn again from itself is the row that sampling one symbol after the other gives: so it is found by iterating until
nothing changes (fixed-point iteration, Song et al. 2021, arXiv:2002.03629), and one call serves all of its symbols.

Weights that a mask forbids are multiplied by it in the graph, as they are in ancestral_models/networks/pixelcnn.py.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto

from ancestral_models.architectures.pixelcnn import PixelCNNSpec
from ancestral_models.categorical import GUIDED_MIN_P
from ancestral_models.spec import input_table
from ancestral_training.export import Graph, WeightFile
from ancestral_training.export.wavenet import draw


def graphs(spec: PixelCNNSpec, weights: WeightFile) -> list[Graph]:
    """All graphs of a checkpoint; in two scales, without the coarse pixels, which the native engine samples."""
    return [above(spec, weights), beside(spec, weights)]


def above(spec: PixelCNNSpec, weights: WeightFile) -> Graph:
    """What a row depends on of those before it."""
    g, first, count = Graph("above", weights), spec.first_kernel_size // 2, spec.layers - 1
    features = spec.features if spec.gated else spec.features // 2
    pixels = g.input("pixels", "float32", "B", spec.channels * spec.planes, first, spec.width)
    kept = g.input("features", "float32", count, "B", features, spec.kernel_size // 2, spec.width)
    condition = None
    if spec.conditioned:
        located = spec.conditioning == "location"
        given = g.input("condition", "float32", "B", spec.width if located else 1, spec.condition_width)
        condition = g.op("Transpose", given, perm=[0, 2, 1])
    build = _above_gated if spec.gated else _above_original
    build(g, spec, pixels, g.parts(kept, count), condition)
    return g


def beside(spec: PixelCNNSpec, weights: WeightFile) -> Graph:
    """A row, given the outputs of :func:`above`."""
    g, shape, outputs = Graph("beside", weights), (spec.width, spec.channels), spec.output_features
    size = spec.width * spec.channels
    symbols = g.input("symbols", "int64", "B", *shape)
    noise = g.op("Reshape", g.input("uniforms", "float64", "B", *shape), g.constant([-1, size]))
    temperature = g.op("Reshape", g.input("temperature", "float64", "B"), g.constant([-1, 1, 1]))
    planes = g.op("Gather", g.constant(input_table(spec)), symbols, axis=0)
    planes = g.op("Reshape", planes, g.constant([-1, spec.width, spec.channels * spec.planes]))
    row = g.op("Transpose", planes, perm=[0, 2, 1])
    seen, skip, inputs = (_beside_gated if spec.gated else _beside_original)(g, spec, row)
    x = g.op("Reshape", g.op("Transpose", seen, perm=[0, 2, 1]), g.constant([-1, inputs]))
    x = g.op("Relu", g.op("Gemm", x, skip, g.weight("skip_bias")))
    head = _before(g, spec, g.weight("head"), outputs, outputs)
    x = g.op("Relu", g.op("Gemm", x, head, g.weight("head_bias")))
    output = _before(g, spec, g.weight("output"), outputs, spec.channels * spec.levels)
    logits = g.op("Gemm", x, output, g.weight("output_bias"))
    guided = _guided(g, g.op("Reshape", logits, g.constant([-1, size, spec.levels])))
    drawn = draw(g, guided, temperature, noise, spec.levels)
    g.output("drawn", g.op("Reshape", drawn, g.constant([-1, *shape])), "int64", "B", *shape)
    logits = g.op("Reshape", logits, g.constant([-1, *shape, spec.levels]))
    g.output("logits", logits, "float32", "B", *shape, spec.levels)
    return g


def _guided(g: Graph, logits: str) -> str:
    """The logits of :func:`ancestral_models.categorical.guide`: ``[B, W * C, levels]``."""
    guidance = g.op("Reshape", g.input("guidance", "float32", "B"), g.constant([-1, 1, 1]))
    free = g.op("Gather", logits, g.input("unconditional", "int64", "B"), axis=0)
    least = g.op("Add", g.op("ReduceMax", logits, g.constant([-1])), g.constant(np.float32(math.log(GUIDED_MIN_P))))
    left_out = g.op("And", g.op("Greater", guidance, g.constant(np.float32(1.0))), g.op("Less", logits, least))
    guided = g.op("Add", free, g.op("Mul", guidance, g.op("Sub", logits, free)))
    return g.op("Where", left_out, g.constant(np.float32(-np.inf)), guided)


def _above_gated(g: Graph, spec: PixelCNNSpec, pixels: str, kept: list[str], condition: str | None) -> None:
    first, side, gate = spec.first_kernel_size // 2, spec.kernel_size // 2, 2 * spec.features
    bases: list[str] = []
    made: list[str] = []
    for layer in range(spec.layers):
        if layer == 0:
            z = g.op("Conv", pixels, g.weight("vertical_first"), pads=[0, first, 0, first])
        else:
            window = g.op("Concat", kept[layer - 1], g.op("Unsqueeze", made[-1], g.constant([2])), axis=2)
            z = g.op("Conv", window, g.weight("vertical", layer - 1), pads=[0, side, 0, side])
        z = g.op("Squeeze", z, g.constant([2]))
        if layer == 0 and spec.coarse_inputs:
            coarse_map = g.input("map", "float32", "B", spec.width, spec.map_width)
            z = g.op("Add", z, g.op("Transpose", coarse_map, perm=[0, 2, 1]))
        linked = g.op("MatMul", g.op("Transpose", g.weight("link", layer), perm=[1, 0]), z)
        bases.append(_biased(g, linked, "horizontal", layer, gate, condition))
        if layer < spec.layers - 1:
            made.append(_gate(g, _biased(g, z, "vertical", layer, gate, condition)))
    g.output("base", g.stacked(bases), "float32", spec.layers, "B", gate, spec.width)
    g.output("made", g.stacked(made), "float32", spec.layers - 1, "B", spec.features, spec.width)


def _beside_gated(g: Graph, spec: PixelCNNSpec, row: str) -> tuple[str, str, int]:
    """The inputs of the skips ``[B, inputs, W]``, their weights, and the number of inputs."""
    first, side, p = spec.first_kernel_size // 2, spec.kernel_size // 2, spec.features
    bases = g.parts(g.input("base", "float32", spec.layers, "B", 2 * p, spec.width), spec.layers)
    h, gated = row, []
    for layer, base in enumerate(bases):
        if layer == 0:
            inputs = spec.channels * spec.planes
            taps = g.weight("horizontal_first", shape=(2 * p, inputs, first + 1))
            taps = _masked_taps(g, spec, taps, inputs, 2 * p, first + 1, "A", halves=2)
        else:
            taps = g.weight("horizontal", layer - 1, (2 * p, p, side + 1))
            taps = _masked_taps(g, spec, taps, p, 2 * p, side + 1, "B", halves=2)
        z = g.op("Conv", h, taps, pads=[first if layer == 0 else side, 0])
        gated.append(_gate(g, g.op("Add", z, base)))
        if layer < spec.layers - 1:
            passed = _pointwise(g, spec, gated[-1], "residual", layer, p, p)
            h = passed if layer == 0 else g.op("Add", h, passed)
    skip = _before(g, spec, g.weight("skip"), p, spec.output_features)
    skip = g.op("Reshape", skip, g.constant([spec.layers * p, spec.output_features]))
    return g.op("Concat", *gated, axis=1), skip, spec.layers * p


def _above_original(g: Graph, spec: PixelCNNSpec, pixels: str, kept: list[str], condition: str | None) -> None:
    first, side, hidden = spec.first_kernel_size // 2, spec.kernel_size // 2, spec.features // 2
    taps = _rows(g, g.weight("first"), 0, first)
    x = g.op("Squeeze", g.op("Conv", pixels, taps, g.weight("first_bias"), pads=[0, first, 0, first]), g.constant([2]))
    g.output("begun", x, "float32", "B", spec.features, spec.width)
    bases = []
    for block, seen in enumerate(kept):
        taps = _rows(g, g.weight("masked", block), 0, side)
        z = g.op("Conv", seen, taps, g.weight("masked_bias", block), pads=[0, side, 0, side])
        z = g.op("Squeeze", z, g.constant([2]))
        if condition is not None:
            z = g.op("Add", z, _conditioned(g, "condition", block, condition))
        bases.append(z)
    g.output("base", g.stacked(bases), "float32", spec.layers - 1, "B", hidden, spec.width)


def _beside_original(g: Graph, spec: PixelCNNSpec, row: str) -> tuple[str, str, int]:
    first, side, features, hidden = (
        spec.first_kernel_size // 2, spec.kernel_size // 2, spec.features, spec.features // 2,
    )  # fmt: skip
    begun = g.input("begun", "float32", "B", features, spec.width)
    bases = g.parts(g.input("base", "float32", spec.layers - 1, "B", hidden, spec.width), spec.layers - 1)
    taps = _left(g, g.weight("first"), first)
    taps = _masked_taps(g, spec, taps, spec.channels * spec.planes, features, first + 1, "A")
    x, made = g.op("Add", g.op("Conv", row, taps, pads=[first, 0]), begun), []
    for block, base in enumerate(bases):
        reduced = _pointwise(g, spec, g.op("Relu", x), "reduce", block, features, hidden)
        made.append(g.op("Relu", reduced))
        taps = _masked_taps(g, spec, _left(g, g.weight("masked", block), side), hidden, hidden, side + 1, "B")
        z = g.op("Relu", g.op("Add", g.op("Conv", made[-1], taps, pads=[side, 0]), base))
        x = g.op("Add", x, _pointwise(g, spec, z, "expand", block, hidden, features))
    g.output("made", g.stacked(made), "float32", spec.layers - 1, "B", hidden, spec.width)
    skip = _before(g, spec, g.weight("skip", 0), features, spec.output_features)
    return g.op("Relu", x), skip, features


def _gate(g: Graph, z: str) -> str:
    a, b = g.ops("Split", 2, z, axis=1, num_outputs=2)
    return g.op("Mul", g.op("Tanh", a), g.op("Sigmoid", b))


def _biased(g: Graph, z: str, stack: str, layer: int, gate: int, condition: str | None) -> str:
    """z + b, z + b + V·h or z + b + V * s."""
    z = g.op("Add", z, g.weight(f"{stack}_bias", layer, (gate, 1)))
    return z if condition is None else g.op("Add", z, _conditioned(g, f"{stack}_condition", layer, condition))


def _conditioned(g: Graph, name: str, layer: int, condition: str) -> str:
    """V times ``condition [B, width, P]``: ``[B, outputs, P]``."""
    return g.op("MatMul", g.op("Transpose", g.weight(name, layer), perm=[1, 0]), condition)


def _pointwise(g: Graph, spec: PixelCNNSpec, x: str, name: str, layer: int, inputs: int, outputs: int) -> str:
    """``x [B, inputs, W]`` times a masked matrix, plus its bias."""
    matrix = g.op("Transpose", _before(g, spec, g.weight(name, layer), inputs, outputs), perm=[1, 0])
    return g.op("Conv", x, g.op("Unsqueeze", matrix, g.constant([2])), g.weight(f"{name}_bias", layer))


def _before(g: Graph, spec: PixelCNNSpec, weights: str, inputs: int, outputs: int) -> str:
    """Mask B on ``weights [..., inputs, outputs]``."""
    if spec.channels == 1:
        return weights
    return g.op("Mul", weights, _mask(g, spec, inputs, outputs, "B", 1))


def _masked_taps(
    g: Graph, spec: PixelCNNSpec, taps: str, inputs: int, outputs: int, count: int, kind: str, halves: int = 1
) -> str:
    """``taps [outputs, inputs, count]``, the last of which sees the pixel itself, through a mask."""
    if kind == "B" and spec.channels == 1:
        return taps
    here = g.op("Transpose", _mask(g, spec, inputs, outputs, kind, halves), perm=[1, 0])
    earlier = g.constant(np.arange(count, dtype=np.float32) < count - 1)
    free = g.op("Cast", earlier, to=TensorProto.FLOAT)
    return g.op("Mul", taps, g.op("Max", g.op("Unsqueeze", here, g.constant([2])), free))


def _mask(g: Graph, spec: PixelCNNSpec, inputs: int, outputs: int, kind: str, halves: int) -> str:
    """``[inputs, outputs]``: 1 where an output of one channel may see an input of another; outputs in halves."""
    source = np.arange(inputs) * spec.channels // inputs
    target = np.tile(np.arange(outputs // halves) * spec.channels // (outputs // halves), halves)
    seen = g.op("Less" if kind == "A" else "LessOrEqual", g.constant(source[:, None]), g.constant(target))
    return g.op("Cast", seen, to=TensorProto.FLOAT)


def _rows(g: Graph, taps: str, start: int, end: int) -> str:
    """Some rows of ``taps [outputs, inputs, rows, columns]``."""
    return g.op("Slice", taps, g.constant([start]), g.constant([end]), g.constant([2]))


def _left(g: Graph, taps: str, side: int) -> str:
    """The taps of the last row, number ``side``, up to the pixel itself: ``[outputs, inputs, side + 1]``."""
    row = g.op("Squeeze", _rows(g, taps, side, side + 1), g.constant([2]))
    return g.op("Slice", row, g.constant([0]), g.constant([side + 1]), g.constant([2]))
