"""The ripple that harmonics leave in the log-mels, beside that of real sums of cosines."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ancestral.models.audio.features import LOG_F0_MEAN, LOG_F0_SCALE, log_mel
from ancestral.models.audio.harmonics import harmonic_ripple
from ancestral.models.spec import FeatureSpec

SPEC = FeatureSpec()
VOICED = np.ones(1)


def scaled(hz: float) -> NDArray[np.float64]:
    return np.array([(np.log(hz) - LOG_F0_MEAN) / LOG_F0_SCALE])


def sounding(hz: float, seed: int) -> NDArray[np.float64]:
    """Mean log-mels of harmonics of equal power and random phases, with noise between them."""
    t, rng = np.arange(16000) / SPEC.sample_rate, np.random.default_rng(seed)
    phases = rng.uniform(0.0, 2.0 * np.pi, int(SPEC.sample_rate / 2 / hz))
    wave = sum(np.cos(2.0 * np.pi * hz * (k + 1) * t + phase) for k, phase in enumerate(phases))
    noisy = 0.02 * np.asarray(wave) + rng.normal(0.0, 0.01, len(t))
    mels: NDArray[np.float64] = log_mel(noisy.astype(np.float32), SPEC)[20:80].mean(axis=0).astype(np.float64)
    return mels


@pytest.mark.parametrize("hz", [110.0, 131.0, 178.0, 210.0])
def test_the_ripple_is_that_of_harmonics(hz: float) -> None:
    low = slice(8, 28)  # 300 to 1500 Hz
    real = np.mean([sounding(hz, seed) for seed in range(4)], axis=0)[low]
    flat = np.log(np.mean([np.exp(sounding(f, 0)) for f in np.linspace(90, 230, 29)], axis=0))[low]
    expected = harmonic_ripple(scaled(hz), VOICED, SPEC)[0, low]
    assert np.corrcoef(real - flat, expected)[0, 1] > 0.8


def test_high_bands_are_too_wide_to_show_harmonics() -> None:
    ripple = harmonic_ripple(scaled(110.0), VOICED, SPEC)[0]
    assert np.ptp(ripple[5:20]) > 5 * np.ptp(ripple[45:])


def test_unvoiced_frames_have_none() -> None:
    ripple = harmonic_ripple(scaled(150.0).repeat(3), np.array([0.0, 0.5, 1.0]), SPEC)
    assert not ripple[0].any()
    assert ripple[1] == pytest.approx(ripple[2] / 2)
    assert ripple.dtype == np.float32


def test_an_octave_has_half_of_the_harmonics() -> None:
    peaks = []
    for hz in (200.0, 400.0):
        row = harmonic_ripple(scaled(hz), VOICED, SPEC)[0, 4:24]
        peaks.append(int(((row[1:-1] > row[:-2]) & (row[1:-1] > row[2:])).sum()))
    assert peaks[0] >= 2 * peaks[1] - 1 > 1


@pytest.mark.parametrize(("hz", "nearer"), [(5.0, 10.0), (9000.0, 3000.0)])
def test_f0_outside_of_the_table_is_its_nearest(hz: float, nearer: float) -> None:
    found, inside = (harmonic_ripple(scaled(f), VOICED, SPEC) for f in (hz, nearer))
    assert np.array_equal(found, inside)
    assert found.any()
