"""``opus`` and ``aac``, by PyAV (FFmpeg's Ogg and ADTS writers, libopus, FFmpeg's own AAC encoder).

libsndfile writes Ogg Opus too, but in pages of a second and with a random serial number.
"""

from __future__ import annotations

import weakref
from typing import Final

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

from ancestral.codecs import NO_TAGS, Encoder, Tags, Wave
from ancestral.models.audio.mu_law import to_int16

OPUS_BIT_RATE: Final = 48_000
_OPUS_PAGE_MS: Final = 20
_AAC_BITS_A_SAMPLE: Final = 4
_AAC_MAX_BIT_RATE: Final = 96_000
_FRAME: Final = 4096
"""Samples at a time for codecs that take any number."""


def aac_bit_rate(sample_rate: int) -> int:
    """Bits per second of AAC at a rate in hertz."""
    return min(_AAC_BITS_A_SAMPLE * sample_rate, _AAC_MAX_BIT_RATE)


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
        codec: FFmpeg's name of an encoder.
        sample_format: that it takes: ``s16``, ``s16p`` or ``fltp``.
        sample_rate: in hertz.
        bit_rate: per second; None for a lossless codec.
    """

    def __init__(
        self, container: OutputContainer, codec: str, sample_format: str, sample_rate: int, bit_rate: int | None
    ) -> None:
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
        plane = samples[np.newaxis]
        converted = plane.astype(np.float32) / np.float32(32768) if self._sample_format == "fltp" else plane
        frame = av.AudioFrame.from_ndarray(converted, format=self._sample_format, layout="mono")
        frame.sample_rate = self._sample_rate
        frame.pts = self._position
        self._position += len(samples)
        self._container.mux(self._stream.encode(frame))


class FfmpegEncoder(Encoder):
    """A codec in a container that needs no seeking."""

    def __init__(
        self,
        container: str,
        codec: str,
        sample_format: str,
        sample_rate: int,
        bit_rate: int,
        options: dict[str, str],
        tags: Tags = NO_TAGS,
    ) -> None:
        self._sink = _Sink()
        # bitexact: no random serial number and no version in the bytes.
        muxing = {"fflags": "+bitexact+flush_packets", **options}
        self._container = av.open(self._sink, "w", format=container, options=muxing)
        self._container.metadata.update(tags)
        # Closed explicitly when encoding is abandoned: PyAV before 18 crashes if garbage collection has to do it.
        self._close = weakref.finalize(self, self._container.close)
        self._track = AudioTrack(self._container, codec, sample_format, sample_rate, bit_rate)

    def feed(self, wave: Wave) -> bytes:
        self._track.feed(to_int16(wave))
        return self._sink.take()

    def finish(self) -> bytes:
        self._track.finish()
        self._close()
        return self._sink.take()


class OpusEncoder(FfmpegEncoder):
    """Ogg Opus, a page every 20 ms."""

    def __init__(self, sample_rate: int, tags: Tags) -> None:
        paging = {"page_duration": str(1000 * _OPUS_PAGE_MS)}
        super().__init__("ogg", "libopus", "s16", sample_rate, OPUS_BIT_RATE, paging, tags)


class AacEncoder(FfmpegEncoder):
    """AAC-LC in ADTS frames."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__("adts", "aac", "fltp", sample_rate, aac_bit_rate(sample_rate), {})
