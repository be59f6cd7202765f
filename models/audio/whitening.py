"""A sound without its spectrum and its level: what is left is close to the noise that a model has drawn it with.

The inverse of linear prediction (shaping.py), but with a predictor found in the sound itself, so that it needs neither
the frames nor the text that the sound was made from, and takes out what filters and codecs have done to it since.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.shaping import ORDER, Floats, levinson

LIMIT = 2.0
"""Standard deviations at which the residual is cut: noise that is uniform in (0, 1) has no larger ones."""
_WINDOW_SECONDS, _HOP_SECONDS = 0.03, 0.01
_WHITE_NOISE = 1e-4
_LEAST_LEVEL = 3e-5
"""One step of 16 bits: what is below is rounding, and says nothing."""


def whitened(wave: NDArray[np.floating], sample_rate: int) -> Floats:
    """The residual of a sound ``[T]``, near a standard deviation of 1 where there is sound, and within ±LIMIT."""
    hop, window = round(_HOP_SECONDS * sample_rate), round(_WINDOW_SECONDS * sample_rate)
    x, count = np.asarray(wave, np.float64), len(wave)
    frames = -(-count // hop)
    padded = np.concatenate([np.zeros(window), x, np.zeros(window + hop)])
    starts = np.arange(frames) * hop + hop // 2 + window - window // 2
    taper = np.hanning(window + 2)[1:-1]
    size = 1 << (2 * window - 1).bit_length()
    lags = np.empty((frames, ORDER + 1))
    for first in range(0, frames, 256):  # the spectra of a minute would take a hundred megabytes
        rows = slice(first, first + 256)
        spectra = np.fft.rfft(padded[starts[rows, None] + np.arange(window)] * taper, size)
        lags[rows] = np.fft.irfft(np.abs(spectra) ** 2, axis=1)[:, : ORDER + 1]
    lags[:, 0] = lags[:, 0] * (1.0 + _WHITE_NOISE) + window * _LEAST_LEVEL**2
    coefficients, _ = levinson(lags)
    row, before = np.arange(count) // hop, np.concatenate([np.zeros(ORDER), x])
    residual = x.copy()
    for k in range(ORDER):
        residual += coefficients[row, k] * before[ORDER - 1 - k : ORDER - 1 - k + count]
    squares = np.add.reduceat(residual**2, np.arange(0, count, hop)) / np.diff([*range(0, count, hop), count])
    return np.asarray(np.clip(residual / (np.sqrt(squares)[row] + _LEAST_LEVEL), -LIMIT, LIMIT))
