"""The acoustic model (models/networks/acoustic.py) as ONNX: its parts before and after the length regulator.

``encode``: ``phonemes [B, P]``, ``word_starts [B, P]``, ``speaker [B]`` and ``mask [B, P, 1]``, 0 in the padding,
to ``encoded [B, P, channels]`` and ``durations [B, P]``, the logarithm of each one's frames plus one.
``decode``: ``repeated [B, F, channels]``, ``positions [B, F, 3]``, ``speaker [B]`` and ``mask [B, F, 1]`` to ``frames
[B, F, outputs]``. Between them models/text/acoustic.py rounds durations and repeats the phonemes.

In a model that predicts F0 before the mels, ``pitch`` has these inputs of ``decode`` and gives ``pitch [B, F, 2]``,
log-F0 and the logit of voicing. Further inputs of ``decode`` are ``pitch``, with voicing, and ``ripple [B, F, bands]``
(:func:`ancestral.models.audio.features.harmonic_ripple`), and its ``frames`` are the mels, ``[B, F, bands]``.
"""

from __future__ import annotations

import numpy as np

from ancestral.models.architectures.acoustic import PITCH_CHANNELS, AcousticSpec
from ancestral.training.export.graph import Graph, WeightFile


def graphs(spec: AcousticSpec, weights: WeightFile) -> list[Graph]:
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
