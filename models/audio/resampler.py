"""Sound at another rate, with the band that a voice has above the lower one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import soxr

from ancestral.models.audio.features import Array
from ancestral.models.audio.high_band import HighBand, Map
from ancestral.models.spec import FeatureSpec


class Resampler:
    """Changes the rate of a stream that comes in chunks; however it is split, the samples are the same. From a rate to
    itself the sound passes as it is.

    Args:
        from_rate: of the chunks, in hertz.
        to_rate: of what is returned.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._rates = from_rate, to_rate
        self._stream = None if from_rate == to_rate else soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32")
        self._table: Map | None = None
        self._band: HighBand | None = None
        self._received = self._begun = 0
        """Samples fed in all, and before the voice of now."""
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
        sound = self._resampled(wave)
        return sound if self._band is None else self._joined(sound, self._band.push(wave))

    def finish(self) -> Array:
        """The rest."""
        rest = self._resampled(np.zeros(0, np.float32), last=True)
        if self._band is None:
            return rest
        self._end_band()
        return self._joined(rest, np.zeros(0, np.float32))

    def _resampled(self, wave: Array, *, last: bool = False) -> Array:
        return wave if self._stream is None else self._stream.resample_chunk(wave, last=last)

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
    """Samples that :class:`Resampler` makes of ``length``: soxr rounds half up."""
    return (2 * length * to_rate + from_rate) // (2 * from_rate)
