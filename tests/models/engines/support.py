"""What the engines' tests share: streams in changing company, and the network in double precision as the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ancestral_models.acoustic import AcousticModel
from ancestral_models.categorical import uniforms
from ancestral_models.checkpoint import Checkpoint, load
from ancestral_models.conditioning import padded_frames
from ancestral_models.engines.base import Symbols
from ancestral_models.engines.speech.engine import StreamRequest
from ancestral_models.networks import load_network
from ancestral_models.text import phonemize
from ancestral_training.export.parity import TIE
from tests.models.random_models import ZOO


def in_company(engine: Any, wanted: Sequence[Any], most: int) -> list[NDArray[Any]]:
    """What streams give that are sampled in random company, in pieces of up to ``most``, and restarted on the way."""
    rng, streams = np.random.default_rng(0), [engine.open(request) for request in wanted]
    parts: list[list[NDArray[Any]]] = [[] for _ in wanted]
    while any(stream.position < stream.request.length for stream in streams):
        for i in rng.choice(len(streams), 2):
            snapshot = engine.snapshot(streams[i])
            streams[i] = engine.restore(wanted[i], snapshot)
            assert engine.snapshot(streams[i]) == snapshot
        company = rng.permutation(len(streams))[: rng.integers(1, len(streams) + 1)]
        pieces = engine.step([streams[i] for i in company], int(rng.integers(1, most)))
        for i, piece in zip(company, pieces, strict=True):
            parts[i].append(piece)
            assert streams[i].position == sum(map(len, parts[i]))
    ended = [engine.restore(request, engine.snapshot(stream)) for request, stream in zip(wanted, streams, strict=True)]
    assert not any(symbols.size for symbols in engine.step(ended, 10)), "a stream has an end"
    return [np.concatenate(pieces) for pieces in parts]


def speaking(count: int, length: int, silent: int = 20) -> list[StreamRequest]:
    """Requests as synthesis makes them: of real sentences without the silence before them, for every speaker."""
    model = AcousticModel(load(ZOO / "acoustic"))
    sentences = phonemize("The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background.")
    made = []
    for number in range(count):
        speaker = number % len(model.spec.speakers)
        frames = model.predict(sentences[number % 2], model.spec.speakers[speaker])[silent:]
        frames = np.tile(frames, (-(-length // (len(frames) * 160)), 1))  # again and again
        made.append(StreamRequest(length, number, 1.0, speaker, frames))
    return made


@torch.no_grad()
def exact_logits(checkpoint: Checkpoint, request: StreamRequest, symbols: Symbols) -> NDArray[np.float64]:
    """The network's own logits for every symbol given those before it, ``[T, 256]``."""
    model = load_network(checkpoint, torch.float64)
    hop = model.spec.local_hop if request.frames is not None else 1
    padded = np.pad(symbols, (0, -len(symbols) % hop)).astype(np.int64)
    frames = None
    if request.frames is not None:
        frames = torch.from_numpy(padded_frames(model.spec, request.frames)).double()[None]
        frames = frames[:, : len(padded) // hop + 2 * model.spec.conditioner_layers]
    speaker = None if request.speaker is None else torch.tensor([request.speaker])
    return np.asarray(model(torch.from_numpy(padded)[None], frames, speaker)[0, : len(symbols)].numpy())


def exact_scores(checkpoint: Checkpoint, request: StreamRequest, symbols: Symbols) -> NDArray[np.float64]:
    """ln p of every symbol given those before it, ``[T]``, as the network in double precision has it."""
    exact = exact_logits(checkpoint, request, symbols)
    likelihoods = exact - np.logaddexp.reduce(exact, axis=1, keepdims=True)
    return np.asarray(likelihoods[np.arange(len(symbols)), symbols])


def differing(checkpoint: Checkpoint, request: StreamRequest, symbols: Symbols) -> int:
    """How many symbols are not the oracle's choice after the same past, with the stream's own noise; of each of them
    the noise must lie on a boundary between two symbols, or a probability at min-p."""
    heat = np.resize(np.repeat(request.temperatures, checkpoint.spec.local_hop), len(symbols))[:, None]
    scaled = exact_logits(checkpoint, request, symbols) / heat
    shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    drawn = shares[np.arange(len(symbols)), symbols]
    assert drawn.min() >= request.sampling.min_p * (1 - 1e-4)
    near = np.abs(shares / max(request.sampling.min_p, 1e-9) - 1.0).min(axis=1) < 1e-4
    cumulative = np.where(shares < request.sampling.min_p, 0.0, shares).cumsum(axis=1)
    cumulative /= cumulative[:, -1:]
    noise = uniforms(request.seed, 0, len(symbols))[:, None]
    different = (cumulative[:, :-1] <= noise).sum(axis=1) != symbols
    assert ((np.abs(cumulative - noise).min(axis=1) < TIE) | near)[different].all()
    return int(different.sum())
