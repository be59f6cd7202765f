"""Change of sample rate before an encoder."""

from __future__ import annotations

import numpy as np
import soxr

from ancestral.codecs.base import Encoder, Rewrite, Wave


class ResamplingEncoder(Encoder):
    """Resamples, and passes the result to another encoder."""

    def __init__(self, inner: Encoder, from_rate: int, to_rate: int) -> None:
        self._inner = inner
        self._resampler = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32")

    def feed(self, wave: Wave) -> bytes:
        return self._inner.feed(self._resampler.resample_chunk(wave))

    def finish(self) -> bytes:
        rest = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        return self._inner.feed(rest) + self._inner.finish()

    def rewrites(self) -> list[Rewrite]:
        return self._inner.rewrites()


def resampled_length(length: int, from_rate: int, to_rate: int) -> int:
    """Samples that :class:`ResamplingEncoder` makes of ``length``: soxr rounds half up."""
    return (2 * length * to_rate + from_rate) // (2 * from_rate)
