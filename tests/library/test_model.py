"""`ancestral.load(…)` with the bundled models: speech, casts of voices, pictures."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import soundfile
from PIL import Image

import ancestral
from ancestral.catalog.seeds import part_seed
from ancestral_models.audio.features import sharpened
from ancestral_models.audio.mu_law import to_int16
from ancestral_models.native_build import variants
from ancestral_models.text.phonemes import SENTENCE_ENDS
from tests.paths import ROOT

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
    planned, first = speech.duration, next(iter(speech))
    assert len(first) == 0.02 * speech.sample_rate
    chunks = list(speech)
    assert chunks[0] is first
    assert np.array_equal(np.concatenate(chunks), speech.samples)
    assert len(speech.samples) == planned * speech.sample_rate, "known before sampling"
    assert np.abs(speech.samples).max() > 0.05


def test_words_and_phonemes_are_in_order(speech):
    assert [word.text for word in speech.words] == ["it", "snowed", "is", "it", "late"]
    for timed in (speech.words, speech.phonemes):
        edges = [edge for item in timed for edge in (item.start, item.end)]
        assert edges == sorted(edges)
        assert edges[0] > 0
        assert edges[-1] < speech.duration


def test_equal_seeds_give_equal_sound_and_drawn_ones_are_told(model):
    drawn = model.voice("heart").speak("No.")
    again = model.voice("heart").speak("No.", seed=drawn.seed)
    assert np.array_equal(drawn.samples, again.samples)


def test_save_writes_the_format_of_the_suffix(speech, tmp_path):
    path = tmp_path / "a.flac"
    speech.save(path)
    info = soundfile.info(path)
    assert (info.samplerate, abs(info.duration - speech.duration) < 0.1) == (16000, True)
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


def refused_by(param, wrong, *arguments, **options):
    with pytest.raises(ancestral.InvalidRequest) as refused:
        wrong(*arguments, **options)
    assert refused.value.param == param


def test_names_are_known_and_errors_name_the_argument(model):
    assert ancestral.load("tts-1").voice("sage").id == "emma"
    assert model.voice().id == model.voices[0]
    joe = model.voice("joe")
    refused_by("speed", joe.speak, "Yes.", speed="2")
    for name in ("nobody", 5):
        refused_by("voice", model.voice, name)
    for text in ("你好", None):
        refused_by("text", joe.speak, text)
    refused_by("text", joe.score, np.zeros(16000, np.float32), "")
    for wrong in (np.zeros(0), np.zeros((2, 9)), np.zeros(9, np.int16), np.full(9, np.nan), np.zeros(16000 * 601)):
        refused_by("recording", joe.score, wrong, "Yes.")
    refused_by("form", joe.speak("Yes.").encode, "ogg")
    refused_by("model", ancestral.load("wavenet-babble").voice)
    refused_by("model", model.draw, "elf")
    refused_by("engine", ancestral.load, engine="cuda")
    with pytest.raises(ancestral.NotFound, match="wavenet-en"):
        ancestral.load("nothing")


@pytest.fixture(scope="module")
def many():
    return ancestral.load("wavenet-multilingual")


def test_each_turn_is_what_its_voice_says_alone(many):
    voices = {"ANNA": "emma", "PAUL": "siwis"}
    speech = many.voice("heart").speak("It snowed.\nANNA: Yes.\nPAUL: Non. [voice:joe] No.", seed=7, voices=voices)
    alone = [("heart", "It snowed."), ("emma", "Yes."), ("siwis", "Non."), ("joe", "No.")]
    expected = [many.voice(voice).speak(text, seed=part_seed(7, i)) for i, (voice, text) in enumerate(alone)]
    assert np.array_equal(speech.samples, np.concatenate([turn.samples for turn in expected]))
    assert [(word.speaker, speech.text[slice(*word.span)]) for word in speech.words] == [
        ("heart", "It"), ("heart", "snowed"), ("ANNA", "Yes"), ("PAUL", "Non"), ("joe", "No"),
    ]  # fmt: skip
    before = sum(turn.duration for turn in expected[:2])
    assert speech.words[3].start == pytest.approx(before + expected[2].words[0].start)


def test_every_voice_reads_its_own_language(many):
    parts = {"emma": "Dr. Smith waited.", "siwis": "M. Dupont a 21 ans.", "dora": "Son las 3.", "heart": "Bath."}
    said = many.voice("emma").utterance(" ".join(f"[voice:{voice}] {part}" for voice, part in parts.items()))
    alone = [many.voice(voice).utterance(part) for voice, part in parts.items()]
    assert [s.phones for s in said.sentences] == [s.phones for part in alone for s in part.sentences]
    assert [turn.sampling for turn in said.turns] == [part.sampling for part in alone]


def test_files_have_24_khz_and_at_16_the_samples_of_the_network(many):
    speech = many.voice("siwis").speak("Assez.", seed=3)
    file = speech.encode("wav")
    wave, rate = soundfile.read(io.BytesIO(file), dtype="float32")
    assert rate == 24000
    assert len(wave) == len(speech.samples) * 3 // 2
    power = np.abs(np.fft.rfft(wave)) ** 2
    above = power[np.fft.rfftfreq(len(wave), 1 / rate) > 8000].sum() / power.sum()
    assert 1e-4 < above < 0.3, "an s is loudest there"
    assert b"".join(speech.stream("wav")) == file
    wave, rate = soundfile.read(io.BytesIO(speech.encode("wav", 16000)), dtype="int16")
    assert rate == 16000
    assert np.array_equal(wave, to_int16(speech.samples))


def test_the_contrast_of_a_voice_sharpens_what_its_acoustic_model_predicts(many):
    sampler, said, frames = many.speech_sampler, many.voice("emma").utterance("Yes."), []
    for contrast in (0.0, 0.5):
        changed = replace(said, sampling=replace(said.sampling, contrast=contrast))
        frames.append(next(iter(sampler.parts(changed))).request.frames)
    assert np.array_equal(frames[1][:, :64], sharpened(frames[0][:, :64], 0.5))
    assert np.array_equal(frames[1][:, 64:], frames[0][:, 64:])
    assert not np.array_equal(*frames)


def test_the_language_of_a_text_is_that_of_its_first_voice(many):
    said = many.voice("heart").utterance("Son las 3. [voice:siwis] Il est 3 h.", language="es")
    assert [s.text for s in said.sentences] == ["son las tres.", "il est trois heures."]
    document = '<speak>Three <voice name="siwis">trois <lang xml:lang="en">three</lang></voice></speak>'
    said = many.voice("heart").utterance(document, input_format="ssml")
    assert [word.text for s in said.sentences for word in s.words] == ["three", "trois", "three"]


def test_silence_between_two_voices_is_kept_and_marks_alone_are_not_said(many):
    said = many.voice("heart").utterance("[voice:joe] Yes. [voice:emma] [pause:2s] [voice:joe] ... [voice:emma] No.")
    assert [(turn.first, turn.speaker) for turn in said.turns] == [(0, "joe"), (1, "emma"), (2, "emma")]
    assert said.sentences[1].controls[0].seconds == 2.0
    assert all(sentence.phones[-1] in SENTENCE_ENDS for sentence in said.sentences[::2])


def test_unknown_voices_are_named(many):
    with pytest.raises(ancestral.InvalidRequest, match=r"text: '\[voice:zoe\]' \(a voice, at position 3\)") as refused:
        many.voice("heart").speak("Hi [voice:zoe] you.")
    assert (refused.value.param, refused.value.code) == ("text", "voice_not_found")
    with pytest.raises(ancestral.InvalidRequest, match="voices: ANNA: ") as refused:
        many.voice("heart").speak("Hi.", voices={"ANNA": "joe+siwis"})
    assert refused.value.param == "voices"
    with pytest.raises(ancestral.InvalidRequest, match="one voice speaks all") as refused:
        many.voice("heart").score(np.zeros(16000, np.float32), "Hi [voice:joe] you.")


@pytest.fixture(scope="module")
def digits():
    return ancestral.load("pixelcnn-digits")


@pytest.fixture(scope="module")
def sprites():
    return ancestral.load("pixelcnn-sprites")


def test_draw_is_the_first_of_draw_many(digits):
    pictures = digits.draw_many("7", 3, seed=5)
    assert len(pictures) == len({picture.seed for picture in pictures}) == 3
    assert np.array_equal(pictures[0].array, digits.draw("7", seed=5).array)
    assert np.array_equal(pictures[2].array, digits.draw("7", seed=pictures[2].seed).array)
    assert pictures[1].image.size == (28, 28)
    assert [picture.seed for picture in pictures[1:]] == [pictures[1].seed, pictures[-1].seed]


def test_bits_are_those_of_the_score(digits):
    picture = digits.draw("3", seed=2)
    assert digits.score(picture, "3") == digits.score(picture.image, "3")
    assert picture.bits * math.log(2) == pytest.approx(digits.score(picture.image, "3")["nats"], abs=0.01)
    assert picture.bits < digits.score(picture.image, "8")["nats"] / math.log(2)


def test_files_say_what_made_them_and_jpeg_is_opaque(sprites, tmp_path):
    elf = sprites.draw("elf", seed=7)
    elf.save(tmp_path / "elf.png", scale=3)
    with Image.open(tmp_path / "elf.png") as image:
        assert image.size == (96, 96)
        assert json.loads(image.info["recipe"])["seed"] == 7
        assert np.array_equal(np.array(image.convert("RGBA"))[::3, ::3], elf.array)
    elf.save(tmp_path / "elf.jpg")
    with Image.open(tmp_path / "elf.jpg") as image:
        clear = np.array(image)[elf.array[..., 3] == 0]
    assert np.median(clear) == 255, "transparent becomes white, but for JPEG's ringing around what is drawn"
    with pytest.raises(ancestral.InvalidRequest):
        elf.save(tmp_path / "elf.gif")


def test_complete_keeps_the_first_rows(digits, tmp_path):
    seven = digits.draw("7", seed=3)
    seven.save(tmp_path / "seven.png")
    (rest,) = digits.complete(str(tmp_path / "seven.png"), rows=10, seed=9)
    assert np.array_equal(rest.array[:10], seven.array[:10])
    assert not np.array_equal(rest.array, seven.array)


def test_reconstruct_encode_and_interpolate(digits, tmp_path):
    autoencoder = ancestral.load("pixelcnn-autoencoder-digits")
    three, eight = (digits.draw(name, seed=1).image for name in ("3", "8"))
    first, second = autoencoder.reconstruct(three, 2, seed=1)
    assert not np.array_equal(first.array, second.array)
    ends = [autoencoder.encode(image) for image in (three, eight)]
    between = autoencoder.interpolate(*ends, steps=3, seed=1)
    between[0].save(tmp_path / "between.png")  # with its recipe
    assert np.array_equal(between[0].array, first.array), "the same vector, the same seed"
    assert len(digits.interpolate("3", "8", steps=4)) == 4
    assert between[0].bits * math.log(2) != pytest.approx(autoencoder.score(first.image)["nats"]), "of its own vector"
    three_again = digits.interpolate("3", "8", steps=2, seed=1)[0]
    assert three_again.bits * math.log(2) == pytest.approx(digits.score(three_again, "3")["nats"], abs=0.01)


def failing_once(engine, monkeypatch, calls):
    """Has `step` do its work, and then fail as Ctrl-C in it does, in this call."""
    step, left = engine.step, iter(range(calls))

    def interrupted(*arguments):
        sampled = step(*arguments)
        if next(left, None) is None:
            monkeypatch.undo()
            raise KeyboardInterrupt
        return sampled

    monkeypatch.setattr(engine, "step", interrupted)


def test_what_is_interrupted_is_sampled_whole_when_it_is_asked_for_again(model, digits, monkeypatch):
    whole, pictures = digits.draw_many("7", 2, seed=5), digits.draw_many("7", 2, seed=5)
    assert next(rows for rows in pictures.rows() if rows == 4) == 4, "a caller that stops reading"
    failing_once(pictures._sampler.engine, monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        pictures.finish()
    assert np.array_equal(pictures.pixels, whole.pixels)
    voice = model.voice("joe")
    speech, expected = voice.speak(TEXT, seed=7), voice.speak(TEXT, seed=7).samples
    chunks = iter(speech)
    next(chunks)
    failing_once(speech._sampler.engine, monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        speech.encode("pcm")
    assert np.array_equal(np.concatenate([speech._chunks[0], *chunks]), expected)
    assert np.array_equal(speech.samples, expected)


def test_errors_of_pictures_name_the_argument(digits):
    for param, value in (("background", "transparent"), ("guidance", float("inf")), ("size", "56x56")):
        refused_by(param, digits.draw, "7", **{param: value})
    for prompt in (["eleven"], [], [5]):
        refused_by("prompt", digits.draw, *prompt)
    two = digits.draw_many("7", 2)
    for param, options in (("columns", {"columns": 0}), ("padding", {"padding": 65}), ("atlas", {"atlas": "unity"})):
        refused_by(param, two.save_sheet, "a.png", **{"columns": 1} | options)
    refused_by("model", digits.voice)
    refused_by("image", digits.score, Image.new("L", (5, 5)))
    refused_by("scale", digits.draw("7").save, "a.png", scale=0)
    refused_by("n", digits.draw_many, "7", 0)
    refused_by("rows", digits.complete, Image.new("L", (28, 28)), rows=28)
    refused_by("steps", digits.interpolate, "3", "8", steps=1)
    size = digits._models.models["pixelcnn-digits"].spec.condition_channels
    for end in (5, ["3"], *([number] * size for number in (float("nan"), float("inf"), 1e39, 10**400))):
        refused_by("from", digits.interpolate, end, "8", steps=2)
    between = digits.interpolate("3", "8")
    for save in (between.save_sheet, between.save_animation):
        refused_by("sheet", save, "a.png")
    assert not between._decode.rows, "nothing was sampled"
    assert digits.draw_many("7", 32).sheet_grid(32, 18, 4).size == (16384, 512)
    refused_by("sheet", digits.draw_many("7", 32).sheet_grid, 32, 18, 4, form="webp")
    reconstruct = ancestral.load("pixelcnn-autoencoder-digits").reconstruct
    refused_by("style", reconstruct, Image.new("L", (28, 28)), style="x")
    with pytest.raises(ancestral.InvalidRequest, match="best_of: not for pictures of another"):
        reconstruct(Image.new("L", (28, 28)), best_of=2)
    for act in (ancestral.load("pixelcnn-gated").score, ancestral.load("pixelrnn-row").complete):
        refused_by("prompt", act, Image.new("L", (28, 28)), prompt="7")


# What is sampled has the same bytes on every processor, whatever numpy makes of its instructions. Other processors are
# simulated by the variables that choose code for them.

_CPU = import_module("numpy._core._multiarray_umath")
_OTHER_NUMPY = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": " ".join(name for name in _CPU.__cpu_dispatch__ if _CPU.__cpu_features__[name]),
}


def _made(**environment):
    """The hash of each output, and its name."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.library.same_bytes"],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def made_here():
    return _made()


def test_the_same_bytes_as_ever(made_here, golden):
    golden("same_bytes", {name: digest for digest, name in (line.split(" ", 1) for line in made_here)})


@pytest.mark.slow
@pytest.mark.parametrize("instructions", variants())
def test_the_same_bytes_on_other_processors(made_here, instructions):
    assert _made(**_OTHER_NUMPY, NATIVE_INSTRUCTIONS=instructions) == made_here
    assert len(set(made_here)) > 24
