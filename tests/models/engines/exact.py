"""The network in double precision, and how near a symbol is to the boundary of its interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.checkpoint import Checkpoint, load
from ancestral.models.conditioning import padded_frames
from ancestral.models.engines.base import Symbols
from ancestral.models.engines.speech.engine import StreamRequest
from ancestral.models.networks.wavenet import WaveNet
from ancestral.models.noise import uniforms
from ancestral.training.export.parity import TIE
from tests.models.random_models import ZOO


def likely_frames(count: int, length: int) -> list[StreamRequest]:
    """Requests as synthesis makes them: frames of real sentences, for every speaker."""
    from ancestral.models.text import phonemize
    from ancestral.models.text.acoustic import AcousticModel

    model = AcousticModel(load(ZOO / "acoustic"))
    sentences = phonemize("The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background.")
    made = []
    for number in range(count):
        voice = model.spec.speakers[number % len(model.spec.speakers)]
        frames = model.predict(sentences[number % 2], voice)
        if length > len(frames) * 160:  # again and again
            frames = np.tile(frames, (-(-length // (len(frames) * 160)), 1))
        made.append(StreamRequest(length, number, 1.0, number % len(model.spec.speakers), frames))
    return made


def double_network(checkpoint: Checkpoint) -> WaveNet:
    """The network in double precision."""
    assert isinstance(checkpoint.spec, WaveNetSpec)
    model = WaveNet(checkpoint.spec).double()
    model.load_state_dict({name: torch.tensor(tensor) for name, tensor in checkpoint.tensors.items()})
    return model.requires_grad_(False)


def exact_logits(model: WaveNet, request: StreamRequest, symbols: Symbols) -> torch.Tensor:
    """The network's own logits for every symbol given those before it, ``[T, 256]``."""
    hop = model.spec.local_hop if request.frames is not None else 1
    padded = np.pad(symbols, (0, -len(symbols) % hop)).astype(np.int64)
    frames = None
    if request.frames is not None:
        frames = torch.from_numpy(padded_frames(model.spec, request.frames)).double()[None]
        frames = frames[:, : len(padded) // hop + 2 * model.spec.conditioner_layers]
    speaker = None if request.speaker is None else torch.tensor([request.speaker])
    return model(torch.from_numpy(padded)[None], frames, speaker)[0, : len(symbols)]


def distance_to_a_boundary(model: WaveNet, request: StreamRequest, symbols: Symbols) -> float:
    """How near the noise of the last of ``symbols`` falls to a boundary between two symbols."""
    logits = exact_logits(model, request, symbols)[-1].numpy() / request.temperature
    cumulative = np.exp(logits - logits.max()).cumsum()
    noise = uniforms(request.seed, len(symbols) - 1, 1)[0]
    return float(np.abs(cumulative / cumulative[-1] - noise).min())


SILENT = 20
"""Frames before speech."""


def speaking(count: int, length: int) -> list[StreamRequest]:
    """Requests of real sentences, without the silence before them."""
    wanted = likely_frames(count, length + 160 * SILENT)
    return [replace(r, length=length, frames=r.frames[SILENT:]) for r in wanted if r.frames is not None]


def apart(checkpoint: Checkpoint, wanted: list[StreamRequest], mine: list[np.ndarray], theirs: list[np.ndarray]) -> int:
    """How many streams part, each checked to do so where its noise lay on a boundary."""
    model, parted = double_network(checkpoint), 0
    for request, one, other in zip(wanted, mine, theirs, strict=True):
        if len(different := np.flatnonzero(one != other)):
            parted += 1
            assert distance_to_a_boundary(model, request, other[: different[0] + 1]) < TIE
    assert len(np.unique(np.stack(mine))) > 30, "streams stuck on a few symbols would prove little"
    return parted
