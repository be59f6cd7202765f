"""The harmonics of a voice as they appear in the log-mels: the ripple that a given F0 causes.

A voiced frame's spectrum is an envelope times the lines of its harmonics. Below about 1.5 kHz the mel bands are narrow
enough to show them. The acoustic model is given this ripple, so that the mels that it predicts follow F0 exactly, also
where F0 is one that no training clip had.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.features import (
    LOG_F0_MEAN,
    LOG_F0_SCALE,
    LOG_MEL_SCALE,
    analysis_window,
    fft_size,
    mel_bank,
)
from ancestral.models.spec import FeatureSpec

Array = NDArray[np.float32]

_STEPS_PER_OCTAVE = 96
_LOWEST_HZ, _HIGHEST_HZ = 40.0, 1100.0
"""The range of the table; an F0 outside is taken to be the nearest one inside."""
_FILL = 1e-3
"""Noise between the harmonics, relative to the mean power: how deep the ripple can be."""


def harmonic_ripple(log_f0: NDArray[np.floating], voicing: NDArray[np.floating], spec: FeatureSpec) -> Array:
    """What the harmonics add to the log-mels of a flat spectrum of the same power.

    Args:
        log_f0: scaled as in the frames, ``[F]``.
        voicing: 0 to 1, ``[F]``; the ripple is multiplied by it.
        spec: of the frames.

    Returns:
        ``float32 [F, mel_bands]``, in the scale of the log-mels.
    """
    table = _table(spec)
    octaves = (np.asarray(log_f0, np.float64) * LOG_F0_SCALE + LOG_F0_MEAN - np.log(_LOWEST_HZ)) / np.log(2.0)
    place = np.clip(octaves * _STEPS_PER_OCTAVE, 0.0, len(table) - 1.001)
    below = place.astype(np.int64)
    share = (place - below)[:, None].astype(np.float32)
    ripple = table[below] * (1 - share) + table[below + 1] * share
    voiced: Array = ripple * np.asarray(voicing, np.float32)[:, None]
    return voiced


@cache
def _table(spec: FeatureSpec) -> Array:
    """The ripple of every F0 on a logarithmic grid, ``[N, mel_bands]``.

    The power spectrum of a windowed sum of cosines of equal power and random phases is the transform of the product of
    two autocorrelations: the window's and that of the cosines, which has a closed form (Dirichlet's kernel).
    """
    count = int(np.log2(_HIGHEST_HZ / _LOWEST_HZ) * _STEPS_PER_OCTAVE) + 1
    f0 = _LOWEST_HZ * 2.0 ** (np.arange(count) / _STEPS_PER_OCTAVE)
    size = fft_size(spec)
    window = analysis_window(spec)
    lags = np.correlate(window, window, "full")[spec.window - 1 :]  # from 0 on
    angle = 2.0 * np.pi * f0[:, None] * np.arange(spec.window) / spec.sample_rate
    harmonics = np.floor(0.5 * spec.sample_rate / f0)[:, None]
    half = np.sin(angle / 2.0)
    at_period = np.abs(half) < 1e-9
    kernel = np.sin((harmonics + 0.5) * angle) / (2.0 * np.where(at_period, 1.0, half)) - 0.5
    product = np.where(at_period, harmonics, kernel) * lags
    power = 2.0 * np.fft.rfft(product, 2 * size, axis=1).real - product[:, :1]
    power = np.maximum(power[:, ::2], 0.0)
    power /= power.mean(axis=1, keepdims=True)
    bank = mel_bank(spec, size)
    mel = np.sqrt(power + _FILL) @ bank / bank.sum(axis=0)
    ripple: Array = (np.log(mel) / LOG_MEL_SCALE).astype(np.float32)
    return ripple
