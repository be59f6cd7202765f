"""Fits the maps of the band above 8 kHz (models/audio/resampler.py): least squares on clips at 24 kHz or more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from ancestral.models.architectures.acoustic import HighBandSpec
from ancestral.models.audio.features import fft_size, log_mel, magnitudes, normalize_level, window_gain
from ancestral.models.audio.resampler import BAND_HZ, BANDS, INPUTS, LOW_HZ, RATE, inputs
from ancestral.models.checkpoint import save
from ancestral.models.spec import FeatureSpec
from ancestral.training.corpora.layouts import CorpusError
from ancestral.training.data.speech import Clip, held_out, load_wave, rate_of
from ancestral.training.model_card import card

_DECIBELS = 10.0 / np.log(10.0)
_FLOOR = 1e-9
_MOST = 0.7
"""The most that a level is raised by so that the mean power is right, in e-folds: 3 dB."""
_RIDGE = 10.0
"""Added to the diagonal of the normal equations: a row of the data has a sum of squares of 100."""

Rows = tuple[NDArray[np.float64], NDArray[np.float64]]


def fit_high_band(clips: Iterable[Clip], out: Path, count: int = 100) -> dict[str, float]:
    """Write the maps of the voices of some clips as a checkpoint.

    Args:
        clips: at 24 kHz or more.
        out: the directory of the checkpoint.
        count: clips of each voice to fit to; as many held-out ones, at most, are measured.

    Returns:
        The root mean square error of the levels of each voice's held-out clips, in decibels: ``decibels_NAME``.

    Raises:
        CorpusError: there are no clips to fit to, or they have a lower rate.
    """
    voices: dict[str, list[Clip]] = {}
    for clip in clips:
        voices.setdefault(clip.speaker, []).append(clip)
    tensors, minutes, figures = {}, {}, {}
    for name, group in voices.items():
        fitted, measured = ([c for c in group if held_out(c.id) is held][:count] for held in (False, True))
        rows = list(_rows(fitted))
        if not rows:
            raise CorpusError(f"{name}: no clip to fit to")
        tensors[f"maps.{name}"] = _least_squares(rows)
        minutes[name] = sum(len(levels) for _, levels in rows) / 6000.0
        errors = [given @ tensors[f"maps.{name}"] - levels for given, levels in _rows(measured)]
        if errors:
            figures[f"decibels_{name}"] = float(_DECIBELS * np.sqrt((np.concatenate(errors) ** 2).mean()))
    title = "The band above 8 kHz: levels of noise from the mels below, for each voice"
    trained = {"clips of a voice, at most": count, "ridge": _RIDGE}
    save(out, HighBandSpec(tuple(voices)), tensors, card(title, minutes, trained, figures, None), half=True)
    return figures


def _rows(clips: Sequence[Clip]) -> Iterator[Rows]:
    """The inputs of the map in the frames of each clip ``[F, INPUTS]``, and the logarithms of the powers that follow
    ``[F, BANDS]``; frames at both ends are left out."""
    spec = FeatureSpec()
    for clip in clips:
        if (rate := rate_of(clip.path)) < RATE:
            raise CorpusError(f"{clip.id}: {rate} Hz; the band above 8 kHz needs {RATE}")
        wave = normalize_level(load_wave(clip.path, RATE), RATE)
        mels = log_mel(soxr.resample(wave, RATE, spec.sample_rate), spec)
        levels = _levels(wave, spec)
        length = min(len(mels), len(levels))
        yield inputs(mels[:length]), levels[1 : length - 1]


def _levels(wave: NDArray[np.float32], spec: FeatureSpec) -> NDArray[np.float64]:
    """The logarithm of the power of every band, relative to white noise of variance 1: ``[F, BANDS]``."""
    hop, window = (length * RATE // spec.sample_rate for length in (spec.hop, spec.window))
    spec = FeatureSpec(sample_rate=RATE, hop=hop, window=window)
    size, power = fft_size(spec), (magnitudes(wave, spec) / window_gain(spec)) ** 2
    first = [round((LOW_HZ + k * BAND_HZ) * size / RATE) for k in range(BANDS + 1)]
    bands = [power[:, low:high].mean(axis=1) for low, high in pairwise(first)]
    return np.log(np.stack(bands, axis=1) + _FLOOR)


def _least_squares(rows: Sequence[Rows]) -> NDArray[np.float32]:
    given, levels = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    found = np.linalg.solve(given.T @ given + _RIDGE * np.eye(INPUTS), given.T @ levels)
    # The mean of logarithms is not that of powers: without this the band would be 1 to 3 dB too quiet.
    found[-1] += np.log(np.exp(levels).mean(axis=0) / np.exp(given @ found).mean(axis=0)).clip(0.0, _MOST)
    return found.astype(np.float32)
