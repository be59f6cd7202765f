"""F0 of speech: how well harmonics of each candidate fit the spectrum, and the best path through the candidates.

The fit is SWIPE's (Camacho & Harris 2008, section II): the product of the root of the magnitudes with a kernel that is
positive at the harmonics of the candidate, negative between them, and falls with the root of the frequency. The path
is found by dynamic programming, as in RAPT (Talkin 1995), with one state more for unvoiced frames.

On a voice with little periodicity, WORLD's Harvest and DIO found F0 that the harmonics in the spectrum do not have: for
``joe`` its ripple (models/audio/harmonics.py) and that of the mels had a correlation of 0.14; here it is 0.54.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PitchRange = tuple[float, float]
"""Lowest and highest F0 of the search, in Hz."""

_STEPS_PER_OCTAVE = 48
_PERIODS = 7
"""Periods in one window, of F0 in the middle of the range."""
_MIDDLE = 0.6
"""The lowest F0 of a range, relative to that."""
_HIGHEST_HZ = 2000.0
_HARMONICS = 12
_TRANSFORM = 4096
_UNVOICED = 0.2
"""The fit below which a frame is unvoiced."""
_STEP_COST, _SWITCH_COST = 0.02, 0.15
"""Cost of a change of F0 by one step of the grid, and of a change between voiced and unvoiced."""
_FURTHEST = 12
"""Steps by which F0 can change from one frame to the next: a quarter of an octave."""
_FAINT = 1e-3


class _Candidates(NamedTuple):
    """What does not depend on the sound."""

    f0: NDArray[np.float64]
    """``[C]``"""
    window: NDArray[np.float64]
    bins: slice
    """Bins of the transform."""
    kernels: NDArray[np.float32]
    """``[bins, C]``"""


@cache
def _candidates(sample_rate: int, pitch_range: PitchRange) -> _Candidates:
    low, high = pitch_range
    f0 = low * 2.0 ** (np.arange(int(np.log2(high / low) * _STEPS_PER_OCTAVE) + 1) / _STEPS_PER_OCTAVE)
    size = round(_PERIODS * sample_rate * _MIDDLE / low / 2) * 2
    step = sample_rate / _TRANSFORM
    bins = slice(int(np.ceil(low / 2 / step)), int(_HIGHEST_HZ / step) + 1)
    hz = np.arange(bins.start, bins.stop)[:, None] * step
    harmonic = hz / f0
    wave = np.cos(2.0 * np.pi * harmonic) / np.sqrt(hz)
    # The first harmonic has half a lobe below it; there is nothing above the last one.
    kernels = wave * np.select([harmonic < 0.25, harmonic < 0.75, harmonic < _HARMONICS + 0.25], [0.0, 0.5, 1.0])
    kernels /= np.sqrt((np.maximum(kernels, 0.0) ** 2).sum(axis=0))
    return _Candidates(f0, np.hanning(size + 1)[:-1], bins, kernels.astype(np.float32))


def track(wave: NDArray[np.floating], sample_rate: int, hop: int, pitch_range: PitchRange) -> NDArray[np.float64]:
    """F0 in the middle of every frame of ``hop`` samples, in Hz, 0 where it is unvoiced: ``[len(wave) // hop]``."""
    count = len(wave) // hop
    if not count:
        return np.zeros(0)
    candidates = _candidates(sample_rate, pitch_range)
    size = len(candidates.window)
    padded = np.pad(np.asarray(wave, np.float64), (size // 2 - hop // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: count * hop : hop]
    magnitudes = np.abs(np.fft.rfft(frames * candidates.window, _TRANSFORM, axis=1))[:, candidates.bins]
    loudness = np.sqrt(magnitudes)
    loudness /= np.linalg.norm(loudness, axis=1, keepdims=True) + _FAINT
    fits = loudness.astype(np.float32) @ candidates.kernels
    path = _best_path(fits)
    voiced = np.flatnonzero(path < len(candidates.f0))
    hz = np.zeros(count)
    hz[voiced] = candidates.f0[path[voiced]] * 2.0 ** (_peaks(fits[voiced], path[voiced]) / _STEPS_PER_OCTAVE)
    return hz


def _peaks(fits: NDArray[np.float32], path: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far from its candidate the top of the parabola through each fit ``[N, C]`` and its neighbours lies."""
    inner = np.clip(path, 1, fits.shape[1] - 2)
    before, here, after = (fits[np.arange(len(path)), inner + d].astype(np.float64) for d in (-1, 0, 1))
    bend = before - 2.0 * here + after
    top = np.where((bend < 0.0) & (inner == path), 0.5 * (before - after) / np.minimum(bend, -1e-9), 0.0)
    return np.clip(top, -1.0, 1.0)


def _best_path(fits: NDArray[np.float32]) -> NDArray[np.int64]:
    """The candidate of every frame ``[T]`` that makes fits less costs highest; C stands for unvoiced."""
    frames, count = fits.shape
    near = np.lib.stride_tricks.sliding_window_view(np.arange(-_FURTHEST, count + _FURTHEST), 2 * _FURTHEST + 1)
    step_costs = _STEP_COST * np.abs(np.arange(-_FURTHEST, _FURTHEST + 1))
    voiced, unvoiced, padding = fits[0].astype(np.float64), _UNVOICED, np.full(_FURTHEST, -np.inf)
    source, every = np.empty((frames, count + 1), np.int64), np.arange(count)
    for t in range(1, frames):
        windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([padding, voiced, padding]), len(step_costs))
        values = windows - step_costs
        best = values.argmax(axis=1)
        values = values[every, best]
        starts, top = unvoiced - _SWITCH_COST, int(voiced.argmax())
        source[t, :count] = np.where(values > starts, near[every, best], count)
        ends = float(voiced[top]) - _SWITCH_COST
        source[t, count] = count if unvoiced >= ends else top
        voiced, unvoiced = np.maximum(values, starts) + fits[t], _UNVOICED + max(unvoiced, ends)
    path = np.empty(frames, np.int64)
    path[-1] = np.append(voiced, unvoiced).argmax()
    for t in range(frames - 1, 0, -1):
        path[t - 1] = source[t, path[t]]
    return path
