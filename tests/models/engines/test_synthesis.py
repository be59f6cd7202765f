"""An engine that gives sound: the filter changes no symbol; neither chunks nor restarts change a bit of the sound."""

from dataclasses import replace

import numpy as np
import pytest

from ancestral.models.audio.mel_correction import MelCorrection
from ancestral.models.audio.pcm import from_int16, to_int16
from ancestral.models.audio.shaping import LIMIT, ORDER, decode_excitation, predictor
from ancestral.models.checkpoint import load
from ancestral.models.engines.base import RequestError
from ancestral.models.engines.speech.engine import StreamRequest
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.engines.speech.synthesis import SynthesisEngine
from ancestral.models.entries import PLAIN, Sampling
from ancestral.models.kernels.mel_correction import correct_frames
from ancestral.models.spec import FeatureSpec
from ancestral.models.text import phonemize
from ancestral.models.text.acoustic import AcousticModel
from tests.models.engines.speech_engines import EVERY, solo
from tests.models.random_models import TINY_SPECS, ZOO, random_checkpoint, requests

SPEC = TINY_SPECS["excitation"]
FEATURES = FeatureSpec()


def native():
    return SynthesisEngine(NativeEngine(random_checkpoint(SPEC)))


def sound_of(engine, request):
    (sound,) = engine.step([engine.open(request)], request.length)
    return sound


CORRECTED = Sampling(mel_correction=0.8)


def expected(network, request):
    """The sound of a request, from all of its symbols at once."""
    assert request.frames is not None
    sound = decode_excitation(solo(network, request), predictor(request.frames, FEATURES))
    if request.sampling.mel_correction:
        correction = MelCorrection(request.frames, FEATURES, request.sampling.mel_correction, correct_frames)
        correction.push(sound)
        sound, plain = correction.pull(len(sound)), sound
        assert (to_int16(plain) != to_int16(sound)).any()
    return to_int16(sound)


@EVERY
def test_the_sound_is_that_of_the_symbols_however_it_is_sampled(engine):
    """Some are corrected, and sampled further than the sound that is delivered."""
    made = SynthesisEngine(engine(SPEC))
    assert (made.name, made.lanes) == (made.network.name, made.network.lanes)
    wanted = [replace(request, length=350 + 40 * i) for i, request in enumerate(requests(SPEC, 4, 480))]
    wanted[1:3] = [replace(request, sampling=CORRECTED) for request in wanted[1:3]]
    whole = [expected(made.network, request) for request in wanted]
    rng = np.random.default_rng(0)
    streams = [made.open(request) for request in wanted]
    parts = [[] for _ in wanted]
    while any(stream.position < stream.request.length for stream in streams):
        for i in rng.choice(len(streams), 2):
            streams[i] = made.restore(wanted[i], made.snapshot(streams[i]))
        company = rng.permutation(len(streams))[: rng.integers(1, len(streams) + 1)]
        sounds = made.step([streams[i] for i in company], int(rng.integers(1, 90)))
        for i, sound in zip(company, sounds, strict=True):
            assert sound.dtype == np.int16
            parts[i].append(sound)
    for sound, pieces in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(np.concatenate(pieces), sound)
    assert np.abs(np.concatenate(whole)).max() > 300, "silence would prove little"


def test_a_step_that_fails_harms_no_stream_that_it_says_it_did_not_touch():
    """One that is behind is sampled by itself, after the others; here that call fails."""
    engine, wanted = native(), [replace(r, sampling=CORRECTED, length=4000) for r in requests(SPEC, 2, 4000)]
    streams = [engine.open(request) for request in wanted]
    (begun,) = engine.step(streams[:1], 700)
    step, calls = engine.network.step, 0

    def failing(symbols, samples):
        nonlocal calls
        calls += 1
        if calls == 2:
            raise MemoryError
        return step(symbols, samples)

    engine.network.step = failing
    with pytest.raises(MemoryError):
        engine.step(streams, 900)
    assert [stream.position for stream in streams] == [700, 0]
    assert streams[1].symbols.position == 960, "it was sampled before the call that failed"
    for stream, request, first in zip(streams, wanted, (begun, begun[:0]), strict=True):
        (rest,) = engine.step([stream], 4000)
        np.testing.assert_array_equal(np.concatenate([first, rest]), expected(native().network, request))


@pytest.mark.parametrize(("sampling", "held"), [(PLAIN, 0), (CORRECTED, 520)])
def test_a_snapshot_holds_what_the_filters_remember(sampling, held):
    engine, (request,) = native(), requests(SPEC, 1, 1600)
    request = replace(request, sampling=sampling)
    stream = engine.open(request)
    engine.step([stream], 200)
    snapshot = engine.snapshot(stream)
    assert stream.symbols.position == 200 + held
    assert len(snapshot) == len(engine.network.snapshot(stream.symbols)) + 12 + 8 * ORDER + 8 * held
    (rest,) = engine.step([stream], 280)
    forgetful = engine.restore(request, snapshot)
    forgetful.synthesis.memory = np.zeros(ORDER)
    assert not np.array_equal(engine.step([forgetful], 280)[0], rest)
    assert np.array_equal(engine.step([engine.restore(request, snapshot)], 280)[0], rest)


def test_a_snapshot_that_is_not_its_own_is_refused():
    engine, (request,) = native(), requests(SPEC, 1, 480)
    stream = engine.open(request)
    engine.step([stream], 200)
    good = engine.snapshot(stream)
    flipped = bytearray(good)
    flipped[20] ^= 1
    for bad in (b"", good[:100], good[:-1], bytes(flipped), engine.network.snapshot(stream.symbols)):
        with pytest.raises(RequestError, match="snapshot"):
            engine.restore(request, bad)
    other = SynthesisEngine(NativeEngine(random_checkpoint(SPEC, seed=1)))
    with pytest.raises(RequestError, match="another model"):
        other.restore(request, good)
    with pytest.raises(RequestError, match="snapshot"):
        engine.network.restore(request, good)


@pytest.mark.parametrize("kind", ["noise", "silence", "clipped", "predicted"])
def test_any_frames_give_sound_within_bounds(kind):
    rng, shape = np.random.default_rng(3), (40, SPEC.local_channels)
    (sentence,) = phonemize("The birch canoe slid.")
    frames = {
        "noise": rng.normal(0.0, 3.0, shape),
        "silence": np.full(shape, -1.36),
        "clipped": np.full(shape, 3.3),
        "predicted": AcousticModel(load(ZOO / "acoustic")).predict(sentence, "joe"),
    }[kind].astype(np.float32)
    engine = native()
    stream = engine.open(StreamRequest(len(frames) * 160, 1, 1.0, 0, frames))
    (sound,) = engine.step([stream], len(frames) * 160)
    assert len(sound) == len(frames) * 160
    assert np.abs(stream.synthesis.memory).max() <= LIMIT
    level = float(np.sqrt((from_int16(sound) ** 2).mean()))
    if kind == "silence":
        assert level < 1e-3
    elif kind == "predicted":
        assert 1e-3 < level < 0.5
