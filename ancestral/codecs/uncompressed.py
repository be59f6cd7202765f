"""``pcm`` and ``wav``, which need no library; and a change of rate before any encoder."""

from __future__ import annotations

import struct
from typing import Final

from ancestral.codecs.base import Encoder, Rewrite, Wave
from ancestral.models.audio.pcm import to_int16
from ancestral.models.audio.resampler import Resampler


class ResamplingEncoder(Encoder):
    """Changes the rate, and passes the result to another encoder."""

    def __init__(self, inner: Encoder, from_rate: int, to_rate: int) -> None:
        self._inner, self._resampler = inner, Resampler(from_rate, to_rate)

    def feed(self, wave: Wave) -> bytes:
        return self._inner.feed(self._resampler.feed(wave))

    def finish(self) -> bytes:
        return self._inner.feed(self._resampler.finish()) + self._inner.finish()

    def rewrites(self) -> list[Rewrite]:
        return self._inner.rewrites()


# Uncompressed samples: ``pcm``, and ``wav``, which has a header.

_UNKNOWN: Final = 0xFFFFFFFF
_HEADER_BYTES: Final = 44
_WIDTH: Final = 2


class PcmEncoder(Encoder):
    """Little-endian 16-bit samples. The first byte comes with the first sample."""

    def feed(self, wave: Wave) -> bytes:
        return to_int16(wave).tobytes()

    def finish(self) -> bytes:
        return b""


class WavEncoder(Encoder):
    """The same samples after a WAV header.

    Args:
        sample_rate: in hertz.
        length: samples that will be fed; 0 if not known: the header then has the maximum until it is rewritten.
    """

    def __init__(self, sample_rate: int, length: int) -> None:
        self._sample_rate = sample_rate
        self._length = length
        self._unsent = _wav_header(sample_rate, _WIDTH * length if length else None)
        self._data_bytes = 0

    def feed(self, wave: Wave) -> bytes:
        header, self._unsent = self._unsent, b""
        data = to_int16(wave).tobytes()
        self._data_bytes += len(data)
        return header + data

    def finish(self) -> bytes:
        assert self._length in (0, self._data_bytes // _WIDTH), "not the length that the header gives"
        return self._unsent

    def rewrites(self) -> list[Rewrite]:
        return [(0, _wav_header(self._sample_rate, self._data_bytes))]


def _wav_header(sample_rate: int, data_bytes: int | None) -> bytes:
    riff_bytes = _UNKNOWN if data_bytes is None else _HEADER_BYTES - 8 + data_bytes
    data_bytes = _UNKNOWN if data_bytes is None else data_bytes
    pcm, channels = 1, 1
    frame = channels * _WIDTH
    riff = struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, pcm, channels, sample_rate, sample_rate * frame, frame, 8 * _WIDTH)
    return riff + fmt + struct.pack("<4sI", b"data", data_bytes)
