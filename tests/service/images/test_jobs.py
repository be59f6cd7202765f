"""Pictures as jobs: fetched later, once for a key, verified by their manifest, cancelled; and many at a time."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from ancestral import service
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import (
    BEST,
    BODIES,
    COMPLETION,
    DRAWING,
    INTERPOLATION,
    base64_of,
    classes_of,
    content,
    decode,
    draw,
    entries,
    files,
    manifest_of,
    noise,
    post,
    same,
    submit,
    verify,
    written,
)
from tests.service.servers import Serve, Server
from tests.service.toys import ASYNC, GENERATION, PICTURES, SPEECH

REQUESTS, AT_A_TIME = 120, 12
Order = tuple[str, dict[str, Any]]


def test_a_job_from_its_start_to_its_end(server: Server) -> None:
    response = post(server, "generations", ASYNC, n=2)
    job = response.json()
    assert (job["model"], job["status"], job["progress"]) == ("rgb", "queued", 0.0)
    ended = server.ended(job["id"])
    assert (ended["status"], ended["progress"], ended["error"]) == ("completed", 1.0, None)
    assert ended["samples_done"] == ended["samples_total"] == 2 * 6 * 8 * 3
    news = httpx.get(f"{server.url}/v1/jobs/{job['id']}/events").text
    assert [line for line in news.splitlines() if line.startswith("event: ")][-1] == "event: job.completed"


JOBS: list[Order] = [
    ("generations", {"n": 3, "temperature": 0.8, "output_format": "webp"}),
    ("generations", {"prompt": None, "class": "cow", "style": "oil", "output_format": "jpeg", "size": "80x60"}),
    ("generations", {"model": "grey", "prompt": None, "response_format": "url"}),
    ("generations", {"model": "diagonal", "prompt": "twill", "n": 2}),
    ("generations", {"model": "row", "prompt": None}),
    ("generations", {"stream": True, "partial_images": 2, "response_format": None}),
    ("generations", {"model": "palette", "prompt": "elf", "background": "opaque"}),
    ("generations", {"model": "palette", "prompt": "elf", "palette": "game-boy"}),
    ("generations", BEST),
    ("interpolations", {"steps": 4, "output_format": "webp"}),
    ("interpolations", {"from": [0.5, -0.25, 1, 0, 2], "steps": 2}),
    ("completions", {"n": 2, "rows": None}),
    ("edits", {"n": 2}),
    ("reconstructions", {"n": 2}),
    ("portraits", {}),
]


@pytest.mark.parametrize(("route", "changes"), JOBS)
def test_a_job_has_the_files_of_an_answer_and_is_verified(server: Server, route: str, changes: dict[str, Any]) -> None:
    job = submit(server, route, **changes)
    found, manifest = content(server, job), manifest_of(server, job)
    answer = post(
        server, route, **{name: changes[name] for name in changes if name not in ("stream", "partial_images")}
    )
    form, wanted = manifest["request"]["output_format"], files(answer)
    assert found.headers["x-seed"] == "7"
    assert content(server, answer.headers["x-job-id"]).content == found.content, "that of an answer, too"
    if len(wanted) == 1:
        assert (found.headers["content-type"], found.content) == (f"image/{form}", wanted[0])
    else:
        assert found.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(found.content)) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == [f"{number}.{form}" for number in range(len(wanted))]
            assert [archive.read(name) for name in archive.namelist()] == wanted
    again: dict[str, Any] = {}
    if route not in ("generations", "interpolations"):
        assert "image" not in manifest["request"]
        assert len(manifest["prompt_sha256"]) == 64
        again = {"image": base64_of(written(noise((BODIES[route] | changes)["model"])))}
        other = base64_of(written(noise((BODIES[route] | changes)["model"], seed=1)))
        for wrong, code in (({}, "missing_parameter"), ({"image": other}, "prompt_differs")):
            assert check_envelope(verify(server, manifest, **wrong), 400, "request.image")["code"] == code
    verified = verify(server, manifest, **again)
    assert verified.status_code == 200, verified.text
    assert (verified.json()["equal"], verified.json()["symbols_equal"]) == (True, True)
    reseeded = verify(server, manifest | {"seed": 8}, seed=8, **again)
    assert reseeded.json()["symbols_equal"] is False
    recoded = verify(server, manifest, output_format="png" if form != "png" else "webp", **again).json()
    assert (recoded["equal"], recoded["symbols_equal"]) == (False, True)


def test_the_file_of_the_best_is_named_after_its_seed(server: Server) -> None:
    answer = post(server, "generations", **BEST | {"n": 1, "response_format": "url"})
    found = content(server, answer.headers["x-job-id"])
    assert [found.content] == files(answer)
    assert f"-{entries(answer)[0]['seed']}.png" in found.headers["content-disposition"]
    manifest = manifest_of(server, answer.headers["x-job-id"])
    assert (manifest["request"]["best_of"], manifest["output"]["samples"]) == (4, 4 * PICTURES["palette"].dims)
    assert verify(server, manifest, best_of=3).json()["equal"] is False


def test_a_range_of_the_content_is_sent(server: Server) -> None:
    job = submit(server, n=3)
    whole = content(server, job)
    size = len(whole.content)
    for asked, start, stop in (("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), (f"bytes={size - 5}-", size - 5, size)):
        part = content(server, job, range=asked)
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert part.content == whole.content[start:stop]
    check_envelope(content(server, job, range=f"bytes={size}-"), 416, "Range")
    assert content(server, job, **{"if-none-match": whole.headers["etag"]}).status_code == 304
    assert httpx.head(f"{server.url}/v1/jobs/{job}/content").headers["content-length"] == str(size)


@pytest.mark.parametrize(
    ("route", "changes", "other"),
    [
        ("generations", {"seed": None}, {"size": "16x12"}), ("interpolations", {"seed": None}, {"size": "16x12"}),
        ("generations", BEST, {"best_of": 3}), ("completions", {"seed": None}, {"image": noise("rgb", seed=1)}),
        ("likelihood", {}, {"file": noise("rgb", seed=1)}), ("likelihood", {}, {"map": "true"}),
    ],
)  # fmt: skip
def test_the_same_key_is_the_same_job(
    server: Server, route: str, changes: dict[str, Any], other: dict[str, Any]
) -> None:
    headers = {"idempotency-key": "-".join(["images", route, *other])}
    first, second = (post(server, route, headers, **changes) for _ in range(2))
    assert first.status_code == 200
    assert first.headers["x-job-id"] == second.headers["x-job-id"]
    assert first.json() == second.json()
    check_envelope(post(server, route, headers, **changes | other), 422, "Idempotency-Key")


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
    again = post(server, "generations", **manifest["request"])
    assert files(again) == [found.content]


def test_a_manifest_of_a_completion(server: Server) -> None:
    """It has the hash of the rows that were kept, and of nothing else."""
    manifest, below = manifest_of(server, submit(server, "completions", rows=None)), noise("rgb")
    image = base64_of(written(below))
    assert manifest["request"]["rows"] == 3
    below[3:] = 0
    assert verify(server, manifest, image=base64_of(written(below))).json()["equal"] is True
    for response in (
        verify(server, manifest, image=image, rows=2),
        verify(server, manifest | {"prompt_sha256": None}, image=image),
    ):
        assert check_envelope(response, 400, "request.image")["code"] == "prompt_differs"
    check_envelope(verify(server, manifest_of(server, submit(server)), image=image), 400, "request.image")


def test_wrong_manifests_are_refused(server: Server) -> None:
    manifest = manifest_of(server, submit(server))
    for changes, param in (
        ({"surprise": 1}, "request.surprise"),
        ({"n": 11}, "request.n"),
        ({"voice": "ann"}, "request.voice"),
        ({"prompt": "zebra"}, "prompt"),
    ):
        check_envelope(verify(server, manifest, **changes), 400, param)
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


def order(number: int) -> Order:
    """No two of the requests are the same; one of four is for sound."""
    model = list(PICTURES)[number % len(PICTURES)]
    names = [*classes_of(model), "any"]
    own: dict[str, Any] = {
        "model": model,
        "prompt": names[number // 4 % len(names)] if classes_of(model) else None,
        "seed": number,
        "n": number % 4 + 1,
        "temperature": (1.0, 0.5, 0.0)[number % 7 % 3],
        "guidance": (None, 2.0)[number % 2] if classes_of(model) else None,
        "output_format": ("png", "webp", "jpeg")[number % 5 % 3],
    }
    if number % 8 == 0:
        return "audio/speech", SPEECH | {"input": f"Canoe number {number}.", "seed": number}
    if number % 8 == 4:
        return "audio/generations", GENERATION | {"duration": 0.5, "seed": number}
    if number % 8 == 2:
        return "images/completions", COMPLETION | own | {"image": base64_of(written(noise(model, seed=number)))}
    if number % 8 == 6:
        return "images/interpolations", INTERPOLATION | {"seed": number, "steps": number % 6 + 2}
    if number % 8 == 1:
        return "images/generations", DRAWING | own | {"stream": True, "partial_images": 0}
    return "images/generations", DRAWING | own


def body(client: httpx.Client, wanted: Order) -> bytes:
    """What of an answer must always be the same: all but when it was made."""
    route, fields = wanted
    given = {name: value for name, value in fields.items() if value is not None}
    response = client.post(f"/v1/{route}", json=given)
    assert response.status_code == 200, response.text
    if route.startswith("audio") or "text/event-stream" in response.headers["content-type"]:
        return re.sub(rb'"created_at":\s*\d+', b"", response.content)
    return repr(response.json()["data"]).encode()


@pytest.mark.slow
def test_nobody_gets_anything_of_anybody_else(serve: Serve) -> None:
    orders = [order(number) for number in range(REQUESTS)]
    with serve(interactive_slots=8, max_queued_streams=AT_A_TIME) as server, server.client() as client:
        alone = [body(client, wanted) for wanted in orders]
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            together = list(pool.map(lambda wanted: body(client, wanted), orders))
        assert not [line for line in server.log if "traceback" in line]
    assert len(set(alone)) > REQUESTS * 0.9  # at temperature 0 the seed does not matter
    assert [number for number in range(REQUESTS) if together[number] != alone[number]] == []
