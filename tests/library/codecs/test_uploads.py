"""Uploads: every allowed file becomes the sound that is in it, every other one an error that its sender can read."""

import io

import numpy as np
import pytest
import soundfile
import soxr

from ancestral import codecs
from ancestral.codecs.decoding import MAX_CHANNELS
from tests.library.codecs.upload_support import KINDS, PNG, RATE, chunk, decode, likeness, refusal, tone, wav, written


@pytest.mark.parametrize(("container", "subtype"), KINDS)
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_was_written_is_read(container, subtype, rate, channels):
    if subtype == "OPUS" and rate in (22050, 44100):
        rate = 24000
    wave = decode(written(tone(rate, 1.0, channels), rate, container, subtype))
    assert wave.dtype == np.float32
    assert len(wave) == RATE
    assert likeness(wave, tone(RATE)[:, 0]) > (0.97 if container in ("OGG", "MP3") else 0.999)


@pytest.mark.parametrize(("rate", "container"), [(4000, "WAV"), (96000, "FLAC"), (192000, "WAV"), (192000, "FLAC")])
def test_the_ends_of_the_range_of_rates(rate, container):
    wave = decode(written(tone(rate), rate, container, "PCM_16"))
    assert len(wave) == RATE
    assert likeness(wave, tone(RATE)[:, 0]) > 0.999


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_samples_at_the_models_own_rate_are_not_touched(container):
    samples = codecs.to_int16(tone(RATE)[:, 0])
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=container, subtype="PCM_16")
    assert np.array_equal(decode(file.getvalue()), samples.astype(np.float32) / 32768)


def test_another_rate_is_what_soxr_makes_of_it():
    samples = tone(44100)[:, 0]
    wave = decode(written(samples, 44100, "WAV", "FLOAT"), sample_rate=24000)
    assert np.abs(wave - soxr.resample(samples, 44100, 24000)).max() < 1e-4


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_channels_are_mixed(container):
    samples = np.zeros((RATE, MAX_CHANNELS), np.float32)
    samples[:, 3] = 0.5
    wave = decode(written(samples, RATE, container, "PCM_16"))
    assert np.abs(wave - 0.5 / MAX_CHANNELS).max() < 1e-3


@pytest.mark.parametrize("form", ["mp3", "opus", "flac", "wav"])
@pytest.mark.parametrize("kind", ["stream", "file"])
def test_what_this_server_made_comes_back(form, kind):
    sound = tone(RATE)[:, 0]
    if kind == "file":
        data = codecs.encode_file([sound], form, RATE)
    else:  # whose length nobody knew, not even that of the FLAC
        encoder = codecs.encoder(form, RATE)
        data = encoder.feed(sound) + encoder.finish()
    wave = decode(data)
    late = 1681 if (form, kind) == ("mp3", "stream") else 0  # there is no header that says how much is not sound
    assert RATE <= len(wave) - late < RATE + 1000 * (late > 0) + 1
    assert likeness(wave[late:], sound) > 0.999


def test_a_little_too_loud_is_clipped_and_far_too_loud_is_refused():
    assert decode(wav(np.float32([0, 1.5, -1.5]).tobytes(), tag=3, bits=32)).tolist() == [0, 1, -1]
    assert "far outside" in refusal(wav(np.float32([0, 20000]).tobytes(), tag=3, bits=32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("kind", "bits"), [(np.float32, 32), (np.float64, 64)])
def test_what_is_no_number_is_refused(value, kind, bits):
    samples = tone(RATE)[:, 0].astype(kind)
    samples[-3] = value
    assert "not numbers" in refusal(wav(samples.tobytes(), tag=3, bits=bits))


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
        (codecs.encode_file([tone(RATE)[:, 0]], "aac", RATE), "not a WAV, FLAC, Ogg or MP3"),
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
