"""The engines on a CUDA device: run by ``make test-gpu`` where there is one.

What they compute is held to the networks as on a CPU; the bits are those of the device.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ancestral_models.checkpoint import load
from ancestral_models.engines import load_engine, load_image_engine
from ancestral_models.engines.base import EngineError
from ancestral_models.engines.images.engine import ImageStreamRequest
from ancestral_models.engines.onnx import open_session
from ancestral_models.networks.image import draw
from tests.models import random_models as toys
from tests.models.engines.support import differing, in_company, speaking
from tests.models.scheduler.support import solo

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True, scope="module")
def _cuda():
    """Skip where CUDA does not run, and say why."""
    try:
        open_session(toys.exported(toys.random_checkpoint(toys.TINY_SPECS["unconditional"])), "chunk", "onnx-cuda")
    except EngineError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("spec", [*toys.TINY_SPECS.values(), toys.SMALL_SPEC], ids=[*toys.TINY_SPECS.keys(), "S"])
def test_company_chunks_and_restarts_change_no_bit(spec):
    engine = load_engine("onnx-cuda", toys.exported(toys.random_checkpoint(spec)))
    assert engine.name == "onnx-cuda"
    wanted = [replace(r, length=90 + 7 * i) for i, r in enumerate(toys.requests(spec, 20, 250))]
    for request, parts in zip(wanted, in_company(engine, wanted, 60), strict=True):
        np.testing.assert_array_equal(parts, solo(engine, request))


@pytest.mark.parametrize("trained", [False, True], ids=["random", "trained"])
def test_symbols_are_those_of_the_networks_logits(trained, full):
    steps = 4000 if full else 400
    checkpoint = toys.exported(load(toys.ZOO / "wavenet") if trained else toys.random_checkpoint(toys.SMALL_SPEC))
    wanted = speaking(16, steps) if trained else toys.requests(toys.SMALL_SPEC, 16, steps)
    engine = load_engine("onnx-cuda", checkpoint)
    found = engine.step([engine.open(request) for request in wanted], steps)
    assert sum(differing(checkpoint, *pair) for pair in zip(wanted, found, strict=True)) <= 1 + 16 * steps // 5000


@pytest.mark.parametrize("kind", ["gated, RGB, location", "original, grey, class"])
def test_whole_pictures_equal_the_oracles(kind):
    checkpoint = toys.exported(toys.checkpoint_of(toys.SPECS[kind]))
    engine = load_image_engine("onnx-cuda", checkpoint)
    h = engine.embed_labels([1] * len(engine.spec.conditions))
    wanted = [ImageStreamRequest(seed, h=h) for seed in range(5)]
    theirs = draw(toys.oracle(checkpoint), torch.from_numpy(np.stack([h] * 5)).double(), range(5))
    assert np.array_equal(engine.draw(wanted), theirs)
    assert np.array_equal(engine.draw(wanted[:1])[0], theirs[0])
