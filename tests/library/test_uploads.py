"""Uploads: every allowed file becomes the sound in it, every other one is refused with a reason and in time."""

from __future__ import annotations

import functools
import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from ancestral import codecs
from ancestral.codecs import Wave, encode_file
from ancestral.codecs.decoding import MAX_CHANNELS, decode_upload
from ancestral.codecs.ffmpeg import BookWriter, check_cover
from ancestral.detection.upload import read_upload
from ancestral.errors import AncestralError, InvalidRequest
from ancestral_models.audio.mu_law import to_int16

RATE = 16000
KINDS = [
    ("WAV", "PCM_U8"), ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"),
    ("WAV", "ULAW"), ("WAV", "ALAW"), ("WAVEX", "PCM_16"), ("FLAC", "PCM_S8"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"),
]  # fmt: skip
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
    """Every file is sound, or is refused."""
    try:
        wave = decode(data, max_seconds=max_seconds)
    except InvalidRequest:
        refusal(data, max_seconds=max_seconds)
        return
    assert 0 < len(wave) <= max_seconds * RATE
    assert np.array_equal(wave, decode(data, max_seconds=max_seconds)), "no uninitialized memory"
    assert np.abs(wave).max() <= 1.0


def likeness(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """The greatest correlation within 3 ms of each other."""
    length, reach = min(len(one), len(other)), RATE * 3 // 1000
    middle = one[reach : length - reach]
    return max(float(np.corrcoef(middle, other[at : at + len(middle)])[0, 1]) for at in range(2 * reach))


@pytest.mark.parametrize(("container", "subtype"), KINDS)
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 1), (16000, 2), (22050, 2), (44100, 1), (48000, 2)])
def test_what_was_written_is_read(container, subtype, rate, channels):
    if subtype == "OPUS" and rate in (22050, 44100):
        rate = 24000
    wave = decode(written(tone(rate, 1.0, channels), rate, container, subtype))
    assert wave.dtype == np.float32
    assert len(wave) == RATE
    assert likeness(wave, tone(RATE)[:, 0]) > (0.97 if container in ("OGG", "MP3") else 0.999)


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_the_ends_of_what_is_taken(container):
    for rate in (192000, 96000 if container == "FLAC" else 4000):
        wave = decode(written(tone(rate), rate, container, "PCM_16"))
        assert len(wave) == RATE
        assert likeness(wave, tone(RATE)[:, 0]) > 0.999
    samples, file = to_int16(tone(RATE)[:, 0]), io.BytesIO()
    soundfile.write(file, samples, RATE, format=container, subtype="PCM_16")
    assert np.array_equal(decode(file.getvalue()), samples.astype(np.float32) / 32768), "samples are not touched"
    channels = np.zeros((RATE, MAX_CHANNELS), np.float32)
    channels[:, 3] = 0.5
    mixed = decode(written(channels, RATE, container, "PCM_16"))
    assert np.abs(mixed - 0.5 / MAX_CHANNELS).max() < 1e-3


@pytest.mark.parametrize("form", ["mp3", "opus", "flac", "wav"])
def test_a_stream_that_this_server_made_comes_back(form):
    """Nobody knew its length when it began, not even that of the FLAC."""
    sound, encoder = tone(RATE)[:, 0], codecs.encoder(form, RATE)
    wave = decode(encoder.feed(sound) + encoder.finish())
    late = 1681 if form == "mp3" else 0  # there is no header that says how much is not sound
    assert RATE <= len(wave) - late < RATE + 1000 * (late > 0) + 1
    assert likeness(wave[late:], sound) > 0.999


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("kind", "bits"), [(np.float32, 32), (np.float64, 64)])
def test_what_is_no_number_or_far_too_loud_is_refused(value, kind, bits):
    samples = tone(RATE)[:, 0].astype(kind)
    samples[-3] = value
    assert "not numbers" in refusal(wav(samples.tobytes(), tag=3, bits=bits))
    assert decode(wav(np.float32([0, 1.5, -1.5]).tobytes(), tag=3, bits=32)).tolist() == [0, 1, -1], "a little too loud"
    assert "far outside" in refusal(wav(np.float32([0, 20000]).tobytes(), tag=3, bits=32))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (PNG, "not a WAV, FLAC, Ogg or MP3"),
        (b"PK\x03\x04" + bytes(100), "not a WAV, FLAC, Ogg or MP3"),
        (bytes(4000), "not a WAV, FLAC, Ogg or MP3"),  # libsndfile's RAW would take anything
        (b"\x12\x34" * 4000, "not a WAV, FLAC, Ogg or MP3"),
        (written(tone(RATE), RATE, "AIFF", "PCM_16"), "not a WAV, FLAC, Ogg or MP3"),
        (written(tone(RATE), RATE, "RF64", "PCM_16"), "not a WAV, FLAC, Ogg or MP3"),
        (encode_file([tone(RATE)[:, 0]], "aac", RATE), "not a WAV, FLAC, Ogg or MP3"),
        (b"RIFF\0\0\0\0WAVE", "no sound"),
        (wav(b""), "no sound"),
        (wav()[:30], "cut short"),
        (wav(size=201), "cut short: 201 bytes of sound are announced, 200 are there"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"junk", b"") * 2000 + wav()[12:], "no sound"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"data", bytes(200)), "damaged"),
        (wav(channels=0), "0 channels"),
        (wav(channels=9), "9 channels; 1 to 8"),
        (wav(channels=65535), "channels"),
        (wav(rate=0), "damaged"),
        (wav(rate=3999), "3999 Hz; 4000 to 192000"),
        (wav(rate=192001), "192001 Hz; 4000 to 192000"),
        (wav(rate=4_000_000_000), "damaged"),
        (wav(rate=192000, data=bytes(10)), "no sound"),  # rounds to no sample at all
        (wav(bits=0), "not coded"),
        (wav(bits=3), "3 bits"),
        *((wav(tag=tag), "not coded") for tag in (0, 2, 0x11, 0x31, 0x50, 0x55, 0xFF, 0x161, 0x2000, 0xFFFE)),
        (written(tone(RATE), RATE, "WAV", "IMA_ADPCM"), "not coded"),
        (written(tone(RATE), RATE, "WAV", "MS_ADPCM"), "not coded"),
        (written(tone(RATE)[:0], RATE, "OGG", "VORBIS"), "no sound"),
        (b"fLaC" + bytes(1000), "damaged"),
        (b"OggS" + bytes(1000), "cut short"),
        (b"\xff\xfb" + bytes(1000), "damaged"),
        (b"ID3\x04\0\0\0\0\0\0" + bytes(1000), "damaged"),
    ],
)
def test_what_is_not_taken_says_why(data, reason, capfd):
    assert reason in refusal(data)
    assert capfd.readouterr() == ("", "")  # no library may write into the log by itself


@functools.cache
def silent_hours():
    """Two hours of silence in 0.2 MB of FLAC."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8000, 1, format="FLAC", subtype="PCM_16") as flac:
        for _ in range(120):
            flac.write(np.zeros(60 * 8000, np.int16))
    return file.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("rate", [4001, 8001, 15999, 191984])
def test_a_rate_that_divides_nothing_takes_little_memory(rate):
    soundfile.write(file := io.BytesIO(), np.zeros(10), rate, format="WAV")
    call = 'decode_upload(data, sample_rate=16000, max_seconds=1, param="file")'
    assert kibibytes(call, file.getvalue()) < 100 << 10


@pytest.mark.parametrize("rate", [8001, 15992, 15999, 16001])
def test_a_rate_near_a_simple_one_is_not_taken_for_it(rate):
    wave = decode(written(tone(rate, 2.0), rate, "WAV", "FLOAT"))
    assert np.abs(wave - tone(RATE, 2.0)[:, 0])[400:-400].max() < 1e-3


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


def covered(flac, cover):
    """A FLAC with a PNG as its cover."""
    mime = b"image/png"
    picture = struct.pack(">II", 3, len(mime)) + mime + bytes(4) + struct.pack(">5I", 1, 1, 24, 0, len(cover)) + cover
    return flac[:42] + bytes([6]) + len(picture).to_bytes(3) + picture + flac[42:]


def test_covers_and_titles_are_passed_over():
    """Pictures in FLAC and MP3, and titles that are not UTF-8, are in many people's files."""
    sound = tone(RATE)
    flac = written(sound, RATE, "FLAC", "PCM_16")
    assert len(decode(covered(flac, PNG))) == RATE
    vendor = flac.index(b"reference libFLAC")
    assert len(decode(flac[:vendor] + b"\xff\xfe" + flac[vendor + 2 :])) == RATE

    cover = b"\0image/png\0\x03\0" + PNG
    frame = b"APIC" + struct.pack(">I", len(cover)) + b"\0\0" + cover
    size = bytes([0, 0, len(frame) >> 7, len(frame) & 0x7F])
    assert len(decode(b"ID3\x03\0\0" + size + frame + written(sound, RATE, "MP3", "MPEG_LAYER_III"))) == RATE

    plain = written(sound, RATE, "WAV", "PCM_16")
    title = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"\xff\xfe\xe9\0"))
    assert len(decode(plain[:36] + title + plain[36:])) == RATE


PEAK = """
import pathlib, sys
from ancestral.codecs.decoding import decode_upload
from ancestral.detection.upload import read_upload
data = sys.stdin.buffer.read()
def most():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])
before = most()
CALL
print(most() - before)
"""


def kibibytes(call: str, data: bytes) -> int:
    """The memory that a call with the bytes of a file takes, in a process without other threads."""
    return int(subprocess.check_output([sys.executable, "-c", PEAK.replace("CALL", call)], input=data))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_cover_is_not_decoded_for_the_tags():
    """As pixels it takes 100 MB."""
    Image.new("RGB", (6000, 6000)).save(cover := io.BytesIO(), "PNG")
    data = covered(written(tone(RATE), RATE, "FLAC", "PCM_16"), cover.getvalue())
    assert kibibytes("read_upload(data)", data) < 40 << 10


def test_a_wav_from_a_pipe_lasts_until_it_ends():
    for unknown in (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000):
        assert len(decode(wav(bytes(400), size=unknown))) == 200


SEEDED = ("PCM_16", "FLOAT", "VORBIS", "OPUS", "MPEG_LAYER_III")
SEEDS = [written(tone(RATE, 0.1, 2), RATE, *kind) for kind in KINDS if kind[1] in SEEDED]


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


def test_only_sound_needs_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "WEBP")
    assert read_upload(file.getvalue()).media_type == "image/webp"
    for use in (
        lambda: read_upload(wav()), lambda: decode(wav()), lambda: check_cover(PNG),
        lambda: codecs.encoder("opus", RATE), lambda: BookWriter(Path("a.mp3"), "mp3", RATE, {}, ()),
    ):  # fmt: skip
        with pytest.raises(AncestralError, match=r"needs av, which is not installed: pip install '\.\[aac\]'"):
            use()
