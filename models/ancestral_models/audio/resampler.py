"""Other rates of sound: the band above 8 kHz that a voice has, and a resampler with the same bits everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import cache, lru_cache
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral_models.arithmetic import product
from ancestral_models.audio.features import Array, log_mel
from ancestral_models.spec import FeatureSpec

# What a voice sounds like above 8 kHz, where a network that samples 16 kHz is silent.
#
# Speech is noise there. So noise is added whose levels, in bands of 500 Hz, follow from the log-mels of the sound below
# by a linear map of each voice, fitted to recordings at 24 kHz (ancestral_training/voice.py). Replacing a recording's
# own band like this takes ViSQOL, of 4.73, from 3.2 without the band to 4.4.

RATE = 24000
"""Hertz, of the recordings that the maps are fitted to: nothing is added above half of it."""
LOW_HZ, BAND_HZ, BANDS = 8000, 500, 8
_OVERLAP_HZ = 380
"""The first band begins so far below :data:`LOW_HZ`, where the resampler has taken away half of the power."""
_HINGES = (-1.0, 0.0, 1.0)
INPUTS = FeatureSpec().mel_bands * 3 + FeatureSpec().mel_bands // 2 * len(_HINGES) + 1
"""Columns of :func:`inputs`."""
_GRID = 64.0
"""Levels are rounded to this part of an e-fold of power, so that no bit depends on chunks."""
_PERIOD = 1 << 17
"""Samples after which the noise repeats, 5 s."""

Map = NDArray[np.float32]
"""``[INPUTS, BANDS]``: from the columns of :func:`inputs` to the logarithms of powers."""


def inputs(mels: Array) -> NDArray[np.float64]:
    """What the levels of a frame are a linear function of: the log-mels of it and its neighbours, those of its upper
    half as far as they lie above some thresholds, and 1. ``[F + 2, mel_bands]`` to ``[F, INPUTS]``."""
    upper = mels[1:-1, mels.shape[1] // 2 :]
    above = [np.maximum(upper - hinge, 0.0) for hinge in _HINGES]
    return np.column_stack([mels[:-2], mels[1:-1], mels[2:], *above, np.ones(len(upper))]).astype(np.float64)


@cache
def _noise(rate: int) -> Array:
    """White noise in bands ``[_PERIOD, BANDS]`` at ``rate`` Hz, of power 1 / ``RATE`` per Hz."""
    rng = np.random.Generator(np.random.Philox(0))
    spectrum = np.fft.rfft(rng.uniform(-(3.0**0.5), 3.0**0.5, _PERIOD) * (rate / RATE) ** 0.5)
    hertz = np.arange(len(spectrum)) * rate / _PERIOD
    band = (hertz - LOW_HZ) // BAND_HZ
    band[(hertz >= LOW_HZ - _OVERLAP_HZ) & (hertz < LOW_HZ)] = 0
    return np.stack([np.fft.irfft(spectrum * (band == k), _PERIOD) for k in range(BANDS)], axis=1).astype(np.float32)


class HighBand:
    """The noise for one voice's sound, which comes in chunks: however it is split, the bits are the same.

    Args:
        table: the map of the voice.
        spec: of the mels; its rate is that of the chunks.
        rate: of the noise, in hertz.
        start: samples of noise before this voice's.
    """

    def __init__(self, table: Map, spec: FeatureSpec, rate: int, start: int = 0) -> None:
        self._table, self._spec, self._rate, self._start = table.astype(np.float64), spec, rate, start
        self._hop = rate * spec.hop / spec.sample_rate
        self._sound, self._first = np.zeros(0, np.float32), 0
        """Sound from the beginning of frame ``_first`` on."""
        self._gains, self._next = np.zeros((0, BANDS), np.float32), 0
        """Gains of the last frames, up to frame ``_next``."""
        self._made = 0

    def push(self, wave: Array) -> Array:
        """Take a chunk ``[T]``; returns the noise that is known by then ``[N]``, 25 to 35 ms less than the sound."""
        hop = self._spec.hop
        self._sound = np.concatenate([self._sound, wave])
        complete = (len(self._sound) - (self._spec.window + hop) // 2) // hop + 1 + self._first
        self._analyse(complete - 1, last=False)
        return self._mixed(int((self._next - 0.5) * self._hop))

    def finish(self, length: int) -> Array:
        """The rest of the noise, as if silence followed, up to ``length`` samples in all."""
        frames = self._first + -(-len(self._sound) // self._spec.hop)
        self._sound = np.pad(self._sound, (0, -len(self._sound) % self._spec.hop))
        self._analyse(frames, last=True)
        return self._mixed(length)

    def _analyse(self, stop: int, *, last: bool) -> None:
        """Compute the gains of all frames before ``stop``."""
        if stop <= self._next:
            return
        mels = log_mel(self._sound, self._spec)[max(self._next - 1, 0) - self._first : stop + 1 - self._first]
        mels = np.pad(mels, ((int(not self._next), int(last)), (0, 0)), "edge")
        levels = np.round(inputs(mels) @ self._table * _GRID) / _GRID
        self._gains = np.concatenate([self._gains[-2:], np.exp(0.5 * levels).astype(np.float32)])
        self._next = stop
        # A frame's window begins in the second frame before it.
        first = max(stop - 3, 0)
        self._sound, self._first = self._sound[(first - self._first) * self._spec.hop :], first

    def _mixed(self, stop: int) -> Array:
        """The noise from where the last call ended. Gains are interpolated from the middle of a frame to the next."""
        if stop <= self._made or not len(self._gains):
            return np.zeros(0, np.float32)
        bounds = [int((n + 0.5) / self._hop + 0.5) for n in (self._made, stop - 1)]
        ends = np.arange(bounds[0], bounds[1] + 1)
        first = np.ceil((ends - 0.5) * self._hop - 0.5).astype(np.int64)
        # A row of samples for each interval between two middles, as long as the longest.
        places = first[:, None] + np.arange(int(np.ceil(self._hop)))
        share = ((places + 0.5) / self._hop + 0.5 - ends[:, None]).astype(np.float32)
        rows = np.clip(np.stack([ends - 1, ends], axis=1) - (self._next - len(self._gains)), 0, len(self._gains) - 1)
        noise = _noise(self._rate)[(self._start + places) % _PERIOD]
        gains = self._gains[rows][:, :, None]
        # Added band by band, so that the bits are the same everywhere.
        before, after = (sum(noise[..., k] * gains[:, end, :, k] for k in range(BANDS)) for end in (0, 1))
        inside = (places >= self._made) & (places < stop) & (share < 1.0)
        self._made = stop
        mixed: Array = (before + share * (after - before))[inside]
        return mixed


# Sound at another rate, with the band that a voice has above the lower one.

_LARGEST: Final = 1000
"""Rates whose ratio in lowest terms has a larger denominator are taken as if it had one of these."""
_TOLERANCE, _LARGEST_NEAR = 1e-6, 16_000
"""Where that is further off than this share, as near 1:1, the denominator may be larger."""
_PIECE: Final = 256
"""Samples that one matrix makes of a block of more than :data:`_LARGEST`, or of twice as many: in each most factors
would be 0."""
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


def _ratio(from_rate: int, to_rate: int) -> Fraction:
    exact = Fraction(to_rate, from_rate)
    near = exact.limit_denominator(_LARGEST)
    return near if abs(near / exact - 1) < _TOLERANCE else exact.limit_denominator(_LARGEST_NEAR)


@lru_cache(maxsize=8)
def _filter(ratio: Fraction) -> tuple[list[tuple[slice, Array]], int, int]:
    """A windowed sinc from a span of samples to a block of those at ``ratio`` times their rate: matrices, each with its
    part of the span, that make one piece of the block after the other; how many samples lie between the beginnings of
    two spans, and how many a span has before its block."""
    repeats = max(1, -(-_BLOCK // ratio.numerator))
    made, taken = repeats * ratio.numerator, repeats * ratio.denominator
    lower = min(1.0, float(ratio))
    half, pieces, is_small = ceil(_ZEROS / lower), [], made <= _LARGEST and taken <= 2 * _LARGEST
    for start in range(0, made, size := made if is_small else _PIECE):
        places = np.arange(start, min(start + size, made)) * ratio.denominator / ratio.numerator
        part = slice(0, taken + 2 * half) if is_small else slice(int(places[0]), int(places[-1]) + 2 * half + 1)
        pieces.append((part, _matrix(places, np.arange(part.start, part.stop) - half, lower, half)))
    return pieces, taken, half


def _matrix(places: NDArray[np.float64], samples: NDArray[np.int64], lower: float, half: int) -> Array:
    """The factors of samples in each new one, ``[samples, places]``, by their places in time."""
    distance = places - samples[:, None]
    inside = (distance > -half) & (distance < half)  # an eighth of the largest matrices
    near, cutoff = distance[inside], _CUTOFF * lower
    middle = np.where(near == 0.0, 1.0, near)
    sinc = np.where(near == 0.0, cutoff, _sine(cutoff * middle) / (np.pi * middle))
    window = _bessel(_KAISER * np.sqrt(np.maximum(1.0 - (near / half) ** 2, 0.0))) / _bessel(np.array(_KAISER))
    weights = np.zeros(distance.shape, np.float32)
    weights[inside] = sinc * window
    return weights


class _Stream:
    """A sound whose rate is changed, in chunks."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._pieces, self._step, half = _filter(_ratio(from_rate, to_rate))
        self._span = self._step + 2 * half
        self._held = np.zeros(half, np.float32)
        self._next = 0
        """The piece of a block that is to be made."""

    def feed(self, wave: Array) -> Array:
        held = np.concatenate([self._held, wave])
        if len(self._pieces) > 1:
            return self._made_of(held)
        count = max(0, (len(held) - self._span) // self._step + 1)
        self._held = held[count * self._step :]
        if not count:
            return np.zeros(0, np.float32)
        spans = np.lib.stride_tricks.sliding_window_view(held, self._span)[:: self._step][:count]
        return product(spans, self._pieces[0][1]).ravel()

    def _made_of(self, held: Array) -> Array:
        """The pieces of a long block are made as soon as they can be: a listener waits for them."""
        made = [np.zeros(0, np.float32)]
        while len(held) >= (piece := self._pieces[self._next])[0].stop:
            made.append(product(held[piece[0]], piece[1]))
            self._next = (self._next + 1) % len(self._pieces)
            if self._next == 0:
                held = held[self._step :]
        self._held = held
        return np.concatenate(made)

    def finish(self) -> Array:
        """What silence brings out."""
        return self.feed(np.zeros(self._span + self._step, np.float32))


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
        rest = rest[: max(0, self._length(self._received) - self._made)]
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
