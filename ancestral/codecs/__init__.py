"""Streaming audio encoders: mp3, opus, aac, flac, wav, pcm and G.711. Each is fed chunks of sound.

The bytes that an encoder returns can be sent at once; they never change. All encode 16 bits (G.711 8), mono; the same
sound gives the same bytes, however it is split into chunks. WAV and FLAC have the length in their headers: an encoder
gets the length in advance, or :func:`encode_file` makes the stream's bytes and rewrites the header at the end.

How much sound, in ms, has been fed when the first byte is returned, and when the first byte that carries sound is, at
16, 24 and 48 kHz without a change of rate (which adds up to 40 ms, or 60 at 22050 and 44100 Hz, or 120 at 8000 Hz):

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

from collections.abc import Iterable

from ancestral.codecs.base import NO_TAGS, Encoder, Rewrite, Tags, Wave
from ancestral.codecs.uncompressed import PcmEncoder, ResamplingEncoder, WavEncoder
from ancestral.formats import LENGTH_IN_HEADER, MEDIA_TYPES, PCM_RATE, SUFFIXES, AudioFormat, check_rate, rate_of
from ancestral.models.audio.pcm import to_int16
from ancestral.models.audio.resampler import resampled_length

__all__ = [
    "LENGTH_IN_HEADER",
    "MEDIA_TYPES",
    "NO_TAGS",
    "PCM_RATE",
    "SUFFIXES",
    "AudioFormat",
    "Encoder",
    "Rewrite",
    "Tags",
    "Wave",
    "check_rate",
    "encode_file",
    "encoder",
    "rate_of",
    "resampled_length",
    "rewritten",
    "to_int16",
]


def encoder(
    form: str, model_rate: int, sample_rate: int | None = None, length: int = 0, tags: Tags = NO_TAGS
) -> Encoder:
    """An encoder for one stream.

    Args:
        form: a key of :data:`MEDIA_TYPES`.
        model_rate: the rate of the chunks that will be fed, in hertz.
        sample_rate: the rate of the bytes; see :func:`rate_of` for what it is if absent.
        length: samples that will be fed, for the headers of the formats in :data:`LENGTH_IN_HEADER`; 0 if not known.
        tags: of the file; wav, pcm and aac have none.

    Raises:
        InvalidRequest: the format does not support the rate.
    """
    rate = rate_of(form, model_rate, sample_rate)
    check_rate(form, rate)
    inner = _at_rate(form, rate, resampled_length(length, model_rate, rate), tags)
    return inner if rate == model_rate else ResamplingEncoder(inner, model_rate, rate)


def _at_rate(form: str, rate: int, length: int, tags: Tags) -> Encoder:
    if form in ("wav", "pcm"):
        return WavEncoder(rate, length) if form == "wav" else PcmEncoder()
    if form in ("opus", "aac"):  # what a browser has needs neither library
        from ancestral.codecs.ffmpeg import AacEncoder, OpusEncoder

        return OpusEncoder(rate, tags) if form == "opus" else AacEncoder(rate)
    from ancestral.codecs.sndfile import FlacEncoder, Mp3Encoder, SoundfileEncoder

    if form == "flac":
        return FlacEncoder(rate, length, tags)
    return Mp3Encoder(rate, tags) if form == "mp3" else SoundfileEncoder("RAW", form[:4].upper(), rate)


def encode_file(
    wave_chunks: Iterable[Wave], form: str, model_rate: int, sample_rate: int | None = None, tags: Tags = NO_TAGS
) -> bytes:
    """A whole file: the stream's bytes with the length in the header.

    Args:
        wave_chunks: ``float32 [T]`` each, at the model's rate.
        form: a key of :data:`MEDIA_TYPES`.
        model_rate: in hertz.
        sample_rate: the rate of the bytes; see :func:`rate_of` for what it is if absent.
        tags: of the file; wav, pcm and aac have none.

    Raises:
        InvalidRequest: the format does not support the rate.
    """
    stream = encoder(form, model_rate, sample_rate, tags=tags)
    data = b"".join([*map(stream.feed, wave_chunks), stream.finish()])
    return rewritten(data, stream.rewrites())


def rewritten(data: bytes, rewrites: Iterable[Rewrite]) -> bytes:
    """A stream's bytes as the file that they become."""
    file = bytearray(data)
    for offset, part in rewrites:
        file[offset : offset + len(part)] = part
    return bytes(file)
