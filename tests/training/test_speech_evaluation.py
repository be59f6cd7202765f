"""Judges of speech: what an ASR hears, how clean it is, whose voice it is, how likely the model finds it; its F0, the
sharpness of mels; the page on which people hear voices beside their recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from ancestral.models.audio.features import LOG_F0_MEAN, LOG_F0_SCALE, sharpened
from ancestral.models.checkpoint import load
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.training.blur import smooth
from ancestral.training.data.f0 import analyze
from ancestral.training.evaluation.listener import Listener
from ancestral.training.evaluation.listening import Heard, spectrogram, write_listening_page
from ancestral.training.evaluation.pitch import f0_response, measure_pitch
from ancestral.training.evaluation.speech import (
    OpinionJudge,
    VoiceJudge,
    bits_per_sample,
    error_rates,
    frames_of,
    noise_score,
    recordings,
)
from ancestral.training.metrics.mels import contrast_strength, ripple_depth, variance_ratio
from ancestral.training.tasks.wavenet import WaveNetTask
from tests.training.sounds import EVEN, FEATURES, RATE, SENTENCES, WAVENET, Wave, said, tone


def read_by(name: str) -> list[Wave]:
    return [said(name, text) for text in SENTENCES]


def noise(seconds: float, level: float) -> Wave:
    return np.random.default_rng(0).normal(0.0, level, round(seconds * RATE)).astype(np.float32)


@pytest.mark.slow
def test_the_listener_hears_the_teacher() -> None:
    pytest.importorskip("faster_whisper")
    listener = Listener()
    heard = [listener.transcribe(wave) for wave in read_by("heart")]
    rates = error_rates(SENTENCES, heard)
    assert (rates["cer"] < 0.05, rates["wer"] < 0.2) == (True, True)
    assert error_rates(SENTENCES[::-1], heard)["wer"] > 0.8


def test_error_rates() -> None:
    for text, heard, language in (
        ("Five cats, and Mr. Smith's colour.", "5 cats and mister smith's color", "en"),
        ("Ocho gatos, y el Sr. Paz.", "8 gatos y el señor paz", "es-ES"),
    ):
        assert error_rates([text], [heard], language) == {"wer": 0.0, "cer": 0.0}
    rates = error_rates(["one plank only", "she sang"], ["one tank only", "she sang"])
    assert rates["wer"] == pytest.approx(1 / 5)
    assert 0.0 < rates["cer"] < rates["wer"]
    assert error_rates(["she sang"], [""])["wer"] == 1.0
    assert error_rates(["Ocho gatos."], ["你好"], "es")["wer"] == 1.0


@pytest.mark.parametrize("judge", ["noise", "opinion"])
def test_noise_lowers_the_score(judge: str) -> None:
    score = noise_score if judge == "noise" else OpinionJudge().score
    clean = read_by("heart")
    noisy = [wave + noise(len(wave) / RATE, 0.05) for wave in clean]
    assert 1.0 <= score(noisy) < score(clean) - 0.5
    assert score(clean) <= 5.0
    assert judge == "opinion" or score([clean[0] * 100.0]) <= 5.0


def test_voices_are_told_apart() -> None:
    judge = VoiceJudge({"heart": read_by("heart")[:1], "joe": read_by("joe")[:1]})
    for name in ("heart", "joe"):
        found, similarity = judge.voice_of(read_by(name)[1])
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
    task = WaveNetTask(WAVENET, (prepared,), EVEN)
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


def test_pitch_and_voicing_of_a_voice() -> None:
    half, quiet = (np.concatenate([tone(1.0, 150.0, 12), noise(1.0, level)]) for level in (0.2, 0.001))
    measured = measure_pitch([half, half], FEATURES)
    assert measured.median_f0 == pytest.approx(150.0, rel=0.01)
    assert measured.voiced_share == pytest.approx(0.5, abs=0.05)
    assert measure_pitch([quiet], FEATURES).voiced_share > 0.95, "quiet frames do not count"
    assert measure_pitch([noise(1.0, 0.2)], FEATURES).voiced_share < 0.1


def pitch_frames(hz: float, voiced: float = 1.0) -> np.ndarray:
    made = np.zeros((100, FEATURES.channels), np.float32)
    made[:, -2], made[:, -1] = (np.log(hz) - LOG_F0_MEAN) / LOG_F0_SCALE, voiced
    return made


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.15, 1.4])
def test_the_response_to_f0(factor: float) -> None:
    sounds = [tone(1.0, hz * factor, 12) for hz in (140.0, 160.0)]
    for asked, response in ((factor, 1.0), (1.0, factor)):
        given = [pitch_frames(hz * asked) for hz in (140.0, 160.0)]
        assert f0_response(sounds, given, FEATURES) == pytest.approx(response, abs=0.01)
    assert f0_response(sounds, [pitch_frames(150.0, voiced=0.0)] * 2, FEATURES) == 0.0


def test_the_depth_of_the_ripple_and_the_ratio_of_variances() -> None:
    bands, voicing, rng = FEATURES.mel_bands, np.tile([1.0, 0.0], 10), np.random.default_rng(0)
    mels = np.tile(np.linspace(1.0, -1.0, bands, dtype=np.float32), (20, 1))
    assert ripple_depth(mels, voicing, FEATURES) == pytest.approx(0.0, abs=1e-5)
    wavy = mels + 0.3 * np.cos(np.pi * np.arange(bands), dtype=np.float32)
    wavy[1::2] = 9.0 * rng.standard_normal((10, bands))
    depth = ripple_depth(wavy, voicing, FEATURES)
    assert depth == pytest.approx(0.3 * 4 / 5, rel=0.01), "unvoiced frames have no say"
    assert ripple_depth(smooth(wavy, 3), voicing, FEATURES) < 0.5 * depth
    assert ripple_depth(mels, np.zeros(20), FEATURES) == 0.0
    natural = rng.standard_normal((400, bands))
    assert variance_ratio(natural, natural) == pytest.approx(1.0)
    assert variance_ratio(0.5 * natural + 3.0, natural) == pytest.approx(0.25)


@pytest.mark.parametrize("lost", [0.0, 0.2, 0.5])
def test_the_contrast_that_predicted_mels_lack_is_found(lost: float) -> None:
    natural = np.random.default_rng(0).standard_normal((20, 64)).astype(np.float32)
    predicted = natural + np.float32(lost) * (smooth(natural, 5) - natural)
    strength = contrast_strength(predicted, natural)
    assert strength == pytest.approx(0.0) if not lost else strength > 0.3 * lost
    made = sharpened(predicted, strength)
    assert np.array_equal(made[:, :32], predicted[:, :32])
    apart = [(m - smooth(m, 5))[:, 32:].std() for m in (made, natural)]
    assert apart[0] == pytest.approx(apart[1], rel=0.02)


def test_the_page_shows_what_it_links_to(tmp_path: Path) -> None:
    low, high = (int(spectrogram(tone(1.0, hz)).sum(axis=(1, 2)).argmax()) for hz in (200.0, 4000.0))
    assert high < low < len(spectrogram(tone(1.0, 200.0))), "low frequencies are below"
    sounds = [tone(1.0, hz, level=0.1) for hz in (200.0, 300.0, 400.0, 500.0)]
    heard, page = [Heard("A birch canoe.", *sounds[:2]), Heard("Glue the sheet.", *sounds[2:])], tmp_path / "page"
    write_listening_page(page, "tiny", "0123456789abcdef", {"allison": heard[:1], "mary": heard})
    text = (page / "README.md").read_text("utf-8")
    assert "weights `0123456789ab`" in text
    credit = "Allison Smith, from the Asterisk core sounds (Sangoma/Digium), CC-BY-SA-3.0"
    played = "[hear](allison-0-voice.ogg)<br>![](allison-0-voice.png)"
    assert f"| **allison**: {credit} | A birch canoe. | {played} |" in text
    assert "| **mary** | Glue the sheet. | [hear](mary-1-voice.ogg)" in text
    files = {path.name for path in page.iterdir()} - {"README.md"}
    names = [f"{name}-{kind}" for name in ("allison-0", "mary-0", "mary-1") for kind in ("voice", "recording")]
    assert files == {f"{name}.{suffix}" for name in names for suffix in ("ogg", "png")}
    assert all(file in text for file in files)
    sound, rate = soundfile.read(page / "mary-1-recording.ogg", dtype="float32")
    assert abs(np.abs(np.fft.rfft(sound)).argmax() * rate / len(sound) - 500.0) < 5.0
    with Image.open(page / "mary-1-recording.png") as picture:
        assert picture.size == spectrogram(sounds[3]).shape[1::-1]
