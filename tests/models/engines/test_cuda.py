"""The engines on a CUDA device: run by ``make test-gpu`` where there is one.

What they compute is held to the networks as on a CPU; the bits are those of the device.
"""

from dataclasses import replace

import numpy as np
import pytest

from ancestral.models.checkpoint import load
from ancestral.models.engines import load_engine, load_image_engine
from ancestral.models.engines.base import EngineError
from ancestral.models.engines.images.request import ImageStreamRequest
from ancestral.models.engines.onnx.ort_session import open_session
from ancestral.models.engines.speech.torch_engine import TorchEngine
from ancestral.models.networks.reference_sampler import draw
from tests.models.engines.exact import apart, speaking
from tests.models.random_models import (
    SMALL_SPEC,
    SPECS,
    TINY_SPECS,
    ZOO,
    checkpoint_of,
    exported,
    oracle,
    random_checkpoint,
    requests,
)

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True, scope="module")
def _cuda():
    """Skip where CUDA does not run, and say why."""
    try:
        open_session(exported(random_checkpoint(TINY_SPECS["unconditional"])), "chunk", "onnx-cuda")
    except EngineError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("spec", [*TINY_SPECS.values(), SMALL_SPEC], ids=[*TINY_SPECS.keys(), "S"])
def test_company_chunks_and_restarts_change_no_bit(spec):
    engine = load_engine("onnx-cuda", exported(random_checkpoint(spec)))
    assert engine.name == "onnx-cuda"
    wanted = [replace(r, length=90 + 7 * i) for i, r in enumerate(requests(spec, 20, 250))]
    streams = [engine.open(request) for request in wanted]
    parts = [engine.step(streams, 33)]
    streams = [engine.restore(r, engine.snapshot(s)) for r, s in zip(wanted, streams, strict=True)]
    parts.append(engine.step(streams, 250))
    for request, *pieces in zip(wanted, *parts, strict=True):
        (alone,) = engine.step([engine.open(request)], request.length)
        np.testing.assert_array_equal(np.concatenate(pieces), alone)


@pytest.mark.parametrize("trained", [False, True], ids=["random", "trained"])
def test_free_running_symbols_are_the_references(trained, full):
    steps = 4000 if full else 400
    checkpoint = load(ZOO / "wavenet") if trained else random_checkpoint(SMALL_SPEC)
    checkpoint = exported(checkpoint)
    wanted = speaking(16, steps) if trained else requests(SMALL_SPEC, 16, steps)
    engines = load_engine("onnx-cuda", checkpoint), TorchEngine(checkpoint, cached=True, precision="fp64")
    assert apart(checkpoint, wanted, *(e.step([e.open(r) for r in wanted], steps) for e in engines)) <= 2


@pytest.mark.parametrize("kind", ["gated, RGB, location", "original, grey, class"])
def test_whole_pictures_equal_the_oracles(kind):
    import torch

    checkpoint = exported(checkpoint_of(SPECS[kind]))
    engine = load_image_engine("onnx-cuda", checkpoint)
    h = engine.embed_labels([1] * len(engine.spec.conditions))
    wanted = [ImageStreamRequest(seed, h=h) for seed in range(5)]
    theirs = draw(oracle(checkpoint), torch.from_numpy(np.stack([h] * 5)).double(), range(5))
    assert np.array_equal(engine.draw(wanted), theirs)
    assert np.array_equal(engine.draw(wanted[:1])[0], theirs[0])


def test_auto_is_never_cuda():
    assert load_engine("auto", exported(random_checkpoint(TINY_SPECS["speaker only"]))).name == "native"
