"""Graphs that leave memory between two calls: nobody hears or sees that they were away."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ancestral_models.engines.base import LazyResource
from ancestral_models.engines.images.engine import BatchEngine, ImageStreamRequest
from ancestral_models.engines.images.onnx import OnnxImageEngine
from ancestral_models.engines.onnx import Blocks, Chunks
from ancestral_models.engines.speech.onnx import OnnxEngine
from tests.models.random_models import SPECS, TINY_SPECS, checkpoint_of, exported, random_checkpoint, requests


def test_it_is_there_at_once_stays_while_it_is_used_and_is_made_again_when_needed():
    made = []

    def make():
        made.append(object())
        return made[-1]

    resident = LazyResource(make)
    with resident.use() as first, resident.use():
        assert made == [first]
        assert not resident.drop(0.0), "it is used"
    assert not resident.drop(60.0), "it was used a moment ago"
    time.sleep(0.02)
    assert resident.drop(0.01)
    assert not resident.loaded
    assert not resident.drop(0.0), "there is nothing to drop"
    with resident.use() as second:
        assert made == [first, second]
    assert resident.loaded


def speaking(runner):
    spec = next(spec for spec in TINY_SPECS.values() if spec.local_channels)
    return OnnxEngine(exported(random_checkpoint(spec)), runner=runner), requests(spec, 1, 90, seed=5)[0]


def drawing():
    checkpoint = exported(checkpoint_of(next(spec for spec in SPECS.values() if not spec.conditions)))
    engine = BatchEngine(OnnxImageEngine(checkpoint))
    return engine, engine.request([ImageStreamRequest(seed=3), ImageStreamRequest(seed=4)])


@pytest.mark.parametrize("make", [lambda: speaking(Chunks), lambda: speaking(Blocks), drawing])
def test_a_stream_goes_on(make):
    engine, request = make()
    (expected,) = engine.step([engine.open(request)], request.length)
    stream, made = engine.open(request), []
    while stream.position < request.length:
        assert engine.unload(0.0)
        assert not engine.loaded
        made += engine.step([stream], request.length // 3)
        assert engine.loaded
    assert len(made) > 1
    assert np.array_equal(np.concatenate(made), expected)


def test_what_is_sampling_is_not_taken_away():
    """Three threads sample, in six rounds; a fourth drops the graphs before each of them, and tries to within it."""
    spec, rounds, piece = next(iter(TINY_SPECS.values())), 6, 30
    engine = OnnxEngine(exported(random_checkpoint(spec)))
    wanted = requests(spec, 3, rounds * piece, seed=6)
    alone = [engine.step([engine.open(request)], rounds * piece)[0] for request in wanted]
    idle, go = threading.Barrier(4, timeout=60), threading.Barrier(4, timeout=60)

    def sample(request):
        stream, made = engine.open(request), []
        for _ in range(rounds):
            idle.wait()
            go.wait()
            made += engine.step([stream], piece)
        return np.concatenate(made).tolist()

    threads = ThreadPoolExecutor(3)
    sampled = threads.map(sample, wanted)
    for _ in range(rounds):
        idle.wait()
        assert engine.unload(0.0)
        go.wait()
        for _ in range(20):
            engine.unload(0.0)
            time.sleep(0.0001)
        # So that there is something to drop when all are idle, even if the last of them lost theirs meanwhile.
        engine.step([engine.open(wanted[0])], 1)
    assert [*sampled] == [symbols.tolist() for symbols in alone]
    threads.shutdown()
