"""The formats of sound: names, media types, sample rates; and what a file is, by its first bytes. It loads no codec."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar

from ancestral.errors import InvalidRequest, check_range

MEDIA_TYPES: Final = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
    "ulaw_8000": "audio/basic",
    "alaw_8000": "audio/x-alaw-basic",
}
"""The formats of :func:`ancestral.codecs.encoder`, and their ``Content-Type``."""

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm", "ulaw_8000", "alaw_8000"]
SUFFIXES: Final[Mapping[str, AudioFormat]] = {
    ".wav": "wav", ".flac": "flac", ".mp3": "mp3", ".opus": "opus", ".aac": "aac",
}  # fmt: skip
"""The formats of files, by the ends of their names."""
F = TypeVar("F", bound=str)


def format_of(path: Path, suffixes: Mapping[str, F]) -> F:
    """The format of a file of sound or of a picture by its suffix.

    Raises:
        InvalidRequest: it is none of ``suffixes``.
    """
    if (form := suffixes.get(path.suffix.lower())) is None:
        raise InvalidRequest(f"path: must end in {', '.join(suffixes)}", param="path", code="invalid_value")
    return form


def file_bytes(file: str | Path | bytes) -> bytes:
    """The bytes of a file, which may be given instead of its path."""
    return file if isinstance(file, bytes) else Path(file).read_bytes()


FFMPEG: Final = {"audio/wav": "wav", "audio/flac": "flac", "audio/ogg": "ogg", "audio/mpeg": "mp3"}
"""FFmpeg's names of the formats of sound that are read."""
_MAGIC: Final = {
    b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"fLaC": "audio/flac", b"OggS": "audio/ogg",
    b"ID3": "audio/mpeg",
}  # fmt: skip


def sniff(data: bytes) -> str | None:
    """The media type of a picture or of sound, by its first bytes; None for a format that is not read."""
    if data[:4] == b"RIFF":
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp"}.get(data[8:12])
    found = next((media_type for magic, media_type in _MAGIC.items() if data.startswith(magic)), None)
    sync_of_layer_iii = len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2
    return found or ("audio/mpeg" if sync_of_layer_iii else None)


LENGTH_IN_HEADER: Final = ("flac", "wav")
"""The formats whose header contains the number of samples."""

PCM_RATE: Final = 24000
"""The rate that OpenAI's clients assume for ``pcm``."""
_G711_RATE: Final = 8000
_DEFAULT_RATES: Final = {"pcm": PCM_RATE, "ulaw_8000": _G711_RATE, "alaw_8000": _G711_RATE}

_MPEG_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
RATES: Final[Mapping[str, tuple[int, ...]]] = {
    "mp3": _MPEG_RATES, "opus": (8000, 16000, 24000, 48000), "aac": _MPEG_RATES, "ulaw_8000": (_G711_RATE,),
    "alaw_8000": (_G711_RATE,),
}  # fmt: skip
"""The sample rates, in hertz, of the formats that do not support every rate. No request takes Opus's 12000."""
ANY_RATE: Final = (1000, 192_000)
"""The lowest and the highest rate of the others."""


def rate_of(form: str, model_rate: int, sample_rate: int | None) -> int:
    """The rate of the bytes, in hertz: ``sample_rate``, or else 24000 for ``pcm``, 8000 for G.711, the model's own."""
    return _DEFAULT_RATES.get(form, model_rate) if sample_rate is None else sample_rate


def check_rate(form: str, rate: int) -> None:
    """Check that a format supports a rate, in hertz.

    Raises:
        InvalidRequest: it does not; ``param`` is ``sample_rate``.
    """
    if (rates := RATES.get(form)) is not None and rate not in rates:
        choices = " or ".join(", ".join(map(str, rates)).rsplit(", ", 1))
        message = f"sample_rate: {form} cannot carry {rate} Hz; choose {choices}"
        raise InvalidRequest(message, param="sample_rate", code="unsupported_sample_rate")
    check_range("sample_rate", rate, *ANY_RATE)
