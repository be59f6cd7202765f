"""Mel bands and levels: what training and serving share of the analysis of sound."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from ancestral.models.audio.features import log_mel, normalize_level
from tests.training.sounds import FEATURES, RATE, tone


@pytest.mark.parametrize("hz", [300.0, 1000.0, 3000.0, 6000.0])
def test_a_sine_peaks_in_its_band(hz: float) -> None:
    ends = 2595.0 * np.log10(1.0 + np.array([FEATURES.mel_low_hz, FEATURES.mel_high_hz]) / 700.0)
    centres = 700.0 * (10.0 ** (np.linspace(*ends, FEATURES.mel_bands + 2)[1:-1] / 2595.0) - 1.0)
    bands = log_mel(tone(0.5, hz), FEATURES)[5:-5].argmax(axis=1)
    assert (bands == bands[0]).all()
    assert abs(int(bands[0]) - int(np.abs(centres - hz).argmin())) <= 1


def test_ten_times_the_sound_is_a_constant_more() -> None:
    wave = np.random.default_rng(0).normal(0.0, 0.3, RATE).astype(np.float32)
    difference = log_mel(wave, FEATURES) - log_mel(wave / 10, FEATURES)
    # All but the few that would lie under the floor.
    assert (np.abs(difference - np.log(10) / 2.0) < 1e-3).mean() > 0.99


def test_silence_lies_on_the_floor() -> None:
    frames = log_mel(np.zeros(RATE, np.float32), FEATURES)
    assert frames == pytest.approx((np.log(FEATURES.floor) + 6.5) / 2.0)


@pytest.mark.parametrize("frame", [0, 7, 23, 49])
def test_an_impulse_lands_in_its_frame(frame: int) -> None:
    wave = np.zeros(50 * FEATURES.hop + 37, np.float32)
    wave[frame * FEATURES.hop + FEATURES.hop // 2] = 1.0
    energy = log_mel(wave, FEATURES).mean(axis=1)
    assert len(energy) == 50
    assert energy.argmax() == frame


@pytest.mark.parametrize("gain", [0.003, 0.1, 1.0, 3.0])
def test_every_clip_is_brought_to_one_level(gain: float) -> None:
    level = normalize_level(tone(1.0, 200) * gain, RATE)
    assert np.sqrt((level**2).mean()) == pytest.approx(0.1, rel=0.01)
    # The pauses do not count.
    paused = normalize_level(np.concatenate([tone(1.0, 200) * gain, np.zeros(3 * RATE, np.float32)]), RATE)
    assert np.abs(paused).max() == pytest.approx(np.abs(level).max(), rel=0.01)


def test_level_keeps_the_peak_in_range() -> None:
    wave = tone(1.0, 200, level=0.001)
    wave[8000] = 0.5
    assert np.abs(normalize_level(wave, RATE)).max() == pytest.approx(0.97)
    assert not normalize_level(np.zeros(RATE, np.float32), RATE).any()
    assert normalize_level(np.zeros(10, np.float32), RATE).shape == (10,)


def test_what_has_its_level_keeps_it() -> None:
    rng = np.random.default_rng(0)
    swelling = (np.linspace(0.0, 0.01, RATE) * rng.normal(0.0, 1.0, RATE)).astype(np.float32)
    clicking = swelling.copy()
    clicking[4000] = 0.9
    for wave in (swelling, clicking):
        once = normalize_level(wave, RATE)
        assert normalize_level(once, RATE) == pytest.approx(once, rel=1e-5)


def test_nothing_that_serves_needs_what_trains() -> None:
    code = (
        "import sys, ancestral.models.text.alignment; print(sorted({'torch', 'ancestral.training'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
