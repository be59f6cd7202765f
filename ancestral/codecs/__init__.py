"""Streaming audio encoders: mp3, opus, aac, flac, wav, pcm and G.711. Each is fed chunks of sound.

The bytes that an encoder returns can be sent at once; they never change. All encode 16 bits (G.711 8), mono; the same
sound gives the same bytes, however it is split into chunks. WAV and FLAC have the length in their headers: an encoder
gets the length in advance, or :func:`rewritten` makes a file of the stream's bytes at the end.

How much sound, in ms, has been fed when the first byte is returned, and when the first byte that carries sound is, at
16, 24 and 48 kHz:

    pcm, wav   the first sample      the first sample      G.711 (ulaw_8000, alaw_8000) likewise
    mp3        the first sample      50, 34, 29     a header frame, then frames of 576 samples (1152 from 32 kHz on)
    opus       20, 20, 20            40, 40, 40     two pages of headers, then a page every 20 ms
    aac        128, 86, 43           192, 128, 64   frames of 1024 samples; the first holds what the decoder warms on
    flac       the first sample      73, 49, 86     a header, then blocks of 1152 samples (4096 from 32 kHz on)

mp3, opus and flac begin with the tags of the file, if it has any; the first bytes of a stream hold them.

Without a length a WAV header says 0xFFFFFFFF, which many readers understand as "until the end" (Python's ``wave`` does
not), and a FLAC header says 0, with which python-soundfile cannot read the file.

LAME, libopus and FFmpeg's AAC encoder calculate in floating point: another version of them, or another kind of CPU, may
give other mp3, opus and aac bytes. wav, pcm and flac are lossless: their samples are the same everywhere.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import AncestralError
from ancestral.extras import needed
from ancestral.formats import check_rate
from ancestral_models.audio.mu_law import to_int16

Wave = NDArray[np.float32]
"""Sound, ``float32 [T]`` in [-1, 1], mono."""

Rewrite = tuple[int, bytes]
"""An offset in the file, and the bytes that replace those there."""


Tags = Mapping[str, str]
"""``title`` and ``comment`` of a file, for the formats that have them: mp3, opus and flac."""

NO_TAGS: Final[Tags] = {}


class Encoder(ABC):
    """Encodes one stream of sound: feed it chunks in order, then finish it once."""

    @abstractmethod
    def feed(self, wave: Wave) -> bytes:
        """Encode ``float32 [T]``. Returns the bytes that are ready; may be none."""

    @abstractmethod
    def finish(self) -> bytes:
        """The remaining bytes."""

    def rewrites(self) -> list[Rewrite]:
        """Changes to the header that are only known at the end, and that make a file of the stream."""
        return []


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


def pyav() -> Any:
    """The package ``av``, which few commands need.

    Raises:
        AncestralError: it is not installed.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise AncestralError(f"a file of this kind {needed(error)}") from error
    return av


def encoder(form: str, rate: int, length: int = 0, tags: Tags = NO_TAGS) -> Encoder:
    """An encoder for one stream.

    Args:
        form: a key of :data:`ancestral.formats.MEDIA_TYPES`.
        rate: of the chunks that will be fed, and of the bytes, in hertz.
        length: samples that will be fed, for the headers of formats in ``LENGTH_IN_HEADER``; 0 if not known.
        tags: of the file; wav, pcm and aac have none.

    Raises:
        InvalidRequest: the format does not support the rate.
        AncestralError: what encodes it is not installed.
    """
    check_rate(form, rate)
    if form in ("wav", "pcm"):
        return WavEncoder(rate, length) if form == "wav" else PcmEncoder()
    if form in ("opus", "aac"):  # what a browser has needs neither library
        from ancestral.codecs.ffmpeg import FfmpegEncoder

        return FfmpegEncoder(form, rate, tags if form == "opus" else NO_TAGS)
    from ancestral.codecs.sndfile import FlacEncoder, Mp3Encoder, SoundfileEncoder

    if form == "flac":
        return FlacEncoder(rate, length, tags)
    return Mp3Encoder(rate, tags) if form == "mp3" else SoundfileEncoder("RAW", form[:4].upper(), rate)


def encode_file(pieces: Iterable[Wave], form: str, rate: int, tags: Tags = NO_TAGS) -> bytes:
    """A file of sound whose length is known at its end alone; arguments as of :func:`encoder`."""
    stream = encoder(form, rate, tags=tags)
    data = b"".join([*map(stream.feed, pieces), stream.finish()])
    return rewritten(data, stream.rewrites())


def rewritten(data: bytes, rewrites: Iterable[Rewrite]) -> bytes:
    """A stream's bytes as the file that they become."""
    file = bytearray(data)
    for offset, part in rewrites:
        file[offset : offset + len(part)] = part
    return bytes(file)
