"""What the engines' tests share: specs of every kind, random weights, requests that differ in all they can."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ancestral.models.architectures.wavenet import MEDIUM, WaveNetSpec
from ancestral.models.checkpoint import Checkpoint
from ancestral.models.engines.speech.engine import StreamRequest
from tests.paths import ROOT
from tests.random_weights import lively_checkpoint

ZOO = ROOT / "models" / "zoo" / "wavenet-en"
SPEAKERS = ("ann", "bob")
CHANNELS = 66

SMALL_SPEC = WaveNetSpec(speakers=SPEAKERS, local_channels=CHANNELS)
MEDIUM_SPEC = WaveNetSpec(speakers=SPEAKERS, local_channels=CHANNELS, **MEDIUM)
TINY = {
    "layers": 6, "stacks": 2, "residual_channels": 8, "gate_channels": 16, "skip_channels": 16, "head_channels": 24,
    "global_channels": 4, "conditioner_channels": 12, "conditioner_layers": 2,
}  # fmt: skip
TINY_SPECS = {
    "conditional": WaveNetSpec(**TINY, speakers=SPEAKERS, local_channels=5, local_hop=16),
    "frames only": WaveNetSpec(**TINY, local_channels=5, local_hop=16),
    "speaker only": WaveNetSpec(**TINY, speakers=SPEAKERS),
    "unconditional": WaveNetSpec(**TINY),
    "excitation": WaveNetSpec(**TINY, speakers=SPEAKERS, local_channels=CHANNELS, shaping="linear_prediction"),
}


def random_checkpoint(spec: WaveNetSpec, seed: int = 0) -> Checkpoint:
    """The random model, with a hash of its own for every seed."""
    return replace(lively_checkpoint(spec, seed), sha256=f"{seed:064x}")


def requests(spec: WaveNetSpec, count: int, length: int, seed: int = 0) -> list[StreamRequest]:
    """Streams of different seeds, speakers, frames and temperatures."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        rows = -(-length // spec.local_hop)
        frames = rng.normal(0.0, 1.0, (rows, spec.local_channels)).astype(np.float32) if spec.local_channels else None
        speaker = number % len(spec.speakers) if spec.speakers else None
        made.append(StreamRequest(length, seed * 1000 + number, (1.0, 0.8, 1.2)[number % 3], speaker, frames))
    return made
