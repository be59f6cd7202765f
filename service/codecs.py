"""Sound to bytes, as it is made: wav, pcm, flac and mp3, each an encoder that is fed chunks.

Every encoder gives bytes that can be sent at once and never takes one back. All are 16 bits, mono. A streamed WAV
claims a length of 0xFFFFFFFF, which every reader knows to mean "until the end". FLAC has such a mark as well, but
python-soundfile cannot read such a file in one go, so a FLAC is told its length beforehand.
"""

from __future__ import annotations

import io
import struct
from abc import ABC, abstractmethod
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Wave = NDArray[np.float32]

MEDIA_TYPES: Final = {"wav": "audio/wav", "pcm": "audio/pcm", "flac": "audio/flac", "mp3": "audio/mpeg"}
"""The formats that :func:`encoder` makes, and what each is called in ``Content-Type``."""

PCM_RATE: Final = 24000
"""What OpenAI's clients take a ``pcm`` body to be."""


def to_int16(wave: Wave) -> NDArray[np.int16]:
    """Sound in [-1, 1] to 16 bits; what lies outside is clipped."""
    scaled: NDArray[np.float32] = np.clip(np.rint(wave * np.float32(32767.0)), -32768, 32767)
    return scaled.astype("<i2")


class Encoder(ABC):
    """Bytes for a stream of sound. Feed it chunks in order, then finish it once."""

    @abstractmethod
    def feed(self, wave: Wave) -> bytes:
        """Encode ``float32 [T]``; the bytes that are ready, which may be none."""

    @abstractmethod
    def finish(self) -> bytes:
        """The rest of the bytes."""


class PcmEncoder(Encoder):
    """Little-endian 16-bit samples, with a header before the first of them or without one."""

    def __init__(self, header: bytes = b"") -> None:
        self._header = header

    def feed(self, wave: Wave) -> bytes:
        """See :class:`Encoder`."""
        header, self._header = self._header, b""
        return header + to_int16(wave).tobytes()

    def finish(self) -> bytes:
        """See :class:`Encoder`."""
        return b""


def _wav_header(sample_rate: int) -> bytes:
    """Of a WAV that claims the greatest length there is."""
    unknown, channels, width = 0xFFFFFFFF, 1, 2
    riff = struct.pack("<4sI4s", b"RIFF", unknown, b"WAVE")
    fmt = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, channels, sample_rate, sample_rate * channels * width, channels * width, 8 * width
    )
    return riff + fmt + struct.pack("<4sI", b"data", unknown)


class _Tail(io.RawIOBase):
    """The file that libsndfile believes to write: what is appended can be taken, what is rewritten is dropped.

    At its end libsndfile goes back to put the length into the header. Those bytes have been sent.
    """

    def __init__(self) -> None:
        self._position = 0
        self._end = 0
        self._fresh = bytearray()

    def write(self, data: bytes) -> int:  # type: ignore[override]  # soundfile hands bytes, not any buffer
        """Keep what lies past the end."""
        start = self._end - self._position
        if start < len(data):
            self._fresh += data[max(0, start) :]
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, as in any file."""
        self._position = (0, self._position, self._end)[whence] + offset
        return self._position

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._position

    def take(self) -> bytes:
        """What was appended since the last call."""
        fresh, self._fresh = bytes(self._fresh), bytearray()
        return fresh


class SoundfileEncoder(Encoder):
    """MP3 and FLAC, by libsndfile."""

    def __init__(self, container: str, subtype: str, sample_rate: int) -> None:
        self._tail = _Tail()
        self._file = soundfile.SoundFile(
            self._tail, "w", samplerate=sample_rate, channels=1, format=container, subtype=subtype
        )

    def feed(self, wave: Wave) -> bytes:
        """See :class:`Encoder`."""
        self._file.write(to_int16(wave))
        return self._tail.take()

    def finish(self) -> bytes:
        """See :class:`Encoder`."""
        self._file.close()
        return self._tail.take()


class FlacEncoder(SoundfileEncoder):
    """A FLAC whose header says how long it will be."""

    def __init__(self, sample_rate: int, length: int) -> None:
        super().__init__("FLAC", "PCM_16", sample_rate)
        self._length: int | None = length

    def feed(self, wave: Wave) -> bytes:
        """See :class:`Encoder`."""
        data = super().feed(wave)
        if data and self._length is not None:
            data, self._length = _with_length(data, self._length), None
        return data


def _with_length(data: bytes, length: int) -> bytes:
    """A FLAC's beginning with the total of samples in STREAMINFO: the last 36 bits of bytes 21 to 25."""
    start, end = 21, 26
    field = int.from_bytes(data[start:end]) & ~(2**36 - 1) | length
    return data[:start] + field.to_bytes(end - start) + data[end:]


class ResamplingEncoder(Encoder):
    """Another encoder behind a streaming change of sample rate."""

    def __init__(self, inner: Encoder, from_rate: int, to_rate: int) -> None:
        self._inner = inner
        self._resampler = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32")

    def feed(self, wave: Wave) -> bytes:
        """See :class:`Encoder`."""
        return self._inner.feed(self._resampler.resample_chunk(wave))

    def finish(self) -> bytes:
        """See :class:`Encoder`."""
        rest = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        return self._inner.feed(rest) + self._inner.finish()


def resampled_length(length: int, from_rate: int, to_rate: int) -> int:
    """Samples that :class:`ResamplingEncoder` makes of ``length``: soxr rounds half up."""
    return (2 * length * to_rate + from_rate) // (2 * from_rate)


def encoder(form: str, model_rate: int, sample_rate: int | None = None, length: int | None = None) -> Encoder:
    """The encoder for one stream.

    Args:
        form: a key of :data:`MEDIA_TYPES`.
        model_rate: the rate of the chunks that will be fed, in hertz.
        sample_rate: the rate of the bytes; if absent, 24000 for ``pcm`` and ``model_rate`` for the others.
        length: samples that will be fed; needed for ``flac`` alone.
    """
    rate = sample_rate or (PCM_RATE if form == "pcm" else model_rate)
    inner: Encoder
    if form == "wav":
        inner = PcmEncoder(_wav_header(rate))
    elif form == "pcm":
        inner = PcmEncoder()
    elif form == "flac":
        assert length is not None, "a FLAC needs its length"
        inner = FlacEncoder(rate, resampled_length(length, model_rate, rate))
    else:
        assert form == "mp3", form
        inner = SoundfileEncoder("MP3", "MPEG_LAYER_III", rate)
    return inner if rate == model_rate else ResamplingEncoder(inner, model_rate, rate)
