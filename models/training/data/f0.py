"""Sound to conditioning frames: log-mel energies (models/audio/features.py), F0 and voicing per 10 ms.

F0 comes from WORLD's DIO with StoneMask refinement (Morise et al. 2016).
"""

from __future__ import annotations

import numpy as np
import pyworld
from numpy.typing import NDArray

from models.audio.features import log_mel
from models.spec import FeatureSpec

Array = NDArray[np.float32]

_LOG_F0_MEAN, _LOG_F0_SCALE = 5.0, 0.4


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
