"""``mp3`` and ``flac``, by libsndfile (LAME and libFLAC inside it)."""

from __future__ import annotations

import io

import soundfile

from service.speech.codecs.base import Encoder, Rewrite, Wave, to_int16


class _Tail(io.RawIOBase):
    """The file that libsndfile believes to write: what is appended can be taken, what is rewritten is put aside.

    At its end libsndfile goes back to put the length into the header. Those bytes have been sent.
    """

    def __init__(self) -> None:
        self._position = 0
        self._end = 0
        self._fresh = bytearray()
        self.rewritten: list[Rewrite] = []

    def write(self, data: bytes) -> int:  # type: ignore[override]  # soundfile hands bytes, not any buffer
        """Keep what lies past the end apart from what lies before it."""
        old = max(0, min(self._end - self._position, len(data)))
        if old:
            self.rewritten.append((self._position, bytes(data[:old])))
        self._fresh += data[old:]
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
    """A container that libsndfile writes."""

    def __init__(self, container: str, subtype: str, sample_rate: int, **quality: str | float) -> None:
        self._tail = _Tail()
        self._file = soundfile.SoundFile(
            self._tail, "w", samplerate=sample_rate, channels=1, format=container, subtype=subtype, **quality
        )

    def feed(self, wave: Wave) -> bytes:
        """See :class:`Encoder`."""
        self._file.write(to_int16(wave))
        return self._tail.take()

    def finish(self) -> bytes:
        """See :class:`Encoder`."""
        self._file.close()
        return self._tail.take()

    def rewrites(self) -> list[Rewrite]:
        """See :class:`Encoder`."""
        return self._tail.rewritten


class Mp3Encoder(SoundfileEncoder):
    """An MP3 of constant bit rate: readers guess the length of a stream by it, and libsndfile reads no further.

    Its first frame is a blank one until it is rewritten: then it says how many frames there are, and how many samples
    at both ends are the encoder's own.
    """

    def __init__(self, sample_rate: int) -> None:
        level = _compression_level(sample_rate)
        super().__init__("MP3", "MPEG_LAYER_III", sample_rate, bitrate_mode="CONSTANT", compression_level=level)


def _compression_level(sample_rate: int) -> float:
    """The place of the bit rate that is wanted, in kbit/s, between those of libsndfile's levels 0 and 1."""
    if sample_rate >= 32000:
        highest, lowest, wanted = 320, 32, 128
    elif sample_rate >= 16000:
        highest, lowest, wanted = 160, 8, 64
    else:
        highest, lowest, wanted = 64, 8, 32
    return (highest - wanted) / (highest - lowest)


class FlacEncoder(SoundfileEncoder):
    """A FLAC whose header says how long it will be; 0 stands for "not known"."""

    def __init__(self, sample_rate: int, length: int) -> None:
        # Blocks of 1152 samples or of 4096. Speech becomes no smaller by the long ones, unless it is oversampled.
        level = 0.0 if sample_rate < 32000 else 0.625
        super().__init__("FLAC", "PCM_16", sample_rate, compression_level=level)
        self._length: int | None = length

    def feed(self, wave: Wave) -> bytes:
        """See :class:`Encoder`."""
        return self._with_length(super().feed(wave))

    def finish(self) -> bytes:
        """See :class:`Encoder`."""
        return self._with_length(super().finish())

    def _with_length(self, data: bytes) -> bytes:
        """A FLAC's beginning with the total of samples in STREAMINFO: the last 36 bits of bytes 21 to 25."""
        if not data or self._length is None:
            return data
        start, end = 21, 26
        field = int.from_bytes(data[start:end]) & ~(2**36 - 1) | self._length
        self._length = None
        return data[:start] + field.to_bytes(end - start) + data[end:]
