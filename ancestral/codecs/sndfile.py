"""``mp3``, ``flac`` and G.711 (µ-law and A-law without a header), by libsndfile (LAME and libFLAC inside it)."""

from __future__ import annotations

import io

import soundfile

from ancestral.codecs import Encoder, Rewrite, Tags, Wave
from ancestral.errors import interrupts_deferred
from ancestral_models.audio.mu_law import to_int16

# ID3v2.4 tags, which stand before the frames of an MP3 (libsndfile writes ID3v1, at the end, cut to 30 characters).

_UTF8 = b"\x03"


def id3(tags: Tags) -> bytes:
    """The bytes of a tag with ``title`` and ``comment``; none without tags."""
    frames = b""
    if "title" in tags:
        frames += _frame(b"TIT2", _UTF8 + tags["title"].encode())
    if "comment" in tags:
        language, description = b"eng", b"\0"
        frames += _frame(b"COMM", _UTF8 + language + description + tags["comment"].encode())
    return b"ID3\x04\x00\x00" + _size(len(frames)) + frames if frames else b""


def _frame(name: bytes, data: bytes) -> bytes:
    flags = b"\0\0"
    return name + _size(len(data)) + flags + data


def _size(number: int) -> bytes:
    """28 bits in four bytes whose highest bits are 0."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


class _Tail(io.RawIOBase):
    """The file that libsndfile writes: appended bytes can be taken at once, rewritten bytes are kept separately.

    At the end libsndfile seeks back to write the length into the header, whose bytes have been sent by then.

    Args:
        head: bytes before what libsndfile writes.
    """

    def __init__(self, head: bytes) -> None:
        self._position = self._end = 0
        self._head = len(head)
        self._appended = bytearray(head)
        self.rewritten: list[Rewrite] = []

    def write(self, data: bytes) -> int:  # type: ignore[override]  # soundfile passes bytes, not any buffer
        """Split the data into what rewrites earlier bytes and what is appended."""
        old = max(0, min(self._end - self._position, len(data)))
        if old:
            self.rewritten.append((self._head + self._position, bytes(data[:old])))
        self._appended += data[old:]
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = (0, self._position, self._end)[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def take(self) -> bytes:
        """The bytes appended since the last call."""
        data, self._appended = bytes(self._appended), bytearray()
        return data


class SoundfileEncoder(Encoder):
    """A container that libsndfile writes."""

    def __init__(
        self, container: str, subtype: str, sample_rate: int, head: bytes = b"", **quality: str | float
    ) -> None:
        self._tail = _Tail(head)
        with interrupts_deferred():
            self._file = soundfile.SoundFile(
                self._tail, "w", samplerate=sample_rate, channels=1, format=container, subtype=subtype, **quality
            )

    def feed(self, wave: Wave) -> bytes:
        with interrupts_deferred():
            self._file.write(to_int16(wave))
        return self._tail.take()

    def finish(self) -> bytes:
        with interrupts_deferred():
            self._file.close()
        return self._tail.take()

    def rewrites(self) -> list[Rewrite]:
        return self._tail.rewritten


class Mp3Encoder(SoundfileEncoder):
    """An MP3 of constant bit rate, from which readers estimate the length of a stream, after its tags.

    Its first frame is blank until it is rewritten with the number of frames, and of the samples at both ends that the
    encoder has added.
    """

    def __init__(self, sample_rate: int, tags: Tags) -> None:
        level = _compression_level(sample_rate)
        quality: dict[str, str | float] = {"bitrate_mode": "CONSTANT", "compression_level": level}
        super().__init__("MP3", "MPEG_LAYER_III", sample_rate, id3(tags), **quality)


def mp3_bit_rate(sample_rate: int) -> int:
    """Bits per second of an MP3 at a rate in hertz."""
    return 128_000 if sample_rate >= 32000 else 64_000 if sample_rate >= 16000 else 32_000


def _compression_level(sample_rate: int) -> float:
    """The level, between 0 and 1, that makes libsndfile choose the bit rate."""
    highest, lowest = (320, 32) if sample_rate >= 32000 else (160, 8) if sample_rate >= 16000 else (64, 8)
    return (highest - mp3_bit_rate(sample_rate) / 1000) / (highest - lowest)


class FlacEncoder(SoundfileEncoder):
    """A FLAC whose header has its length from the start; 0 means "not known"."""

    def __init__(self, sample_rate: int, length: int, tags: Tags) -> None:
        # Blocks of 1152 samples or of 4096. Long blocks only make oversampled speech smaller.
        level = 0.0 if sample_rate < 32000 else 0.625
        super().__init__("FLAC", "PCM_16", sample_rate, compression_level=level)
        for name, text in tags.items():
            setattr(self._file, name, text)
        self._length: int | None = length

    def feed(self, wave: Wave) -> bytes:
        return self._with_length(super().feed(wave))

    def finish(self) -> bytes:
        return self._with_length(super().finish())

    def _with_length(self, data: bytes) -> bytes:
        """A FLAC's beginning with the total of samples in STREAMINFO: the last 36 bits of bytes 21 to 25."""
        if not data or self._length is None:
            return data
        start, end = 21, 26
        field = int.from_bytes(data[start:end]) & ~(2**36 - 1) | self._length
        self._length = None
        return data[:start] + field.to_bytes(end - start) + data[end:]
