"""Sound to conditioning frames: log-mel energies (models/audio/features.py), F0 and voicing per 10 ms.

F0 is searched in a range of each speaker's own: in a wider one creaks and overtones are taken for pitch. How well the
harmonics of each candidate fit the spectrum is SWIPE's measure (Camacho & Harris 2008, section II): the product of the
root of the magnitudes with a kernel that is positive at the harmonics of the candidate, negative between them, and
falls with the root of the frequency. The path through the candidates is found by dynamic programming, as in RAPT
(Talkin 1995), with one state more for unvoiced frames.

On a voice with little periodicity, WORLD's Harvest and DIO found F0 that the harmonics in the spectrum do not have: for
``joe`` its ripple (models/audio/features.py) and that of the mels had a correlation of 0.14; here it is 0.54.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.features import LOG_F0_MEAN, LOG_F0_SCALE, log_mel
from ancestral.models.spec import FeatureSpec

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


Array = NDArray[np.float32]
_LOUD = 0.05
"""Energy of a loud frame, relative to the loudest one."""
_SILENCE_DB = -45.0
"""Below full scale; speech is at -20 dB."""


def sounding_frames(wave: Array, hop: int) -> NDArray[np.bool_]:
    """Which frames of ``hop`` samples of a clip at the level of the corpora are no silence: ``[len(wave) // hop]``."""
    energy = (np.asarray(wave[: len(wave) // hop * hop], np.float64).reshape(-1, hop) ** 2).mean(axis=1)
    sounding: NDArray[np.bool_] = energy > 10 ** (_SILENCE_DB / 10)
    return sounding


def trim_silence(wave: Array, sample_rate: int, keep_seconds: float = 0.08) -> tuple[int, int]:
    """First and last sample of a clip after its outer silence is cut to ``keep_seconds``, on a grid of 10 ms."""
    size = sample_rate // 100
    count = len(wave) // size
    if not count:
        return 0, len(wave)
    active = np.flatnonzero(sounding_frames(wave, size))
    if not len(active):
        return 0, count * size
    keep = round(keep_seconds * 100)
    return max(int(active[0]) - keep, 0) * size, min(int(active[-1]) + 1 + keep, count) * size


def pitch(wave: Array, spec: FeatureSpec, pitch_range: PitchRange | None = None) -> tuple[Array, Array]:
    """Scaled log-F0 (interpolated through unvoiced frames) and voicing, both ``[F]``."""
    count = len(wave) // spec.hop
    hz = track(wave, spec.sample_rate, spec.hop, pitch_range or whole_range(spec))
    known = np.flatnonzero(hz > 0.0)
    if not len(known):
        return np.zeros(count, np.float32), np.zeros(count, np.float32)
    log_f0 = np.interp(np.arange(count), known, np.log(hz[known]))
    scaled = (log_f0 - LOG_F0_MEAN) / LOG_F0_SCALE
    return scaled.astype(np.float32), (hz > 0.0).astype(np.float32)


def whole_range(spec: FeatureSpec) -> PitchRange:
    """The range of all voices."""
    return spec.pitch_low_hz, spec.pitch_high_hz


def loud_frames(wave: Array, hop: int) -> NDArray[np.bool_]:
    """Which frames of ``hop`` samples are loud, beside the loudest one: ``[len(wave) // hop]``."""
    energy = (wave[: len(wave) // hop * hop].reshape(-1, hop) ** 2).mean(axis=1)
    loud: NDArray[np.bool_] = energy > _LOUD * energy.max(initial=0.0)
    return loud


def speaker_pitch_range(waves: Iterable[Array], spec: FeatureSpec) -> PitchRange:
    """The search range of a speaker's F0: 0.6 to 1.8 times its median in the loud parts of some clips."""
    found = [np.zeros(0)]
    for wave in waves:
        hz = track(wave, spec.sample_rate, spec.hop, whole_range(spec))
        found.append(hz[(hz > 0.0) & loud_frames(wave, spec.hop)])
    known = np.concatenate(found)
    if not len(known):
        return whole_range(spec)
    low, high = 0.6 * float(np.median(known)), 1.8 * float(np.median(known))
    return max(low, spec.pitch_low_hz), min(high, spec.pitch_high_hz)


def analyze(wave: Array, spec: FeatureSpec, pitch_range: PitchRange | None = None) -> Array:
    """The conditioning frames of a clip: ``[len(wave) // hop, spec.channels]``."""
    log_f0, voicing = pitch(wave, spec, pitch_range)
    return np.column_stack([log_mel(wave, spec), log_f0, voicing])
