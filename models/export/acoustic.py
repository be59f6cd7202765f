"""The acoustic model (models/networks/acoustic.py) as ONNX: its parts before and after the length regulator.

``encode``: ``phonemes [B, P]``, ``word_starts [B, P]``, ``speaker [B]`` and ``mask [B, P, 1]``, 0 in the padding,
to ``encoded [B, P, channels]`` and ``durations [B, P]``, the logarithm of each one's frames plus one.
``decode``: ``repeated [B, F, channels]``, ``positions [B, F, 3]``, ``speaker [B]`` and ``mask [B, F, 1]`` to ``frames
[B, F, outputs]``. Between them :class:`models.text.acoustic.AcousticModel` rounds durations and repeats the phonemes.
"""

from __future__ import annotations

import numpy as np

from models.architectures.acoustic import AcousticSpec
from models.export.graph import Graph, WeightFile


def graphs(spec: AcousticSpec, weights: WeightFile) -> list[Graph]:
    """All graphs of a checkpoint."""
    return [encode(spec, weights), decode(spec, weights)]


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


def decode(spec: AcousticSpec, weights: WeightFile) -> Graph:
    """Frames from the phonemes' vectors, each repeated for its frames."""
    g = Graph("decode", weights)
    x = g.input("repeated", "float32", "B", "F", spec.channels)
    positions = g.input("positions", "float32", "B", "F", spec.position_channels)
    speaker, mask = g.input("speaker", "int64", "B"), g.input("mask", "float32", "B", "F", 1)
    x = g.op("Add", x, g.op("MatMul", positions, g.weight("position")))
    x = g.op("Mul", g.op("Add", x, _speaker(g, speaker, "decoder")), mask)
    x = _blocks(g, spec, "decoder", spec.decoder_layers, spec.kernel_size, x, mask)
    frames = g.op("Add", g.op("MatMul", x, g.weight("frames_out")), g.weight("frames_bias"))
    g.output("frames", frames, "float32", "B", "F", spec.outputs)
    return g


def _speaker(g: Graph, speaker: str, stack: str) -> str:
    """``[B, 1, channels]``."""
    who = g.op("MatMul", g.op("Gather", g.weight("speaker"), speaker, axis=0), g.weight(f"{stack}_speaker"))
    return g.op("Unsqueeze", who, g.constant([1]))


def _blocks(g: Graph, spec: AcousticSpec, stack: str, count: int, kernel_size: int, x: str, mask: str) -> str:
    """x + (a * sigmoid(b)) W in each, where [a, b] is a convolution of the normalised x ``[B, T, channels]``."""
    reach = kernel_size // 2
    for number in range(count):
        name = f"{stack}.{number}"
        square = g.op("ReduceMean", g.op("Mul", x, x), g.constant([2]), keepdims=1)
        size = g.op("Sqrt", g.op("Add", square, g.constant(np.float32(1e-6))))
        normal = g.op("Mul", g.op("Mul", g.op("Div", x, size), g.weight(f"{name}.scale")), mask)
        taps = g.weight(f"{name}.taps", shape=(kernel_size, spec.channels, 2 * spec.channels))
        kernel, bias = g.op("Transpose", taps, perm=[2, 1, 0]), g.weight(f"{name}.taps_bias")
        z = g.op("Conv", g.op("Transpose", normal, perm=[0, 2, 1]), kernel, bias, pads=[reach, reach])
        a, b = g.ops("Split", 2, g.op("Transpose", z, perm=[0, 2, 1]), axis=2, num_outputs=2)
        out = g.op("MatMul", g.op("Mul", a, g.op("Sigmoid", b)), g.weight(f"{name}.out"))
        x = g.op("Mul", g.op("Add", x, g.op("Add", out, g.weight(f"{name}.out_bias"))), mask)
    return x
