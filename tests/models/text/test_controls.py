"""Pauses of exact length, and parts that are slower or higher, in the acoustic model; speakers that are mixed."""

from dataclasses import replace

import numpy as np
import pytest

from ancestral.models.checkpoint import load
from ancestral.models.text import Sentence, Word, parse_text, phonemize
from ancestral.models.text.acoustic import AcousticModel
from tests.models.random_models import ZOO


@pytest.fixture(scope="module")
def model():
    return AcousticModel(load(ZOO / "acoustic"))


def one(text, form="text"):
    (sentence,) = phonemize(parse_text(text, form))
    return sentence


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.3])
def test_a_pause_has_exactly_its_frames_whatever_the_speed(model, speed):
    sentence = one("[pause:700ms] Hello [pause:1.5s] world [pause:30ms].")
    durations = model.timing(sentence, "heart", speed)
    given = [length for length, control in zip(durations, sentence.controls, strict=True) if control.seconds]
    assert given == [70, 150, 3]
    frames, timing = model.predict_with_timing(sentence, "heart", speed)
    assert len(frames) == timing.sum()
    assert (timing == durations).all()


def test_a_pause_is_silent_and_the_words_around_it_are_those_beside_a_comma(model):
    with_pause, comma = one("Hello [pause:5s] world."), one("Hello, world.")
    frames, durations = model.predict_with_timing(with_pause, "joe")
    natural, usual = model.predict_with_timing(comma, "joe")
    others = np.array([control.seconds is None for control in with_pause.controls])
    # The running sum is rounded without the pause, so that a boundary may move by a frame.
    assert abs(durations[others] - usual[others]).max() <= 1
    end = durations[:5].sum()
    pause = frames[end : end + 500]
    bands = model.spec.features.mel_bands
    assert len(pause) == 500
    assert np.median(pause[:, :bands].mean(axis=1)) < np.median(natural[:, :bands].mean(axis=1)) - 0.5
    assert (pause[20:-20, -1] == 0.0).all()
    assert np.isfinite(frames).all()


def test_a_pause_alone_is_silence(model):
    frames = model.predict(one("[pause:1s]"), "heart")
    assert len(frames) == 100
    assert (frames[:, -1] == 0.0).all()


def test_prosody_scales_its_own_words(model):
    plain = one("one two three")
    slow = one('<speak>one <prosody rate="50%">two</prosody> three</speak>', "ssml")
    starts = np.flatnonzero(plain.word_starts)
    before, after = model.timing(plain, "heart"), model.timing(slow, "heart")
    spans = list(zip(starts, [*starts[1:], len(before) - 1], strict=True))
    ratios = [after[a:b].sum() / before[a:b].sum() for a, b in spans]
    assert ratios == pytest.approx([1.0, 2.0, 1.0], abs=0.1)


def test_prosody_moves_the_pitch_of_its_own_words(model):
    plain, high = one("one two three"), one('<speak>one <prosody pitch="+4st">two</prosody> three</speak>', "ssml")
    frames, durations = model.predict_with_timing(plain, "heart")
    moved, same = model.predict_with_timing(high, "heart")
    assert (durations == same).all()
    starts = [int(durations[:i].sum()) for i in np.flatnonzero(plain.word_starts)]
    raised = (moved - frames)[:, -2]
    assert (raised[: starts[1]] == 0.0).all()
    assert (raised[starts[1] : starts[2]] > 0.0).all()
    assert (raised[starts[2] :] == 0.0).all()


def test_sentences_without_cues_are_predicted_as_ever(model):
    sentence = one("The birch canoe slid.")
    assert sentence.controls == ()
    items = (replace(item, span=(0, 0)) if isinstance(item, Word) else item for item in sentence.items)
    assert (model.predict(sentence, "heart") == model.predict(Sentence(tuple(items)), "heart")).all()


def test_a_mix_of_speakers_is_the_mean_of_their_vectors(model):
    weights = dict(model._weights)
    mean = (2.0 * weights["speaker"][0].astype(np.float64) + weights["speaker"][1]) / 3.0
    weights["speaker"] = np.stack([mean.astype(np.float32), *weights["speaker"][1:]])
    other = AcousticModel.__new__(AcousticModel)
    other.__dict__.update(model.__dict__ | {"_weights": weights})
    first, second = model.spec.speakers[:2]
    sentence = one("The birch canoe slid.")
    mixed = model.predict(sentence, {first: 2 / 3, second: 1 / 3})
    assert (mixed == other.predict(sentence, first)).all()
    assert (model.predict(sentence, {first: 1.0}) == model.predict(sentence, first)).all()
    assert not np.array_equal(mixed, model.predict(sentence, first))
