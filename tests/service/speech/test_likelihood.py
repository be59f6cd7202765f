"""`POST /v1/audio/likelihood`: the figures, what has to come with a recording, and who waits for them."""

from __future__ import annotations

import io
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from ancestral.models import checkpoint
from ancestral.models.audio.features import normalize_level
from ancestral.models.audio.mu_law import encode_wave
from ancestral.models.engines import load_engine
from tests.service.api.envelope import check_envelope
from tests.service.servers import Server
from tests.service.speech.likelihood_requests import recording, score
from tests.service.toys import ASYNC, SPEECH, VOICES, sampled_by

FREE = {"model": "free", "voice": "ann"}
SPOKEN = {"model": "tiny", "voice": "ann", "text": str(SPEECH["input"])}


@pytest.mark.every_engine
def test_the_figures_are_the_networks(server: Server, zoo: Path, engine: str) -> None:
    loaded = checkpoint.load(zoo / "free" / "wavenet")
    file = recording()
    wave, _ = soundfile.read(io.BytesIO(file), dtype="float32")
    symbols = encode_wave(normalize_level(wave, 16000), loaded.spec.preemphasis, loaded.spec.gain)
    nats = load_engine(engine, loaded).score(symbols, speaker=VOICES.index("ann"))
    response = score(server, FREE, file)
    assert response.status_code == 200
    assert response.headers["x-engine"] == sampled_by("free", engine)
    assert response.headers["x-model-sha256"] == loaded.sha256
    found = response.json()
    assert set(found) == {"bits_per_sample", "nats", "samples", "curve"}
    assert found["samples"] == len(symbols) == 5328
    assert found["nats"] == pytest.approx(-nats.sum(), abs=1e-3)
    assert found["bits_per_sample"] == pytest.approx(-nats.mean() / math.log(2), abs=1e-6)
    assert len(found["curve"]) == 34  # the last point is short
    assert sum(found["curve"]) == pytest.approx(found["nats"] / math.log(2), abs=0.1)
    assert score(server, FREE | {"voice": "bob"}, file).json()["nats"] != found["nats"]


def test_how_loud_a_recording_is_does_not_matter(server: Server) -> None:
    wave = np.random.default_rng(0).normal(0.0, 0.1, 5000).clip(-1, 1)
    scores = []
    for gain in (1.0, 0.25):
        file = io.BytesIO()
        soundfile.write(file, wave * gain, 16000, format="WAV", subtype="FLOAT")
        scores.append(score(server, FREE, file.getvalue()).json()["bits_per_sample"])
    assert scores[0] == pytest.approx(scores[1], abs=0.01)


def test_a_model_that_speaks_is_told_what_is_said(server: Server) -> None:
    sound = server.speak().content
    right = score(server, SPOKEN, sound)
    assert right.status_code == 200
    assert right.json()["samples"] == len(soundfile.read(io.BytesIO(sound))[0])
    assert [word["word"] for word in right.json()["words"]] == ["the", "birch", "canoe", "slid"]
    two = score(server, SPOKEN | {"text": "It was $5. It was."}, sound).json()
    assert [word["word"] for word in two["words"]] == ["it", "was", "five", "dollars", "it", "was"]
    assert sum(word["bits"] for word in two["words"]) < sum(two["curve"])
    assert score(server, SPOKEN, sound).json() == right.json()
    missing = {name: value for name, value in SPOKEN.items() if name != "text"}
    check_envelope(score(server, missing, sound), 400, "text")
    check_envelope(score(server, SPOKEN | {"text": "你好"}, sound), 400, "text")
    check_envelope(score(server, SPOKEN | {"text": "a" * 4097}, sound), 400, "text")
    check_envelope(score(server, FREE | {"text": "Hello."}, sound), 400, "text")


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "nothing", "voice": "ann"}, 404, "model"),
        ({"voice": "ann"}, 400, "model"),
        ({"model": "free"}, 400, "voice"),
        ({"model": "free", "voice": "nobody"}, 400, "voice"),
        (FREE | {"language": "en"}, 400, "language"),
        (FREE | {"voice": ["ann", "ann"]}, 400, "voice"),
    ],
)
def test_a_bad_field_is_named(server: Server, fields: dict[str, Any], status: int, param: str) -> None:
    check_envelope(score(server, fields), status, param)


@pytest.mark.parametrize("file", [b"", b"nothing", recording()[:-100], recording(61.0, 4000)])
def test_a_bad_file_is_named(server: Server, file: bytes) -> None:
    check_envelope(score(server, FREE, file), 400, "file")


def test_bodies_that_are_no_form(server: Server) -> None:
    url = f"{server.url}/v1/audio/likelihood"
    check_envelope(httpx.post(url, data=FREE), 415, None)
    check_envelope(httpx.post(url, json=FREE), 415, None)
    check_envelope(httpx.post(url), 415, None)
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        check_envelope(httpx.post(url, content=b"--y\r\n", headers={"content-type": kind}), 400, None)
    check_envelope(httpx.post(url, data=FREE, files={"sound": recording()}), 400, "file")
    many = [(name, ("a.wav", recording())) for name in ("file", "other")]
    check_envelope(httpx.post(url, data=FREE, files=many), 400, "other")
    text = {name: (None, value) for name, value in (FREE | {"file": "text"}).items()}
    check_envelope(httpx.post(url, files=text), 400, "file")


def test_an_asynchronous_likelihood_has_the_figures_of_a_direct_one(server: Server) -> None:
    response = score(server, FREE, headers=ASYNC)
    assert response.status_code == 202
    where = server.url + response.headers["location"]
    assert server.ended(response.json()["id"])["status"] == "completed"
    content = httpx.get(f"{where}/content")
    assert content.headers["content-type"] == "application/json"
    assert content.json() == score(server, FREE).json()
    assert httpx.get(f"{where}/content", headers={"range": "bytes=0-0"}).content == b"{"
    assert check_envelope(httpx.get(f"{where}/manifest"), 409, None)["code"] == "no_manifest"


def test_the_same_key_is_the_same_job(server: Server) -> None:
    headers = {"idempotency-key": "likelihood-1"}
    first, second = (score(server, FREE, headers=headers) for _ in range(2))
    assert first.headers["x-job-id"] == second.headers["x-job-id"]
    assert first.json() == second.json()
    check_envelope(score(server, FREE, recording(0.5), headers), 422, "Idempotency-Key")


def test_a_client_that_disconnects_cancels_the_job(server: Server) -> None:
    files = {"file": ("a.wav", recording(60.0))}
    before = server.newest()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/audio/likelihood", data=FREE, files=files, timeout=httpx.Timeout(60, read=0.3))
    assert server.ended(server.newest(other_than=before))["status"] == "cancelled"


def test_a_recording_too_short_for_its_text(server: Server) -> None:
    assert "too short" in check_envelope(score(server, SPOKEN, recording(0.05)), 400, "file")["message"]


def test_a_job_that_somebody_else_cancels(server: Server) -> None:
    before = server.newest()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(score, server, FREE, recording(60.0))
        job = server.newest(other_than=before)
        assert httpx.post(f"{server.url}/v1/jobs/{job}/cancel").status_code == 200
        assert check_envelope(answer.result(), 409, None)["code"] == "job_cancelled"
