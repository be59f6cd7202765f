"""A sound file that a client has uploaded, to samples. Nothing in the file is trusted.

The first bytes determine the format (of a FLAC those after an ID3 tag), and the format the decoder, which may not
detect another. FFmpeg (PyAV) decodes WAV, FLAC and MP3: libsndfile reads an MP3 without a length in its header only
partly, and a FLAC without one not at all. libsndfile decodes Ogg: FFmpeg starts and ends Vorbis at the wrong samples,
and shifts parts of Opus by up to 3 ms.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from ancestral.codecs import Wave, pyav
from ancestral.errors import InvalidRequest
from ancestral.formats import FFMPEG, sniff
from ancestral_models.audio.resampler import resampled

if TYPE_CHECKING:
    import av

Floats = NDArray[np.floating]

MAX_CHANNELS: Final = 8
RATES: Final = range(4000, 192001)
MAX_PEAK: Final = 4.0
"""Float samples slightly outside [-1, 1] are clipped; beyond this peak the file has another scale and is refused."""

_FFMPEG: Final = {
    "wav": {"pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"},
    "flac": {"flac"},
    "mp3": {"mp3", "mp3float"},
}
"""FFmpeg's demuxers, and the decoders that are allowed for each."""

_LIBSNDFILE: Final = {("OGG", "VORBIS"), ("OGG", "OPUS")}
_BLOCK: Final = 16384
_LINEAR: Final = (0x0001, 0x0003, 0xFFFE)
"""Formats of WAV with a number of bits that matters: PCM, floats, and those of either kind with a longer header."""
_MAX_CHUNKS: Final = 1000
_UNKNOWN_LENGTH: Final = 0x7FFF0000
"""A WAV chunk with this size or more was written to a pipe."""


class _Unusable(Exception):
    """The file is refused; the message is for the client."""


@dataclass(frozen=True)
class _Source:
    """An opened file."""

    rate: int
    channels: int
    samples: int | None
    """According to the header; None if it has no length."""
    blocks: Iterator[Floats]
    """``[channels, T]``, full scale at 1."""


def decode_upload(data: bytes, *, sample_rate: int, max_seconds: float, param: str) -> Wave:
    """Decode a WAV, FLAC, Ogg (Vorbis or Opus) or MP3 file to mono.

    Memory is bounded by ``max_seconds``, whatever the header says. An MP3 that was truncated between two frames is
    accepted as a shorter one, as the format has no end mark.

    Args:
        data: the whole file.
        sample_rate: of the returned samples, in hertz.
        max_seconds: the longest sound that is accepted.
        param: the field that the file came in, for the error.

    Returns:
        ``float32 [T]`` in [-1, 1], at least one sample.

    Raises:
        InvalidRequest: the file is of another format, damaged or truncated, or its sound is not supported; ``code`` is
            ``invalid_audio``.
        AncestralError: PyAV is not installed.
    """
    av = pyav()
    try:
        return _decode(data, sample_rate, max_seconds)
    except _Unusable as error:
        message = str(error)
    except (av.FFmpegError, soundfile.SoundFileError):
        message = "the sound in it is damaged, or cut short"
    raise InvalidRequest(f"{param}: {message}", param=param, code="invalid_audio")


def _decode(data: bytes, sample_rate: int, max_seconds: float) -> Wave:
    data = _without_id3_before_flac(data)
    container = _container(data)
    with _opened_ogg(data) if container == "ogg" else _opened(data, container) as source:
        if not 1 <= source.channels <= MAX_CHANNELS:
            raise _Unusable(f"it has {source.channels} channels; 1 to {MAX_CHANNELS} are taken")
        if source.rate not in RATES:
            raise _Unusable(f"its sample rate is {source.rate} Hz; {RATES[0]} to {RATES[-1]} are taken")
        if source.samples is not None and source.samples > max_seconds * source.rate:
            raise _too_long(max_seconds)
        wave = resampled(_mono(source, max_seconds), source.rate, sample_rate)
    if not len(wave):
        raise _Unusable("there is no sound in it")
    return np.clip(wave, -1.0, 1.0)


def _too_long(max_seconds: float) -> _Unusable:
    return _Unusable(f"it lasts longer than {max_seconds:g} s, the most that is taken")


def _without_id3_before_flac(data: bytes) -> bytes:
    """The file itself, but of a FLAC after an ID3 tag, where a signed one has its manifest, the FLAC."""
    header = data[:10]
    if len(header) < 10 or header[:3] != b"ID3":
        return data
    start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(header[6:], (21, 14, 7, 0), strict=True))
    return data[start:] if data[start : start + 4] == b"fLaC" else data


def _container(data: bytes) -> str:
    """The name of FFmpeg's demuxer, by the file's first bytes."""
    if not data:
        raise _Unusable("the file is empty")
    if (media_type := sniff(data)) not in FFMPEG:
        raise _Unusable("it is not a WAV, FLAC, Ogg or MP3 file")
    return FFMPEG[media_type]


def _plain_wav(data: bytes) -> bytes:
    """The WAV without any chunks but the format and the samples, which is all that FFmpeg gets."""
    fmt, offset = b"", 12
    for _ in range(_MAX_CHUNKS):
        if offset + 8 > len(data):
            break
        name, size = struct.unpack_from("<4sI", data, offset)
        body = data[offset + 8 : offset + 8 + size]
        if name == b"data":
            if len(body) < size < _UNKNOWN_LENGTH:
                raise _Unusable(f"it is cut short: {size} bytes of sound are announced, {len(body)} are there")
            rest = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(body)) + body
            return b"RIFF" + struct.pack("<I", 4 + len(rest)) + b"WAVE" + rest
        if name == b"fmt ":
            fmt = body
            tag, bits = struct.unpack("<H12xH", fmt[:16]) if len(fmt) >= 16 else (0, 0)
            if tag in _LINEAR and bits % 8:  # FFmpeg would take them for bytes
                raise _Unusable(f"its samples have {bits} bits; 8, 16, 24, 32 and 64 are taken")
        offset += 8 + size + size % 2
    raise _Unusable("it is cut short: it has a header but no sound")


def _check_pages(data: bytes) -> None:
    """Refuse an Ogg file of several streams, and one without a complete page that is marked as the last one."""
    streams = data.count(b"OggS\0\2")
    if streams > 1:
        raise _Unusable(f"it holds {streams} streams, where one is taken")
    start, header, last = data.rfind(b"OggS"), 27, 4
    page = data[start:]
    whole = len(page) >= header and len(page) >= header + page[26] + sum(page[header : header + page[26]])
    if not whole or not page[5] & last:
        raise _Unusable("it is cut short: its last page is missing")


@contextmanager
def _opened(data: bytes, container: str) -> Iterator[_Source]:
    """A file that FFmpeg decodes."""
    import av

    if container == "wav":
        data = _plain_wav(data)
    # A cover picture is a stream as well; the list keeps FFmpeg from decoding it.
    options = {"codec_whitelist": ",".join(sorted(_FFMPEG[container]))}
    with av.open(io.BytesIO(data), "r", format=container, options=options, metadata_errors="replace") as file:
        stream = _only_stream(file)
        decoder = getattr(stream.codec_context, "name", None)  # there is no context if FFmpeg has no decoder
        if decoder not in _FFMPEG[container]:
            raise _uncoded()
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
        samples = None
        if container != "mp3" and stream.duration is not None and stream.time_base is not None:  # MP3: may be a guess
            samples = round(stream.duration * stream.time_base * stream.sample_rate)
        rate, channels = stream.sample_rate, stream.channels
        yield _Source(rate, channels, samples, _ffmpeg_blocks(file.decode(stream), rate, channels))


def _only_stream(file: av.container.InputContainer) -> av.AudioStream:
    if len(file.streams.audio) != 1:
        raise _Unusable(f"it holds {len(file.streams.audio)} streams of sound, where one is taken")
    return file.streams.audio[0]


def _ffmpeg_blocks(frames: Iterator[av.AudioFrame], rate: int, channels: int) -> Iterator[Floats]:
    for frame in frames:
        if frame.sample_rate != rate or frame.layout.nb_channels != channels:
            raise _Unusable("its sample rate or its number of channels changes on the way")
        yield _as_float(frame)


@contextmanager
def _opened_ogg(data: bytes) -> Iterator[_Source]:
    """A file that libsndfile decodes."""
    _check_pages(data)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        if (file.format, file.subtype) not in _LIBSNDFILE:
            raise _uncoded()
        if file.subtype == "OPUS":
            _check_positions(data)
        yield _Source(file.samplerate, file.channels, file.frames, _libsndfile_blocks(file))


def _check_positions(data: bytes) -> None:
    """Refuse an Opus file with gaps or overlaps between packets, by the positions that its pages state.

    libsndfile returns uninitialized memory as the sound of some of them.
    """
    import av

    with av.open(io.BytesIO(data), "r", format="ogg", metadata_errors="replace") as file:
        end = None
        for packet in file.demux(_only_stream(file)):
            if packet.pts is not None and packet.duration:
                if end not in (None, packet.pts):
                    raise _Unusable("the positions of its pages are wrong")
                end = packet.pts + packet.duration


def _libsndfile_blocks(file: soundfile.SoundFile) -> Iterator[Floats]:
    while file.tell() < file.frames:  # soundfile fails on a position past the end, which a malformed file can cause
        block = file.read(_BLOCK, dtype="float32", always_2d=True)
        if not len(block):
            return
        yield block.T


def _uncoded() -> _Unusable:
    return _Unusable(
        "it is not coded in a way that is read here: PCM, A-law or mu-law in WAV, FLAC, Vorbis or Opus in Ogg, MP3"
    )


def _mono(source: _Source, max_seconds: float) -> Iterator[Wave]:
    """The samples in blocks, with the channels mixed. Checks the length given in the header."""
    total = 0
    for block in source.blocks:
        total += block.shape[1]
        if total > max_seconds * source.rate:
            raise _too_long(max_seconds)
        if not np.isfinite(block).all():
            raise _Unusable("some of its samples are not numbers")
        if np.abs(block).max(initial=0.0) > MAX_PEAK:
            raise _Unusable("its samples lie far outside [-1, 1], where floats belong")
        yield block.mean(axis=0, dtype=np.float32)
    if source.samples is not None and total < source.samples:
        raise _Unusable(f"it is cut short: {source.samples} samples are announced, {total} are there")


def _as_float(frame: av.AudioFrame) -> Floats:
    """``[channels, T]``, full scale at 1."""
    samples: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "f":
        return samples
    middle, full = (128, 128) if samples.dtype.kind == "u" else (0, 2 ** (8 * samples.itemsize - 1))
    return (samples.astype(np.float32) - middle) / full
