"""Damaged and hostile recordings: refused with a reason, in bounded memory and time."""

import functools
import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.library.codecs.upload_support import KINDS, PNG, RATE, check, chunk, decode, refusal, tone, wav, written


@functools.cache
def silent_hours():
    """Two hours of silence in 0.2 MB of FLAC."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8000, 1, format="FLAC", subtype="PCM_16") as flac:
        for _ in range(120):
            flac.write(np.zeros(60 * 8000, np.int16))
    return file.getvalue()


@pytest.mark.parametrize("claimed", ["the truth", "nothing", "one second"])
def test_a_bomb_is_stopped_whatever_its_header_says(claimed):
    data = bytearray(silent_hours())
    assert len(data) < 300_000
    if claimed != "the truth":
        data[21] &= 0xF0
        data[22:26] = (8000 if claimed == "one second" else 0).to_bytes(4)
    assert refusal(bytes(data)).endswith("it lasts longer than 5 s, the most that is taken")


@pytest.mark.parametrize(("container", "subtype"), KINDS)
def test_the_longest_sound_is_taken_and_no_longer_one(container, subtype):
    data = written(tone(RATE, 0.5), RATE, container, subtype)
    assert len(decode(data, max_seconds=0.5)) == RATE // 2
    assert "longer than 0.499 s" in refusal(data, max_seconds=0.499)


@pytest.mark.parametrize(("container", "subtype"), KINDS[:-1])
@pytest.mark.parametrize("part", [0.01, 0.3, 0.9, 0.999])
def test_what_was_cut_off_is_refused(container, subtype, part):
    data = written(tone(RATE), RATE, container, subtype)
    refusal(data[: int(part * len(data))])


def test_a_flac_with_a_wrong_bit_is_refused():
    data = written(tone(RATE), RATE, "FLAC", "PCM_16")
    for at in range(200, len(data), 997):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        assert "damaged" in refusal(bytes(damaged)), at


def pages(ogg):
    """The pages of an Ogg file."""
    out, start = [], 0
    while start < len(ogg):
        lacing = ogg[start + 27 : start + 27 + ogg[start + 26]]
        end = start + 27 + len(lacing) + sum(lacing)
        out.append(bytearray(ogg[start:end]))
        start = end
    return out


def sealed(parts):
    """Pages to a file, each with a right checksum, without which no decoder is reached."""
    for page in parts:
        page[22:26] = bytes(4)
        remainder = 0
        for byte in page:
            remainder ^= byte << 24
            for _ in range(8):
                remainder = remainder << 1 ^ (0x104C11DB7 if remainder >> 31 else 0)
        page[22:26] = remainder.to_bytes(4, "little")
    return b"".join(parts)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("position", [0, 5, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("number", [2, 3, -1])
def test_an_ogg_whose_page_lies_about_its_place(subtype, position, number):
    noise = np.random.default_rng(0).normal(0, 0.2, 2 * 48000).astype(np.float32)
    whole = written(noise, 48000, "OGG", subtype)
    parts = pages(whole)
    assert sealed(parts) == whole
    assert len(parts) >= 4
    parts[number][6:14] = position.to_bytes(8, "little")
    check(sealed(parts), 5.0)


def test_an_ogg_of_two_streams_is_refused():
    """libsndfile would read the first of them and say nothing of the second."""
    one, other = (written(tone(RATE, seconds), RATE, "OGG", "VORBIS") for seconds in (0.5, 1.0))
    assert "2 streams" in refusal(one + other)


def test_covers_and_titles_are_passed_over():
    """Pictures in FLAC and MP3, and titles that are not UTF-8, are in many people's files."""
    sound = tone(RATE)
    flac = written(sound, RATE, "FLAC", "PCM_16")
    mime = b"image/png"
    picture = struct.pack(">II", 3, len(mime)) + mime + bytes(4) + struct.pack(">5I", 1, 1, 24, 0, len(PNG)) + PNG
    block = bytes([6]) + len(picture).to_bytes(3) + picture
    assert len(decode(flac[:42] + block + flac[42:])) == RATE
    vendor = flac.index(b"reference libFLAC")
    assert len(decode(flac[:vendor] + b"\xff\xfe" + flac[vendor + 2 :])) == RATE

    cover = b"\0image/png\0\x03\0" + PNG
    frame = b"APIC" + struct.pack(">I", len(cover)) + b"\0\0" + cover
    size = bytes([0, 0, len(frame) >> 7, len(frame) & 0x7F])
    assert len(decode(b"ID3\x03\0\0" + size + frame + written(sound, RATE, "MP3", "MPEG_LAYER_III"))) == RATE

    plain = written(sound, RATE, "WAV", "PCM_16")
    title = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"\xff\xfe\xe9\0"))
    assert len(decode(plain[:36] + title + plain[36:])) == RATE


def test_a_wav_from_a_pipe_lasts_until_it_ends():
    for unknown in (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000):
        assert len(decode(wav(bytes(400), size=unknown))) == 200


SEEDS = [
    written(tone(RATE, 0.1, 2), RATE, container, subtype)
    for container, subtype in KINDS
    if subtype in ("PCM_16", "FLOAT", "VORBIS", "OPUS", "MPEG_LAYER_III")
]


@st.composite
def mutated(draw):
    """An allowed file with some of its bytes changed, taken out or put in; most changes hit its headers."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, min(len(data), draw(st.sampled_from([64, 300, 10_000])))))
        gone, new = draw(st.integers(0, 20)), draw(st.binary(max_size=20))
        data[at : at + gone] = new
    return bytes(data)


@st.composite
def resealed(draw):
    """An Ogg file whose pages are damaged inside and have right checksums nevertheless."""
    parts = pages(draw(st.sampled_from([seed for seed in SEEDS if seed.startswith(b"OggS")])))
    for _ in range(draw(st.integers(1, 4))):
        page = draw(st.sampled_from(parts))
        at = draw(st.integers(5, min(len(page) - 1, draw(st.sampled_from([26, 64, 5000])))))
        new = draw(st.binary(min_size=1, max_size=8))[: len(page) - at]
        page[at : at + len(new)] = new
    return sealed(parts)


MARKS = st.sampled_from([b"", b"RIFF\0\0\0\0WAVEfmt ", b"fLaC", b"OggS\0", b"ID3\x03\0\0", b"\xff\xfb\x90"])


@settings(max_examples=200)
@given(data=mutated() | resealed() | st.builds(bytes.__add__, MARKS, st.binary(max_size=2000)))
def test_nothing_but_sound_or_a_refusal_comes_out(data):
    check(data, 1.0)
