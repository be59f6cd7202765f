"""Sound to conditioning frames: log-mel energies, F0 and voicing per 10 ms.

The mel filters follow Davis & Mermelstein's triangular bank on the HTK mel scale; F0 comes from WORLD's DIO with
StoneMask refinement (Morise et al. 2016).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyworld
from numpy.typing import NDArray

from models.spec import FeatureSpec

Array = NDArray[np.float32]

_LOG_MEL_MEAN, _LOG_MEL_SCALE = -6.5, 2.0
_LOG_F0_MEAN, _LOG_F0_SCALE = 5.0, 0.4
_VOICE_LEVEL_DB = -20.0
_PEAK = 0.97


def normalize_level(wave: NDArray[np.floating], sample_rate: int) -> Array:
    """Bring the speech in a clip to -20 dBFS (the mean over its louder 20 ms frames), its peak below 0.97.

    Corpora differ by 13 dB; mu-law and the frames both need one level.
    """
    size = sample_rate // 50
    frames = np.asarray(wave[: len(wave) // size * size], np.float64).reshape(-1, size)
    energy = (frames**2).mean(axis=1) if len(frames) else np.zeros(1)
    loud = energy[energy >= 0.05 * energy.max()]
    gain = 10 ** (_VOICE_LEVEL_DB / 20) / max(float(np.sqrt(loud.mean())), 1e-6)
    gain = min(gain, _PEAK / max(float(np.abs(wave).max(initial=0.0)), 1e-6))
    return (np.asarray(wave, np.float64) * gain).astype(np.float32)


def trim_silence(wave: Array, sample_rate: int, keep_seconds: float = 0.08, below_db: float = -45.0) -> tuple[int, int]:
    """First and last sample of a clip after its outer silence is cut to ``keep_seconds``, on a grid of 10 ms."""
    size = sample_rate // 100
    count = len(wave) // size
    if not count:
        return 0, len(wave)
    energy = (np.asarray(wave[: count * size], np.float64).reshape(-1, size) ** 2).mean(axis=1)
    active = np.flatnonzero(energy > 10 ** (below_db / 10))
    if not len(active):
        return 0, count * size
    keep = round(keep_seconds * 100)
    return max(int(active[0]) - keep, 0) * size, min(int(active[-1]) + 1 + keep, count) * size


@cache
def _mel_bank(spec: FeatureSpec, size: int) -> Array:
    """Triangular filters ``[size // 2 + 1, mel_bands]``."""

    def to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        mel: NDArray[np.float64] = 2595.0 * np.log10(1.0 + hz / 700.0)
        return mel

    low, high = to_mel(np.array([spec.mel_low_hz, spec.mel_high_hz]))
    edges = np.linspace(low, high, spec.mel_bands + 2)
    bins = to_mel(np.arange(size // 2 + 1) * spec.sample_rate / size)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    bank: NDArray[np.float64] = np.maximum(np.minimum(rising, falling), 0.0)
    return bank.astype(np.float32)


def log_mel(wave: Array, spec: FeatureSpec) -> Array:
    """Scaled log-mel energies ``[F, mel_bands]``; frame f is centred on the middle of samples f*hop … (f+1)*hop."""
    size = 1 << (spec.window - 1).bit_length()
    count = len(wave) // spec.hop
    before = (spec.window - spec.hop) // 2
    padded = np.pad(wave, (before, spec.window))
    window = np.hanning(spec.window + 1)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, spec.window)[: count * spec.hop : spec.hop]
    power = np.abs(np.fft.rfft(frames * window, size, axis=1)) / window.sum()
    mel = power.astype(np.float32) @ _mel_bank(spec, size)
    scaled: Array = (np.log(np.maximum(mel, spec.floor)) - _LOG_MEL_MEAN) / _LOG_MEL_SCALE
    return scaled.astype(np.float32)


def pitch(wave: Array, spec: FeatureSpec) -> tuple[Array, Array]:
    """Scaled log-F0 (interpolated through unvoiced frames) and voicing, both ``[F]``."""
    count = len(wave) // spec.hop
    period = 1000.0 * spec.hop / spec.sample_rate
    signal = np.asarray(wave, np.float64)
    coarse, times = pyworld.dio(
        signal, spec.sample_rate, f0_floor=spec.pitch_low_hz, f0_ceil=spec.pitch_high_hz, frame_period=period
    )
    hz = pyworld.stonemask(signal, coarse, times, spec.sample_rate)
    # WORLD's frames lie on the grid's edges, ours in its middle: half a frame later, so the mean of two neighbours.
    hz = np.pad(hz, (0, max(count + 1 - len(hz), 0)), mode="edge")
    left, right = hz[:count], hz[1 : count + 1]
    voiced = (left > 0) | (right > 0)
    value = np.where((left > 0) & (right > 0), 0.5 * (left + right), np.maximum(left, right))
    if not voiced.any():
        return np.zeros(count, np.float32), np.zeros(count, np.float32)
    known = np.flatnonzero(voiced)
    log_f0 = np.interp(np.arange(count), known, np.log(value[known]))
    scaled = (log_f0 - _LOG_F0_MEAN) / _LOG_F0_SCALE
    return scaled.astype(np.float32), voiced.astype(np.float32)


def analyze(wave: Array, spec: FeatureSpec) -> Array:
    """The conditioning frames of a clip: ``[len(wave) // hop, spec.channels]``."""
    log_f0, voicing = pitch(wave, spec)
    return np.column_stack([log_mel(wave, spec), log_f0, voicing])
