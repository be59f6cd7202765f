"""`POST /v1/audio/speech`: what comes back, in which form, and from which seed."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import openai
import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

from ancestral.formats import MEDIA_TYPES
from ancestral.speech.utterance import CLOSING_PAUSE
from ancestral_models.text import phonemize
from tests.paths import ROOT
from tests.service.node import run_node, with_packages
from tests.service.servers import Serve, Server
from tests.service.speech.sounds import events_of, samples_of
from tests.service.toys import FRAMES_A_PHONEME, SPEECH, VOICES, sampled_by

RATE, HOP = 16000, 160
TEXT = str(SPEECH["input"])
LONG = "The birch canoe slid. Is it late? No! " * 8


def length_of(text: str) -> int:
    """How long the tiny model makes a text: four frames before a sentence, so many a phoneme, and its pause."""
    extra = 4 + round(100 * CLOSING_PAUSE) - 2 * FRAMES_A_PHONEME
    return HOP * sum(FRAMES_A_PHONEME * len(sentence.phones) + extra for sentence in phonemize(text))


@pytest.mark.every_engine
def test_wav_is_sound_at_the_models_rate_and_headers_say_how_it_was_made(server: Server, engine: str) -> None:
    response = server.speak()
    samples = samples_of(response.content)
    assert (response.status_code, len(samples)) == (200, length_of(TEXT))
    assert np.std(samples) > 100
    with server.client() as client:
        sha256 = client.get("/v1/models/tiny").json()["sha256"]
    for name, value in {
        "content-type": "audio/wav", "transfer-encoding": "chunked", "x-seed": "7", "x-model-sha256": sha256,
        "x-engine": sampled_by("tiny", engine),
    }.items():  # fmt: skip
        assert response.headers[name] == value


@pytest.mark.parametrize(
    ("form", "rate", "kind", "found"),
    [
        (None, None, "audio/mpeg", 16000),
        ("flac", 48000, "audio/flac", 48000),
        ("pcm", None, "audio/pcm", 24000),  # as OpenAI's clients assume
    ],
)
def test_formats_and_rates(server: Server, form: str | None, rate: int | None, kind: str, found: int) -> None:
    response = server.speak(response_format=form, sample_rate=rate)
    assert response.headers["content-type"] == kind
    sound = response.content
    samples = np.frombuffer(sound, "<i2") if form == "pcm" else samples_of(sound, found)
    tolerance = 3 * 1152 if kind == "audio/mpeg" else 2  # whole frames, and the encoder's delay
    assert abs(len(samples) - length_of(TEXT) * found / RATE) <= tolerance
    assert np.std(samples) > 100


def test_a_wav_of_one_sentence_never_waits_for_itself(server: Server) -> None:
    """Of more than the two seconds that are sampled ahead: the length has to come before anything is read."""
    text = "The birch canoe slid on the smooth planks and the box was thrown beside the parked truck."
    with server.client() as client:
        client.timeout = 20.0
        for _ in range(10):
            request = SPEECH | {"input": text, "speed": length_of(text) / RATE / 2.5}
            answer = client.post("/v1/audio/speech", json=request)
            assert (answer.status_code, len(answer.content) / 2 / RATE) == (200, pytest.approx(2.5, abs=0.2))


@pytest.mark.parametrize(
    ("form", "size", "unknown"), [("wav", slice(40, 44), b"\xff\xff\xff\xff"), ("flac", slice(22, 26), bytes(4))]
)
def test_a_stream_has_the_samples_of_the_file(server: Server, form: str, size: slice, unknown: bytes) -> None:
    for text in (LONG, LONG * 3):
        streamed = server.speak(input=text, response_format=form)
        with server.client() as client:
            stored = client.get(f"/v1/jobs/{streamed.headers['x-job-id']}/content").content
        with av.open(io.BytesIO(streamed.content)) as container:  # FFmpeg reads it to its end
            sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        assert np.array_equal(sound, samples_of(stored))
        assert stored == streamed.content or form == "flac" or text != LONG
    # The first byte of a long text does not wait for its length.
    assert streamed.content[size] == unknown != stored[size]


@pytest.mark.parametrize(("form", "text"), [("wav", TEXT), ("mp3", TEXT), ("wav", LONG)])
def test_events_carry_the_same_bytes(server: Server, form: str, text: str) -> None:
    events, sound = events_of(server.speak(input=text, stream_format="sse", response_format=form))
    assert [event["type"] for event in events] == ["speech.audio.delta"] * (len(events) - 1) + ["speech.audio.done"]
    assert sound == server.speak(input=text, response_format=form).content
    phonemes, output = sum(len(sentence.phones) for sentence in phonemize(text)), length_of(text)
    assert events[-1]["usage"] == {
        "input_tokens": phonemes, "output_tokens": output, "total_tokens": phonemes + output,
    }  # fmt: skip


@pytest.mark.every_engine
def test_the_seed_decides(server: Server) -> None:
    for form in ("wav", "mp3"):
        first, again, other = (server.speak(response_format=form, seed=seed).content for seed in (7, 7, 8))
        assert first == again != other
    drawn, another = server.speak(seed=None), server.speak(seed=None)
    assert drawn.headers["x-seed"] != another.headers["x-seed"]
    assert server.speak(seed=int(drawn.headers["x-seed"])).content == drawn.content
    greatest = server.speak(input=LONG, seed=2**63 - 1)
    assert (greatest.status_code, greatest.headers["x-seed"]) == (200, str(2**63 - 1))


@pytest.mark.every_engine
def test_temperature_zero_needs_no_luck(server: Server) -> None:
    assert server.speak(temperature=0, seed=1).content == server.speak(temperature=0, seed=2).content
    assert server.speak(temperature=0.5).content != server.speak(temperature=1.5).content


def test_voice_pitch_and_intonation_change_the_sound_but_not_its_length(server: Server) -> None:
    plain = server.speak().content
    assert server.speak(pitch=0.0, intonation=1.0, voice={"id": "ann"}).content == plain
    changes: list[dict[str, Any]] = [{"pitch": 3.0}, {"pitch": -12.0}, {"intonation": 0.0}, {"voice": "bob"}]
    changed = [server.speak(**change).content for change in changes]
    assert len({plain, *changed}) == 5
    assert {len(sound) for sound in changed} == {len(plain)}
    assert server.speak(pitch=3.0).content == changed[0]


def test_speed_scales_the_length(server: Server) -> None:
    lengths = [len(server.speak(speed=speed).content) for speed in (0.25, 0.5, 1, 2, 4)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 3 * lengths[2]


def test_the_pause_after_every_sentence_can_be_given(server: Server) -> None:
    text = "Hello there. Is it late?"
    usual = samples_of(server.speak(input=text, speed=2).content)
    long = samples_of(server.speak(input=text, speed=2, sentence_pause=1.0).content)
    assert len(long) - len(usual) == round(2 * RATE * (1.0 - round(CLOSING_PAUSE / 2, 2)))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Hello there. Is it late?", (0.0, 0.0)),
        ("[pause:1s] Hello. [voice:bob] No! [pause:2s]", (1.0, 2.0 + CLOSING_PAUSE)),
    ],
)
def test_silence_around_a_text(server: Server, text: str, written: tuple[float, float]) -> None:
    def edges(**fields: Any) -> tuple[float, float]:
        """Seconds before the first word and after the last."""
        told = server.speak(input=text, stream_format="json", timestamps=["word"], **fields).json()
        samples = len(samples_of(base64.b64decode(told["audio"])))
        return told["words"][0]["start"] / RATE, (samples - told["words"][-1]["end"]) / RATE

    usual, given = edges(), edges(lead_in=500, tail=1250)
    assert given == (written[0] + 0.5, written[1] + 1.25)
    assert edges(lead_in=0, tail=0) == tuple(seconds or HOP / RATE for seconds in written)
    assert edges(tail=30) == (usual[0], written[1] + 0.03)


def test_a_deployment_says_what_a_request_does_not(serve: Serve) -> None:
    text = "# One\n\n[Two](https://a.org)."
    with serve(input_format="markdown", lead_in=700, tail=300) as server:
        found = server.speak(input=text).content
        assert found == server.speak(input=text, input_format="markdown", lead_in=700, tail=300).content
        assert found != server.speak(input=text, input_format="text").content


def test_a_key_stays_bound_when_the_defaults_change(serve: Serve, tmp_path: Path) -> None:
    jobs = set[str]()
    for tail in (300, 400):
        with serve(data_dir=str(tmp_path), tail=tail) as server:
            jobs.add(server.speak({"idempotency-key": "one", "prefer": "respond-async"}).json()["id"])
    assert len(jobs) == 1


def test_every_sentence_is_spoken_and_none_repeats_another(server: Server) -> None:
    samples = samples_of(server.speak(input="Hello there. Hello there.").content)
    assert len(samples) == length_of("Hello there. Hello there.")
    first, second = np.split(samples, 2)
    assert np.array_equal(first, samples_of(server.speak(input="Hello there.").content))
    assert not np.array_equal(first, second)
    longest = ("The birch canoe slid on. " * 200)[:4095] + "."
    assert len(samples_of(server.speak(input=longest).content)) == length_of(longest)


def test_company_changes_nothing(server: Server) -> None:
    """No two of the requests are the same, and each gets what it would have got alone."""
    requests = [
        {
            "input": f"Canoe number {n} slid past a rather long row of houses. {LONG if n % 2 else 'No!'}",
            "voice": VOICES[n // 2 % 2],
            "seed": n // 3,
            "response_format": list(MEDIA_TYPES)[n % len(MEDIA_TYPES)],
            "speed": (1.0, 0.5, 2.0)[n // 5 % 3],
        }
        for n in range(16)
    ]
    alone = [server.speak(**request).content for request in requests]
    with ThreadPoolExecutor(len(requests)) as pool:
        together = list(pool.map(lambda request: server.speak(**request).content, requests))
    assert len(set(alone)) == len(requests)
    assert [n for n in range(len(requests)) if together[n] != alone[n]] == []


def test_the_size_of_chunks_changes_nothing(server: Server, serve: Serve) -> None:
    with serve(chunk_ms=370, threads=1) as other:
        for form in ("wav", "pcm", "flac", "mp3"):
            found, expected = (host.speak(input=LONG, response_format=form).content for host in (other, server))
            assert found == expected, form


# The clients that people have, unchanged, on a real server: OpenAI's for Python and JavaScript, and Twilio's calls.


SAME: dict[str, Any] = {"model": "tiny", "voice": "ann", "input": SPEECH["input"], "extra_body": {"seed": 7}}
"""What `Server.speak` sends, in the words of OpenAI's client; the format is not among them."""


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    """OpenAI's client, pointed at us, which tries once."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def test_openai_streams(client: openai.OpenAI, server: Server, tmp_path: Path) -> None:
    with client.audio.speech.with_streaming_response.create(**SAME) as response:
        assert (response.headers["x-seed"], response.headers["content-type"]) == ("7", "audio/mpeg")
        response.stream_to_file(tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == server.speak(response_format="mp3").content


def test_openai_sees_what_was_wrong(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(**SAME | {"voice": "alloy"})
    assert (caught.value.param, caught.value.code) == ("voice", "voice_not_found")
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]
    assert "ann, bob" in str(caught.value)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o-mini-tts")


def test_openai_js(server: Server, zoo: Path, tmp_path: Path) -> None:
    program = with_packages(Path(__file__).with_name("js"), tmp_path, "client.mjs") / "client.mjs"
    found = json.loads(run_node(program, f"{server.url}/v1", "tiny", "ann", "7"))
    wav, mp3 = (server.speak(response_format=form).content for form in ("wav", "mp3"))
    sounds = [base64.b64decode(found[name]["audio"]) for name in ("whole", "events", "streamed")]
    assert (sounds, found["whole"]["type"], found["streamed"]["pieces"] >= 1) == ([wav, wav, mp3], "audio/wav", True)
    *deltas, last = found["events"]["kinds"]
    assert (set(deltas), last) == ({"speech.audio.delta"}, "speech.audio.done")
    usage = found["events"]["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert (sorted(found["models"]), found["owner"]) == (sorted(path.name for path in zoo.iterdir()), "tests")
    assert [[row[key] for key in ("asked", "kind", "status", "param", "code")] for row in found["refusals"]] == [
        ["voice", "BadRequestError", 400, "voice", "voice_not_found"],
        ["speed", "BadRequestError", 400, "speed", "less_than_equal"],
        ["model", "NotFoundError", 404, "model", "model_not_found"],
    ]
    assert all(row["named"] and row["type"] == "invalid_request_error" for row in found["refusals"])


def test_a_call_of_twilios_hears_the_program_of_the_docs(server: Server, tmp_path: Path) -> None:
    blocks = re.findall("```python\n(.*?)```", (ROOT / "docs/integrations.md").read_text(), re.DOTALL)
    (code,) = (block for block in blocks if "streamSid" in block)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = code.replace("localhost:8000", f"127.0.0.1:{server.port}").replace("8080", str(port))
    code = code.replace("wavenet-multilingual", "tiny").replace("heart", "ann")
    code = code.replace('"ulaw_8000"', '"ulaw_8000", "seed": 7')
    program = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    try:
        while True:
            with suppress(ConnectionRefusedError), connect(f"ws://127.0.0.1:{port}/", proxy=None) as call:
                heard = played(call)
                break
            assert program.poll() is None
            time.sleep(0.1)
    finally:
        program.terminate()
        program.wait()
    text = "Thank you for calling."
    assert heard == server.speak(input=text, response_format="ulaw_8000").content


def played(call: ClientConnection) -> bytes:
    """What a caller hears until the mark: Twilio's part of a call."""
    media = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    start = {"streamSid": "MZ1", "tracks": ["inbound"], "mediaFormat": media}
    call.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
    call.send(json.dumps({"event": "start", "sequenceNumber": "1", "start": start, "streamSid": "MZ1"}))
    heard = b""
    while (message := json.loads(call.recv(timeout=30)))["event"] == "media":
        assert message["streamSid"] == "MZ1"
        heard += base64.b64decode(message["media"]["payload"])
        call.send(json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": "/////w=="}}))
    assert message == {"event": "mark", "streamSid": "MZ1", "mark": {"name": "spoken"}}
    call.send(json.dumps(message))
    with pytest.raises(ConnectionClosedOK):
        call.recv(timeout=30)
    return heard
