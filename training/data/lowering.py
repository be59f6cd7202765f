"""Recordings with a lower F0 and the same formants: a WaveNet has to follow requests below a speaker's own range."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from ancestral.models.audio.features import LOG_F0_SCALE, log_mel
from ancestral.models.audio.shaping import Predictor, Synthesis, analyse, predictor
from ancestral.models.kernels.shaping import compiled_all_pole
from ancestral.models.spec import FeatureSpec


def lower(
    wave: NDArray[np.float32], frames: NDArray[np.float32], semitones: float, spec: FeatureSpec
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Speech whose F0 is ``semitones`` lower and whose tempo is slower by as much.

    Only the excitation is resampled; the filters of linear prediction, which have the formants, are stretched in time.

    Args:
        wave: ``[F * hop]``.
        frames: of :func:`~ancestral.training.data.f0.analyze`, ``[F, channels]``.
        semitones: by which F0 is lowered.
        spec: of the frames.

    Returns:
        The sound and its frames. Their F0 is that of ``frames``, lowered: a tracker would not find what is below its
        range.
    """
    rate, factor = spec.sample_rate, 2.0 ** (-semitones / 12.0)
    filters = predictor(frames, spec)
    slower = soxr.resample(analyse(wave, filters), rate * factor, rate)
    count = len(slower) // spec.hop
    rows = _stretched(len(filters.levels), factor)
    stretched = Predictor(filters.coefficients[rows], filters.levels[rows], filters.hop)
    sound = np.clip(Synthesis(stretched, run=compiled_all_pole)(slower[: count * spec.hop]), -1.0, 1.0)
    log_f0, voicing = frames[_stretched(len(frames), factor)[:count], -2:].T
    log_f0 = log_f0 + np.float32(np.log(factor) / LOG_F0_SCALE)
    return sound, np.column_stack([log_mel(sound, spec), log_f0, voicing])


def _stretched(count: int, factor: float) -> NDArray[np.int64]:
    """For every row of something longer by 1 / ``factor``, which of ``count`` rows it is."""
    rows: NDArray[np.int64] = np.minimum((np.arange(int(np.ceil(count / factor)) + 1) * factor).astype(int), count - 1)
    return rows
