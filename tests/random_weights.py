"""WaveNets of random weights that sample symbols of about the entropy of speech: for the tests and the benchmarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ancestral_models.architectures import tensor_table
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.checkpoint import Checkpoint, Tensors
from ancestral_models.engines.speech.native import int8_ranges, largest
from ancestral_models.spec import SYMBOLS
from ancestral_models.tensors import shapes

_GAINS = {"residual": 0.5, "skip": 2.0, "head": 2.0, "output": 2.5}


def lively_checkpoint(spec: WaveNetSpec, seed: int = 0) -> Checkpoint:
    """Random weights whose symbols have about the entropy of speech, 4 bits each."""
    noise, tensors = np.random.default_rng(seed), {}
    for name, shape in shapes(tensor_table(spec)).items():
        if name.endswith("bias"):
            scale = 0.1
        elif name in ("embedding", "conditioner.speaker"):
            scale = 1.0
        else:
            inputs = shape[0] * shape[1] if name == "skip" else shape[-2]
            scale = _GAINS.get(name, 1.0) / float(inputs) ** 0.5
        tensors[name] = (noise.standard_normal(shape) * scale).astype(np.float32)
    return Checkpoint(with_ranges(spec, tensors), tensors, "0" * 64, Path("random"), "")


def with_ranges(spec: WaveNetSpec, tensors: Tensors) -> WaveNetSpec:
    """The spec of random weights with their ranges for int8, from random sound."""
    noise = np.random.default_rng(3)
    symbols = noise.integers(0, SYMBOLS, 2000, np.uint8)
    rows = -(-len(symbols) // spec.local_hop)
    frames = noise.standard_normal((rows, spec.local_channels), np.float32) if spec.local_channels else None
    ranges = int8_ranges(spec, tensors, symbols, frames, 0 if spec.speakers else None)
    return replace(spec, int8_ranges=largest([ranges]))
