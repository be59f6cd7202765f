"""Uncompressed samples: ``pcm``, and ``wav``, which has a header."""

from __future__ import annotations

import struct
from typing import Final

from models.audio.pcm import to_int16
from service.speech.codecs.base import Encoder, Rewrite, Wave

_UNKNOWN: Final = 0xFFFFFFFF
_HEADER_BYTES: Final = 44


class PcmEncoder(Encoder):
    """Little-endian 16-bit samples. The first byte comes with the first sample."""

    def feed(self, wave: Wave) -> bytes:
        """See :class:`Encoder`."""
        return to_int16(wave).tobytes()

    def finish(self) -> bytes:
        """See :class:`Encoder`."""
        return b""


class WavEncoder(Encoder):
    """The same samples after a WAV header that gives the maximum length, as the length is not known yet."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._unsent = _wav_header(sample_rate, _UNKNOWN, _UNKNOWN)
        self._data_bytes = 0

    def feed(self, wave: Wave) -> bytes:
        """See :class:`Encoder`."""
        header, self._unsent = self._unsent, b""
        data = to_int16(wave).tobytes()
        self._data_bytes += len(data)
        return header + data

    def finish(self) -> bytes:
        """See :class:`Encoder`."""
        return self._unsent

    def rewrites(self) -> list[Rewrite]:
        """See :class:`Encoder`."""
        riff_bytes = _HEADER_BYTES - 8 + self._data_bytes
        return [(0, _wav_header(self._sample_rate, riff_bytes, self._data_bytes))]


def _wav_header(sample_rate: int, riff_bytes: int, data_bytes: int) -> bytes:
    pcm, channels, width = 1, 1, 2
    frame = channels * width
    riff = struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, pcm, channels, sample_rate, sample_rate * frame, frame, 8 * width)
    return riff + fmt + struct.pack("<4sI", b"data", data_bytes)
