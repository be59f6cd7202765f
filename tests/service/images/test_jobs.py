"""Pictures as jobs: to be fetched later, once for a key, verified by their manifest; and models that cannot."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Any

import httpx
import pytest

from ancestral import service
from tests.service.api.envelope import check_envelope
from tests.service.images.job_requests import IMAGE, ORDERS, content, manifest_of, submit, verify
from tests.service.images.pictures import base64_of, decode, draw, files, noise, post, same, shown, written
from tests.service.servers import Serve, Server
from tests.service.toys import ASYNC


def test_a_job_from_its_start_to_its_end(server: Server) -> None:
    response = post(server, "generations", ASYNC, n=2)
    assert response.status_code == 202
    job = response.json()
    assert (job["model"], job["status"], job["progress"]) == ("rgb", "queued", 0.0)
    ended = server.ended(job["id"])
    assert (ended["status"], ended["progress"], ended["error"]) == ("completed", 1.0, None)
    assert ended["samples_done"] == ended["samples_total"] == 2 * 6 * 8 * 3
    news = httpx.get(f"{server.url}/v1/jobs/{job['id']}/events").text
    assert [line for line in news.splitlines() if line.startswith("event: ")][-1] == "event: job.completed"


@pytest.mark.parametrize(("form", "media"), [("png", "image/png"), ("webp", "image/webp"), ("jpeg", "image/jpeg")])
def test_one_picture_is_its_file(server: Server, form: str, media: str) -> None:
    found = content(server, submit(server, output_format=form, size="16x12"))
    assert found.headers["content-type"] == media
    assert found.headers["x-seed"] == "7"
    assert [found.content] == files(post(server, "generations", output_format=form, size="16x12"))


@pytest.mark.parametrize("route", ORDERS)
def test_several_pictures_are_a_zip(server: Server, route: str) -> None:
    changes = {"steps": 3} if route == "interpolations" else {"n": 3}
    job = submit(server, route, output_format="webp", **changes)
    found = content(server, job)
    assert found.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(found.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["0.webp", "1.webp", "2.webp"]
        entries = [archive.read(name) for name in archive.namelist()]
    assert entries == files(post(server, route, output_format="webp", **ORDERS[route] | changes))
    again = submit(server, route, output_format="webp", **changes)
    assert content(server, again).content == found.content


def test_a_range_of_the_content_is_sent(server: Server) -> None:
    job = submit(server, n=3)
    whole = content(server, job)
    size = len(whole.content)
    for asked, start, stop in (("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), (f"bytes={size - 5}-", size - 5, size)):
        part = content(server, job, range=asked)
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert part.content == whole.content[start:stop]
    refused = content(server, job, range=f"bytes={size}-")
    check_envelope(refused, 416, "Range")
    assert content(server, job, **{"if-none-match": whole.headers["etag"]}).status_code == 304
    assert httpx.head(f"{server.url}/v1/jobs/{job}/content").headers["content-length"] == str(size)


def test_the_content_of_what_was_sent_at_once(server: Server) -> None:
    response = post(server, "generations", output_format="webp")
    assert [content(server, response.headers["x-job-id"]).content] == files(response)


@pytest.mark.parametrize("route", ORDERS)
def test_the_same_key_is_the_same_job(server: Server, route: str) -> None:
    headers = {"idempotency-key": f"images-{route}"}
    changes = ORDERS[route] | {"seed": None}
    first, second = (post(server, route, headers, **changes) for _ in range(2))
    assert first.headers["x-job-id"] == second.headers["x-job-id"]
    assert first.json() == second.json()
    assert same(shown(first), shown(second))
    refused = check_envelope(post(server, route, headers, **changes | {"size": "16x12"}), 422, "Idempotency-Key")
    assert refused["code"] == "idempotency_key_reused"
    if route == "completions":
        other = base64_of(written(noise("rgb", seed=1)))
        check_envelope(post(server, route, headers, **changes | {"image": other}), 422, "Idempotency-Key")


def test_a_manifest_says_all(server: Server, engine: str) -> None:
    job = submit(server, style="Oil", size="24x18", output_format="webp", seed=None)
    manifest = manifest_of(server, job)
    found = content(server, job)
    seed = int(found.headers["x-seed"])
    assert manifest == {
        "object": "manifest",
        "job": job,
        "created_at": server.ended(job)["created_at"],
        "model": "rgb",
        "model_sha256": httpx.get(f"{server.url}/v1/models/rgb").json()["sha256"],
        "engine": engine,
        "seed": seed,
        "request": {
            "model": "rgb",
            "prompt": "dog",
            "style": "Oil",
            "n": 1,
            "best_of": 1,
            "size": "24x18",
            "seed": seed,
            "temperature": 1.0,
            "guidance": 1.0,
            "background": "opaque",
            "response_format": "b64_json",
            "output_format": "webp",
        },
        "prompt_sha256": None,
        "output": {
            "sha256": hashlib.sha256(found.content).hexdigest(),
            "bytes": len(found.content),
            "symbols_sha256": manifest["output"]["symbols_sha256"],
            "samples": 6 * 8 * 3,
            "media_type": "image/webp",
        },
        "version": service.__version__,
    }
    again = httpx.post(f"{server.url}/v1/images/generations", json=manifest["request"], timeout=60)
    assert files(again) == [found.content]


@pytest.mark.parametrize(
    ("route", "changes"),
    [
        ("generations", {"n": 3, "temperature": 0.8}),
        ("generations", {"prompt": None, "class": "cow", "style": "oil", "output_format": "jpeg", "size": "80x60"}),
        ("generations", {"model": "grey", "prompt": None, "seed": None, "response_format": "url"}),
        ("generations", {"model": "diagonal", "prompt": "twill", "n": 2}),
        ("generations", {"model": "row", "prompt": None}),
        ("generations", {"stream": True, "partial_images": 2}),
        ("interpolations", {"steps": 4, "output_format": "webp"}),
        ("interpolations", {"from": [0.5, -0.25, 1, 0, 2], "steps": 2}),
    ],
)
def test_a_manifest_of_pictures_is_verified_as_equal(server: Server, route: str, changes: dict[str, Any]) -> None:
    manifest = manifest_of(server, submit(server, route, **changes))
    found = verify(server, manifest)
    assert found.status_code == 200, found.text
    assert (found.json()["equal"], found.json()["symbols_equal"]) == (True, True)
    other = manifest | {"seed": 8, "request": manifest["request"] | {"seed": 8}}
    assert verify(server, other).json()["symbols_equal"] is False
    form = "png" if manifest["request"]["output_format"] != "png" else "webp"
    recoded = verify(server, manifest, output_format=form).json()
    assert (recoded["equal"], recoded["symbols_equal"]) == (False, True)


def test_a_completion_needs_its_picture_back(server: Server) -> None:
    manifest = manifest_of(server, submit(server, "completions", n=2, rows=None))
    assert manifest["request"]["rows"] == 3
    assert "image" not in manifest["request"]
    assert len(manifest["prompt_sha256"]) == 64
    refused = check_envelope(verify(server, manifest), 400, "request.image")
    assert refused["code"] == "missing_parameter"
    below = noise("rgb")
    below[3:] = 0  # what is not kept is not part of it
    for image in (IMAGE, base64_of(written(below))):
        found = verify(server, manifest, image=image).json()
        assert (found["equal"], found["symbols_equal"]) == (True, True)
    other = verify(server, manifest, image=base64_of(written(noise("rgb", seed=1))))
    assert check_envelope(other, 400, "request.image")["code"] == "prompt_differs"
    fewer = verify(server, manifest, image=IMAGE, rows=2)
    assert check_envelope(fewer, 400, "request.image")["code"] == "prompt_differs"
    plain = manifest_of(server, submit(server))
    superfluous = verify(server, plain, image=IMAGE)
    check_envelope(superfluous, 400, "request.image")
    forged = verify(server, manifest | {"prompt_sha256": None}, image=IMAGE)
    assert check_envelope(forged, 400, "request.image")["code"] == "prompt_differs"


def test_wrong_manifests_are_refused(server: Server) -> None:
    manifest = manifest_of(server, submit(server))
    check_envelope(verify(server, manifest, surprise=1), 400, "request.surprise")
    check_envelope(verify(server, manifest, n=11), 400, "request.n")
    check_envelope(verify(server, manifest, voice="ann"), 400, "request.voice")
    check_envelope(verify(server, manifest, prompt="zebra"), 400, "prompt")
    check_envelope(verify(server, manifest | {"seed": 9}), 400, "seed")
    between = manifest_of(server, submit(server, "interpolations"))
    check_envelope(verify(server, between, **{"from": {}}), 400, "request.from")
    gone = verify(server, manifest | {"model_sha256": "0" * 64})
    assert check_envelope(gone, 409, "model_sha256")["code"] == "model_changed"


def test_a_job_that_is_cancelled(serve: Serve) -> None:
    with serve(batch_slots=1, interactive_slots=1) as own:
        first = own.generate(headers=ASYNC, duration=3600.0).json()["id"]
        job = submit(own, n=10)
        assert httpx.get(f"{own.url}/v1/jobs/{job}").json()["status"] == "queued"
        assert httpx.post(f"{own.url}/v1/jobs/{job}/cancel").json()["status"] == "cancelled"
        refused = httpx.get(f"{own.url}/v1/jobs/{job}/content")
        assert check_envelope(refused, 409, None)["code"] == "job_cancelled"
        waiting = submit(own)
        httpx.post(f"{own.url}/v1/jobs/{first}/cancel")
        assert same([decode(content(own, waiting).content)], draw(own))


@pytest.mark.parametrize("route", ORDERS)
@pytest.mark.parametrize("model", ["tiny", "free"])
def test_models_that_speak_draw_nothing(server: Server, route: str, model: str) -> None:
    error = check_envelope(post(server, route, **ORDERS[route] | {"model": model}), 400, "model")
    assert error["code"] == "model_not_capable"


@pytest.mark.parametrize("model", ["rgb", "grey"])
def test_models_that_draw_say_nothing(server: Server, model: str) -> None:
    for response in (server.speak(model=model), server.generate(model=model)):
        assert check_envelope(response, 400, "model")["code"] == "model_not_capable"
    files = {"file": ("a.wav", server.speak().content)}
    data = {"model": model, "voice": "ann"}
    scored = httpx.post(f"{server.url}/v1/audio/likelihood", data=data, files=files, timeout=60)
    assert check_envelope(scored, 400, "model")["code"] == "model_not_capable"


def test_models_that_draw_have_no_voices(server: Server) -> None:
    voices = httpx.get(f"{server.url}/v1/audio/voices").json()["data"]
    assert not {model for voice in voices for model in voice["models"]} & {"rgb", "binary", "grey"}
