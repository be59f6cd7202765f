"""The faults that `bench.artefacts` counts are found where they are, and nowhere else."""

from __future__ import annotations

import numpy as np

from ancestral.speech.decoder import Wave
from bench.artefacts import RATE, clicks, faults, longest_silence

SECOND = np.arange(RATE) / RATE


def tone() -> Wave:
    return np.asarray(0.3 * np.sin(2.0 * np.pi * 200.0 * SECOND) * np.sin(np.pi * SECOND) ** 2, np.float32)


def quiet(seconds: float) -> Wave:
    return np.zeros(round(seconds * RATE), np.float32)


def test_sound_without_faults() -> None:
    wave = np.concatenate([quiet(0.2), tone(), quiet(0.9), tone(), quiet(0.2)])
    assert faults(wave, len(wave) - round(0.2 * RATE)) == []
    noise = np.random.default_rng(0).normal(0.0, 0.2, RATE).clip(-0.9, 0.9).astype(np.float32)
    assert clicks(noise) == 0


def test_each_fault_is_found() -> None:
    wave = tone()
    clicking = wave.copy()
    clicking[RATE // 2 :] += 0.4
    assert "click" in faults(clicking, RATE)
    assert faults(np.where(np.arange(RATE) == 8000, np.float32(-1.0), wave * 3.3), RATE)[-1] == "clipped"
    pause = np.concatenate([wave, quiet(1.2), wave])
    assert 1.2 <= longest_silence(pause) < 1.5
    assert faults(pause, len(pause)) == ["silence"]
    assert faults(wave, RATE // 2) == ["tail"]
