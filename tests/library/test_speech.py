"""`ancestral.load(…).voice(…)`, with the bundled voices."""

import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import ancestral

TEXT = "It snowed. Is it late?"
INTERRUPTED = """
import signal, threading, ancestral

def interrupted(condition):
    held = enter(condition)
    if threading.get_ident() == threading.main_thread().ident:
        signal.raise_signal(signal.SIGINT)
    return held

voice = ancestral.load("wavenet-en").voice("joe")
texts = [voice.utterance("No.", seed=1)]
enter, threading.Condition.__enter__ = threading.Condition.__enter__, interrupted
list(voice.speak_many(texts))
"""
"""Speaks, with Ctrl-C whenever the scheduler's lock has just been taken."""


@pytest.fixture(scope="module")
def model():
    return ancestral.load("wavenet-en")


@pytest.fixture(scope="module")
def speech(model):
    return model.voice("joe").speak(TEXT, seed=7)


def test_chunks_are_sampled_once_and_join_to_the_whole(speech):
    first = next(iter(speech))
    assert len(first) == 0.02 * speech.sample_rate
    chunks = list(speech)
    assert chunks[0] is first
    assert np.array_equal(np.concatenate(chunks), speech.samples)
    assert np.array_equal(speech.samples, speech.samples)
    assert np.abs(speech.samples).max() > 0.05


def test_duration_is_known_before_sampling_and_exact(model):
    short = model.voice("joe").speak("Yes.", seed=1)
    planned = short.duration
    assert len(short.samples) == planned * short.sample_rate


def test_words_and_phonemes_are_in_order(speech):
    assert [word.text for word in speech.words] == ["it", "snowed", "is", "it", "late"]
    for timed in (speech.words, speech.phonemes):
        edges = [edge for item in timed for edge in (item.start, item.end)]
        assert edges == sorted(edges)
        assert edges[0] > 0
        assert edges[-1] < speech.duration


def test_words_know_where_they_were_written(model):
    speech = model.voice("joe").speak("5-10 km/h, [pause:1s] e.g. this.")
    assert speech.text == "5-10 km/h,  e.g. this."
    assert [(word.text, speech.text[slice(*word.span)]) for word in speech.words] == [
        ("five", "5"), ("to", "-"), ("ten", "10 km/h"), ("kilometers", "10 km/h"), ("per", "10 km/h"),
        ("hour", "10 km/h"), ("for", "e.g."), ("example", "e.g."), ("this", "this"),
    ]  # fmt: skip


def test_equal_seeds_give_equal_sound_and_drawn_ones_are_told(model):
    drawn = model.voice("heart").speak("No.")
    again = model.voice("heart").speak("No.", seed=drawn.seed)
    assert np.array_equal(drawn.samples, again.samples)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
def test_save_writes_the_format_of_the_suffix(speech, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    speech.save(path)
    info = soundfile.info(path)
    assert (info.samplerate, abs(info.duration - speech.duration) < 0.1) == (16000, True)


def test_save_refuses_an_unknown_suffix(speech, tmp_path):
    with pytest.raises(ancestral.InvalidRequest, match=r"\.flac") as refused:
        speech.save(tmp_path / "a.ogg")
    assert refused.value.param == "path"


def test_speak_many_gives_the_sound_of_speak(model):
    voice = model.voice("heart(2)+joe(1)")
    texts = ["Yes.", "No.", "Perhaps.", "One. Two.", "Late."]
    made = dict(voice.speak_many((voice.utterance(text, seed=n) for n, text in enumerate(texts)), threads=2))
    for number, text in enumerate(texts):
        alone = voice.speak(text, seed=number)
        assert np.array_equal(made[number].samples, alone.samples), text
        assert made[number].words == alone.words


def test_speak_many_ends_when_it_is_interrupted():
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, timeout=100, check=False)
    assert ended.returncode == -signal.SIGINT, ended.stderr


def test_score_of_a_file_is_that_of_its_samples(model, speech, tmp_path):
    voice = model.voice("joe")
    found = voice.score(speech.samples, TEXT)
    assert [word["word"] for word in found["words"]] == ["it", "snowed", "is", "it", "late"]
    assert 0 < found["bits_per_sample"] < 8
    soundfile.write(tmp_path / "a.wav", speech.samples, speech.sample_rate, subtype="FLOAT")
    assert voice.score(str(tmp_path / "a.wav"), TEXT) == found
    wrong = voice.score(speech.samples, "The birch canoe slid on planks.")
    assert wrong["bits_per_sample"] > found["bits_per_sample"]


def test_aliases_are_known(model):
    assert ancestral.load("tts-1").voice("sage").id == "emma"
    assert model.voice().id == model.voices[0]


def test_errors_name_the_argument(model):
    for wrong, param in (
        (lambda: model.voice("nobody"), "voice"),
        (lambda: model.voice("joe").speak("你好"), "text"),
        (lambda: model.voice("joe").speak("Yes.", input_format="html"), "input_format"),
        (lambda: model.voice("joe").speak("Yes.").encode("ogg"), "form"),
        (lambda: ancestral.load("wavenet-babble").voice(), "model"),
        (lambda: ancestral.load(engine="cuda"), "engine"),
        (lambda: ancestral.load(precision="int4"), "precision"),
        (lambda: model.voice("joe").speak("Yes.", speed=0.0), "speed"),
        (lambda: model.voice("joe").speak("Yes.", pitch=float("nan")), "pitch"),
        (lambda: model.voice("joe").speak("Yes.", temperature=-1.0), "temperature"),
        (lambda: model.voice("joe").speak("Yes.", seed=-1), "seed"),
        (lambda: model.voice("joe").speak("Yes.", seed=1.5), "seed"),
        (lambda: model.voice("joe").speak("Yes.", seed=True), "seed"),
        (lambda: model.voice("joe").speak("Yes.", speed=None), "speed"),
        (lambda: model.voice("joe").speak("Yes.", pronunciations=None), "pronunciations"),
        (lambda: model.voice("joe").speak(None), "text"),
        (lambda: model.voice(5), "voice"),
        (lambda: model.voice("joe").score(np.zeros(16000, np.float32), ""), "text"),
        (lambda: model.draw("elf"), "model"),
    ):
        with pytest.raises(ancestral.InvalidRequest) as refused:
            wrong()
        assert refused.value.param == param
    with pytest.raises(ancestral.NotFound, match="wavenet-en"):
        ancestral.load("nothing")
