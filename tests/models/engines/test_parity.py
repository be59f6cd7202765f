"""Every engine draws the oracle's symbols from the oracle's noise, and scores as it does.

The oracle is the torch network in double precision. Single precision moves a logit by about 1e-6, and with it a symbol
whose noise falls that near to a boundary of the cumulative distribution: seldom, and then the streams part for good.
"""

import numpy as np
import pytest
import torch

from ancestral.models.checkpoint import load
from ancestral.models.conditioning import padded_frames
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.engines.speech.torch_engine import TorchEngine
from ancestral.models.kernels.conditioners import conditioning
from ancestral.models.networks.wavenet import WaveNet
from tests.models.engines.exact import distance_to_a_boundary, double_network, exact_logits, likely_frames
from tests.models.random_models import MEDIUM_SPEC, SMALL_SPEC, TINY_SPECS, ZOO, random_checkpoint, requests

STREAMS, STEPS = 20, 1000
KINDS = pytest.mark.parametrize("spec", TINY_SPECS.values(), ids=TINY_SPECS.keys())


def trained():
    return load(ZOO / "wavenet")


@pytest.mark.parametrize(
    "kind", ["S random", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("M random", "S trained"))]
)
def test_native_draws_the_oracles_symbols(kind):
    """Over 16 000 free-running symbols. Where single precision parts from double, the noise lay on a boundary."""
    spec = MEDIUM_SPEC if kind == "M random" else SMALL_SPEC
    checkpoint = trained() if kind == "S trained" else random_checkpoint(spec)
    wanted = likely_frames(STREAMS, STEPS) if kind == "S trained" else requests(spec, STREAMS, STEPS)
    native, oracle = NativeEngine(checkpoint), TorchEngine(checkpoint, cached=True, precision="fp64")
    mine = native.step([native.open(r) for r in wanted], STEPS)
    theirs = oracle.step([oracle.open(r) for r in wanted], STEPS)
    model, equal, parted = double_network(checkpoint), 0, 0
    for request, one, other in zip(wanted, mine, theirs, strict=True):
        different = np.flatnonzero(one != other)
        same = int(different[0]) if len(different) else STEPS
        equal += same
        if same < STEPS:
            parted += 1
            assert distance_to_a_boundary(model, request, other[: same + 1]) < 2e-6
    assert equal >= 16_000
    assert parted <= 3
    assert len(np.unique(np.stack(mine))) > 30  # streams stuck on a few symbols would prove little


@pytest.mark.slow
def test_native_draws_the_symbols_of_the_uncached_network():
    checkpoint = random_checkpoint(SMALL_SPEC)
    wanted = requests(SMALL_SPEC, 2, 500)
    native = NativeEngine(checkpoint)
    oracle = TorchEngine(checkpoint, cached=False, precision="fp64")
    for request in wanted:
        (mine,) = native.step([native.open(request)], 500)
        (theirs,) = oracle.step([oracle.open(request)], 500)
        np.testing.assert_array_equal(mine, theirs)


@KINDS
def test_every_kind_of_conditioning_agrees_with_the_uncached_network(spec):
    checkpoint = random_checkpoint(spec)
    wanted = requests(spec, 5, 200)
    engines = [
        NativeEngine(checkpoint),
        TorchEngine(checkpoint, cached=True),
        TorchEngine(checkpoint, cached=True, precision="fp64"),
        TorchEngine(checkpoint, cached=False),
    ]
    runs = [np.stack(e.step([e.open(r) for r in wanted], 200)) for e in engines]
    for run in runs[1:]:
        np.testing.assert_array_equal(run, runs[0])


@KINDS
def test_the_native_score_is_the_networks_log_likelihood(spec):
    checkpoint = random_checkpoint(spec)
    (request,) = requests(spec, 1, 160)
    symbols = np.random.default_rng(0).integers(0, 256, 160).astype(np.uint8)
    scores = NativeEngine(checkpoint).score(symbols, request.frames, request.speaker)
    logits = exact_logits(double_network(checkpoint), request, symbols)
    exact = torch.log_softmax(logits, 1)[torch.arange(160), torch.tensor(symbols, dtype=torch.long)]
    np.testing.assert_allclose(scores, exact.numpy(), rtol=1e-4, atol=1e-4)


@KINDS
def test_every_engine_scores_alike(spec):
    """At a position in the middle of a stream, too."""
    checkpoint = random_checkpoint(spec)
    (request,) = requests(spec, 1, 160)
    symbols = np.random.default_rng(1).integers(0, 256, 90).astype(np.uint8)
    runs = []
    for engine in (
        NativeEngine(checkpoint),
        TorchEngine(checkpoint, cached=True),
        TorchEngine(checkpoint, cached=False, precision="fp64"),
    ):
        stream = engine.open(request)
        engine.step([stream], 50)
        runs.append(engine.teacher_force(stream, symbols))
        whole = engine.score(symbols, request.frames, request.speaker)
        np.testing.assert_array_equal(whole, engine.teacher_force(engine.open(request), symbols))
    np.testing.assert_allclose(runs[0], runs[2], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(runs[1], runs[2], rtol=1e-4, atol=1e-4)


@KINDS
def test_numpys_conditioning_is_torchs(spec):
    checkpoint = random_checkpoint(spec)
    (request,) = requests(spec, 1, 160)
    mine = conditioning(spec, checkpoint.tensors, request.frames, request.speaker)
    model = WaveNet(spec)
    model.load_state_dict({name: torch.tensor(t) for name, t in checkpoint.tensors.items()})
    frames = None if request.frames is None else torch.from_numpy(padded_frames(spec, request.frames))[None]
    speaker = None if request.speaker is None else torch.tensor([request.speaker])
    with torch.no_grad():
        theirs = model.conditioner(frames, speaker, 1)[0].numpy()
    np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
