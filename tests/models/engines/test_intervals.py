"""The intervals of the native engine hold the noise that led to each symbol, whatever the picture was sampled with."""

from dataclasses import replace

import numpy as np
import pytest

from ancestral.models.detection import Intervals
from ancestral.models.engines.base import RequestError
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.models.noise import uniforms
from tests.models.engines.image_oracles import guided, requests, tempered
from tests.models.random_models import RNN_SPECS, SPECS, checkpoint_of, each_of

REACHES = (0, 1, 4)


@each_of(SPECS | RNN_SPECS)
def test_the_noise_of_each_symbol_lies_in_its_interval(spec):
    engine = NativeImageEngine(checkpoint_of(spec))
    wanted = tempered(requests(engine, 5)) + (guided(engine, 5) if spec.conditions else [])
    wanted = [
        replace(request, temperature=0.7 if request.temperature == 0.0 else request.temperature) for request in wanted
    ]
    pictures = engine.draw(wanted)
    found = engine.intervals(pictures, [replace(request, seed=1) for request in wanted], REACHES)
    assert found.shape == (*pictures.shape, len(REACHES), 2)
    assert (np.diff(found[..., 0], axis=-1) <= 0.0).all(), "a larger reach begins earlier"
    assert (np.diff(found[..., 1], axis=-1) >= 0.0).all(), "and ends later"
    for request, bounds in zip(wanted, found.reshape(len(wanted), spec.dims, len(REACHES), 2), strict=True):
        own, other = (uniforms(seed, 0, spec.dims)[:, None] for seed in (request.seed, request.seed + 77))
        assert ((bounds[..., 0] <= own) & (own < bounds[..., 1])).all()
        assert not ((bounds[:, :1, 0] <= other) & (other < bounds[:, :1, 1])).all()


def test_the_intervals_of_all_symbols_cover_the_noise_once():
    spec = SPECS["gated, RGB, none"]
    engine = NativeImageEngine(checkpoint_of(spec))
    (request,) = requests(engine, 1)
    picture = np.repeat(engine.draw([request]), 256, axis=0)
    picture[:, -1, -1, -1] = np.arange(256)
    sizes = np.diff(engine.intervals(picture, [request] * 256, (0,))[:, -1, -1, -1, 0], axis=-1)
    assert sizes.sum() == pytest.approx(1.0, abs=1e-9)


def test_at_temperature_0_the_noise_says_nothing():
    engine = NativeImageEngine(checkpoint_of(SPECS["gated, grey, none"]))
    (request,) = (replace(request, temperature=0.0) for request in requests(engine, 1))
    bounds = engine.intervals(engine.draw([request]), [request], (0,)).reshape(-1, 1, 2)
    assert np.array_equal(bounds[:, 0], np.tile([0.0, 1.0], (len(bounds), 1)))
    assert Intervals(np.arange(len(bounds)), bounds).evidence(7) <= 0.0


def test_a_picture_of_another_size_is_refused():
    engine = NativeImageEngine(checkpoint_of(SPECS["gated, grey, none"]))
    with pytest.raises(RequestError, match="given"):
        engine.intervals(np.zeros((1, 3, 3, 1), np.uint8), requests(engine, 1), (0,))
