"""Sound to bytes, as it is made: mp3, opus, aac, flac, wav and pcm, each an encoder that is fed chunks.

Every encoder gives bytes that can be sent at once and never takes one back. All start from 16 bits, mono; the same
sound gives the same bytes, whatever the chunks. What a stream cannot know beforehand, a file can: :func:`encode_file`
makes the stream's bytes, then puts what became known over its header.

How much sound, in ms, has been fed when the first byte comes, and when the first byte comes that carries sound, at
16, 24 and 48 kHz without a change of rate (which adds up to 40 ms, or 60 at 22050 and 44100 Hz, or 120 at 8000 Hz):

    pcm, wav   the first sample      the first sample
    mp3        the first sample      50, 34, 29     a header frame, then frames of 576 samples (1152 from 32 kHz on)
    opus       20, 20, 20            40, 40, 40     two pages of headers, then a page every 20 ms
    aac        128, 86, 43           192, 128, 64   frames of 1024 samples; the first holds what the decoder warms on
    flac       the first sample      73, 49, 86     a header, then blocks of 1152 samples (4096 from 32 kHz on)

A streamed WAV claims a length of 0xFFFFFFFF, which every reader knows to mean "until the end". FLAC has such a mark as
well, but python-soundfile cannot read such a file, so a FLAC is told its length beforehand.

LAME, libopus, libFLAC and FFmpeg's AAC encoder calculate in floating point: another version of them, or another kind of
CPU, may give other mp3, opus and aac bytes. The samples of wav, pcm and flac are what was fed, everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from service.errors import InvalidRequest
from service.speech.codecs.base import Encoder, Wave, to_int16
from service.speech.codecs.ffmpeg import AacEncoder, OpusEncoder
from service.speech.codecs.pcm import PcmEncoder, WavEncoder
from service.speech.codecs.resampling import ResamplingEncoder, resampled_length
from service.speech.codecs.sndfile import FlacEncoder, Mp3Encoder

__all__ = [
    "MEDIA_TYPES",
    "PCM_RATE",
    "Encoder",
    "Wave",
    "check_rate",
    "encode_file",
    "encoder",
    "rate_of",
    "resampled_length",
    "to_int16",
]

MEDIA_TYPES: Final = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
"""The formats that :func:`encoder` makes, and what each is called in ``Content-Type``."""

PCM_RATE: Final = 24000
"""What OpenAI's clients take a ``pcm`` body to be."""

_MPEG_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
RATES: Final = {"mp3": _MPEG_RATES, "opus": (8000, 12000, 16000, 24000, 48000), "aac": _MPEG_RATES}
"""The sample rates, in hertz, of the formats that do not carry every rate."""


def rate_of(form: str, model_rate: int, sample_rate: int | None) -> int:
    """The rate of the bytes, in hertz: what was asked for, else 24000 for ``pcm`` and the model's own."""
    return sample_rate or (PCM_RATE if form == "pcm" else model_rate)


def check_rate(form: str, rate: int) -> None:
    """Refuse a rate, in hertz, that a format cannot carry.

    Raises:
        InvalidRequest: it cannot; ``param`` is ``sample_rate``.
    """
    rates = RATES.get(form)
    if rates is not None and rate not in rates:
        carried = ", ".join(map(str, rates[:-1]))
        raise InvalidRequest(
            f"sample_rate: {form} cannot carry {rate} Hz; it carries {carried} and {rates[-1]}",
            param="sample_rate",
            code="unsupported_sample_rate",
        )


def encoder(form: str, model_rate: int, sample_rate: int | None = None, length: int | None = None) -> Encoder:
    """The encoder for one stream.

    Args:
        form: a key of :data:`MEDIA_TYPES`.
        model_rate: the rate of the chunks that will be fed, in hertz.
        sample_rate: the rate of the bytes; see :func:`rate_of` for what it is if absent.
        length: samples that will be fed; needed for ``flac`` alone, whose stream says 0 ("not known") for 0.

    Raises:
        InvalidRequest: the format cannot carry the rate.
    """
    rate = rate_of(form, model_rate, sample_rate)
    check_rate(form, rate)
    inner = _at_rate(form, rate, None if length is None else resampled_length(length, model_rate, rate))
    return inner if rate == model_rate else ResamplingEncoder(inner, model_rate, rate)


def _at_rate(form: str, rate: int, length: int | None) -> Encoder:
    if form == "flac":
        assert length is not None, "a FLAC needs its length"
        return FlacEncoder(rate, length)
    makers: dict[str, Callable[[int], Encoder]] = {
        "mp3": Mp3Encoder,
        "opus": OpusEncoder,
        "aac": AacEncoder,
        "wav": WavEncoder,
        "pcm": lambda _: PcmEncoder(),
    }
    return makers[form](rate)


def encode_file(wave_chunks: Iterable[Wave], form: str, model_rate: int, sample_rate: int | None = None) -> bytes:
    """A whole utterance as a file to keep: the stream's bytes, with a header that knows how long it became.

    Args:
        wave_chunks: ``float32 [T]`` each, at the model's rate.
        form: a key of :data:`MEDIA_TYPES`.
        model_rate: in hertz.
        sample_rate: the rate of the bytes; see :func:`rate_of` for what it is if absent.

    Raises:
        InvalidRequest: the format cannot carry the rate.
    """
    stream = encoder(form, model_rate, sample_rate, length=0)
    data = bytearray()
    for wave in wave_chunks:
        data += stream.feed(wave)
    data += stream.finish()
    for offset, part in stream.rewrites():
        data[offset : offset + len(part)] = part
    return bytes(data)
