"""`POST /v1/audio/speech`: what comes back, in which form, and from which seed."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from ancestral.models.text import phonemize
from ancestral.speech.utterance import CLOSING_PAUSE
from tests.service.servers import Serve, Server
from tests.service.toys import FRAMES_A_PHONEME, SPEECH, sampled_by

RATE, HOP = 16000, 160
LONG = "The birch canoe slid. Is it late? No! " * 8


def samples_of(text: str) -> int:
    """How long the tiny model makes a text: four frames before a sentence, so many a phoneme, and its pause."""
    extra = 4 + round(100 * CLOSING_PAUSE) - 2 * FRAMES_A_PHONEME
    return HOP * sum(FRAMES_A_PHONEME * len(sentence.phones) + extra for sentence in phonemize(text))


def decode(data: bytes) -> tuple[np.ndarray[Any, Any], int]:
    """Samples as int16, and the rate."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    return samples, rate


def test_wav_is_sound_at_the_models_rate(server: Server) -> None:
    response = server.speak()
    assert response.status_code == 200
    assert response.headers["content-type"] == "audio/wav"
    samples, rate = decode(response.content)
    assert (rate, len(samples)) == (RATE, samples_of(str(SPEECH["input"])))
    assert np.std(samples) > 100


def test_pitch_and_intonation_change_the_sound_but_not_its_length(server: Server) -> None:
    plain = server.speak().content
    assert server.speak(pitch=0.0, intonation=1.0).content == plain
    changed = [server.speak(**change).content for change in ({"pitch": 3.0}, {"pitch": -12.0}, {"intonation": 0.0})]
    assert len({plain, *changed}) == 4
    assert {len(sound) for sound in changed} == {len(plain)}
    assert server.speak(pitch=3.0).content == changed[0]


@pytest.mark.parametrize("rate", [None, 8000, 44100])
@pytest.mark.parametrize("text", ["Hi.", LONG])
def test_a_streamed_wav_gives_its_length(server: Server, text: str, rate: int | None) -> None:
    content = server.speak(input=text, sample_rate=rate).content
    riff, data = struct.unpack("<I", content[4:8])[0], struct.unpack("<I", content[40:44])[0]
    assert (riff, data) == (len(content) - 8, len(content) - 44)
    with wave.open(io.BytesIO(content)) as file:  # Python's own reader
        assert file.getnframes() == data // 2 == len(decode(content)[0])
    with av.open(io.BytesIO(content)) as container:  # FFmpeg
        assert container.duration == pytest.approx(1e6 * data / 2 / (rate or RATE), abs=100)


def test_a_wav_of_one_sentence_never_waits_for_itself(server: Server) -> None:
    """Of more than the two seconds that are sampled ahead: the length has to come before anything is read."""
    text = "The birch canoe slid on the smooth planks and the box was thrown beside the parked truck."
    speed = samples_of(text) / RATE / 2.5
    with server.client() as client:
        client.timeout = 20.0
        for _ in range(20):
            answer = client.post("/v1/audio/speech", json=SPEECH | {"input": text, "speed": speed})
            assert (answer.status_code, len(answer.content) / 2 / RATE) == (200, pytest.approx(2.5, abs=0.2))


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_stream_has_the_bytes_of_the_file(server: Server, form: str) -> None:
    streamed = server.speak(input=LONG, response_format=form)
    with server.client() as client:
        stored = client.get(f"/v1/jobs/{streamed.headers['x-job-id']}/content")
    if form == "wav":
        assert stored.content == streamed.content
    assert np.array_equal(decode(stored.content)[0], decode(streamed.content)[0])


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_the_first_byte_of_a_long_text_does_not_wait_for_its_length(server: Server, form: str) -> None:
    streamed = server.speak(input=LONG * 3, response_format=form)
    with server.client() as client:
        stored = client.get(f"/v1/jobs/{streamed.headers['x-job-id']}/content")
    size = slice(40, 44) if form == "wav" else slice(22, 26)
    unknown = b"\xff\xff\xff\xff" if form == "wav" else bytes(4)
    assert streamed.content[size] == unknown != stored.content[size]
    with av.open(io.BytesIO(streamed.content)) as container:  # FFmpeg reads it to its end
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert np.array_equal(sound, decode(stored.content)[0])


def test_events_of_wav_give_their_length(server: Server) -> None:
    lines = server.speak(input=LONG, stream_format="sse").text.splitlines()
    told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    content = b"".join(base64.b64decode(event["audio"]) for event in told if "audio" in event)
    assert content == server.speak(input=LONG).content


def test_pcm_is_24_khz_as_openai_clients_assume(server: Server) -> None:
    response = server.speak(response_format="pcm")
    assert response.headers["content-type"] == "audio/pcm"
    expected = samples_of(str(SPEECH["input"])) * 24000 / RATE
    assert abs(len(response.content) // 2 - expected) <= 2


def test_mp3_is_the_default(server: Server) -> None:
    response = server.speak(response_format=None)
    assert response.headers["content-type"] == "audio/mpeg"
    samples, rate = decode(response.content)
    assert rate == RATE
    assert abs(len(samples) - samples_of(str(SPEECH["input"]))) < 3 * 1152  # whole frames, and the encoder's delay
    assert np.std(samples) > 100


@pytest.mark.parametrize(("form", "rate"), [("wav", 8000), ("flac", 48000), ("mp3", 22050)])
def test_another_sample_rate_changes_the_number_of_samples(server: Server, form: str, rate: int) -> None:
    samples, found = decode(server.speak(response_format=form, sample_rate=rate).content)
    assert found == rate
    tolerance = 3 * 1152 if form == "mp3" else 2
    assert abs(len(samples) - samples_of(str(SPEECH["input"])) * rate / RATE) <= tolerance


@pytest.mark.every_engine
def test_headers_say_what_was_done(server: Server, engine: str) -> None:
    response = server.speak()
    with server.client() as client:
        model = client.get("/v1/models/tiny").json()
    assert response.headers["x-seed"] == "7"
    assert response.headers["x-engine"] == sampled_by("tiny", engine)
    assert response.headers["x-model-sha256"] == model["sha256"]
    assert response.headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize("form", ["wav", "mp3"])
@pytest.mark.every_engine
def test_same_seed_same_bytes_other_seed_other_bytes(server: Server, form: str) -> None:
    first, again, other = (server.speak(response_format=form, seed=seed).content for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_a_drawn_seed_can_be_used_again(server: Server) -> None:
    drawn, another = server.speak(seed=None), server.speak(seed=None)
    assert drawn.headers["x-seed"] != another.headers["x-seed"]
    assert server.speak(seed=int(drawn.headers["x-seed"])).content == drawn.content


def test_the_greatest_seed(server: Server) -> None:
    response = server.speak(input=LONG, seed=2**63 - 1)
    assert response.status_code == 200
    assert response.headers["x-seed"] == str(2**63 - 1)


def test_voices_differ_and_may_be_given_as_objects(server: Server) -> None:
    ann, bob = server.speak(voice="ann").content, server.speak(voice="bob").content
    assert ann != bob
    assert server.speak(voice={"id": "bob"}).content == bob


def test_speed_scales_the_length(server: Server) -> None:
    lengths = [len(decode(server.speak(speed=speed).content)[0]) for speed in (0.25, 0.5, 1, 2, 4)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 3 * lengths[2]


@pytest.mark.every_engine
def test_temperature_zero_needs_no_luck(server: Server) -> None:
    assert server.speak(temperature=0, seed=1).content == server.speak(temperature=0, seed=2).content
    assert server.speak(temperature=0.5).content != server.speak(temperature=1.5).content


def test_every_sentence_is_spoken_and_none_repeats_another(server: Server) -> None:
    samples, _ = decode(server.speak(input="Hello there. Hello there.").content)
    assert len(samples) == samples_of("Hello there. Hello there.")
    first, second = np.split(samples, 2)
    assert np.array_equal(first, decode(server.speak(input="Hello there.").content)[0])
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("form", ["wav", "mp3"])
def test_events_carry_the_same_bytes(server: Server, form: str) -> None:
    response = server.speak(stream_format="sse", response_format=form)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.split("\n\n") if line]
    assert [event["type"] for event in events] == ["speech.audio.delta"] * (len(events) - 1) + ["speech.audio.done"]
    sound = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert sound == server.speak(response_format=form).content
    phonemes = sum(len(sentence.phones) for sentence in phonemize(str(SPEECH["input"])))
    output = samples_of(str(SPEECH["input"]))
    assert events[-1]["usage"] == {
        "input_tokens": phonemes, "output_tokens": output, "total_tokens": phonemes + output,
    }  # fmt: skip


def test_sound_arrives_while_it_is_sampled(server: Server) -> None:
    start = time.perf_counter()
    with (
        server.client() as client,
        client.stream("POST", "/v1/audio/speech", json=SPEECH | {"input": LONG * 4}) as body,
    ):
        chunks = body.iter_raw()
        next(chunks)
        first = time.perf_counter() - start
        total = sum(map(len, chunks))
        whole = time.perf_counter() - start
    assert total > 100_000
    assert first < 0.5 * whole


def test_company_changes_nothing(server: Server) -> None:
    requests = [
        {
            "input": LONG,
            "seed": n,
            "voice": ("ann", "bob")[n % 2],
            "response_format": ("wav", "flac", "pcm", "mp3")[n % 4],
        }
        for n in range(8)
    ]
    alone = [server.speak(**request).content for request in requests]
    with ThreadPoolExecutor(len(requests)) as pool:
        together = list(pool.map(lambda request: server.speak(**request).content, requests))
    assert together == alone


def test_the_size_of_chunks_changes_nothing(server: Server, serve: Serve) -> None:
    forms = ("wav", "pcm", "flac", "mp3")
    with serve(chunk_ms=370, threads=1) as other:
        for form in forms:
            found, expected = (host.speak(input=LONG, response_format=form).content for host in (other, server))
            assert hashlib.sha256(found).digest() == hashlib.sha256(expected).digest()


def test_the_longest_input(server: Server) -> None:
    text = ("The birch canoe slid on. " * 200)[:4095] + "."
    assert len(text) == 4096
    response = server.speak(input=text)
    assert response.status_code == 200
    assert len(decode(response.content)[0]) == samples_of(text)
