"""Prepared arrays: what is kept of every clip, and that all of it belongs together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ancestral.models.audio.features import LOG_F0_SCALE, normalize_level
from ancestral.models.audio.mu_law import encode_wave
from ancestral.training.corpora import read
from ancestral.training.data.f0 import analyze, trim_silence
from ancestral.training.data.speech import (
    Clip,
    Dataset,
    by_speaker,
    held_out,
    load_wave,
    lowered,
    prepare,
)
from tests.training.sounds import CODING, FEATURES, PHONES, RATE, SPEAKERS, tone, voiced


def test_every_clip_is_found_again(corpus: Path, prepared: Path) -> None:
    dataset = Dataset(prepared)
    assert (dataset.spec, dataset.coding) == (FEATURES, CODING)
    for source, clip in zip(read(corpus), dataset.clips, strict=True):
        assert (source.id, source.speaker, source.text) == (clip.id, clip.speaker, clip.text)
        wave = normalize_level(load_wave(source.path, RATE), RATE)
        begin, end = trim_silence(wave, RATE)
        assert begin > 0
        assert clip.frames == (end - begin) // FEATURES.hop
        cut = wave[begin:end]
        assert np.array_equal(dataset.symbols(clip), encode_wave(cut, 0.85, 2.0))
        assert np.array_equal(
            dataset.frames(clip), analyze(cut, FEATURES, dataset.pitch_ranges[clip.speaker]).astype(np.float16)
        )
        assert clip.phones == PHONES
        assert sum(clip.durations) == clip.frames
        assert [p for p, starts in zip(PHONES, clip.word_starts, strict=True) if starts] == ["DH", "K"]


def test_several_processes_prepare_the_same(corpus: Path, prepared: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    assert prepare(read(corpus), tmp_path / "out", FEATURES, CODING, 2, seen.append) == 10
    assert seen == list(range(1, 11))
    for name in ("symbols.npy", "clips.json"):
        assert (tmp_path / "out" / name).read_bytes() == (prepared / name).read_bytes()
    # BLAS may add in another order in another process: a frame may then be rounded to the next number.
    mine, theirs = (np.load(folder / "frames.npy") for folder in (tmp_path / "out", prepared))
    np.testing.assert_array_max_ulp(mine, theirs, maxulp=1)


def test_clips_with_lower_f0(tmp_path: Path) -> None:
    wave = voiced(2.0, 200.0, 1)
    for name in ("ann_s0000", "ann_u0000", "ann_u0001"):
        soundfile.write(tmp_path / f"{name}.wav", wave, RATE)
    clips = [Clip(path.stem, "ann", path, "") for path in sorted(tmp_path.glob("*.wav"))]
    moved = lowered(clips, 4.0)
    assert [(clip.id, clip.phones) for clip in moved] == [("ann_u0000", ())]  # nothing that is held out
    prepare([*clips, *moved], tmp_path / "out", FEATURES, CODING, 1)
    dataset = Dataset(tmp_path / "out")
    own, lower = dataset.clips[1], dataset.clips[3]
    assert lower.frames == pytest.approx(own.frames * 2 ** (4 / 12), abs=5)  # but the silence kept around it
    f0 = [np.median(dataset.frames(clip)[:, -2].astype(float)) for clip in (own, lower)]
    assert (f0[0] - f0[1]) * LOG_F0_SCALE == pytest.approx(np.log(2) * 4 / 12, abs=0.02)


def test_clips_of_other_rates_and_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    t = np.arange(22050) / 22050
    left = 0.4 * np.sin(2 * np.pi * 200 * t)
    soundfile.write(path, np.column_stack([left, left / 2]), 22050)
    wave = load_wave(path, RATE)
    assert len(wave) == RATE
    assert wave[100:-100] == pytest.approx(tone(1.0, 200)[100:-100], abs=0.01)


def test_rumble_is_no_sound(tmp_path: Path) -> None:
    voice = np.concatenate(
        [np.zeros(RATE // 2, np.float32), tone(1.0, 200) + tone(1.0, 60), np.zeros(RATE // 2, np.float32)]
    )
    rumble = 0.1 * np.sin(2 * np.pi * 15 * np.arange(len(voice)) / RATE)
    soundfile.write(tmp_path / "a.wav", voice + rumble, RATE)
    wave = load_wave(tmp_path / "a.wav", RATE)
    inside = slice(RATE // 2 + 1600, -RATE // 2 - 1600)
    assert wave[inside] == pytest.approx(voice[inside], abs=0.005)
    assert np.abs(wave[: RATE // 4]).max() < 0.01
    begin, end = trim_silence(wave, RATE)
    assert begin > 0.3 * RATE
    assert end < 1.7 * RATE


def test_what_is_too_short_is_left_out(tmp_path: Path) -> None:
    clips = []
    for name, seconds in (("short", 0.3), ("long", 0.5)):
        soundfile.write(tmp_path / f"{name}.wav", tone(seconds, 200), RATE)
        clips.append(Clip(name, "ann", tmp_path / f"{name}.wav", "Text."))
    assert prepare(clips, tmp_path / "out", FEATURES, CODING, processes=1) == 1
    (clip,) = Dataset(tmp_path / "out").clips
    assert (clip.id, clip.frames, clip.durations) == ("long", 50, ())
    with pytest.raises(ValueError, match="none of 1 clips"):
        prepare(clips[:1], tmp_path / "none", FEATURES, CODING, processes=1)
    assert not (tmp_path / "none").exists()


def test_what_is_no_sound_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.wav"
    path.write_bytes(b"RIFF, or so it says")
    with pytest.raises(ValueError, match=r"broken\.wav"):
        prepare([Clip("broken", "ann", path, "Text.")], tmp_path / "out", FEATURES, CODING, processes=1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("heart_s0000", True), ("allison_s0039", True), ("joe_u0001", False), ("LJ001-0001", False),
     ("p225_001", False), ("allison_vm-saved", False), ("a_s", False), ("a_sx1", False)],
)  # fmt: skip
def test_the_names_of_held_out_clips(name: str, expected: bool) -> None:
    assert held_out(name) is expected


def test_clips_are_grouped(prepared: Path) -> None:
    datasets = [Dataset(prepared)]
    evaluation, training = (by_speaker(datasets, evaluation=flag) for flag in (True, False))
    assert tuple(evaluation) == tuple(training) == SPEAKERS
    assert {name: [c.id for _, c in group] for name, group in evaluation.items()} == {
        name: [f"{name}_s0000"] for name in SPEAKERS
    }
    assert all(c.speaker == name for name, group in training.items() for _, c in group)
    assert sum(map(len, training.values())) == 8
