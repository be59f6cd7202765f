"""Whether a voice has the F0 that it is asked for, and is voiced as much as its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.features import LOG_F0_MEAN, LOG_F0_SCALE
from ancestral.models.spec import FeatureSpec
from ancestral.training.data.f0 import loud_frames, speaker_pitch_range
from ancestral.training.data.pitch_tracker import PitchRange, track

Wave = NDArray[np.float32]

RESPONSES = (0.85, 1.0, 1.15)
"""Factors of F0 that a voice is asked for."""


class VoicePitch(NamedTuple):
    """What is measured of some recordings of a voice."""

    median_f0: float
    """Hertz, over voiced frames."""
    voiced_share: float
    """Share of the loud frames that are voiced."""


def measure_pitch(waves: Sequence[Wave], spec: FeatureSpec) -> VoicePitch:
    """F0 and voicing of a voice's recordings; none of them may be empty."""
    pitch_range = speaker_pitch_range(waves, spec)
    hz = [track(wave, spec.sample_rate, spec.hop, pitch_range) for wave in waves]
    loud = np.concatenate([found[loud_frames(wave, spec.hop)] for found, wave in zip(hz, waves, strict=True)])
    voiced = loud[loud > 0.0]
    return VoicePitch(float(np.median(voiced)) if len(voiced) else 0.0, len(voiced) / max(len(loud), 1))


def f0_response(waves: Sequence[Wave], frames: Sequence[NDArray[np.floating]], spec: FeatureSpec) -> float:
    """The median F0 of sound over that of the frames it was made from: 1 is as requested.

    Args:
        waves: of sentences.
        frames: of each, ``[F, channels]``.
        spec: of the frames.

    Returns:
        The ratio of the medians over the frames that are voiced in both; 0 where there is none.
    """
    wanted = np.concatenate([np.exp(f[:, -2] * LOG_F0_SCALE + LOG_F0_MEAN) * (f[:, -1] > 0.5) for f in frames])
    if not wanted.any():
        return 0.0
    middle = float(np.median(wanted[wanted > 0.0]))
    # Wide enough for a voice that keeps another F0 than the requested one.
    pitch_range: PitchRange = (max(0.5 * middle, spec.pitch_low_hz), min(2.0 * middle, spec.pitch_high_hz))
    found = np.concatenate([track(wave, spec.sample_rate, spec.hop, pitch_range) for wave in waves])
    both = (found > 0.0) & (wanted > 0.0)
    return float(np.median(found[both]) / np.median(wanted[both])) if both.any() else 0.0
