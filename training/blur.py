"""Blurred frames for training: WaveNet sees frames like those of service.

An acoustic model predicts spectra that are smoother than natural ones: the harmonics' ripple and the formants' edges
are averaged away, and so is their change from frame to frame. So part of the training pairs real sound with frames
whose log-mels are smoothed across the bands and, more often than not, in time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.mu_law import mu_law_encode
from ancestral.models.audio.shaping import ORDER, analyse, predictor, section
from ancestral.training.data.speech import PCM, Dataset, PreparedClip

Crop = tuple[NDArray[np.int64], NDArray[np.float32] | None]
"""Symbols ``[T]``, and the frames with the conditioner's margin on both sides."""

WIDTHS = (3, 5, 7, 9, 11, 13)
"""Numbers of bands that are averaged."""
_FRAMES, _IN_TIME = (3, 5), 0.7
"""Numbers of frames that are averaged, and the share of the blurred crops in which they are."""


def smooth(mels: NDArray[Any], width: int) -> NDArray[Any]:
    """A moving average of ``width`` bands, the outer ones repeated; ``[F, B]`` to ``[F, B]``."""
    padded = np.pad(mels, ((0, 0), (width // 2, width // 2)), mode="edge")
    smoothed: NDArray[Any] = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1).mean(axis=2)
    return smoothed


def _smooth_in_time(mels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Each frame mixed with the mean of its neighbours, in a random share from a half to all of it."""
    share, averaged = rng.uniform(0.5, 1.0), smooth(mels.T, int(rng.choice(_FRAMES))).T
    return (mels + share * (averaged - mels)).astype(np.float32)


def blurred(
    crop: Crop, dataset: Dataset, clip: PreparedClip, start: int, margin: int, rng: np.random.Generator
) -> Crop:
    """A crop with its mels smoothed across a random number of bands, and perhaps in time.

    If symbols are an excitation, they are computed anew with the filter of the blurred frames, since in service they
    pass through such a filter.

    Args:
        crop: from frame ``start`` of ``clip``.
        margin: frames that the crop's have on either side of it.
    """
    symbols, frames = crop
    assert frames is not None
    bands = dataset.spec.mel_bands
    mels = smooth(frames[:, :bands], int(rng.choice(WIDTHS)))
    if rng.random() < _IN_TIME:
        mels = _smooth_in_time(mels, rng)
    frames = np.concatenate([mels, frames[:, bands:]], axis=1)
    if dataset.coding.shaping == "linear_prediction":
        count, first = len(symbols), start * dataset.spec.hop
        wave = np.concatenate([np.zeros(ORDER, np.int16), dataset.wave(clip)])[first : first + ORDER + count] / PCM
        filters = section(predictor(frames, dataset.spec), margin, count // dataset.spec.hop)
        symbols = mu_law_encode(analyse(wave[ORDER:], filters, wave[:ORDER])).astype(np.int64)
    return symbols, frames
