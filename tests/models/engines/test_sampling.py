"""Temperature by voicing and min-p, in every engine: functions of frames and logits that leave likelihoods alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ancestral.models.engines.base import RequestError
from ancestral.models.engines.onnx.ort_runners import Blocks
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.engines.speech.onnx import OnnxEngine
from ancestral.models.engines.speech.torch_engine import TorchEngine
from ancestral.models.entries import PLAIN, Sampling
from ancestral.models.networks import load_network
from ancestral.models.networks.wavenet import WaveNet
from ancestral.models.noise import uniforms
from ancestral.training.export.parity import compare_draws, exact_logits
from tests.models.engines.speech_engines import EVERY, solo
from tests.models.random_models import TINY_SPECS, exported, random_checkpoint, requests

SPEC = TINY_SPECS["conditional"]
SHAPED = Sampling(voiced_temperature=0.6, unvoiced_temperature=1.1, min_p=0.1)


def voiced(request, voicing=None, **changes):
    """The request with a voicing of its own in every frame, or this one."""
    assert request.frames is not None
    frames = request.frames.copy()
    frames[:, -1] = np.linspace(-0.2, 1.2, len(frames)) if voicing is None else voicing
    return replace(request, frames=frames, **changes)


@EVERY
def test_company_chunks_and_restarts_change_no_bit(engine):
    made = engine(SPEC)
    wanted = [voiced(r, sampling=SHAPED if i else PLAIN) for i, r in enumerate(requests(SPEC, 3, 100))]
    whole = [solo(made, request) for request in wanted]
    streams = [made.open(request) for request in wanted]
    parts = [[] for _ in wanted]
    for size in (1, 15, 17, 30, 37):
        for pieces, symbols in zip(parts, made.step(streams, size), strict=True):
            pieces.append(symbols)
        streams = [made.restore(request, made.snapshot(s)) for request, s in zip(wanted, streams, strict=True)]
    for pieces, symbols in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(np.concatenate(pieces), symbols)
    assert (whole[1] != solo(made, replace(wanted[1], sampling=PLAIN))).any()


@pytest.mark.parametrize(
    "make",
    [
        NativeEngine,
        lambda checkpoint: OnnxEngine(exported(checkpoint)),
        lambda checkpoint: OnnxEngine(exported(checkpoint), runner=Blocks),
        lambda checkpoint: TorchEngine(checkpoint, cached=True),
        lambda checkpoint: TorchEngine(checkpoint, cached=False, precision="fp64"),
    ],
    ids=["native", "onnx-cpu", "onnx blocks", "cached", "uncached"],
)
def test_symbols_are_those_of_the_networks_logits(make):
    """Drawn from them in double precision, at the temperature of the frame and above min-p."""
    checkpoint = random_checkpoint(SPEC)
    engine, model = make(checkpoint), load_network(checkpoint, torch.float64)
    assert isinstance(model, WaveNet)
    wanted = [voiced(request, sampling=SHAPED) for request in requests(SPEC, 3, 320)]
    left_out = 0
    for request, symbols in zip(wanted, engine.step([engine.open(r) for r in wanted], 320), strict=True):
        logits = exact_logits(model, request, symbols)
        noise, heat = uniforms(request.seed, 0, 320), np.repeat(request.temperatures, SPEC.local_hop)
        assert compare_draws(symbols, logits, noise, heat, SHAPED.min_p) <= 1
        scaled = logits / heat[:, None]
        left_out += int((np.exp(scaled - scaled.max(axis=1, keepdims=True)) < SHAPED.min_p).sum())
        drawn = scaled[np.arange(320), symbols] - scaled.max(axis=1)
        assert np.exp(drawn).min() >= SHAPED.min_p * (1 - 1e-4)
    assert left_out > 1000


@EVERY
def test_what_the_settings_mean(engine):
    made, (request,) = engine(SPEC), requests(SPEC, 1, 120)
    by_voicing = Sampling(voiced_temperature=1.6, unvoiced_temperature=0.5)

    def sampled(voicing, temperature, sampling=PLAIN):
        return solo(made, voiced(request, voicing, temperature=temperature, sampling=sampling))

    for voicing, factor in ((1.0, 1.6), (7.0, 1.6), (0.0, 0.5), (-1.0, 0.5), (0.5, 1.05)):
        np.testing.assert_array_equal(sampled(voicing, 0.5, by_voicing), sampled(voicing, 0.5 * factor))
    # Nothing but the most likely symbol is left, and at temperature 0 nothing changes.
    greedy = sampled(1.0, 0.0)
    np.testing.assert_array_equal(sampled(1.0, 1.0, Sampling(min_p=0.9999999)), greedy)
    np.testing.assert_array_equal(sampled(1.0, 0.0, SHAPED), greedy)
    assert (sampled(1.0, 1.0) != greedy).any()


@EVERY
def test_likelihoods_are_those_of_the_model(engine):
    made, (request,) = engine(SPEC), requests(SPEC, 1, 60)
    symbols = solo(made, request)
    plain, shaped = (made.teacher_force(made.open(replace(request, sampling=s)), symbols) for s in (PLAIN, SHAPED))
    np.testing.assert_array_equal(plain, shaped)


def test_min_p_without_frames():
    spec = TINY_SPECS["speaker only"]
    engine, (request,) = NativeEngine(random_checkpoint(spec)), requests(spec, 1, 80)
    with_floor = replace(request, sampling=Sampling(min_p=0.5))
    assert (solo(engine, with_floor) != solo(engine, request)).any()
    with pytest.raises(RequestError, match=r"^sampling: temperatures by voicing need frames"):
        engine.open(replace(request, sampling=Sampling(voiced_temperature=0.8)))
    for name, setting in (("low_shelf_db", -3.0), ("mel_correction", 0.5)):
        with pytest.raises(RequestError, match=f"^sampling: {name} needs a model with linear prediction"):
            engine.open(replace(request, sampling=Sampling(**{name: setting})))


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"voiced_temperature": 0.0}, "voiced_temperature"),
        ({"unvoiced_temperature": 2.1}, "unvoiced_temperature"),
        ({"voiced_temperature": float("nan")}, "voiced_temperature"),
        ({"min_p": 1.0}, "min_p"),
        ({"min_p": -0.1}, "min_p"),
        ({"low_shelf_db": 12.5}, "low_shelf_db"),
        ({"low_shelf_db": float("nan")}, "low_shelf_db"),
        ({"mel_correction": -0.1}, "mel_correction"),
        ({"mel_correction": 1.1}, "mel_correction"),
        ({"mel_correction": float("nan")}, "mel_correction"),
    ],
)
def test_settings_out_of_range(fields, name):
    with pytest.raises(ValueError, match=f"^{name}: must lie"):
        Sampling(**fields)
