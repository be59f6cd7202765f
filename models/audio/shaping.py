"""Spectral shaping by linear prediction: between sound and a flat, level excitation.

A predictor of order 16 follows from the log-mel frames that the model is conditioned on, so nothing has to be
transmitted for it. Its residual, the excitation, is what is quantised and modelled; running it through the all-pole
filter gives the sound. Quantisation noise and sampling errors then follow the spectral envelope, which masks them
(ExcitNet, Song et al. 2019, arXiv:1811.04769, with LPCNet's way from bands to predictor, Valin & Skoglund 2019,
arXiv:1810.11846).

Compiled, and with the same bits on every processor that fuses a product with its sum (models/portable.py).
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ancestral.models.audio.features import fft_size, log_magnitudes, mel_bank, window_gain
from ancestral.models.audio.mu_law import mu_law_decode, mu_law_encode
from ancestral.models.spec import FeatureSpec

ORDER = 16
RENEWALS = 4
"""Times per frame that the predictor is renewed: every 2.5 ms. :func:`_autocorrelate` has the powers for no other."""
LEVEL = 0.09
"""Nominal rms of the excitation: its peaks stay below 1 (but for some in 100 000), also behind a blurred envelope."""
LIMIT = 8.0
"""The all-pole filter's output stays within. Speech stays below 1; a filter that turns into an altogether different one
every frame can get out of hand."""

_SHELF_HZ = 700.0
_LAG_WINDOW_HZ = 40.0
_WHITE_NOISE = 1e-4
_LEAST_ENERGY = 1e-12

Floats = NDArray[np.float64]


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
    logs = log_magnitudes(frames[:, : spec.mel_bands], spec) / RENEWALS
    shelf = low_shelf_db / RENEWALS * _low_shelf(spec)
    voicing = np.clip(frames[:, -1].astype(np.float64), 0.0, 1.0)
    lags = np.empty((len(frames) * RENEWALS, ORDER + 1))
    _autocorrelate(logs, *bin_weights(spec), shelf, voicing, *_cosines(spec), lags)
    coefficients, energies = levinson(lags)
    levels = np.sqrt(np.maximum(energies, _LEAST_ENERGY)) / (LEVEL * window_gain(spec))
    return Predictor(coefficients, levels, spec.hop // RENEWALS)


def section(filters: Predictor, first: int, frames: int) -> Predictor:
    """The part of the filter for ``frames`` frames from ``first`` on."""
    rows = slice(first * RENEWALS, (first + frames) * RENEWALS)
    return Predictor(filters.coefficients[rows], filters.levels[rows], filters.hop)


@cache
def bin_weights(spec: FeatureSpec) -> tuple[NDArray[np.int64], Floats]:
    """For every bin of the transform the band whose centre is next below, and the share of the one above it."""
    bank = mel_bank(spec, fft_size(spec)).astype(np.float64)
    centres = (bank * np.arange(len(bank))[:, None]).sum(axis=0) / bank.sum(axis=0)
    above = np.clip(np.searchsorted(centres, np.arange(len(bank))), 1, spec.mel_bands - 1)
    shares = (np.arange(len(bank)) - centres[above - 1]) / (centres[above] - centres[above - 1])
    return above - 1, np.clip(shares, 0.0, 1.0)


def _low_shelf(spec: FeatureSpec) -> Floats:
    """What a shelf of 1 dB adds to the log-magnitude of every bin: half of that decibel at 700 Hz, all of it below."""
    hertz = np.linspace(0.0, spec.sample_rate / 2.0, fft_size(spec) // 2 + 1)
    return np.asarray(np.log(10.0) / 20.0 / (1.0 + (hertz / _SHELF_HZ) ** 4))


def _lag_window(spec: FeatureSpec) -> Floats:
    """Widens the peaks of the envelope (a Gaussian of 40 Hz) and adds a little white noise: ``[ORDER + 1]``."""
    window = np.exp(-0.5 * (2.0 * np.pi * _LAG_WINDOW_HZ / spec.sample_rate * np.arange(ORDER + 1)) ** 2)
    window[0] += _WHITE_NOISE
    return np.asarray(window)


@cache
def _cosines(spec: FeatureSpec) -> tuple[Floats, Floats, Floats]:
    """What the power in a bin of the lower half of a spectrum adds to lags 0, 2, … 14, to lags 1, 3, … 15 and to lag
    16, windowed: ``[bins // 2 + 1, 8]`` twice, and ``[bins // 2 + 1]``."""
    size = fft_size(spec)
    angles = 2.0 * np.pi / size * np.arange(size // 4 + 1)
    table = np.cos(angles[:, None] * np.arange(ORDER + 1)) * _lag_window(spec) * (2.0 / size)
    table[0] *= 0.5
    return np.ascontiguousarray(table[:, :ORDER:2]), np.ascontiguousarray(table[:, 1::2]), table[:, ORDER].copy()


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy", boundscheck=False)
def _autocorrelate(logs, below, shares, shelf, voicing, even, odd, last, lags):  # type: ignore[no-untyped-def]
    """Autocorrelations of spectra whose logs are interpolated linearly, from the bands of each frame to its bins, and
    from the centre of a frame to that of the next.

    Args:
        logs: of the magnitudes of the bands, ``[F, B]``, divided by ``RENEWALS``.
        below: see :func:`bin_weights`; likewise ``shares``.
        shelf: what is added to the log of each bin of a voiced frame, divided likewise.
        voicing: ``[F]``.
        even: see :func:`_cosines`; likewise ``odd`` and ``last``.
        lags: are written: ``[F * RENEWALS, ORDER + 1]``.
    """
    frames, bins, half = len(logs), len(below), ORDER // 2
    middle = bins // 2
    roots, powers, evens, odds = np.empty((2, bins)), np.empty((RENEWALS, bins)), np.empty(half), np.empty(half)
    for frame in range(frames + 1):
        u, v = roots[1 - frame % 2], roots[frame % 2]
        if frame == frames:
            v = u  # after the last centre nothing changes any more
        else:
            for k in range(bins):
                low = logs[frame, below[k]]
                v[k] = math.exp(low + shares[k] * (logs[frame, below[k] + 1] - low) + shelf[k] * voicing[frame])
            if frame == 0:
                u = v
        # The power is exp(2 log): of the eighth powers of u and v, in each renewal another mixture.
        for k in range(bins):
            a, b, both = u[k] * u[k], v[k] * v[k], u[k] * v[k]
            powers[0, k], powers[1, k] = both * a * a * a, both * a * a * b
            powers[2, k], powers[3, k] = both * a * b * b, both * b * b * b
        for part in range(RENEWALS):
            row, power = RENEWALS * frame - RENEWALS // 2 + part, powers[part]
            if 0 <= row < len(lags):
                evens[:], odds[:], final = 0.0, 0.0, power[middle] * last[middle]
                # cos(n (pi - x)) is cos(n x) for even n and -cos(n x) for odd n: two bins share each cosine.
                for k in range(middle):
                    up, down = power[k] + power[bins - 1 - k], power[k] - power[bins - 1 - k]
                    final += up * last[k]
                    for n in range(half):
                        evens[n] += up * even[k, n]
                        odds[n] += down * odd[k, n]
                for n in range(half):
                    lags[row, 2 * n], lags[row, 2 * n + 1] = evens[n] + power[middle] * even[middle, n], odds[n]
                lags[row, ORDER] = final


def levinson(lags: Floats) -> tuple[Floats, Floats]:
    """Levinson's and Durbin's recursion, a row at a time.

    Args:
        lags: autocorrelations ``[N, order + 1]``.

    Returns:
        Predictor coefficients ``[N, order]`` and the energies ``[N]`` of their residuals. Every filter is stable.
    """
    coefficients, energies = np.empty((len(lags), lags.shape[1] - 1)), np.empty(len(lags))
    _levinson(lags, coefficients, energies)
    return coefficients, energies


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy", boundscheck=False)
def _levinson(lags, coefficients, energies):  # type: ignore[no-untyped-def]  # numba infers the types
    order = lags.shape[1] - 1
    a, before = np.empty(order + 1), np.empty(order + 1)
    for n in range(len(lags)):
        a[:], a[0], energy = 0.0, 1.0, lags[n, 0]
        for k in range(1, order + 1):
            total = 0.0
            for j in range(k):
                total += a[j] * lags[n, k - j]
                before[j] = a[j]
            reflection = -total / energy
            for j in range(k):
                a[k - j] += reflection * before[j]
            energy *= 1.0 - reflection * reflection
        coefficients[n], energies[n] = a[1:], energy


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


@njit(cache=True, error_model="numpy")
def all_pole(excitation, coefficients, levels, hop, position, sound):  # type: ignore[no-untyped-def]  # numba infers the types
    """The inverse of :func:`analyse`: x[t] = g e[t] - Σ a_k x[t - k].

    Sample by sample in double precision, in one order of additions: neither chunks nor compilation change a bit.

    Args:
        excitation: ``[T]``.
        coefficients: of the whole utterance, as :class:`Predictor` has them; likewise ``levels`` and ``hop``.
        position: of the first sample, in the utterance.
        sound: ``[ORDER + T]``: the last samples before it, the oldest first; the rest is written.
    """
    for t in range(len(excitation)):
        row = (position + t) // hop
        predictor = coefficients[row]
        value = excitation[t] * levels[row]
        for k in range(ORDER):
            value -= predictor[k] * sound[ORDER + t - 1 - k]
        sound[ORDER + t] = min(max(value, -LIMIT), LIMIT)


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
        coefficients, levels, hop = self._filters
        all_pole(np.asarray(excitation, np.float64), coefficients, levels, hop, self.position, sound)
        self.memory = sound[len(excitation) :].copy()
        self.position += len(excitation)
        return sound[ORDER:].astype(np.float32)


def encode_excitation(wave: NDArray[np.floating], filters: Predictor) -> NDArray[np.uint8]:
    """Sound to symbols: linear prediction, then mu-law."""
    return mu_law_encode(analyse(wave, filters))


def decode_excitation(symbols: NDArray[np.integer], filters: Predictor) -> NDArray[np.float32]:
    """A whole utterance of symbols to sound: mu-law, then the all-pole filter."""
    return Synthesis(filters)(mu_law_decode(symbols))
