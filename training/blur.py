"""Blurred frames for training: WaveNet sees frames like those of service.

An acoustic model predicts spectra that are smoother than natural ones: the harmonics' ripple and the formants' edges
are averaged away. So part of the training pairs real sound with frames whose log-mels are smoothed across the bands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.mu_law import mu_law_encode
from ancestral.models.audio.shaping import ORDER, analyse, predictor, section
from ancestral.training.data.speech import PCM, Dataset, PreparedClip

Crop = tuple[NDArray[np.int64], NDArray[np.float32] | None]
"""Symbols ``[T]``, and the frames with the conditioner's margin on both sides."""

WIDTHS = (3, 5, 7, 9, 11, 13)
"""Numbers of bands that are averaged."""


def smooth(mels: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """A moving average of ``width`` bands, the outer ones repeated; ``[F, B]`` to ``[F, B]``."""
    padded = np.pad(mels, ((0, 0), (width // 2, width // 2)), mode="edge")
    smoothed: NDArray[np.float32] = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1).mean(axis=2)
    return smoothed


def blurred(
    crop: Crop, dataset: Dataset, clip: PreparedClip, start: int, margin: int, rng: np.random.Generator
) -> Crop:
    """A crop with its mels smoothed by a random width.

    If symbols are an excitation, they are computed anew with the filter of the blurred frames, since in service they
    pass through such a filter.

    Args:
        crop: from frame ``start`` of ``clip``.
        margin: frames that the crop's have on either side of it.
    """
    symbols, frames = crop
    assert frames is not None
    bands = dataset.spec.mel_bands
    frames = np.concatenate([smooth(frames[:, :bands], int(rng.choice(WIDTHS))), frames[:, bands:]], axis=1)
    if dataset.coding.shaping == "linear_prediction":
        count, first = len(symbols), start * dataset.spec.hop
        wave = np.concatenate([np.zeros(ORDER, np.int16), dataset.wave(clip)])[first : first + ORDER + count] / PCM
        filters = section(predictor(frames, dataset.spec), margin, count // dataset.spec.hop)
        symbols = mu_law_encode(analyse(wave[ORDER:], filters, wave[:ORDER])).astype(np.int64)
    return symbols, frames
