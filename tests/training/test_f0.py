"""Conditioning frames: F0, silence and the grid of 10 ms."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral.training.data.durations import frame_durations, pauses_of_silence
from ancestral.training.data.f0 import analyze, pitch, trim_silence
from tests.training.sounds import FEATURES, RATE, tone


@pytest.mark.parametrize("hz", [90.0, 150.0, 220.0, 330.0])
def test_the_pitch_of_a_harmonic_tone(hz: float) -> None:
    log_f0, voicing = pitch(tone(1.0, hz, 12), FEATURES)
    assert log_f0.shape == voicing.shape == (100,)
    assert voicing[5:-5].all()
    assert np.exp(log_f0[5:-5] * 0.4 + 5.0) == pytest.approx(hz, rel=0.01)


def test_pitch_goes_on_through_what_has_none() -> None:
    gap = np.random.default_rng(0).normal(0, 0.003, RATE // 2).astype(np.float32)
    log_f0, voicing = pitch(np.concatenate([tone(0.5, 120, 12), gap, tone(0.5, 240, 12)]), FEATURES)
    assert voicing[5:45].all()
    assert voicing[105:145].all()
    assert not voicing[65:90].any()
    # A straight line from the last pitch to the next one.
    steps = np.diff(log_f0[65:90])
    assert steps.min() > 0.0
    assert np.ptp(steps) < 1e-3


def test_noise_has_no_pitch() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)
    assert pitch(noise, FEATURES)[1].mean() < 0.3
    log_f0, voicing = pitch(np.zeros(RATE, np.float32), FEATURES)
    assert not log_f0.any()
    assert not voicing.any()


@pytest.mark.parametrize("samples", [16000, 16159, 8080])
def test_whole_frames_only(samples: int) -> None:
    assert analyze(tone(2.0, 200, 5)[:samples], FEATURES).shape == (samples // FEATURES.hop, FEATURES.channels)


def test_outer_silence_is_cut_to_80_ms() -> None:
    quiet = np.zeros(RATE // 2, np.float32)
    wave = np.concatenate([quiet, tone(1.0, 200), quiet])
    assert trim_silence(wave, RATE) == (round(0.42 * RATE), round(1.58 * RATE))
    assert trim_silence(tone(1.0, 200), RATE) == (0, RATE)
    assert trim_silence(quiet, RATE) == (0, len(quiet))
    assert trim_silence(quiet[:100], RATE) == (0, 100)


def test_durations_fill_the_trimmed_clip() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        seconds = rng.exponential(0.07, int(rng.integers(2, 30)))
        begin = rng.uniform(0, seconds[0])
        frames = max(int((seconds.sum() - begin - rng.uniform(0, seconds[-1])) * 100), 1)
        durations = frame_durations(seconds.tolist(), begin, frames, 0.01)
        assert (len(durations), sum(durations), min(durations) >= 0) == (len(seconds), frames, True)
        # Rounding errors do not add up: every inner boundary is within half a frame of its place.
        exact = np.clip((np.cumsum(seconds)[:-1] - begin) / 0.01, 0, frames)
        assert np.abs(np.cumsum(durations)[:-1] - exact).max() <= 0.5 + 1e-9


def test_a_pause_has_its_whole_silence() -> None:
    """The silent frames are 20 to 39 and 60 to 63, a closure within the T, and 70 to 77."""
    sounding = np.ones(78, bool)
    sounding[20:40] = sounding[60:64] = sounding[70:] = False
    phones = ("AA1", "N", ",", "IY1", "T", ".")
    assert pauses_of_silence(phones, (10, 25, 6, 19, 18, 0), sounding) == (10, 11, 20, 19, 11, 7)
    assert pauses_of_silence(phones, (10, 9, 22, 19, 10, 8), sounding) == (10, 11, 20, 19, 11, 7)
    # No silence, no change.
    assert pauses_of_silence(phones, (10, 25, 6, 19, 18, 0), np.ones(78, bool)) == (10, 25, 6, 19, 18, 0)
