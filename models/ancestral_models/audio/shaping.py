"""Spectral shaping by linear prediction: between sound and a flat, level excitation.

A predictor of order 16 follows from the log-mel frames that the model is conditioned on, so nothing has to be
transmitted for it. Its residual, the excitation, is what is quantised and modelled; running it through the all-pole
filter gives the sound. Quantisation noise and sampling errors then follow the spectral envelope, which masks them
(ExcitNet, Song et al. 2019, arXiv:1811.04769, with LPCNet's way from bands to predictor, Valin & Skoglund 2019,
arXiv:1810.11846).

In C (kernels/filters.c), with the same bits on every processor.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral_models.audio import features
from ancestral_models.audio.features import Array
from ancestral_models.audio.mu_law import mu_law_decode, mu_law_encode
from ancestral_models.native import INTEGER, NUMBER, Function, array
from ancestral_models.spec import FeatureSpec

ORDER = 16
RENEWALS = 4
"""Times per frame that the predictor is renewed: every 2.5 ms. kernels/filters.c has the powers for no other."""
LEVEL = 0.09
"""Nominal rms of the excitation: its peaks stay below 1 (but for some in 100 000), also behind a blurred envelope."""
LIMIT = 8.0
"""The all-pole filter's output stays within. Speech stays below 1; a filter that turns into an altogether different one
every frame can get out of hand."""

_SHELF_HZ = 700.0
_LAG_WINDOW_HZ = 40.0
_WHITE_NOISE = 1e-4
LEAST_ENERGY = 1e-12

Floats = NDArray[np.float64]

_FLOATS, _INTEGERS = array("f8"), array("i8")
_AUTOCORRELATE = Function(
    "autocorrelate", _FLOATS, INTEGER, INTEGER, _INTEGERS, _FLOATS, INTEGER, *[_FLOATS] * 7,
)  # fmt: skip
_LEVINSON = Function("levinson", _FLOATS, INTEGER, INTEGER, *[_FLOATS] * 3)
_ALL_POLE = Function("all_pole", _FLOATS, INTEGER, _FLOATS, _FLOATS, INTEGER, INTEGER, NUMBER, _FLOATS)


class Predictor(NamedTuple):
    """The filter of a whole utterance, renewed every ``hop`` samples."""

    coefficients: Floats
    """``[F * RENEWALS, ORDER]``: a_k of e[t] = x[t] + Σ a_k x[t - k]."""
    levels: Floats
    """``[F * RENEWALS]``: what e is divided by to become the excitation."""
    hop: int


def predictor(frames: NDArray[np.floating], spec: FeatureSpec, low_shelf_db: float = 0.0) -> Predictor:
    """The filter that belongs to conditioning frames.

    Args:
        frames: ``[F, C]``, of which the first ``spec.mel_bands`` columns are scaled log-mel energies. A low shelf needs
            the voicing, too, in the last column.
        spec: how they were made.
        low_shelf_db: for synthesis alone: gain of the frequencies below 700 Hz in voiced frames.
    """
    logs = features.log_magnitudes(frames[:, : spec.mel_bands], spec) / RENEWALS
    shelf = low_shelf_db / RENEWALS * low_shelf(spec)
    voicing = np.clip(frames[:, -1].astype(np.float64), 0.0, 1.0)
    lags, scratch = np.empty((len(frames) * RENEWALS, ORDER + 1)), np.empty((2 + RENEWALS) * len(shelf))
    logs = np.ascontiguousarray(logs, np.float64)
    _AUTOCORRELATE(logs, *logs.shape, *bin_weights(spec), len(shelf), shelf, voicing, *cosines(spec), scratch, lags)
    coefficients, energies = levinson(lags)
    levels = np.sqrt(np.maximum(energies, LEAST_ENERGY)) / (LEVEL * features.window_gain(spec))
    return Predictor(coefficients, levels, spec.hop // RENEWALS)


def section(filters: Predictor, first: int, frames: int) -> Predictor:
    """The part of the filter for ``frames`` frames from ``first`` on."""
    rows = slice(first * RENEWALS, (first + frames) * RENEWALS)
    return Predictor(filters.coefficients[rows], filters.levels[rows], filters.hop)


@cache
def bin_weights(spec: FeatureSpec) -> tuple[NDArray[np.int64], Floats]:
    """For every bin of the transform the band whose centre is next below, and the share of the one above it."""
    bank = features.mel_bank(spec, features.fft_size(spec)).astype(np.float64)
    centres = (bank * np.arange(len(bank))[:, None]).sum(axis=0) / bank.sum(axis=0)
    above = np.clip(np.searchsorted(centres, np.arange(len(bank))), 1, spec.mel_bands - 1)
    shares = (np.arange(len(bank)) - centres[above - 1]) / (centres[above] - centres[above - 1])
    return (above - 1).astype(np.int64), np.clip(shares, 0.0, 1.0)


def low_shelf(spec: FeatureSpec) -> Floats:
    """What a shelf of 1 dB adds to the log-magnitude of every bin: half of that decibel at 700 Hz, all of it below."""
    hertz = np.linspace(0.0, spec.sample_rate / 2.0, features.fft_size(spec) // 2 + 1)
    return np.asarray(np.log(10.0) / 20.0 / (1.0 + (hertz / _SHELF_HZ) ** 4))


def _lag_window(spec: FeatureSpec) -> Floats:
    """Widens the peaks of the envelope (a Gaussian of 40 Hz) and adds a little white noise: ``[ORDER + 1]``."""
    window = np.exp(-0.5 * (2.0 * np.pi * _LAG_WINDOW_HZ / spec.sample_rate * np.arange(ORDER + 1)) ** 2)
    window[0] += _WHITE_NOISE
    return np.asarray(window)


@cache
def cosines(spec: FeatureSpec) -> tuple[Floats, Floats, Floats]:
    """What the power in a bin of the lower half of a spectrum adds to lags 0, 2, … 14, to lags 1, 3, … 15 and to lag
    16, windowed: ``[bins // 2 + 1, 8]`` twice, and ``[bins // 2 + 1]``."""
    size = features.fft_size(spec)
    angles = 2.0 * np.pi / size * np.arange(size // 4 + 1)
    table = np.cos(angles[:, None] * np.arange(ORDER + 1)) * _lag_window(spec) * (2.0 / size)
    table[0] *= 0.5
    return np.ascontiguousarray(table[:, :ORDER:2]), np.ascontiguousarray(table[:, 1::2]), table[:, ORDER].copy()


def levinson(lags: Floats) -> tuple[Floats, Floats]:
    """Levinson's and Durbin's recursion, a row at a time.

    Args:
        lags: autocorrelations ``[N, order + 1]``.

    Returns:
        Predictor coefficients ``[N, order]`` and the energies ``[N]`` of their residuals. Every filter is stable.
    """
    coefficients, energies = np.empty((len(lags), lags.shape[1] - 1)), np.empty(len(lags))
    _LEVINSON(np.ascontiguousarray(lags), *coefficients.shape, np.empty(2 * lags.shape[1]), coefficients, energies)
    return coefficients, energies


def analyse(wave: NDArray[np.floating], filters: Predictor, before: NDArray[np.floating] | None = None) -> Floats:
    """Sound ``[T]`` to its excitation ``[T]``.

    Args:
        wave: begins where ``filters`` do, and is not longer.
        filters: of its frames.
        before: ``[ORDER]``, the sound before it; silence if absent.
    """
    count = len(wave)
    padded = np.concatenate([np.zeros(ORDER) if before is None else before, wave]).astype(np.float64)
    excitation = padded[ORDER:].copy()
    rows = np.arange(count) // filters.hop
    for k in range(ORDER):
        excitation += filters.coefficients[rows, k] * padded[ORDER - 1 - k : ORDER - 1 - k + count]
    return np.asarray(excitation / filters.levels[rows])


def all_pole(excitation: Floats, filters: Predictor, position: int, sound: Floats) -> None:
    """The inverse of :func:`analyse`: x[t] = g e[t] - Σ a_k x[t - k].

    Sample by sample in double precision, in one order of additions: chunks do not change a bit.

    Args:
        excitation: ``[T]``.
        filters: of the whole utterance.
        position: of the first sample, in the utterance.
        sound: ``[ORDER + T]``: the last samples before it, the oldest first; the rest is written.
    """
    coefficients, levels, hop = filters
    assert position + len(excitation) <= len(levels) * hop, "the sound is no longer than its filters"
    _ALL_POLE(excitation, len(excitation), coefficients, levels, hop, position, LIMIT, sound)


class Synthesis:
    """Excitation to sound, for a stream that comes in chunks.

    ``memory`` (the last 16 samples, the oldest first) and ``position`` are all of its state: what continues with them
    continues with the same bits.

    Args:
        filters: of the whole utterance.
        memory: ``[ORDER]``; silence if absent.
        position: of the next sample.
    """

    def __init__(self, filters: Predictor, memory: NDArray[np.floating] | None = None, position: int = 0) -> None:
        self._filters = filters
        self.memory = np.zeros(ORDER) if memory is None else np.asarray(memory, np.float64)
        self.position = position

    def __call__(self, excitation: NDArray[np.floating]) -> NDArray[np.float32]:
        """Filter one chunk ``[T]``; returns ``float32 [T]``."""
        sound = np.concatenate([self.memory, np.zeros(len(excitation))])
        all_pole(np.asarray(excitation, np.float64), self._filters, self.position, sound)
        self.memory = sound[len(excitation) :].copy()
        self.position += len(excitation)
        return sound[ORDER:].astype(np.float32)


def encode_excitation(wave: NDArray[np.floating], filters: Predictor) -> NDArray[np.uint8]:
    """Sound to symbols: linear prediction, then mu-law."""
    return mu_law_encode(analyse(wave, filters))


def decode_excitation(symbols: NDArray[np.integer], filters: Predictor) -> NDArray[np.float32]:
    """A whole utterance of symbols to sound: mu-law, then the all-pole filter."""
    return Synthesis(filters)(mu_law_decode(symbols))


# A sound without its spectrum and its level: what is left is close to the noise that a model has drawn it with.
#
# The inverse of linear prediction (shaping.py), but with a predictor found in the sound itself, so that it needs
# neither the frames nor the text that the sound was made from, and takes out what filters and codecs have done to it
# since.

WHITENED_LIMIT = 2.0
"""Standard deviations at which the residual is cut: noise that is uniform in (0, 1) has no larger ones."""
_WINDOW_SECONDS, _HOP_SECONDS = 0.03, 0.01
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
    return np.asarray(np.clip(residual / (np.sqrt(squares)[row] + _LEAST_LEVEL), -WHITENED_LIMIT, WHITENED_LIMIT))


# Correction of sound towards the log-mels that it was synthesised from, frame by frame.
#
# A WaveNet that is sampled below temperature 1 does not quite make the bands that it was conditioned on. What it made
# is measured with the analysis that the frames come from (:func:`~ancestral_models.audio.features.log_mel`); the
# spectrum of the frame is multiplied by what is missing, and the frames are added up again: within the same frame,
# because gains of a frame before, or means over several, lose most of it. Deterministic, and outside the sampling loop.


LIMIT_DB = 12.0
"""The most that a band is raised or lowered by, at strength 1."""
HIGHEST_HZ = 2000.0
"""Bands whose centre lies above it stay as they are: all that a listener misses is below."""
GAIN_LIMIT = float(np.log(10.0) / 20.0 * LIMIT_DB)
_OVERLAP = 4
"""Frames that a sample lies in. Squares of Hann windows at this distance add up to a constant, 1.5."""


_SOUND = array("f4")
_CORRECT = Function(
    "correct_frames", _SOUND, _SOUND, INTEGER, INTEGER, _FLOATS, _FLOATS, INTEGER, INTEGER, NUMBER, NUMBER, _FLOATS,
    INTEGER, _FLOATS, _INTEGERS, INTEGER, _INTEGERS, _FLOATS, _FLOATS, _FLOATS, INTEGER, _FLOATS,
)  # fmt: skip


class Tables(NamedTuple):
    """What a frame's analysis needs, for a transform of N bins below half the sampling rate."""

    window: Floats
    bank: Floats
    """``[B, N + 1]``: the filters."""
    spans: NDArray[np.int64]
    """``[<= B, 2]``: of the bands that are corrected, the first bin of the filter, and the one after its last."""
    below: NDArray[np.int64]
    """``[N + 1]``: the band whose centre is next below a bin."""
    shares: Floats
    """``[N + 1]``: the share of the band above it in a bin's gain."""
    cosines: Floats
    """``[N]``: of pi k / N."""
    sines: Floats


@cache
def tables(spec: FeatureSpec) -> Tables:
    assert spec.window == _OVERLAP * spec.hop, "the squared windows must add up"
    bank = np.ascontiguousarray(features.mel_bank(spec, features.fft_size(spec)).T, np.float64)
    hertz = np.arange(bank.shape[1]) * spec.sample_rate / features.fft_size(spec)
    inside = [np.flatnonzero(band) for band in bank if hertz @ band < HIGHEST_HZ * band.sum()]
    angles = 2.0 * np.pi / features.fft_size(spec) * np.arange(features.fft_size(spec) // 2)
    return Tables(
        features.analysis_window(spec), bank, np.array([(bins[0], bins[-1] + 1) for bins in inside], np.int64),
        *bin_weights(spec), np.cos(angles), np.sin(angles),
    )  # fmt: skip


class MelCorrection:
    """Sound to corrected sound, for a stream that comes in chunks; neither chunks nor a restart change a bit.

    A sample is delivered when all frames that it lies in are there: up to a window after it, 40 ms. At strength 0 the
    sound passes as it is, without delay.

    Args:
        frames: ``[F, C]`` of the whole utterance, of which the first ``spec.mel_bands`` columns are log-mels.
        spec: how they were made.
        strength: 0 … 1: of the log of the gains.
        held: of a stream that continues: its :attr:`held`.
        received: of a stream that continues: the samples that have been pushed.
    """

    def __init__(
        self, frames: Array, spec: FeatureSpec, strength: float, held: Array | None = None, received: int = 0
    ) -> None:
        self._spec = spec
        self._lead = spec.window - spec.hop // 2 if strength else 0
        """Silence before the first sample: the frames that it lies in begin there."""
        log_mels, more = frames[:, : spec.mel_bands].astype(np.float64), (_OVERLAP // 2, _OVERLAP // 2)
        self._wanted = np.pad(log_mels * features.LOG_MEL_SCALE + features.LOG_MEL_MEAN, (more, (0, 0)), "edge")
        self._strengths = np.pad(np.full(len(frames), strength), more)
        self.held = np.zeros((2, self._lead), np.float32) if held is None else held
        """``[2, N]``: sound not yet delivered, and the sum of the frames so far at the same places."""
        self.position: int = max(received - self.held.shape[1], 0)
        """The next sample to be delivered."""

    def needed(self, count: int) -> int:
        """The number of samples to push, in all, before ``count`` more can be pulled; fewer at the end."""
        stop = self.position + count
        return self._end(self._after(stop) - 1) if self._lead else stop

    def push(self, sound: Array) -> None:
        """Take the next samples ``[T]``."""
        self.held = np.concatenate([self.held, [sound, np.zeros_like(sound)]], axis=1)

    def pull(self, count: int) -> Array:
        """Deliver the next samples ``[count]``; after what has been pushed follows silence."""
        if not count or not self._lead:
            pulled, self.held = self.held[0, :count], self.held[:, count:]
        else:
            pulled, self.held = self._corrected(count)
        self.position += count
        return pulled

    def _after(self, position: int) -> int:
        """The number of the first frame that begins at ``position`` or later; number 0 begins at ``-lead``."""
        return -(-(position + self._lead) // self._spec.hop)

    def _end(self, frame: int) -> int:
        """The position after the last sample of a frame."""
        return frame * self._spec.hop + self._spec.window - self._lead

    def _corrected(self, count: int) -> tuple[Array, Array]:
        """The next samples, and what is then held."""
        hop, start = self._spec.hop, self.position if self.position else -self._lead
        first, after = self._after(start), self._after(self.position + count)
        known, held = self.held.shape[1], self.held
        if (missing := self._end(after - 1) - start - known) > 0:
            held = np.concatenate([held, np.zeros((2, missing), np.float32)], axis=1)
        begin = first * hop - self._lead - start
        wanted, strengths = self._wanted[first:after], self._strengths[first:after]
        window, bank, spans, below, shares, cosines, sines = tables(self._spec)
        last = begin + (after - first - 1) * hop
        assert 0 <= begin <= last <= held.shape[1] - len(window) or first >= after, "within the sound"
        scratch = np.empty(4 * len(cosines) + 3 * len(below) + wanted.shape[1])
        _CORRECT(
            held[0], held[1], begin, hop, wanted, strengths, *wanted.shape, GAIN_LIMIT, float(np.log(self._spec.floor)),
            window, len(window), bank, spans, len(spans), below, shares, cosines, sines, len(cosines), scratch,
        )  # fmt: skip
        done = self.position - start + count
        return held[1, done - count : done], held[:, done:known].copy()
