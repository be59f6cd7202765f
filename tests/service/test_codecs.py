"""Encoders: what was fed in pieces decodes to what was fed, whatever the pieces were."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from service import codecs

RATE = 16000
WAVE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


def encode(form: str, sizes: list[int], sample_rate: int | None = None, wave: codecs.Wave = WAVE) -> bytes:
    """A wave in pieces of these sizes, over and over."""
    encoder = codecs.encoder(form, RATE, sample_rate, len(wave))
    out, start = [], 0
    for size in itertools.cycle(sizes):
        if start >= len(wave):
            break
        out.append(encoder.feed(wave[start : start + size]))
        start += size
    return b"".join([*out, encoder.finish()])


@settings(max_examples=25, deadline=None)
@given(
    form=st.sampled_from(sorted(codecs.MEDIA_TYPES)),
    rate=st.sampled_from([None, 8000, 24000, 44100]),
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=5).filter(lambda sizes: sum(sizes) > 200),
)
def test_the_pieces_change_nothing(form: str, rate: int | None, sizes: list[int]) -> None:
    assert encode(form, sizes, rate) == encode(form, [RATE], rate)


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_lossless_is_lossless(form: str) -> None:
    samples, rate = soundfile.read(io.BytesIO(encode(form, [320, 1600])), dtype="int16")
    assert rate == RATE
    assert np.array_equal(samples, codecs.to_int16(WAVE))


@pytest.mark.parametrize("form", ["wav", "flac", "mp3"])
@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_a_tone_stays_where_it_was(form: str, rate: int) -> None:
    samples, found = soundfile.read(io.BytesIO(encode(form, [777], rate)))
    assert found == rate
    peak = np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples)
    assert abs(peak - 440) < 3


def test_what_is_too_loud_is_clipped() -> None:
    assert codecs.to_int16(np.float32([-2, -1, 0, 1, 2])).tolist() == [-32768, -32767, 0, 32767, 32767]


@pytest.mark.parametrize("rate", [8000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("length", [1, 319, 320, 16001])
def test_the_length_after_resampling_is_foretold(rate: int, length: int) -> None:
    data = encode("pcm", [320], rate, WAVE[:length] if length <= RATE else np.append(WAVE, WAVE[:1]))
    assert len(data) // 2 == codecs.resampled_length(length, RATE, rate)
