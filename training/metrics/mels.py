"""How sharp predicted mels are, beside natural ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.features import fft_size, mel_bank, sharpened
from ancestral.models.spec import FeatureSpec
from ancestral.training.blur import smooth

_LOW_HZ, _HIGH_HZ = 150.0, 1500.0
_NEIGHBOURS = 5
"""Bands whose mean is taken for the spectral envelope."""


def ripple_depth(mels: NDArray[np.floating], voicing: NDArray[np.floating], spec: FeatureSpec) -> float:
    """The root mean square of the harmonics' ripple between 150 and 1500 Hz over voiced frames.

    The ripple is what is left of the log-mels ``[F, bands]`` when their mean over five bands is taken away. Mels that
    are averaged over other F0 than their own have none.
    """
    bank = mel_bank(spec, fft_size(spec))
    centres = bank.argmax(axis=0) * spec.sample_rate / fft_size(spec)
    voiced = np.asarray(mels, np.float64)[np.asarray(voicing) > 0.5]
    if not len(voiced):
        return 0.0
    ripple = (voiced - smooth(voiced, _NEIGHBOURS))[:, (centres >= _LOW_HZ) & (centres <= _HIGH_HZ)]
    return float(np.sqrt((ripple**2).mean()))


def variance_ratio(predicted: NDArray[np.floating], natural: NDArray[np.floating]) -> float:
    """The mean over bands of the variance over time of predicted log-mels ``[F, bands]``, relative to natural ones'."""
    return float(np.mean(np.var(predicted, axis=0) / np.maximum(np.var(natural, axis=0), 1e-6)))


def contrast_strength(predicted: NDArray[np.float32], natural: NDArray[np.float32]) -> float:
    """The strength, 0 … 2, at which :func:`~ancestral.models.audio.features.sharpened` gives predicted log-mels
    ``[F, bands]`` the contrast of natural ones."""
    strengths = np.linspace(0.0, 2.0, 41)
    reached = [_contrast(sharpened(predicted, strength)) for strength in strengths]
    return float(np.interp(_contrast(natural), reached, strengths))


def _contrast(mels: NDArray[np.float32]) -> float:
    """The root mean square of the upper bands' difference from the mean of five neighbours."""
    return float(np.sqrt(((sharpened(mels, 1.0) - mels) ** 2).mean()))
