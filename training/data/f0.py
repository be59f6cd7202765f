"""Sound to conditioning frames: log-mel energies (models/audio/features.py), F0 and voicing per 10 ms.

F0 comes from pitch_tracker.py, within a range of each speaker's own: in a wider one it takes creaks and overtones for
pitch.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.features import LOG_F0_MEAN, LOG_F0_SCALE, log_mel
from ancestral.models.spec import FeatureSpec
from ancestral.training.data.pitch_tracker import PitchRange, track

Array = NDArray[np.float32]
_LOUD = 0.05
"""Energy of a loud frame, relative to the loudest one."""
_SILENCE_DB = -45.0
"""Below full scale; speech is at -20 dB."""


def sounding_frames(wave: Array, hop: int) -> NDArray[np.bool_]:
    """Which frames of ``hop`` samples of a clip at the level of the corpora are no silence: ``[len(wave) // hop]``."""
    energy = (np.asarray(wave[: len(wave) // hop * hop], np.float64).reshape(-1, hop) ** 2).mean(axis=1)
    sounding: NDArray[np.bool_] = energy > 10 ** (_SILENCE_DB / 10)
    return sounding


def trim_silence(wave: Array, sample_rate: int, keep_seconds: float = 0.08) -> tuple[int, int]:
    """First and last sample of a clip after its outer silence is cut to ``keep_seconds``, on a grid of 10 ms."""
    size = sample_rate // 100
    count = len(wave) // size
    if not count:
        return 0, len(wave)
    active = np.flatnonzero(sounding_frames(wave, size))
    if not len(active):
        return 0, count * size
    keep = round(keep_seconds * 100)
    return max(int(active[0]) - keep, 0) * size, min(int(active[-1]) + 1 + keep, count) * size


def pitch(wave: Array, spec: FeatureSpec, pitch_range: PitchRange | None = None) -> tuple[Array, Array]:
    """Scaled log-F0 (interpolated through unvoiced frames) and voicing, both ``[F]``."""
    count = len(wave) // spec.hop
    hz = track(wave, spec.sample_rate, spec.hop, pitch_range or whole_range(spec))
    known = np.flatnonzero(hz > 0.0)
    if not len(known):
        return np.zeros(count, np.float32), np.zeros(count, np.float32)
    log_f0 = np.interp(np.arange(count), known, np.log(hz[known]))
    scaled = (log_f0 - LOG_F0_MEAN) / LOG_F0_SCALE
    return scaled.astype(np.float32), (hz > 0.0).astype(np.float32)


def whole_range(spec: FeatureSpec) -> PitchRange:
    """The range of all voices."""
    return spec.pitch_low_hz, spec.pitch_high_hz


def loud_frames(wave: Array, hop: int) -> NDArray[np.bool_]:
    """Which frames of ``hop`` samples are loud, beside the loudest one: ``[len(wave) // hop]``."""
    energy = (wave[: len(wave) // hop * hop].reshape(-1, hop) ** 2).mean(axis=1)
    loud: NDArray[np.bool_] = energy > _LOUD * energy.max(initial=0.0)
    return loud


def speaker_pitch_range(waves: Iterable[Array], spec: FeatureSpec) -> PitchRange:
    """The search range of a speaker's F0: 0.6 to 1.8 times its median in the loud parts of some clips."""
    found = [np.zeros(0)]
    for wave in waves:
        hz = track(wave, spec.sample_rate, spec.hop, whole_range(spec))
        found.append(hz[(hz > 0.0) & loud_frames(wave, spec.hop)])
    known = np.concatenate(found)
    if not len(known):
        return whole_range(spec)
    low, high = 0.6 * float(np.median(known)), 1.8 * float(np.median(known))
    return max(low, spec.pitch_low_hz), min(high, spec.pitch_high_hz)


def analyze(wave: Array, spec: FeatureSpec, pitch_range: PitchRange | None = None) -> Array:
    """The conditioning frames of a clip: ``[len(wave) // hop, spec.channels]``."""
    log_f0, voicing = pitch(wave, spec, pitch_range)
    return np.column_stack([log_mel(wave, spec), log_f0, voicing])
