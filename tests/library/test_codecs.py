"""Encoders: what was fed in pieces is found again by another library's decoder, whatever the pieces were."""

import gc
import hashlib
import io
import itertools
import json
import signal
import struct
import wave as stdlib_wave

import av
import numpy as np
import pytest
import soundfile

from ancestral import codecs, formats
from ancestral.codecs import encode_file, sndfile
from ancestral.errors import InvalidRequest
from ancestral_models.audio.mu_law import to_int16
from ancestral_models.audio.resampler import BANDS, INPUTS, Resampler, resampled_length

RATE = 16000
RATES = (8000, 16000, 22050, 24000, 44100, 48000)
"""What a client may ask for."""
CARRIED = [(form, rate) for form in formats.MEDIA_TYPES for rate in RATES if rate in formats.RATES.get(form, RATES)]
LENGTH = RATE + 123
WIDE = [form for form in formats.MEDIA_TYPES if form not in ("ulaw_8000", "alaw_8000")]
"""The formats of any rate."""
HEADER = {"flac": 42, "mp3": 600}
"""Bytes at the beginning in which a file may differ from a stream."""


def sound():
    """A rising tone that swells, and a little noise: its cross-correlation with itself has one peak."""
    seconds = np.arange(LENGTH) / RATE
    tone = np.sin(2 * np.pi * (200 + 1200 * seconds) * seconds) * (0.6 - 0.4 * np.cos(2 * np.pi * 3 * seconds))
    return (0.4 * tone + 0.01 * np.random.default_rng(0).normal(size=LENGTH)).astype(np.float32)


WAVE = sound()


def pieces(sizes, wave=WAVE):
    """A wave in pieces of these sizes, over and over."""
    ends = itertools.accumulate(itertools.cycle(sizes))
    return np.split(wave, [*itertools.takewhile(lambda end: end < len(wave), ends)])


def resampled(sizes, rate, wave=WAVE):
    """A wave in pieces, at another rate."""
    resampler = Resampler(RATE, rate)
    return [*map(resampler.feed, pieces(sizes, wave)), resampler.finish()] if rate != RATE else pieces(sizes, wave)


def streamed(form, sizes, rate=RATE, wave=WAVE):
    encoder = codecs.encoder(form, rate, resampled_length(len(wave), RATE, rate))
    return b"".join([*map(encoder.feed, resampled(sizes, rate, wave)), encoder.finish()])


def fed(rate):
    """What the encoder of any format gets at this rate, by way of the format that adds nothing."""
    return np.frombuffer(streamed("pcm", [LENGTH], rate), "<i2") / 32767


def decoded(form, data):
    """The sound, by a decoder that is not of the encoder's library, and its rate. Of AAC PyAV has two decoders: the
    one that calculates with integers shares nothing with the encoder but the tables of the standard."""
    if form == "opus":
        samples, rate = soundfile.read(io.BytesIO(data))
        return samples, rate
    if form == "wav":
        with stdlib_wave.open(io.BytesIO(data)) as file:
            return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767, file.getframerate()
    raw = {"ulaw_8000": "mulaw", "alaw_8000": "alaw"}.get(form)
    options = {"sample_rate": "8000"} if raw else {}
    name = {"mp3": "mp3", "flac": "flac", "aac": "aac_fixed"}.get(form, "")
    with av.open(io.BytesIO(data), "r", format=raw, options=options) as container:
        decoder = av.AudioCodecContext.create(name, "r") if form == "aac" else container.streams.audio[0]
        packets = container.demux(container.streams.audio[0])
        frames = [frame for packet in packets for frame in decoder.decode(packet if packet.size else None)]
        rate = frames[0].sample_rate
        full_scale = {"s16": 32767, "s16p": 32767, "s32p": 2**31, "fltp": 1}[frames[0].format.name]
        return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float64) / full_scale, rate


def lag(original, found):
    """By how many samples the sound that was found is late."""
    size = 2 ** (len(original) + len(found)).bit_length()
    spectrum = np.fft.rfft(found, size) * np.conj(np.fft.rfft(original, size))
    peak = int(np.argmax(np.fft.irfft(spectrum, size)))
    return peak if peak < size // 2 else peak - size


def decibels(original, found, late):
    """Signal to noise, where what was found is so many samples late."""
    original, found = original[max(0, -late) :], found[max(0, late) :]
    length = min(len(original), len(found))
    noise = original[:length] - found[:length]
    return float(10 * np.log10(np.sum(original**2) / max(np.sum(noise**2), 1e-12)))


@pytest.mark.parametrize(
    ("form", "rate", "kind"),
    [(form, rate, "stream") for form, rate in CARRIED if form != "pcm"]
    + [(form, rate, "file") for form, rate in CARRIED if form in HEADER],
)
def test_what_was_fed_is_found_by_another_decoder(form, rate, kind):
    data = streamed(form, [777], rate) if kind == "stream" else encode_file(resampled([777], rate), form, rate)
    original = fed(rate)
    found, found_rate = decoded(form, data)
    assert found_rate == rate
    frame = 576 if rate < 32000 else 1152
    # The blank first frame, then LAME's 576 + 529. A file's header tells decoders to drop both.
    late, padding = {"mp3": (frame + 1105, 4 * frame), "aac": (1024, 3 * 1024)}.get(form, (0, 0))
    if (form, kind) == ("mp3", "file"):
        late, padding = 0, 0
    least = {"opus": 12.0, "mp3": 15.0, "aac": 15.0, "ulaw_8000": 35.0, "alaw_8000": 35.0}.get(form, 140.0)
    measured = lag(original, found)
    assert abs(measured - late) <= (2 if form == "opus" else 0)  # libopus shifts by parts of a sample
    assert len(original) <= len(found) <= len(original) + padding
    assert len(found) - measured >= len(original) - 2
    assert decibels(original, found, measured) > least


@pytest.mark.parametrize(("form", "rate"), CARRIED)
def test_the_pieces_change_nothing(form, rate):
    wave = WAVE[: RATE // 4]
    whole = streamed(form, [LENGTH], rate, wave)
    for sizes in ([1], [7], [320], [1600], [1, 0, 999], [4999, 1, 313, 2]):
        assert streamed(form, sizes, rate, wave) == whole, sizes


@pytest.mark.parametrize(("form", "rate"), CARRIED)
def test_a_file_is_its_stream_with_another_header(form, rate):
    stream, file = streamed(form, [320], rate), encode_file(resampled([999], rate), form, rate)
    header = HEADER.get(form, 0)
    assert len(stream) == len(file) > header
    assert stream[header:] == file[header:]
    assert (stream[:header] != file[:header]) == (form in HEADER)


@pytest.mark.parametrize("rate", RATES)
def test_a_wav_gives_its_length_or_the_greatest_if_it_is_not_known(rate):
    sizes = struct.Struct("<4xI32xI")
    file, stream = encode_file(resampled([LENGTH], rate), "wav", rate), streamed("wav", [320], rate)
    assert file == stream
    assert sizes.unpack_from(file) == (len(file) - 8, len(file) - 44)
    unknown = codecs.encoder("wav", rate)
    assert sizes.unpack_from(unknown.feed(WAVE)) == (0xFFFFFFFF, 0xFFFFFFFF)
    short = codecs.encoder("wav", RATE, LENGTH)
    short.feed(WAVE[:-1])
    with pytest.raises(AssertionError, match="length"):
        short.finish()


def test_a_stored_flac_says_its_length_and_the_digest_of_its_samples():
    for rate in (RATE, 44100):
        data = encode_file(resampled([320], rate), "flac", rate)
        pcm = streamed("pcm", [LENGTH], rate)
        assert soundfile.info(io.BytesIO(data)).frames == len(pcm) // 2
        assert data[26:42] == hashlib.md5(pcm, usedforsecurity=False).digest()


@pytest.mark.parametrize(
    ("form", "first", "between"),
    [("pcm", 1, 1), ("wav", 1, 1), ("mp3", 1, 50), ("opus", 20, 20), ("aac", 128, 64), ("flac", 1, 73)],
)
def test_nothing_is_held_back(form, first, between):
    """In milliseconds of sound that has been fed: a stream has its bytes as soon as its format allows."""
    encoder = codecs.encoder(form, RATE, 5 * RATE)
    noise = np.random.default_rng(2).normal(0, 0.1, 5 * RATE).astype(np.float32)
    times = [number for number, piece in enumerate(pieces([RATE // 1000], noise), 1) if encoder.feed(piece)]
    assert times[0] == first
    assert max(np.diff(times)) <= between
    assert times[-1] > 5000 - between


def test_what_is_too_loud_is_clipped():
    loud = encode_file([np.full(RATE, 9, np.float32)], "aac", RATE)
    found, _ = decoded("aac", loud)
    assert 0.9 < np.median(found[2048:-4096]) < 1.1


def test_nobody_waits_for_a_second_of_sound_at_a_rate_that_divides_nothing():
    made = resampled([320], 15999)
    assert sum(map(len, made[:10])) > 2800, "of 3200"
    assert np.array_equal(np.concatenate(made), np.concatenate(resampled([1, 5000, 999], 15999)))


@pytest.mark.parametrize("rate", [8000, 15999, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("length", [1, 319, 320, 16001])
def test_the_length_after_resampling_is_foretold(rate, length):
    data = streamed("pcm", [320], rate, WAVE[:length])
    assert len(data) // 2 == resampled_length(length, RATE, rate)


def spoken(sizes, rate, voices):
    """The samples of a stream of which each voice says half a second; those without a map are None."""
    resampler, made = Resampler(RATE, rate), []
    for number, voice in enumerate(voices):
        resampler.set_high_band(voice)
        part = WAVE[number * 8000 : (number + 1) * 8000]
        made += [resampler.feed(piece) for piece in pieces(sizes, part)]
    return to_int16(np.concatenate([*made, resampler.finish()])).astype(float)


def test_a_voice_has_the_band_above_where_the_rate_is_raised():
    quiet, loud = (np.full((INPUTS, BANDS), 0.0, np.float32) for _ in range(2))
    quiet[-1], loud[-1] = -14.0, -9.0
    for rate in (22050, 24000, 48000):
        plain = spoken([800], rate, [None, None])
        both = spoken([800], rate, [quiet, loud])
        assert np.array_equal(spoken([1, 999], rate, [quiet, loud]), both)
        assert len(both) == len(plain) == resampled_length(RATE, RATE, rate)
        above = both - plain
        half = len(above) // 2
        first, second = (np.sqrt((part**2).mean()) for part in (above[200 : half - 200], above[half + 200 : -200]))
        assert second / first == pytest.approx(np.exp(2.5), rel=0.1)
    assert np.array_equal(spoken([800], 8000, [quiet, loud]), spoken([800], 8000, [None, None]))


@pytest.mark.parametrize("rate", [22050, 44100, 11025, 0])
def test_opus_refuses_a_rate_that_it_cannot_carry(rate):
    for refuse in (formats.check_rate, codecs.encoder):
        with pytest.raises(InvalidRequest) as caught:
            refuse("opus", rate)
        error = caught.value
        assert (error.param, error.code) == ("sample_rate", "unsupported_sample_rate")
        assert error.message == f"sample_rate: opus cannot carry {rate} Hz; choose 8000, 16000, 24000 or 48000"


@pytest.mark.parametrize("rate", [-1, 0, 1, 999, 22050.5, 192_001, 2**33])
def test_formats_of_any_rate_have_limits(rate):
    with pytest.raises(InvalidRequest, match=r"sample_rate: must be a whole number in 1000 … 192000"):
        codecs.encoder("wav", formats.rate_of("wav", RATE, rate))


def test_the_rate_of_the_bytes():
    assert [formats.rate_of(form, RATE, None) for form in formats.MEDIA_TYPES] == [RATE] * 5 + [24000, 8000, 8000]
    assert {formats.rate_of(form, RATE, 8000) for form in formats.MEDIA_TYPES} == {8000}


@pytest.mark.parametrize("form", WIDE)
@pytest.mark.parametrize("length", [0, 1, 100])
def test_very_short_sounds(form, length):
    data = encode_file([WAVE[:length]], form, RATE)
    assert bool(data) == (length > 0 or form == "wav")
    if data and form != "pcm":
        found, _ = decoded(form, data)
        # AAC does not say its length, and an MP3 of one sample has too few frames to drop all that is not sound.
        assert len(found) == length or (form in ("aac", "mp3") and length < len(found) <= 3 * 1024)


@pytest.mark.parametrize("form", WIDE)
def test_a_stream_that_is_left_leaves_nothing_behind(form):
    """A client that goes away leaves an encoder unfinished; what its end raises would fail this test as a warning."""
    before = streamed(form, [320])
    for _ in range(20):
        codecs.encoder(form, RATE, LENGTH).feed(WAVE[:5000])
    gc.collect()
    assert streamed(form, [320]) == before


TAGS = {"title": "ann, seed 7", "comment": json.dumps({"model": "tiny", "model_sha256": "ab" * 32, "seed": 7})}
"""A comment of more characters than an ID3v1 tag has room for."""


def tagged(form, sizes, tags=TAGS):
    """The pieces of a stream, and the file."""
    encoder = codecs.encoder(form, RATE, len(WAVE), tags)
    stream = [*(encoder.feed(piece) for piece in pieces(sizes)), encoder.finish()]
    file = bytearray(b"".join(stream))
    for offset, part in encoder.rewrites():
        file[offset : offset + len(part)] = part
    assert bytes(file) == encode_file(pieces(sizes), form, RATE, tags)
    return stream, bytes(file)


@pytest.mark.parametrize("form", ["mp3", "opus", "flac"])
def test_tags_are_found_at_the_beginning_by_another_reader_and_change_no_sample(form):
    stream, file = tagged(form, [5000])
    first = next(piece for piece in stream if piece)
    for data in (file, b"".join(stream)):
        with av.open(io.BytesIO(data)) as container:
            found = dict(container.metadata) | dict(container.streams.audio[0].metadata)
        assert TAGS.items() <= found.items()
    assert b"ann, seed 7" in first
    assert tagged(form, [317])[1] == file, "the same sound and tags give the same bytes"
    assert tagged(form, [5000], TAGS | {"title": "ann, seed 8"})[1] != file
    plain, untagged = tagged(form, [5000], {})
    np.testing.assert_array_equal(decoded(form, untagged)[0], decoded(form, file)[0])
    assert streamed(form, [5000], RATE) == b"".join(plain), "without tags the bytes are as before"


@pytest.mark.parametrize("callback", ["write", "seek", "tell"])
@pytest.mark.parametrize("form", ["flac", "mp3"])
def test_an_interrupt_while_libsndfile_writes_is_raised_and_harms_nothing(form, callback, monkeypatch):
    called, sizes = getattr(sndfile._Tail, callback), [LENGTH // 2]
    encoder, data, interrupts = codecs.encoder(form, RATE, LENGTH), b"", 0

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return called(*arguments)

    monkeypatch.setattr(sndfile._Tail, callback, interrupted)
    for step in [*(lambda piece=piece: encoder.feed(piece) for piece in pieces(sizes)), encoder.finish]:
        try:
            data += step()
        except KeyboardInterrupt:
            interrupts += 1
    monkeypatch.undo()
    assert interrupts
    assert data + encoder._tail.take() == streamed(form, sizes)
