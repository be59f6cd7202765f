"""Sound at another rate, with the band that a voice has above the lower one."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral.models.arithmetic import product
from ancestral.models.audio.features import Array
from ancestral.models.audio.high_band import HighBand, Map
from ancestral.models.spec import FeatureSpec

_LARGEST: Final = 1000
"""Rates whose ratio in lowest terms has a larger denominator are taken as if it had one of these: one in a million
off."""
_BLOCK: Final = 64
"""Fewest samples that are made in one go."""
_ZEROS: Final = 80
"""Half of the filter's length, in samples of the lower rate."""
_CUTOFF, _KAISER = 0.956, 11.2
"""Of half the lower rate, where half of the amplitude is left: 0.912 pass, from 1 on 110 dB are taken away."""


def _sine(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """sin(pi x), with the same bits everywhere, as numpy's has not."""
    rest = turns - 2.0 * np.round(0.5 * turns)
    rest = np.where(np.abs(rest) > 0.5, np.sign(rest) - rest, rest) * np.pi
    square, total = rest * rest, np.ones_like(rest)
    for n in range(20, 0, -2):
        total = 1.0 - square / (n * (n + 1.0)) * total
    return rest * total


def _bessel(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The modified Bessel function of order 0, up to 12."""
    square, total = 0.25 * x * x, np.ones_like(x)
    for n in range(40, 0, -1):
        total = 1.0 + square / (n * n) * total
    return total


@lru_cache(maxsize=8)
def _filter(ratio: Fraction) -> tuple[Array, int, int]:
    """A windowed sinc as a matrix from a span of samples to a block of those at ``ratio`` times their rate; how many
    samples lie between the beginnings of two spans, and how many a span has before its block."""
    repeats = max(1, -(-_BLOCK // ratio.numerator))
    made, taken = repeats * ratio.numerator, repeats * ratio.denominator
    lower = min(1.0, float(ratio))
    half = ceil(_ZEROS / lower)
    distance = np.arange(made) * ratio.denominator / ratio.numerator - np.arange(-half, taken + half)[:, None]
    cutoff = _CUTOFF * lower
    middle = np.where(distance == 0.0, 1.0, distance)
    sinc = np.where(distance == 0.0, cutoff, _sine(cutoff * middle) / (np.pi * middle))
    window = _bessel(_KAISER * np.sqrt(np.maximum(1.0 - (distance / half) ** 2, 0.0))) / _bessel(np.array(_KAISER))
    weights = np.where(np.abs(distance) < half, sinc * window, 0.0)
    return weights.astype(np.float32), taken, half


class _Stream:
    """A sound whose rate is changed, in chunks."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._weights, self._step, half = _filter(Fraction(to_rate, from_rate).limit_denominator(_LARGEST))
        self._held = np.zeros(half, np.float32)

    def feed(self, wave: Array) -> Array:
        held, span = np.concatenate([self._held, wave]), len(self._weights)
        count = max(0, (len(held) - span) // self._step + 1)
        self._held = held[count * self._step :]
        if not count:
            return np.zeros(0, np.float32)
        spans = np.lib.stride_tricks.sliding_window_view(held, span)[:: self._step][:count]
        return product(spans, self._weights).ravel()

    def finish(self) -> Array:
        """What silence brings out."""
        return self.feed(np.zeros(len(self._weights) + self._step, np.float32))


class Resampler:
    """Changes the rate of a stream that comes in chunks; however it is split, the samples are the same. From a rate to
    itself the sound passes as it is.

    Args:
        from_rate: of the chunks, in hertz.
        to_rate: of what is returned.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._rates = from_rate, to_rate
        self._stream = None if from_rate == to_rate else _Stream(from_rate, to_rate)
        self._table: Map | None = None
        self._band: HighBand | None = None
        self._received = self._begun = self._made = 0
        """Samples fed in all, and before the voice of now; samples at the new rate."""
        self._sound = self._noise = np.zeros(0, np.float32)

    def set_high_band(self, table: Map | None) -> None:
        """The map of the voice that is fed from now on: if the rate is raised, the band above is added."""
        from_rate, to_rate = self._rates
        if to_rate <= from_rate or table is None or table is self._table:
            return
        self._end_band()
        self._table, self._begun = table, self._received
        self._band = HighBand(table, FeatureSpec(sample_rate=from_rate), to_rate, self._length(self._begun))

    def feed(self, wave: Array) -> Array:
        """The next chunk ``[T]``; returns the samples that are ready."""
        self._received += len(wave)
        sound = wave if self._stream is None else self._stream.feed(wave)
        self._made += len(sound)
        return sound if self._band is None else self._joined(sound, self._band.push(wave))

    def finish(self) -> Array:
        """The rest."""
        rest = np.zeros(0, np.float32) if self._stream is None else self._stream.finish()
        rest = rest[: self._length(self._received) - self._made]
        if self._band is None:
            return rest
        self._end_band()
        return self._joined(rest, np.zeros(0, np.float32))

    def _length(self, samples: int) -> int:
        return resampled_length(samples, *self._rates)

    def _end_band(self) -> None:
        """Add the rest of the noise of the voice of now."""
        if self._band is not None:
            rest = self._band.finish(self._length(self._received) - self._length(self._begun))
            self._noise = np.concatenate([self._noise, rest])

    def _joined(self, sound: Array, noise: Array) -> Array:
        """The samples of which sound and noise are both known by now."""
        sound, noise = np.concatenate([self._sound, sound]), np.concatenate([self._noise, noise])
        count = min(len(sound), len(noise))
        self._sound, self._noise = sound[count:], noise[count:]
        return sound[:count] + noise[:count]


def resampled(chunks: Iterable[Array], from_rate: int, to_rate: int) -> Array:
    """All chunks ``[T]`` as one sound ``[T]`` at another rate."""
    resampler = Resampler(from_rate, to_rate)
    return np.concatenate([*map(resampler.feed, chunks), resampler.finish()])


def resampled_length(length: int, from_rate: int, to_rate: int) -> int:
    """Samples that :class:`Resampler` makes of ``length``: the nearest number, of two the larger."""
    return (2 * length * to_rate + from_rate) // (2 * from_rate)
