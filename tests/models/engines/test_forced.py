"""Every single symbol of the native engine is the oracle's choice after the same past.

Free-running parity (test_parity.py) says nothing of what follows a parting. Here the oracle is led along the native
engine's symbols, so all of them count: it is a forward pass in double precision, with the stream's own noise.
"""

import numpy as np
import pytest
import torch

from ancestral.models.conditioning import padded_frames
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.networks.wavenet import WaveNet
from ancestral.models.noise import uniforms
from tests.models.random_models import MEDIUM_SPEC, SMALL_SPEC, random_checkpoint, requests

STEPS = 1120


@pytest.mark.parametrize(
    ("spec", "streams"),
    [pytest.param(SMALL_SPEC, 16, id="S"), pytest.param(MEDIUM_SPEC, 8, id="M", marks=pytest.mark.slow)],
)
def test_all_but_symbols_on_a_boundary(spec, streams):
    checkpoint = random_checkpoint(spec, seed=5)
    model = WaveNet(spec).double().requires_grad_(False)
    model.load_state_dict({name: torch.tensor(tensor) for name, tensor in checkpoint.tensors.items()})
    engine, wanted = NativeEngine(checkpoint), requests(spec, streams, STEPS, seed=5)
    differing = 0
    for request, symbols in zip(wanted, engine.step([engine.open(r) for r in wanted], STEPS), strict=True):
        assert request.frames is not None
        frames = torch.from_numpy(padded_frames(spec, request.frames)).double()[None]
        past = torch.from_numpy(symbols.astype(np.int64))[None]
        logits = model(past, frames, torch.tensor([request.speaker]))[0].numpy() / request.temperature
        cumulative = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1)
        cumulative /= cumulative[:, -1:]
        noise = uniforms(request.seed, 0, STEPS)[:, None]
        different = np.flatnonzero((cumulative[:, :-1] <= noise).sum(axis=1) != symbols)
        assert (np.abs(cumulative[different] - noise[different]).min(axis=1) < 5e-6).all()
        differing += len(different)
    assert differing <= 5  # about one in 25 000 is expected
