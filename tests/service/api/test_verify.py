"""What is made again: manifests, `POST /v1/verify`, seeds; how files are named."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from starlette.responses import Response

import ancestral_service
from ancestral.catalog.seeds import seed_of_text
from ancestral.images.drawing import ClassDrawing, Interpolation
from ancestral.speech.utterance import Generation
from ancestral_models.entries import PLAIN
from ancestral_service.api.responses import disposition, sample_headers
from ancestral_service.broker.job import Job, Priority
from tests.service.api.job_requests import TEXT, accepted, check_envelope, made, verify
from tests.service.images.pictures import files, post, seeds
from tests.service.servers import Server
from tests.service.speech.sounds import in_base64, recording
from tests.service.toys import ASYNC, SPEECH, sampled_by

# Manifests, and `POST /v1/verify`, which makes a job's sound once more and compares.


@pytest.fixture(scope="module")
def manifest(server: Server) -> dict[str, Any]:
    return made(
        server, response_format="mp3", speed=2.0, pitch=-2.0, intonation=0.5, temperature=0.9, sample_rate=24000
    )


def test_a_manifest_says_all(server: Server, manifest: dict[str, Any], engine: str) -> None:
    job = httpx.get(f"{server.url}/v1/jobs/{manifest['job']}").json()
    content = httpx.get(f"{server.url}/v1/jobs/{manifest['job']}/content")
    seed = int(content.headers["x-seed"])
    request = {
        "model": "tiny", "input": TEXT, "input_format": "text", "language": "en", "pronunciations": {}, "voices": {},
        "voice": "ann", "response_format": "mp3", "speed": 2.0, "pitch": -2.0, "intonation": 0.5, "instructions": "",
        "seed": seed, "temperature": 0.9, "sample_rate": 24000,
    }  # fmt: skip
    output = {
        "sha256": hashlib.sha256(content.content).hexdigest(), "bytes": len(content.content),
        "symbols_sha256": manifest["output"]["symbols_sha256"], "samples": job["samples_total"],
        "media_type": "audio/mpeg",
    }  # fmt: skip
    assert manifest == {
        "object": "manifest", "job": job["id"], "created_at": job["created_at"], "model": "tiny",
        "model_sha256": httpx.get(f"{server.url}/v1/models/tiny").json()["sha256"],
        "engine": sampled_by("tiny", engine), "seed": seed, "request": request, "prompt_sha256": None,
        "output": output, "version": ancestral_service.__version__,
    }  # fmt: skip


def test_the_request_of_a_manifest_makes_the_same_sound(server: Server) -> None:
    manifest = made(server, response_format="pcm", sample_rate=None)
    again = httpx.post(f"{server.url}/v1/audio/speech", json=manifest["request"], timeout=60)
    assert hashlib.sha256(again.content).hexdigest() == manifest["output"]["sha256"]


@pytest.mark.every_engine
def test_a_manifest_is_verified_as_equal(server: Server, manifest: dict[str, Any], engine: str) -> None:
    response = verify(server, manifest)
    assert response.status_code == 200
    found = response.json()
    sha256 = manifest["output"]["sha256"]
    assert found == {
        "object": "verification", "equal": True, "differs": [], "symbols_equal": True, "expected_sha256": sha256,
        "actual_sha256": sha256, "model_sha256": manifest["model_sha256"], "engine": sampled_by("tiny", engine),
        "job": response.headers["x-job-id"],
    }  # fmt: skip
    assert found["job"] != manifest["job"]
    assert httpx.get(f"{server.url}/v1/jobs/{found['job']}").json()["status"] == "completed"


def test_the_fields_that_differ_are_named(server: Server, manifest: dict[str, Any]) -> None:
    other_seed = manifest | {"seed": 1, "request": manifest["request"] | {"seed": 1}}
    found = verify(server, other_seed).json()
    assert (found["equal"], found["symbols_equal"]) == (False, False)
    assert {"output.sha256", "output.symbols_sha256"} <= set(found["differs"])
    assert found["actual_sha256"] != found["expected_sha256"]
    other_form = manifest | {"request": manifest["request"] | {"response_format": "wav"}}
    found = verify(server, other_form).json()
    assert (found["equal"], found["symbols_equal"]) == (False, True)
    assert found["differs"] == ["output.sha256", "output.bytes", "output.media_type"]


def changed(manifest: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    first, _, rest = path.partition(".")
    return manifest | {first: changed(manifest[first], rest, value) if rest else value}


@pytest.mark.parametrize(
    ("path", "value", "status"),
    [
        ("surprise", 1, 400), ("object", "job", 400), ("job", "x", 400), ("seed", -1, 400), ("seed", 3, 400),
        ("model", "nothing", 404), ("model", "broken", 400), ("model_sha256", "0" * 63, 400), ("output", None, 400),
        ("output.sha256", "x", 400), ("output.bytes", "1", 400), ("output.surprise", 1, 400), ("request", [], 400),
        ("request.surprise", 1, 400), ("request.input", "", 400), ("request.voice", {"name": "ann"}, 400),
        ("request.duration", 1.0, 400),
    ],
)  # fmt: skip
def test_a_wrong_manifest(server: Server, manifest: dict[str, Any], path: str, value: Any, status: int) -> None:
    check_envelope(verify(server, changed(manifest, path, value)), status, path)


@pytest.mark.parametrize(
    ("path", "value"), [("engine", "another"), ("output.samples", 10**12), ("output.symbols_sha256", "0" * 64)]
)
def test_a_false_claim_is_named(server: Server, manifest: dict[str, Any], path: str, value: Any) -> None:
    found = verify(server, changed(manifest, path, value)).json()
    assert (found["equal"], found["differs"]) == (False, [path])


def test_another_model_and_other_weights_are_named(server: Server, manifest: dict[str, Any]) -> None:
    refused = verify(server, manifest | {"model": "free"})  # although its requests have other fields
    assert check_envelope(refused, 400, "model")["code"] == "inconsistent_manifest"
    refused = verify(server, manifest | {"model_sha256": "0" * 64})
    assert check_envelope(refused, 409, "model_sha256")["code"] == "model_changed"
    assert refused.headers["x-should-retry"] == "false"


def test_a_continuation_needs_its_recording_back(server: Server) -> None:
    prompts = [in_base64(recording(0.25, seed=seed)) for seed in range(2)]
    manifest = made(server, "generations", duration=0.5, prompt_audio=prompts[0])
    assert "prompt_audio" not in manifest["request"]
    refused = verify(server, manifest)
    assert check_envelope(refused, 400, "request.prompt_audio")["code"] == "missing_parameter"
    wrong = verify(server, changed(manifest, "request.prompt_audio", prompts[1]))
    assert check_envelope(wrong, 400, "request.prompt_audio")["code"] == "prompt_differs"
    assert verify(server, changed(manifest, "request.prompt_audio", prompts[0])).json()["equal"] is True
    plain = made(server, "generations", duration=0.5)
    superfluous = verify(server, changed(plain, "request.prompt_audio", prompts[0]))
    assert check_envelope(superfluous, 400, "request.prompt_audio")["code"] == "prompt_differs"


def test_an_asynchronous_verification_is_a_job(server: Server, manifest: dict[str, Any]) -> None:
    job = accepted(verify(server, manifest, ASYNC))
    assert server.ended(job)["status"] == "completed"
    again = httpx.get(f"{server.url}/v1/jobs/{job}/manifest").json()
    assert again["output"] == manifest["output"]
    assert again["request"] == manifest["request"]


def test_a_client_that_disconnects_cancels_the_verification(server: Server) -> None:
    manifest = made(server, "generations", duration=0.5)
    long = changed(manifest, "request.duration", 3600.0)
    before = server.newest()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/verify", json=long, timeout=httpx.Timeout(60, read=0.3))
    assert server.ended(server.newest(other_than=before))["status"] == "cancelled"


# A seed that is a text: the answer has the number that the text stands for.


def test_a_seed_that_is_a_text(server: Server) -> None:
    named, numbered = (post(server, "generations", seed=seed, n=2) for seed in ("alice", seed_of_text("alice")))
    assert seeds(named)[0] == seed_of_text("alice") == int(named.headers["x-seed"])
    assert files(named) == files(numbered), "the recipe has the number, too"


# `Content-Disposition`: files are named by model, voice or class, and seed.


JOB = Job("kind", Priority.BACKGROUND, "a.model-en", "aa", "me", "{}", 0.0)
DRAWN = {
    "guidance": 1.0, "style": None, "size": "8x6", "scale": 1, "fit": None, "response_format": "url",
    "output_format": "png", "background": "opaque", "token": "t", "temperature": 1.0,
}  # fmt: skip


def sound(voice: str) -> Generation:
    return Generation(
        voice=voice, response_format="opus", sample_rate=None, sampling=PLAIN, seed=7, temperature=1.0, duration=1.0,
        samples=16000,
    )  # fmt: skip


def picture(prompt: str | None, count: int = 1) -> ClassDrawing:
    seeds = tuple(range(7, 7 + count))
    return ClassDrawing(
        prompt=prompt, labels=((None,),) * count, requested=((None,),), seeds=seeds,
        **DRAWN,
    )  # fmt: skip


def test_pictures_are_named_by_what_they_show() -> None:
    named = {
        'inline; filename="a.model-en-cat-7.png"': disposition(JOB, picture("cat")),
        'inline; filename="a.model-en-7.png"': disposition(JOB, picture(None)),
        'inline; filename="a.model-en-cat-7.zip"': disposition(JOB, picture("cat", 3)),
        'inline; filename="a.model-en-cat-9.png"': disposition(JOB, picture("cat", 3), 2),
    }
    assert named == {header: {"content-disposition": header} for header in named}
    between = Interpolation(
        prompt="cat-to-embedding", begin="cat", end=(0.5,), steps=2, ends=((0,), (None,)), seeds=(7, 7), **DRAWN
    )
    assert 'filename="a.model-en-cat-to-embedding-7.zip"' in disposition(JOB, between)["content-disposition"]


@pytest.mark.parametrize(
    ("voice", "part"),
    [
        ("../../etc/passwd", "etc_passwd"), ('a"; filename="b', "a_filename_b"),
        ("a\r\nset-cookie: x\0", "a_set-cookie_x"), ("C:\\con", "C_con"), ("heart(2)+joe(1)", "heart_2_+joe_1"),
        ("-.rc", "rc"), ("x" * 4096, "x" * 60), ("a\ud800b", "a_b"),
    ],
)  # fmt: skip
def test_names_are_safe(voice: str, part: str) -> None:
    header = disposition(JOB, sound(voice))["content-disposition"]
    assert header == f'inline; filename="a.model-en-{part}-7.opus"'


@pytest.mark.parametrize("voice", ["Zoë", "猫"])
def test_other_letters_are_kept(voice: str) -> None:
    header = disposition(JOB, sound(voice))["content-disposition"]
    assert header.isascii()
    plain, extended = re.fullmatch(r"inline; filename=\"([^\"]+)\"; filename\*=UTF-8''(\S+)", header).groups()  # type: ignore[union-attr]
    assert plain == "a.model-en-" + re.sub("[^!-~]", "_", voice) + "-7.opus"
    assert unquote(extended) == f"a.model-en-{voice}-7.opus"
    assert unquote(Response(headers=sample_headers(JOB, sound(voice), None)).headers["x-voice"]) == voice


def test_sound_that_is_streamed_and_its_job_have_one_name(server: Server) -> None:
    streamed = server.speak()
    expected = f'inline; filename="tiny-ann-{streamed.headers["x-seed"]}.{SPEECH["response_format"]}"'
    assert streamed.headers["content-disposition"] == expected
    content = httpx.get(f"{server.url}/v1/jobs/{streamed.headers['x-job-id']}/content")
    assert content.headers["content-disposition"] == expected
    events = server.speak(stream_format="sse")
    assert "content-disposition" not in events.headers
