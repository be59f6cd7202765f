"""A recording is aligned with its text: by the shipped model, in sound whose phonemes' times are known."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from ancestral.models.audio.shaping import decode_excitation, predictor
from ancestral.models.checkpoint import load
from ancestral.models.engines.speech.engine import StreamRequest
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.spec import FeatureSpec
from ancestral.models.text import Sentence, alignment, phonemize
from ancestral.models.text.acoustic import AcousticModel
from ancestral.models.text.alignment import AlignmentError, align
from tests.models.random_models import ZOO

FEATURES = FeatureSpec()
RATE, HOP = FEATURES.sample_rate, FEATURES.hop
# Every text with another that takes as long.
TEXTS = (
    ("She sells sea shells by the sea shore.", "The quick brown fox jumps over a dog."),
    ("The birch canoe slid on the smooth planks.", "Four hours of steady work faced us all."),
    ("Glue the sheet to the dark blue background.", "Rice is often served in round bowls here."),
    ("It is easy to tell the depth of a well.", "These days a chicken leg is a rare dish."),
)
VOICES = ("heart", "joe", "allison", "rms")

Wave = NDArray[np.float32]


class Reading(NamedTuple):
    """What was said, and when."""

    voice: str
    sentences: tuple[Sentence, ...]
    symbols: NDArray[np.uint8]
    wave: Wave
    frames: NDArray[np.float32]
    durations: NDArray[np.int64]


@pytest.fixture(scope="module")
def frame_model():
    return AcousticModel(load(ZOO / "acoustic"))


@pytest.fixture(scope="module")
def engine():
    return NativeEngine(load(ZOO / "wavenet"))


def read_aloud(engine, model, text, voice, speed=1.0):
    sentences = tuple(phonemize(text))
    frames = np.concatenate([model.predict(sentence, voice, speed) for sentence in sentences])
    durations = np.concatenate([model.timing(sentence, voice, speed) for sentence in sentences])
    speaker, length = engine.spec.speakers.index(voice), len(frames) * HOP
    stream = engine.open(StreamRequest(length=length, seed=7, speaker=speaker, frames=frames))
    (symbols,) = engine.step([stream], length)
    wave = decode_excitation(symbols, predictor(frames, FEATURES))
    return Reading(voice, sentences, symbols, wave, frames, durations)


@pytest.fixture(scope="module")
def readings(engine, frame_model):
    """The first of every pair, by another voice each."""
    return [read_aloud(engine, frame_model, text, v) for (text, _), v in zip(TEXTS, VOICES, strict=True)]


def check(wave, reading, model, begins=0, median=0.01, far=0.08, share=0.05):
    """Boundaries between phonemes are near to where they are, in seconds; few of them are far."""
    found = np.concatenate(align(wave, reading.sentences, model, reading.voice, FEATURES).durations)
    assert found.sum() == -(-len(wave) // HOP)
    assert found.min() >= 0
    off = np.abs(np.cumsum(found)[:-1] - np.cumsum(reading.durations)[:-1] - begins) * HOP / RATE
    assert np.median(off) <= median
    assert (off > far).mean() < share


def test_boundaries_are_found(readings, frame_model):
    for reading in readings:
        check(reading.wave, reading, frame_model, far=0.05)


@pytest.mark.parametrize("speed", [0.4, 2.5])
def test_whatever_the_speed(engine, frame_model, speed):
    reading = read_aloud(engine, frame_model, TEXTS[1][0], "joe", speed)
    check(reading.wave, reading, frame_model)


@pytest.mark.parametrize(("silence", "noise", "gain"), [(200, 0.0, 1.0), (100, 0.005, 1.0), (0, 0.0, 0.02)])
def test_silence_noise_and_level_do_not_mislead(readings, frame_model, silence, noise, gain):
    for reading in readings[:2]:
        whole = gain * np.pad(reading.wave, silence * HOP)
        whole += np.random.default_rng(0).normal(0.0, noise, len(whole)).astype(np.float32)
        check(whole, reading, frame_model, begins=silence, median=0.015, share=0.1)


@pytest.mark.slow
def test_sentences_follow_each_other(engine, frame_model, monkeypatch):
    """Several, aligned in one go and, as if they were long, from rough to fine in two steps."""
    reading = read_aloud(engine, frame_model, " ".join(text for pair in TEXTS[:3] for text in pair), "heart")
    assert len(reading.sentences) == 6
    for short in (1500, 300, 40):
        monkeypatch.setattr(alignment, "_SHORT", short)
        check(reading.wave, reading, frame_model, far=0.05)


def bits(engine, reading, frames, voice):
    scores = engine.score(reading.symbols, frames, engine.spec.speakers.index(voice))
    return float(-scores.mean() / np.log(2))


@pytest.mark.slow
def test_the_right_text_is_likelier(readings, engine, frame_model):
    """Measured: within 0.025 bits a sample of the frames that it was made from; another text 0.5 to 1.0 bits more,
    another voice 0.75 to 1.5."""
    for reading, (_, other_text), other_voice in zip(readings, TEXTS, VOICES[1:] + VOICES[:1], strict=True):
        wave = reading.wave
        aligned = align(wave, reading.sentences, frame_model, reading.voice, FEATURES).frames
        assert (aligned.dtype, aligned.shape) == (np.float32, (len(wave) // HOP, FEATURES.channels))
        right = bits(engine, reading, aligned, reading.voice)
        wrong_text = align(wave, phonemize(other_text), frame_model, reading.voice, FEATURES).frames
        wrong_voice = align(wave, reading.sentences, frame_model, other_voice, FEATURES).frames
        assert right < bits(engine, reading, reading.frames, reading.voice) + 0.08
        assert right < bits(engine, reading, wrong_text, reading.voice) - 0.3
        assert right < bits(engine, reading, wrong_voice, other_voice) - 0.3


@pytest.mark.parametrize("samples", [1, HOP - 1, HOP, 5 * HOP + 7])
def test_frames_cover_all_of_the_recording(readings, frame_model, samples):
    reading = readings[0]
    longer = np.concatenate([reading.wave, np.zeros(samples, np.float32)])
    frames = align(longer, reading.sentences, frame_model, reading.voice, FEATURES).frames
    assert len(frames) == len(reading.wave) // HOP + -(-samples // HOP)
    assert np.isfinite(frames).all()


def test_recordings_that_cannot_be_of_the_text(readings, frame_model):
    reading = readings[1]

    def refused(wave, sentences, message):
        with pytest.raises(AlignmentError, match=message):
            align(wave, sentences, frame_model, "heart", FEATURES)

    many = reading.sentences * 8
    refused(reading.wave, many, r"too short for the text: [12]\.\d\d s of it are spoken, and the text takes between 3")
    refused(np.tile(reading.wave, 8), tuple(phonemize("No.")), "too long for the text")
    refused(reading.wave[4000:4200], reading.sentences, "too short for the text")
    refused(np.zeros(RATE, np.float32), reading.sentences, "the recording is silent")
    refused(np.zeros(0, np.float32), reading.sentences, "the recording is empty")


def test_the_way_is_the_cheapest():
    """Against every way there is."""
    rng = np.random.default_rng(0)
    costs = np.array([0.3, 0.0, 0.2, 0.4], np.float32)
    for _ in range(20):
        sound, text = (rng.normal(size=(n, 3)).astype(np.float32) for n in (5, 7))
        distance = np.abs(sound[:, None] - text[None]).mean(axis=2)
        first, last = (int(n) for n in rng.integers(1, 4, 2))
        ways = [[i] for i in range(first)]
        for _ in range(4):
            ways = [[*way, way[-1] + step] for way in ways for step in range(4) if way[-1] + step < 7]
        ways = [way for way in ways if way[-1] >= 7 - last]
        totals = [
            sum(distance[j, i] for j, i in enumerate(w)) + sum(costs[b - a] for a, b in pairwise(w)) for w in ways
        ]
        found = alignment._path(sound, text, np.zeros(5, np.int64), 7, first, last, costs)
        assert found.tolist() == ways[int(np.argmin(totals))]
        # And within a band that the way lies in.
        low = np.clip(found - 2, 0, 2)
        assert alignment._path(sound, text, low, 5, first, last, costs).tolist() == found.tolist()
