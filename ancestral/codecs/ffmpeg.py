"""``opus`` and ``aac``, by PyAV (FFmpeg's Ogg and ADTS writers, libopus, FFmpeg's own AAC encoder).

libsndfile writes Ogg Opus too, but in pages of a second and with a random serial number.
"""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from ancestral import formats
from ancestral.codecs import Encoder, Tags, Wave, pyav
from ancestral.codecs.sndfile import mp3_bit_rate
from ancestral.errors import InvalidRequest
from ancestral_models.audio.mu_law import to_int16

if TYPE_CHECKING:
    from av.container import OutputContainer

OPUS_BIT_RATE: Final = 48_000
_AAC_BITS_A_SAMPLE: Final = 4
_AAC_MAX_BIT_RATE: Final = 96_000
_FRAME: Final = 4096
"""Samples at a time for codecs that take any number."""


_CODECS: Final[dict[str, Callable[[int], tuple[str, str, int | None]]]] = {
    "aac": lambda rate: ("aac", "fltp", min(_AAC_BITS_A_SAMPLE * rate, _AAC_MAX_BIT_RATE)),
    "mp3": lambda rate: ("libmp3lame", "s16p", mp3_bit_rate(rate)),
    "flac": lambda rate: ("flac", "s16", None),
    "opus": lambda rate: ("libopus", "s16", OPUS_BIT_RATE),
    "wav": lambda rate: ("pcm_s16le", "s16", None),
}
"""By format: FFmpeg's encoder, its sample format, and its bit rate at a sample rate; None where it is lossless."""
_CODECS["m4b"] = _CODECS["aac"]
_STREAMS: Final = {"opus": ("ogg", {"page_duration": "20000"}), "aac": ("adts", dict[str, str]())}
"""By format: FFmpeg's container and its options; a page lasts so many microseconds."""


class _Sink:
    """The file that FFmpeg writes. It cannot seek, so bytes that have been returned are never rewritten."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def write(self, data: bytes) -> int:
        self._buffer += data
        return len(data)

    def take(self) -> bytes:
        """The bytes written since the last call."""
        data, self._buffer = bytes(self._buffer), bytearray()
        return data


class AudioTrack:
    """The one stream of sound in a container. FFmpeg's encoders need whole frames; a partial one is buffered.

    Args:
        container: that is being written.
        form: a key of :data:`_CODECS`.
        sample_rate: in hertz.
    """

    def __init__(self, container: OutputContainer, form: str, sample_rate: int) -> None:
        import av

        codec, sample_format, bit_rate = _CODECS[form](sample_rate)
        self._container = container
        stream = container.add_stream(
            codec, rate=sample_rate, options={"flags": "+bitexact"}, layout="mono", format=sample_format
        )
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        stream.codec_context.open()
        self._frame_size = stream.codec_context.frame_size or _FRAME
        self._sample_format = sample_format
        self._sample_rate = sample_rate
        self._waiting = np.zeros(0, np.int16)
        self._position = 0

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Encode ``[T]``."""
        samples = np.concatenate((self._waiting, samples))
        whole = len(samples) - len(samples) % self._frame_size
        for start in range(0, whole, self._frame_size):
            self._encode(samples[start : start + self._frame_size])
        self._waiting = samples[whole:]

    def finish(self) -> None:
        """Encode what has been buffered."""
        if len(self._waiting):
            self._encode(self._waiting)
        self._container.mux(self._stream.encode(None))

    def _encode(self, samples: NDArray[np.int16]) -> None:
        import av

        plane = samples[np.newaxis]
        converted = plane.astype(np.float32) / np.float32(32768) if self._sample_format == "fltp" else plane
        frame = av.AudioFrame.from_ndarray(converted, format=self._sample_format, layout="mono")
        frame.sample_rate = self._sample_rate
        frame.pts = self._position
        self._position += len(samples)
        self._container.mux(self._stream.encode(frame))


class FfmpegEncoder(Encoder):
    """A codec in a container that needs no seeking: Ogg Opus, a page every 20 ms, or AAC-LC in ADTS frames."""

    def __init__(self, form: str, sample_rate: int, tags: Tags) -> None:
        av = pyav()
        container, options = _STREAMS[form]
        self._sink = _Sink()
        # bitexact: no random serial number and no version in the bytes.
        muxing = {"fflags": "+bitexact+flush_packets", **options}
        self._container = av.open(self._sink, "w", format=container, options=muxing)
        self._container.metadata.update(tags)
        # Closed explicitly when encoding is abandoned: PyAV before 18 crashes if garbage collection has to do it.
        self._close = weakref.finalize(self, self._container.close)
        self._track = AudioTrack(self._container, form, sample_rate)

    def feed(self, wave: Wave) -> bytes:
        self._track.feed(to_int16(wave))
        return self._sink.take()

    def finish(self) -> bytes:
        self._track.finish()
        self._close()
        return self._sink.take()


# Files of long recordings, with tags, a cover and chapter marks: m4b, mp3, flac, opus and wav, by PyAV (FFmpeg).
#
# They are written to a disk, so that sound of any length needs little memory. Where the marks are:
#
#     m4b     MP4 with AAC: a chapter track and the list ``chpl``
#     mp3     ID3v2.4: frames ``CHAP`` and ``CTOC``
#     opus    Vorbis comments ``CHAPTER000=00:00:00.000`` and ``CHAPTER000NAME=…``
#     flac    the same
#     wav     none: the format has no chapters that players show; above 4 GiB, a day of sound, it is RF64
#
# The same sound, tags and chapters give the same bytes, with the same version of FFmpeg.


FORMATS: Final = ("m4b", "mp3", "flac", "opus", "wav")
MEDIA_TYPES: Final = {"m4b": "audio/mp4", **{form: formats.MEDIA_TYPES[form] for form in FORMATS[1:]}}
COVERED: Final = ("m4b", "mp3", "flac")
"""The formats that can have a cover."""
MAX_COVER_BYTES: Final = 16 << 20
_CONTAINERS: Final = {"m4b": "mp4", "opus": "ogg"}
_IMAGES: Final = {b"\x89PNG\r\n\x1a\n": "png_pipe", b"\xff\xd8\xff": "jpeg_pipe"}
_OPTIONS: Final = {"m4b": {"brand": "M4B ", "movflags": "+faststart"}}
_LONG_WAV: Final = (1 << 31) - (1 << 20)
"""Samples that with all else in their file may be more than a RIFF's 4 GiB."""


@dataclass(frozen=True)
class Chapter:
    title: str
    start: int
    """Its first sample."""
    end: int
    """The first sample after it."""


class BookWriter:
    """A file that is being written. Use it as a context manager; the file is complete after :meth:`finish`.

    Args:
        path: of the file.
        form: one of :data:`FORMATS`.
        sample_rate: in hertz, one that the format supports (:func:`ancestral.formats.check_rate`).
        tags: ``title``, ``artist``, ``album``, ``comment`` and the like, as FFmpeg names them.
        chapters: in order, of samples at the same rate.
        cover: from :func:`check_cover`.
        samples: of the whole sound; a WAV that is longer than this says has a wrong length above 4 GiB.
    """

    def __init__(
        self,
        path: Path,
        form: str,
        sample_rate: int,
        tags: Tags,
        chapters: Sequence[Chapter],
        cover: bytes | None = None,
        samples: int = 0,
    ) -> None:
        av = pyav()
        options = {"fflags": "+bitexact", **_OPTIONS.get(form, {})}
        if form == "wav" and samples > _LONG_WAV:  # else not: there are readers that know headers of 44 bytes only
            options["rf64"] = "auto"
        self._container = av.open(str(path), "w", format=_CONTAINERS.get(form, form), options=options)
        self._close = weakref.finalize(self, self._container.close)
        self._container.metadata.update(tags)
        if form == "flac":  # FFmpeg writes a FLAC's tags, but not its chapters
            self._container.metadata.update(_comments(chapters, sample_rate))
        elif form != "wav":
            base = Fraction(1, sample_rate)
            self._container.set_chapters([
                {"id": number, "start": c.start, "end": c.end, "time_base": base, "metadata": {"title": c.title}}
                for number, c in enumerate(chapters)
            ])  # fmt: skip
        self._track = AudioTrack(self._container, form, sample_rate)
        if cover is not None:
            self._add_cover(cover)

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Write sound ``[T]``."""
        self._track.feed(samples)

    def finish(self) -> None:
        """Write the end."""
        self._track.finish()
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file, complete or not."""
        self._close()

    def _add_cover(self, cover: bytes) -> None:
        import av

        with av.open(io.BytesIO(cover), "r", format=check_cover(cover)) as picture:
            template = picture.streams.video[0]
            stream = self._container.add_stream_from_template(template)
            stream.disposition = av.stream.Disposition.attached_pic
            packet = next(picture.demux(template))
            packet.stream = stream
            self._container.mux(packet)


def check_cover(cover: bytes) -> str:
    """FFmpeg's name of the format of a cover.

    Raises:
        InvalidRequest: it is neither PNG nor JPEG, damaged, or too large.
    """
    av = pyav()
    if len(cover) > MAX_COVER_BYTES:
        raise InvalidRequest(f"cover: more than {MAX_COVER_BYTES >> 20} MiB", param="cover", code="invalid_value")
    name = next((name for magic, name in _IMAGES.items() if cover.startswith(magic)), None)
    if name is None:
        raise InvalidRequest("cover: neither a PNG nor a JPEG", param="cover", code="invalid_value")
    try:
        # FFmpeg decodes it to learn its width: without a limit a small file takes gigabytes.
        with av.open(io.BytesIO(cover), "r", format=name, options={"max_pixels": str(1 << 26)}) as picture:
            if picture.streams.video[0].width:
                return name
    except (av.FFmpegError, ValueError, IndexError):
        pass
    raise InvalidRequest("cover: damaged, or more than 67 million pixels", param="cover", code="invalid_value")


def _comments(chapters: Sequence[Chapter], sample_rate: int) -> Tags:
    """Chapters as Vorbis comments."""
    found: dict[str, str] = {}
    for number, chapter in enumerate(chapters):
        milliseconds = 1000 * chapter.start // sample_rate
        minutes, seconds = divmod(milliseconds // 1000, 60)
        time = f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{milliseconds % 1000:03d}"
        found |= {f"CHAPTER{number:03d}": time, f"CHAPTER{number:03d}NAME": chapter.title}
    return found
