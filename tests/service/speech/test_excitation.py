"""A model whose symbols are an excitation: the worker filters it, and everything else is as with any other model."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, cast

import httpx
import numpy as np
import pytest
import soundfile

from ancestral.models import checkpoint
from ancestral.models.audio.features import normalize_level
from ancestral.models.audio.pcm import from_int16, to_int16
from ancestral.models.audio.shaping import encode_excitation, predictor
from ancestral.models.engines import load_engine
from ancestral.models.engines.speech.engine import SpeechEngine, StreamRequest
from ancestral.models.engines.speech.synthesis import SynthesisEngine
from ancestral.models.entries import PLAIN, Sampling
from ancestral.models.spec import FeatureSpec
from ancestral.models.text import phonemize
from ancestral.models.text.acoustic import AcousticModel
from ancestral.models.text.alignment import align
from ancestral.speech.utterance import with_closing_pause
from tests.service.api.job_requests import made, verify
from tests.service.servers import Server
from tests.service.speech.likelihood_requests import score
from tests.service.toys import BOBS_SAMPLING, SPEECH, VOICES, sampled_by
from tests.service.ws_client import LONG, talking, whole

MODEL = {"model": "shaped"}


def samples_of(data: bytes) -> np.ndarray:
    samples: np.ndarray = soundfile.read(io.BytesIO(data), dtype="int16")[0]
    return samples


@pytest.fixture(scope="module")
def sound(server: Server) -> np.ndarray:
    """The 16-bit samples of the standard request."""
    return samples_of(server.speak(**MODEL).content)


@pytest.mark.every_engine
def test_what_is_served_is_what_say_writes(
    server: Server,
    ancestral: Callable[..., CompletedProcess[bytes]],
    tmp_path: Path,
    sound: np.ndarray,
) -> None:
    assert len(sound) == len(samples_of(server.speak().content)), "of the same length as with pre-emphasis"
    assert np.std(sound) > 100
    file = tmp_path / "a.wav"
    options = ("--model", "shaped", "--voice", "ann", "--seed", "7", "-o", str(file))
    assert ancestral("say", str(SPEECH["input"]), *options).returncode == 0
    assert np.array_equal(samples_of(file.read_bytes()), sound)


@pytest.mark.parametrize("form", ["flac", "pcm"])
def test_lossless_formats_hold_the_same_samples(server: Server, sound: np.ndarray, form: str) -> None:
    content = server.speak(**MODEL, response_format=form, sample_rate=16000).content
    found = np.frombuffer(content, "<i2") if form == "pcm" else samples_of(content)
    assert np.array_equal(found, sound)


def test_server_sent_events(server: Server, sound: np.ndarray) -> None:
    body = SPEECH | MODEL | {"stream_format": "sse", "response_format": "pcm", "sample_rate": 16000}
    response = httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=60)
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
    pieces = [base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta"]
    assert np.array_equal(np.frombuffer(b"".join(pieces), "<i2"), sound)
    assert events[-1]["usage"]["output_tokens"] == len(sound)


@pytest.mark.every_engine
def test_a_manifest_is_verified(server: Server, engine: str) -> None:
    manifest = made(server, **MODEL, response_format="wav")
    content = httpx.get(f"{server.url}/v1/jobs/{manifest['job']}/content").content
    assert manifest["output"]["samples"] == len(samples_of(content))
    assert manifest["output"]["symbols_sha256"] == hashlib.sha256(content[44:]).hexdigest()
    found = verify(server, manifest).json()
    assert (found["equal"], found["symbols_equal"], found["engine"]) == (True, True, sampled_by("shaped", engine))


def test_parts_of_a_finished_file(server: Server) -> None:
    job = made(server, **MODEL, response_format="wav")["job"]
    url = f"{server.url}/v1/jobs/{job}/content"
    content = httpx.get(url).content
    part = httpx.get(url, headers={"range": "bytes=1001-2000"})
    assert (part.status_code, part.content) == (206, content[1001:2001])


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_a_lost_connection_goes_on_at_the_sample(server: Server, share: float) -> None:
    model = MODEL | {"voice": "bob"}
    expected = whole(server, LONG, **model)
    with talking(server) as talk:
        talk.configure(**model)
        talk.say("input.text", text=LONG)
        talk.say("input.done")
        talk.until_bytes(20_000)
        talk.vanish()
    sample = int(len(talk.sound) // 2 * share)
    with talking(server, f"?session_id={talk.session['session_id']}&from_sample={sample}") as rest:
        rest.say("input.done")
        rest.until("session.done")
        rest.vanish()
    assert talk.sound[: 2 * sample] + rest.sound == expected


@pytest.mark.every_engine
def test_a_recording_is_scored_as_the_excitation_of_its_frames(server: Server, zoo: Path, engine: str) -> None:
    file = server.speak(**MODEL).content
    text = str(SPEECH["input"])
    response = score(server, MODEL | {"voice": "ann", "text": text}, file)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    network = cast(SpeechEngine, load_engine(engine, checkpoint.load(zoo / "shaped" / "wavenet")))
    acoustic = AcousticModel(checkpoint.load(zoo / "shaped" / "acoustic"), int8=network.int8)
    # As the service reads a file: another scale, and the level is rounded otherwise.
    recording = soundfile.read(io.BytesIO(file), dtype="float32")[0]
    wave = from_int16(to_int16(normalize_level(recording, 16000)))
    frames = align(wave, phonemize(text), acoustic, "ann", FeatureSpec()).frames
    symbols = encode_excitation(wave, predictor(frames, FeatureSpec()))
    nats = network.score(symbols, frames, VOICES.index("ann"))
    assert found["samples"] == len(nats)
    assert found["bits_per_sample"] == pytest.approx(-nats.mean() / math.log(2), abs=1e-6)
    assert len(found["curve"]) == -(-len(nats) // 160)
    assert [word["word"] for word in found["words"]] == ["the", "birch", "canoe", "slid"]
    edges = [edge for word in found["words"] for edge in (word["start"], word["end"])]
    assert edges == sorted(edges)
    assert 0 < edges[0] < edges[-1] <= len(nats)
    for word in found["words"]:
        bits = -nats[word["start"] : word["end"]].sum() / math.log(2)
        assert word["bits"] == pytest.approx(bits, abs=1e-2)


@pytest.mark.every_engine
def test_a_voice_is_sampled_as_its_description_says(server: Server, zoo: Path, engine: str) -> None:
    """The request's temperature scales it."""
    text, seed = str(SPEECH["input"]), 7
    network = cast(SpeechEngine, load_engine(engine, checkpoint.load(zoo / "shaped" / "wavenet")))
    acoustic = AcousticModel(checkpoint.load(zoo / "shaped" / "acoustic"), int8=network.int8)
    made = SynthesisEngine(network)
    (sentence,) = phonemize(text)
    frames = acoustic.predict(with_closing_pause(sentence, 1.0), "bob")
    found = samples_of(server.speak(**MODEL, voice="bob", temperature=0.9).content)
    request = StreamRequest(len(frames) * 160, seed, 0.9, VOICES.index("bob"), frames, Sampling(**BOBS_SAMPLING))
    (expected,) = made.step([made.open(request)], request.length)
    assert np.array_equal(found, expected)
    (plain,) = made.step([made.open(replace(request, sampling=PLAIN))], request.length)
    assert not np.array_equal(plain, expected)


def test_a_recording_that_is_not_of_the_text(server: Server) -> None:
    silence = io.BytesIO()
    soundfile.write(silence, np.zeros(8000), 16000, format="WAV")
    response = score(server, MODEL | {"voice": "ann", "text": "Hello."}, silence.getvalue())
    assert (response.status_code, response.json()["error"]["code"]) == (400, "text_does_not_fit")
