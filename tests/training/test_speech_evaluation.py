"""The judges: what an ASR hears, how clean it is, whose voice it is, how likely the model finds it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from ancestral.models.checkpoint import load
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.text import phonemize
from ancestral.training.corpora.teachers import Heart, Joe
from ancestral.training.data.f0 import analyze
from ancestral.training.evaluation.listener import Listener
from ancestral.training.evaluation.speech import (
    OpinionJudge,
    VoiceJudge,
    bits_per_sample,
    error_rates,
    frames_of,
    noise_score,
    recordings,
)
from ancestral.training.tasks.wavenet import WaveNetTask
from tests.training.sounds import FEATURES, RATE, SPEAKERS, WAVENET, Wave, tone

SENTENCES = ("The birch canoe slid on the smooth planks.", "Rice is often served in round bowls.")


@cache
def said(name: str) -> list[Wave]:
    if name == "joe":
        pytest.importorskip("piper")
    teacher = Heart() if name == "heart" else Joe()
    sounds = [teacher.speak(phonemize(text)[0]) for text in SENTENCES]
    return [soxr.resample(wave, rate, RATE).astype(np.float32) for wave, rate, _ in sounds]


@pytest.mark.slow
def test_the_listener_hears_the_teacher() -> None:
    pytest.importorskip("faster_whisper")
    listener = Listener()
    heard = [listener.transcribe(wave) for wave in said("heart")]
    rates = error_rates(SENTENCES, heard)
    assert rates["cer"] < 0.05
    assert rates["wer"] < 0.2
    wrong = error_rates(SENTENCES[::-1], heard)
    assert wrong["wer"] > 0.8


def test_error_rates() -> None:
    assert error_rates(["Five cats, and Mr. Smith's colour."], ["5 cats and mister smith's color"]) == {
        "wer": 0.0, "cer": 0.0,
    }  # fmt: skip
    rates = error_rates(["one plank only", "she sang"], ["one tank only", "she sang"])
    assert rates["wer"] == pytest.approx(1 / 5)
    assert 0.0 < rates["cer"] < rates["wer"]
    assert error_rates(["she sang"], [""])["wer"] == 1.0
    assert error_rates(["Ocho gatos, y el Sr. Paz."], ["8 gatos y el señor paz"], "es-ES")["cer"] == 0.0
    assert error_rates(["Ocho gatos."], ["你好"], "es")["wer"] == 1.0


def test_noise_lowers_the_score() -> None:
    rng = np.random.default_rng(0)
    clean = said("heart")
    noisy = [wave + rng.normal(0, 0.05, len(wave)).astype(np.float32) for wave in clean]
    assert 1.0 <= noise_score(noisy) < noise_score(clean) - 0.5
    assert noise_score([clean[0] * 100.0]) <= 5.0


def test_noise_lowers_the_opinion() -> None:
    rng = np.random.default_rng(0)
    clean, judge = said("heart"), OpinionJudge()
    noisy = [wave + rng.normal(0, 0.05, len(wave)).astype(np.float32) for wave in clean]
    assert 1.0 <= judge.score(noisy) < judge.score(clean) - 0.5
    assert judge.score(clean) <= 5.0


def test_voices_are_told_apart() -> None:
    judge = VoiceJudge({"heart": said("heart")[:1], "joe": said("joe")[:1]})
    for name in ("heart", "joe"):
        found, similarity = judge.voice_of(said(name)[1])
        assert found == name
        assert 0.5 < similarity <= 1.0001


def test_recordings_are_those_held_out(corpus: Path, tmp_path: Path) -> None:
    found = recordings(corpus, 5)
    assert [text for text, _ in found] == ["The birch, canoe."] * 2
    assert all(np.abs(wave).max() <= 0.97 and len(wave) > RATE for _, wave in found)
    assert len(recordings(corpus, 1)) == 1
    (tmp_path / "wavs").mkdir()
    soundfile.write(tmp_path / "wavs" / "a.wav", tone(1.0, 200), RATE)
    (tmp_path / "metadata.csv").write_text("a|ann|Text.\n")
    with pytest.raises(ValueError, match="no clip is held out"):
        recordings(tmp_path, 5)


def test_f0_of_recordings_is_sought_in_the_range_of_their_speaker() -> None:
    *_, stray = frames_of([tone(2.0, 120.0, 12), tone(2.0, 120.0, 12), tone(0.5, 400.0, 12)], FEATURES)
    alone = analyze(tone(0.5, 400.0, 12), FEATURES)
    assert alone[25, -2] > stray[25, -2] + 1.0


def test_bits_per_sample(corpus: Path, prepared: Path, tmp_path: Path) -> None:
    task = WaveNetTask(WAVENET, (prepared,), dict.fromkeys(SPEAKERS, 1.0))
    torch.manual_seed(0)
    network = task.network()
    task.export(network, tmp_path / "a", {}, {})
    engine = NativeEngine(load(tmp_path / "a"))
    waves = [wave for _, wave in recordings(corpus, 2)]
    frames = frames_of(waves, FEATURES)
    each = [bits_per_sample(engine, [w], [f], 0, FEATURES) for w, f in zip(waves, frames, strict=True)]
    lengths = [len(wave) // FEATURES.hop for wave in waves]
    assert bits_per_sample(engine, waves, frames, 0, FEATURES) == pytest.approx(np.average(each, weights=lengths))
    assert min(each) > 3.0
    # A model that knows nothing but that all symbols are equally likely needs eight bits for each.
    with torch.no_grad():
        network.output.zero_()
        network.output_bias.zero_()
    task.export(network, tmp_path / "b", {}, {})
    blank = NativeEngine(load(tmp_path / "b"))
    assert bits_per_sample(blank, waves, frames, 1, FEATURES) == pytest.approx(8.0, abs=1e-5)
