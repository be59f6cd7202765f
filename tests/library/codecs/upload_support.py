"""What several test files share."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from ancestral.codecs import Wave
from ancestral.codecs.decoding import decode_upload
from ancestral.errors import InvalidRequest

RATE = 16000
KINDS = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ULAW"),
    ("WAV", "ALAW"),
    ("WAVEX", "PCM_16"),
    ("FLAC", "PCM_S8"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(64)


def tone(rate: int, seconds: float = 1.0, channels: int = 1) -> NDArray[np.float32]:
    """``[T, channels]``: a rising tone, the same in every channel."""
    at = np.arange(round(rate * seconds)) / rate
    return np.repeat((0.4 * np.sin(2 * np.pi * (300 + 500 * at) * at))[:, np.newaxis], channels, 1).astype(np.float32)


def written(samples: NDArray[np.float32], rate: int, container: str, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


def wav(
    data: bytes = bytes(200), *, channels: int = 1, rate: int = RATE, tag: int = 1, bits: int = 16, size: int = -1
) -> bytes:
    """A WAV that says what it is told to say."""
    width = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * width & 0xFFFFFFFF, width & 0xFFFF, bits)
    head = b"RIFF" + bytes(4) + b"WAVE" + chunk(b"fmt ", fmt)
    return head + b"data" + struct.pack("<I", len(data) if size < 0 else size) + data


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body


def decode(data: bytes, *, sample_rate: int = RATE, max_seconds: float = 5.0) -> Wave:
    return decode_upload(data, sample_rate=sample_rate, max_seconds=max_seconds, param="file")


def refusal(data: bytes, max_seconds: float = 5.0) -> str:
    """What the sender is told."""
    with pytest.raises(InvalidRequest) as caught:
        decode(data, max_seconds=max_seconds)
    error = caught.value
    assert (error.param, error.code) == ("file", "invalid_audio")
    assert error.message.startswith("file: ")
    assert "0x" not in error.message
    assert "/" not in error.message
    return error.message


def check(data: bytes, max_seconds: float) -> None:
    """It is sound, or it is refused."""
    try:
        wave = decode(data, max_seconds=max_seconds)
    except InvalidRequest:
        refusal(data, max_seconds=max_seconds)
        return
    assert 0 < len(wave) <= max_seconds * RATE
    assert wave.dtype == np.float32
    assert np.abs(wave).max() <= 1.0


def likeness(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """The greatest correlation within 3 ms of each other."""
    length, reach = min(len(one), len(other)), RATE * 3 // 1000
    middle = one[reach : length - reach]
    return max(float(np.corrcoef(middle, other[at : at + len(middle)])[0, 1]) for at in range(2 * reach))
