"""`POST /v1/audio/generations`: sound without text, and the continuation of a recording."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from ancestral.codecs import to_int16
from ancestral.models import checkpoint
from ancestral.models.audio.mu_law import decode_wave, encode_wave
from ancestral.models.engines import load_engine
from ancestral.models.engines.speech.engine import StreamRequest
from tests.service.api.envelope import check_envelope
from tests.service.servers import Server
from tests.service.toys import ASYNC, GENERATION, SPEECH, VOICES, sampled_by

RATE = 16000


def decode(data: bytes) -> NDArray[np.int16]:
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate == RATE
    return samples


def recording(seconds: float = 0.5, form: str = "WAV", seed: int = 0, rate: int = RATE) -> str:
    """Noise that swells, in base64."""
    count = int(seconds * rate)
    wave = np.random.default_rng(seed).normal(0.0, 0.1, count) * np.linspace(0.0, 1.0, count)
    file = io.BytesIO()
    soundfile.write(file, to_int16(wave.astype(np.float32)), rate, format=form, subtype="PCM_16")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.every_engine(quick=True)
def test_it_lasts_as_long_as_was_asked_for(server: Server, engine: str) -> None:
    response = server.generate(duration=1.25)
    assert response.status_code == 200
    assert response.headers["content-type"] == "audio/wav"
    assert (response.headers["x-seed"], response.headers["x-engine"]) == ("7", sampled_by("free", engine))
    samples = decode(response.content)
    assert len(samples) == 1.25 * RATE
    assert np.std(samples) > 100
    assert len(decode(server.generate(duration=1e-9).content)) == 1


def test_the_seed_decides(server: Server) -> None:
    first, again, other = (server.generate(seed=seed).content for seed in (1, 1, 2))
    assert first == again != other
    drawn = server.generate(seed=None)
    assert server.generate(seed=int(drawn.headers["x-seed"])).content == drawn.content
    assert server.generate(temperature=0.5).content != server.generate().content
    assert server.generate(voice={"id": "bob"}).content == server.generate(voice="bob").content
    assert server.generate(voice="bob").content != server.generate().content


def test_formats_hold_the_same_samples(server: Server) -> None:
    whole = decode(server.generate().content)
    assert np.array_equal(decode(server.generate(response_format="flac").content), whole)
    assert len(server.generate(response_format="pcm").content) == 2 * 24000
    response = server.generate(stream_format="sse")
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.split("\n\n") if line]
    sound = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert np.array_equal(decode(sound), whole)
    assert events[-1]["usage"] == {"input_tokens": 0, "output_tokens": RATE, "total_tokens": RATE}


def test_each_model_refuses_what_it_is_not_made_for(server: Server) -> None:
    assert check_envelope(server.generate(model="tiny"), 400, "model")["code"] == "model_not_capable"
    assert check_envelope(server.speak(model="free"), 400, "model")["code"] == "model_not_capable"
    with server.client() as client:
        assert client.get("/v1/models/free").json()["capabilities"] == ["generation", "continuation", "likelihood"]


@pytest.mark.parametrize(
    ("param", "value"),
    [("duration", 0), ("prompt_audio", recording(0.5)[:-400]), ("prompt_audio", recording(61.0, rate=4000))],
)
def test_a_wrong_value_is_named(server: Server, param: str, value: Any) -> None:
    """tests/service/test_requests.py has those of every field."""
    assert check_envelope(server.generate(**{param: value}), 400, param)["message"].startswith(f"{param}: ")


def test_long_sound_is_a_job(server: Server) -> None:
    response = server.generate(duration=1801.0)
    assert response.status_code == 202
    where = server.url + response.headers["location"]
    assert httpx.post(f"{where}/cancel").json()["status"] == "cancelled"


@pytest.mark.every_engine(quick=True)
def test_a_recording_is_continued_sample_by_sample(server: Server, zoo: Path, engine: str) -> None:
    """What the server makes is what the network says of the whole: recording, then continuation."""
    prompt = recording()
    loaded = checkpoint.load(zoo / "free" / "wavenet")
    spec = loaded.spec
    symbols = encode_wave(decode(base64.b64decode(prompt)) / np.float32(32768), spec.preemphasis, spec.gain)
    model = load_engine(engine, loaded)
    given = symbols[-spec.receptive_field :]
    stream = model.open(StreamRequest(len(given) + RATE, seed=7, temperature=1.0, speaker=VOICES.index("ann")))
    model.teacher_force(stream, given)
    (made,) = model.step([stream], RATE)
    whole = to_int16(decode_wave(np.concatenate([symbols, made]), spec.preemphasis, spec.gain))
    answer = server.generate(prompt_audio=prompt)
    assert np.array_equal(decode(answer.content), whole[len(symbols) :])
    assert not np.array_equal(decode(answer.content), decode(server.generate().content))


def test_the_prompt_decides_and_its_format_does_not(server: Server) -> None:
    first, flac, other = (
        server.generate(prompt_audio=prompt).content
        for prompt in (recording(), recording(form="FLAC"), recording(seed=1))
    )
    assert first == flac
    assert first != other
    job = server.generate(headers=ASYNC, prompt_audio=recording()).json()["id"]
    assert server.ended(job)["samples_done"] == RATE  # the prompt is not counted
    stored = httpx.get(f"{server.url}/v1/jobs/{job}/content").content
    assert np.array_equal(decode(stored), decode(first))


def test_a_prompt_larger_than_other_bodies(server: Server) -> None:
    prompt = recording(59.0)
    assert len(prompt) > 2 << 20
    assert server.generate(prompt_audio=prompt, duration=0.1).status_code == 200
    check_envelope(server.speak(input=prompt), 413, None)


def test_the_same_key_continues_a_lost_response(server: Server) -> None:
    body = {"duration": 30.0, "prompt_audio": recording()}
    headers = {"idempotency-key": "generations-1"}
    url = f"{server.url}/v1/audio/generations"
    with httpx.stream("POST", url, json=GENERATION | body, headers=headers, timeout=60) as response:
        assert next(response.iter_raw())
    whole = server.generate(headers=headers, **body)
    assert whole.headers["x-job-id"] == response.headers["x-job-id"]
    assert whole.content == server.generate(**body).content
    check_envelope(
        server.generate(headers=headers, **body | {"prompt_audio": recording(seed=1)}), 422, "Idempotency-Key"
    )


def test_json_is_wanted(server: Server) -> None:
    response = httpx.post(f"{server.url}/v1/audio/generations", data=SPEECH)
    check_envelope(response, 415, None)
