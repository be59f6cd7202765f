"""Files of long recordings, with tags, a cover and chapter marks: m4b, mp3, flac, opus and wav, by PyAV (FFmpeg).

They are written to a disk, so that sound of any length needs little memory. Where the marks are:

    m4b     MP4 with AAC: a chapter track and the list ``chpl``
    mp3     ID3v2.4: frames ``CHAP`` and ``CTOC``
    opus    Vorbis comments ``CHAPTER000=00:00:00.000`` and ``CHAPTER000NAME=…``
    flac    the same
    wav     none: the format has no chapters that players show

The same sound, tags and chapters give the same bytes, with the same version of FFmpeg.
"""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import av
import numpy as np
from numpy.typing import NDArray

from ancestral import formats
from ancestral.codecs import Tags
from ancestral.codecs.ffmpeg import OPUS_BIT_RATE, AudioTrack, aac_bit_rate
from ancestral.codecs.sndfile import mp3_bit_rate
from ancestral.errors import InvalidRequest

FORMATS: Final = ("m4b", "mp3", "flac", "opus", "wav")
MEDIA_TYPES: Final = {"m4b": "audio/mp4", **{form: formats.MEDIA_TYPES[form] for form in FORMATS[1:]}}
COVERED: Final = ("m4b", "mp3", "flac")
"""The formats that can have a cover."""
MAX_COVER_BYTES: Final = 16 << 20
_CONTAINERS: Final = {"m4b": "mp4", "opus": "ogg"}
_IMAGES: Final = {b"\x89PNG\r\n\x1a\n": "png_pipe", b"\xff\xd8\xff": "jpeg_pipe"}
_CODECS: Final[dict[str, Callable[[int], tuple[str, str, int | None]]]] = {
    "m4b": lambda rate: ("aac", "fltp", aac_bit_rate(rate)),
    "mp3": lambda rate: ("libmp3lame", "s16p", mp3_bit_rate(rate)),
    "flac": lambda rate: ("flac", "s16", None),
    "opus": lambda rate: ("libopus", "s16", OPUS_BIT_RATE),
    "wav": lambda rate: ("pcm_s16le", "s16", None),
}
"""By format: FFmpeg's encoder, its sample format, and its bit rate at a sample rate."""
_OPTIONS: Final[dict[str, dict[str, str]]] = {"m4b": {"brand": "M4B ", "movflags": "+faststart"}}


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
        sample_rate: in hertz, one that the format supports (:func:`ancestral.codecs.check_rate`).
        tags: ``title``, ``artist``, ``album``, ``comment`` and the like, as FFmpeg names them.
        chapters: in order, of samples at the same rate.
        cover: from :func:`check_cover`.
    """

    def __init__(
        self,
        path: Path,
        form: str,
        sample_rate: int,
        tags: Tags,
        chapters: Sequence[Chapter],
        cover: bytes | None = None,
    ) -> None:
        options = {"fflags": "+bitexact", **_OPTIONS.get(form, {})}
        self._container = av.open(str(path), "w", format=_CONTAINERS.get(form, form), options=options)
        self._close = weakref.finalize(self, self._container.close)
        self._container.metadata.update(tags)
        if form == "flac":  # FFmpeg writes a FLAC's tags, but not its chapters
            self._container.metadata.update(_comments(chapters, sample_rate))
        elif form != "wav":
            self._container.set_chapters(
                [
                    {
                        "id": number,
                        "start": chapter.start,
                        "end": chapter.end,
                        "time_base": Fraction(1, sample_rate),
                        "metadata": {"title": chapter.title},
                    }
                    for number, chapter in enumerate(chapters)
                ]
            )
        codec, sample_format, bit_rate = _CODECS[form](sample_rate)
        self._track = AudioTrack(self._container, codec, sample_format, sample_rate, bit_rate)
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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file, complete or not."""
        self._close()

    def _add_cover(self, cover: bytes) -> None:
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
        InvalidRequest: it is neither PNG nor JPEG, or too large.
    """
    if len(cover) > MAX_COVER_BYTES:
        raise InvalidRequest(f"cover: more than {MAX_COVER_BYTES >> 20} MiB", param="cover", code="invalid_value")
    for magic, name in _IMAGES.items():
        if cover.startswith(magic):
            return name
    raise InvalidRequest("cover: neither a PNG nor a JPEG", param="cover", code="invalid_value")


def _comments(chapters: Sequence[Chapter], sample_rate: int) -> Tags:
    """Chapters as Vorbis comments."""
    found: dict[str, str] = {}
    for number, chapter in enumerate(chapters):
        milliseconds = 1000 * chapter.start // sample_rate
        minutes, seconds = divmod(milliseconds // 1000, 60)
        time = f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{milliseconds % 1000:03d}"
        found |= {f"CHAPTER{number:03d}": time, f"CHAPTER{number:03d}NAME": chapter.title}
    return found
