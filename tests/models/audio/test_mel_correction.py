"""The correction makes the mels that it is given, whatever chunks the sound comes in, and is what numpy computes."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral.models.audio.features import LOG_MEL_SCALE, fft_size, log_mel, mel_bank
from ancestral.models.audio.mel_correction import LIMIT_DB, MelCorrection, tables
from ancestral.models.audio.shaping import bin_weights
from ancestral.models.kernels.mel_correction import correct_frames
from ancestral.models.spec import FeatureSpec

SPEC = FeatureSpec()
NEPER_DB = 20.0 / np.log(10.0)
BELOW = len(tables(SPEC).spans)
"""Bands that are corrected."""


def sound(frames: int = 60, seed: int = 0) -> np.ndarray:
    """Noise and a tone, both swelling, after silence."""
    time = np.arange(frames * SPEC.hop) / SPEC.sample_rate
    noise = np.random.default_rng(seed).normal(0.0, 0.02, len(time))
    swell = np.clip(4.0 * time - 0.3, 0.0, 1.0)
    return (swell * (noise + 0.1 * np.sin(2.0 * np.pi * 440.0 * time))).astype(np.float32)


def corrected(wave: np.ndarray, frames: np.ndarray, strength: float) -> np.ndarray:
    correction = MelCorrection(frames, SPEC, strength, correct_frames)
    correction.push(wave)
    return correction.pull(len(wave))


def test_it_is_what_numpy_computes() -> None:
    """The same analysis, gains and overlap-add with numpy's transform, all frames at once."""
    wave, wanted = sound(seed=0), log_mel(sound(seed=1), SPEC) + 0.3
    window, size, before = np.hanning(SPEC.window + 1)[:-1], fft_size(SPEC), (SPEC.window - SPEC.hop) // 2
    padded = np.pad(wave.astype(np.float64), SPEC.window)
    starts = SPEC.window - before + SPEC.hop * np.arange(-2, len(wanted) + 2)
    spectra = np.fft.rfft([padded[i : i + SPEC.window] * window for i in starts], size, axis=1)
    bands = np.maximum(np.abs(spectra) / window.sum() @ mel_bank(SPEC, size), SPEC.floor)
    found = (np.log(bands[2:-2]) + 6.5) / LOG_MEL_SCALE
    limit = LIMIT_DB / NEPER_DB
    gains = np.exp(0.5 * np.clip((wanted - found) * LOG_MEL_SCALE, -limit, limit))
    gains[:, BELOW:] = 1.0
    below, shares = bin_weights(SPEC)
    spectra[2:-2] *= gains[:, below] * (1.0 - shares) + gains[:, below + 1] * shares
    expected = np.zeros(len(padded))
    for i, frame in zip(starts, np.fft.irfft(spectra, size, axis=1), strict=True):
        expected[i : i + SPEC.window] += frame[: SPEC.window] * window / 1.5
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(
        corrected(wave, wanted, 0.5), expected[SPEC.window : SPEC.window + len(wave)], rtol=0.0, atol=1e-6
    )


@pytest.mark.parametrize("gain_db", [-8.0, 3.0, 8.0, 30.0])
def test_mels_that_are_wrong_by_a_known_gain_become_right(gain_db: float) -> None:
    """Up to the limit and to 2 kHz, at full strength; half of it at half strength."""
    wave = sound()
    wanted = log_mel(wave, SPEC) + gain_db / NEPER_DB / LOG_MEL_SCALE
    for strength in (1.0, 0.5):
        moved = (log_mel(corrected(wave, wanted, strength), SPEC) - log_mel(wave, SPEC)) * LOG_MEL_SCALE * NEPER_DB
        assert np.abs(moved[20:-3, : BELOW - 1] - strength * min(gain_db, LIMIT_DB)).max() < 0.1
        assert np.abs(moved[20:-3, BELOW + 1 :]).max() < 0.2


def test_what_is_right_stays_as_it_is() -> None:
    wave = sound()
    np.testing.assert_allclose(corrected(wave, log_mel(wave, SPEC), 1.0), wave, rtol=0.0, atol=1e-6)
    assert corrected(wave, np.zeros((60, 64)), 0.0).tobytes() == wave.tobytes(), "off: bit for bit"
    silence = np.zeros(len(wave), np.float32)
    assert not corrected(silence, log_mel(wave, SPEC), 1.0).any()


@pytest.mark.parametrize("strength", [0.0, 0.7])
def test_neither_chunks_nor_restarts_change_a_bit(strength: float) -> None:
    wave, frames = sound()[:-37], log_mel(sound(seed=1), SPEC)
    whole, rng = corrected(wave, frames, strength), np.random.default_rng(0)
    for _ in range(10):
        correction, given, pieces = MelCorrection(frames, SPEC, strength, correct_frames), 0, []
        while correction.position < len(wave):
            count = min(int(rng.integers(0, 700)), len(wave) - correction.position)
            until = min(max(correction.needed(count), given) + int(rng.integers(0, 99)), len(wave))
            correction.push(wave[given:until])
            given = until
            if strength:
                assert correction.needed(count) - correction.position - count <= SPEC.window
            if rng.random() < 0.5:
                correction = MelCorrection(frames, SPEC, strength, correct_frames, correction.held.copy(), given)
            pieces.append(correction.pull(count))
        assert np.concatenate(pieces).tobytes() == whole.tobytes()
