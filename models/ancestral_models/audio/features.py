"""Sound to log-mel energies, and the level it is brought to first: one analysis for training and for serving.

The mel filters follow Davis & Mermelstein's triangular bank on the HTK mel scale.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ancestral_models.spec import FeatureSpec

Array = NDArray[np.float32]

LOG_MEL_MEAN, LOG_MEL_SCALE = -6.5, 2.0
"""A frame holds (log − mean) / scale of the natural logarithm of a band's magnitude."""
LOG_F0_MEAN, LOG_F0_SCALE = 5.0, 0.4
"""A frame holds (log − mean) / scale of the natural logarithm of F0 in Hz."""
_VOICE_LEVEL_DB = -20.0
_PEAK = 0.97


def normalize_level(wave: NDArray[np.floating], sample_rate: int) -> Array:
    """Bring the speech in a clip to -20 dBFS (the mean over its louder 20 ms frames), its peak below 0.97.

    Corpora differ by 13 dB; mu-law and the frames both need one level. What has been brought to it stays as it is.
    """
    size = sample_rate // 50
    frames = np.asarray(wave[: len(wave) // size * size], np.float64).reshape(-1, size)
    energy = (frames**2).mean(axis=1) if len(frames) else np.zeros(1)
    loud = energy[energy >= 0.05 * energy.max()]
    gain = 10 ** (_VOICE_LEVEL_DB / 20) / max(float(np.sqrt(loud.mean())), 1e-6)
    gain = min(gain, _PEAK / max(float(np.abs(wave).max(initial=0.0)), 1e-6))
    return (np.asarray(wave, np.float64) * gain).astype(np.float32)


def fft_size(spec: FeatureSpec) -> int:
    """Samples of the transform: the window, padded to a power of two."""
    return 1 << (spec.window - 1).bit_length()


@cache
def mel_bank(spec: FeatureSpec, size: int) -> Array:
    """Triangular filters ``[size // 2 + 1, mel_bands]``."""

    def to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))

    low, high = to_mel(np.array([spec.mel_low_hz, spec.mel_high_hz]))
    edges = np.linspace(low, high, spec.mel_bands + 2)
    bins = to_mel(np.arange(size // 2 + 1) * spec.sample_rate / size)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    bank: NDArray[np.float64] = np.maximum(np.minimum(rising, falling), 0.0)
    return bank.astype(np.float32)


@cache
def _wide_mel_bank(spec: FeatureSpec) -> NDArray[np.float64]:
    return mel_bank(spec, fft_size(spec)).astype(np.float64)


@cache
def analysis_window(spec: FeatureSpec) -> NDArray[np.float64]:
    """Hann's window ``[window]``, whose squares at a distance of ``hop`` add up to a constant."""
    return np.asarray(np.hanning(spec.window + 1)[:-1])


def magnitudes(wave: Array, spec: FeatureSpec) -> NDArray[np.float64]:
    """The magnitudes of the spectrum ``[F, size // 2 + 1]``, relative to the window's sum; frame f is centred on the
    middle of samples f*hop … (f+1)*hop."""
    count, before = len(wave) // spec.hop, (spec.window - spec.hop) // 2
    padded = np.pad(wave, (before, spec.window))
    # In double precision: rounded at the end, a frame has the same bits however many are computed together.
    window = analysis_window(spec)
    frames = np.lib.stride_tricks.sliding_window_view(padded, spec.window)[: count * spec.hop : spec.hop]
    return np.asarray(np.abs(np.fft.rfft(frames * window, fft_size(spec), axis=1)) / window.sum())


def log_mel(wave: Array, spec: FeatureSpec) -> Array:
    """Scaled log-mel energies ``[F, mel_bands]`` of the frames of :func:`magnitudes`."""
    mel = magnitudes(wave, spec) @ _wide_mel_bank(spec)
    scaled = (np.log(np.maximum(mel, spec.floor)) - LOG_MEL_MEAN) / LOG_MEL_SCALE
    return scaled.astype(np.float32)


def sharpened(mels: Array, strength: float) -> Array:
    """Log-mels ``[F, B]`` whose upper half of the bands differs more from the mean of five neighbours.

    Predicted mels have three quarters of the contrast of natural ones there, and WaveNet makes what it is given.

    Args:
        mels: as predicted.
        strength: 0 leaves them as they are; 1 doubles the difference.
    """
    if not strength:
        return mels
    first = mels.shape[1] // 2
    upper = mels[:, first:]
    mean = _mean_of_five(np.pad(mels[:, first - 2 :], ((0, 0), (0, 2)), mode="edge"))
    return np.concatenate([mels[:, :first], upper + np.float32(strength) * (upper - mean)], axis=1)


def smoothed(mels: Array) -> Array:
    """Log-mels ``[F, B]``, each the mean of five neighbours: the harmonics do not show."""
    return _mean_of_five(np.pad(mels, ((0, 0), (2, 2)), mode="edge"))


def _mean_of_five(mels: Array) -> Array:
    """``[F, B]`` of ``[F, B + 4]``, added in this order, so that the bits are the same everywhere."""
    total: Array = mels[:, :-4] + mels[:, 1:-3] + mels[:, 2:-2] + mels[:, 3:-1] + mels[:, 4:]
    return total * np.float32(0.2)


def window_gain(spec: FeatureSpec) -> float:
    """What the analysis of :func:`log_mel` makes of white noise of variance 1: its root mean square magnitude."""
    window = analysis_window(spec)
    return float(np.sqrt((window**2).sum()) / window.sum())


def log_magnitudes(log_mels: NDArray[np.floating], spec: FeatureSpec) -> NDArray[np.float64]:
    """Log of the mean magnitude of the spectrum in every band, from what :func:`log_mel` gives; the same shape."""
    widths = mel_bank(spec, fft_size(spec)).sum(axis=0, dtype=np.float64)
    logs: NDArray[np.float64] = np.asarray(log_mels, np.float64) * LOG_MEL_SCALE + (LOG_MEL_MEAN - np.log(widths))
    return logs


# The harmonics of a voice as they appear in the log-mels: the ripple that a given F0 causes.
#
# A voiced frame's spectrum is an envelope times the lines of its harmonics. Below about 1.5 kHz the mel bands are
# narrow enough to show them. The acoustic model is given this ripple, so that the mels that it predicts follow F0
# exactly, also where F0 is one that no training clip had.

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
    return np.asarray(ripple * np.asarray(voicing, np.float32)[:, None])


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
    return np.asarray((np.log(mel) / LOG_MEL_SCALE).astype(np.float32))
