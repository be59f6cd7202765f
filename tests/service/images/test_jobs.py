"""Pictures as jobs: fetched later, once for a key, verified by their manifest, cancelled, many at a time; under URLs;
and `GET /v1/avatars/{name}.png`, where a name has one picture."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import httpx
import pytest

import ancestral_service
from ancestral.catalog.seeds import digest_seed
from ancestral_service.jobs.state import AnswerCache
from tests.service.api.job_requests import NOBODY, check_envelope
from tests.service.images.pictures import (
    BEST,
    BODIES,
    base64_of,
    content,
    entries,
    files,
    manifest_of,
    noise,
    post,
    submit,
    verify,
    written,
)
from tests.service.servers import Serve, Server

REQUESTS, AT_A_TIME = 120, 12
JOBS: list[tuple[str, dict[str, Any]]] = [
    ("generations", {"n": 3, "temperature": 0.8, "output_format": "webp"}),
    ("generations", {"prompt": None, "class": "cow", "style": "oil", "output_format": "jpeg", "size": "80x60"}),
    ("generations", {"model": "grey", "prompt": None, "response_format": "url"}),
    ("generations", {"model": "diagonal", "prompt": "twill", "n": 2}),
    ("generations", {"model": "row", "prompt": None}),
    ("generations", {"stream": True, "partial_images": 2, "response_format": None}),
    ("generations", {"model": "palette", "prompt": "elf", "background": "opaque"}),
    ("generations", {"model": "palette", "prompt": "elf", "palette": "game-boy"}), ("generations", BEST),
    ("interpolations", {"steps": 4, "output_format": "webp"}),
    ("interpolations", {"from": [0.5, -0.25, 1, 0, 2], "steps": 2}), ("completions", {"n": 2, "rows": None}),
    ("generations", {"model": "subclasses", "prompt": "owl", "n": 4, "guidance": 2.0}),
    ("edits", {"n": 2}), ("reconstructions", {"n": 2}), ("portraits", {}),
]  # fmt: skip


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


@pytest.mark.parametrize(("route", "field"), [("completions", "image"), ("likelihood", "file")])
def test_the_same_key_is_the_same_job(server: Server, route: str, field: str) -> None:
    headers = {"idempotency-key": f"images-{route}"}
    first, second = (post(server, route, headers, seed=None) for _ in range(2))
    assert first.status_code == 200
    assert first.headers["x-job-id"] == second.headers["x-job-id"]
    assert first.json() == second.json()
    check_envelope(post(server, route, headers, seed=None, **{field: noise("rgb", seed=1)}), 422, "Idempotency-Key")


def test_a_manifest_says_all(server: Server, engine: str) -> None:
    job = submit(server, style="Oil", size="24x18", output_format="webp", seed=None)
    manifest = manifest_of(server, job)
    found = content(server, job)
    seed = int(found.headers["x-seed"])
    request = {
        "model": "rgb", "prompt": "dog", "style": "Oil", "n": 1, "best_of": 1, "size": "24x18", "seed": seed,
        "temperature": 1.0, "guidance": 1.0, "background": "opaque", "response_format": "b64_json",
        "output_format": "webp",
    }  # fmt: skip
    output = {
        "sha256": hashlib.sha256(found.content).hexdigest(), "bytes": len(found.content), "samples": 6 * 8 * 3,
        "symbols_sha256": manifest["output"]["symbols_sha256"], "media_type": "image/webp",
    }  # fmt: skip
    assert manifest == {
        "object": "manifest", "job": job, "created_at": server.ended(job)["created_at"], "model": "rgb",
        "model_sha256": httpx.get(f"{server.url}/v1/models/rgb").json()["sha256"], "engine": engine, "seed": seed,
        "request": request, "prompt_sha256": None, "output": output, "version": ancestral_service.__version__,
    }  # fmt: skip
    again = post(server, "generations", **manifest["request"])
    assert files(again) == [found.content]


@pytest.mark.slow
def test_nobody_gets_anything_of_anybody_else(serve: Serve) -> None:
    """Each of many requests at a time, for pictures and sound, gets what it would have got alone."""

    def ask(number: int) -> bytes | list[bytes]:
        route, changes = JOBS[number % len(JOBS)]
        if "stream" in changes:
            if number // len(JOBS) % 2:
                return server.generate(duration=0.5, seed=number).content
            return server.speak(input=f"Canoe number {number}.", seed=number).content
        return files(post(server, route, **changes, seed=number))

    with serve(interactive_slots=8, max_queued_streams=AT_A_TIME) as server:
        alone = list(map(ask, range(REQUESTS)))
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            together = list(pool.map(ask, range(REQUESTS)))
        assert not [line for line in server.log if "traceback" in line]
    assert len(set(map(repr, alone))) == REQUESTS
    assert [number for number in range(REQUESTS) if together[number] != alone[number]] == []


# Under URLs, which need nothing else


def urls(response: httpx.Response) -> list[str]:
    """Where the pictures of an answer are."""
    return [entry["url"] for entry in entries(response)]


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    """Of the second picture of two."""
    return urls(post(server, "generations", n=2, response_format=None))[1]


def test_a_url_gives_the_file_and_pages_of_other_origins_may_show_it(server: Server, url: str) -> None:
    found = httpx.get(url, headers={"origin": "https://example.org"})
    assert (found.status_code, found.headers["content-type"]) == (200, "image/png")
    assert found.content == files(post(server, "generations", n=2))[1]
    assert httpx.get(url).content == found.content
    assert httpx.get(url, headers={"if-none-match": found.headers["etag"]}).status_code == 304
    assert httpx.get(url.replace("/1.png", "/0.png")).headers["etag"] != found.headers["etag"]
    part = httpx.get(url, headers={"range": "bytes=4-9"})
    assert (part.status_code, part.content) == (206, found.content[4:10])
    assert found.headers["cross-origin-resource-policy"] == "cross-origin"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert found.headers["cache-control"].startswith("private")


def test_every_job_has_a_token_of_its_own(server: Server, url: str) -> None:
    other = urls(post(server, "generations", n=2, response_format="url"))[1]
    tokens = [re.sub(".*token=", "", one) for one in (url, other)]
    assert tokens[0] != tokens[1]
    assert all(len(token) >= 20 for token in tokens)
    swapped = url.replace(tokens[0], tokens[1])
    assert check_envelope(httpx.get(swapped), 404, None)["code"] == "picture_not_found"


@pytest.mark.parametrize(
    ("pattern", "replacement", "param"),
    [
        *((r"token=.*", token, None) for token in ("token=", "token=wrong", "token=%C3%A9")),
        (r"token=(.*).", r"token=\1", None), (r"token=(.*)", r"token=\1\1", None), (r"job_[^/]*", NOBODY, None),
        *((r"/1\.png", name, None) for name in (
            "/0002.png", "/2.png", "/99.png", "/1.webp", "/1.jpeg", "/1/1.png", "/1")),
        *((r"/1\.png", name, "index") for name in ("/-1.png", "/100.png", "/one.png")), (r"/1\.png", "/1.gif", "form"),
        (r"\?token=.*", "", "token"), (r"token=.*", "token=" + "x" * 65, "token"), (r"job_[^/]*", "job_1", "job_id"),
    ],
)  # fmt: skip
def test_there_is_nothing_beside_it(url: str, pattern: str, replacement: str, param: str | None) -> None:
    """Nor is what no URL can be."""
    wrong = re.sub(pattern, replacement, url)
    assert wrong != url
    check_envelope(httpx.get(wrong), 404 if param is None else 400, param)


def test_jobs_without_pictures(server: Server, url: str) -> None:
    spoken, scored = server.speak(), post(server, "likelihood")
    for response in (spoken, scored):
        check_envelope(httpx.get(re.sub(r"job_[^/]*", response.headers["x-job-id"], url)), 404, None)


def test_a_job_that_was_deleted_has_none(server: Server) -> None:
    response = post(server, "generations", response_format="url")
    (mine,) = urls(response)
    assert httpx.get(mine).status_code == 200
    assert httpx.delete(f"{server.url}/v1/jobs/{response.headers['x-job-id']}").status_code == 200
    check_envelope(httpx.get(mine), 404, None)


def test_no_key_is_needed_where_there_are_keys(keyed: Server, keys: dict[str, str]) -> None:
    headers, before = {"authorization": f"Bearer {keys['files']}"}, len(keyed.log)  # threads of other tests log, too
    (found,) = urls(post(keyed, "generations", headers, response_format="url"))
    plain = post(keyed, "generations", headers)
    assert httpx.get(found).content == files(plain)[0]
    check_envelope(httpx.get(found + "x"), 404, None)
    assert not any(word in str(keyed.log[before:]) for word in ("token=", re.sub(".*token=", "", found)))


# Avatars


def avatar(
    server: Server, name: str, form: str = "png", headers: dict[str, str] | None = None, **query: Any
) -> httpx.Response:
    """The picture of a name, drawn by a model of the tests."""
    url = f"{server.url}/v1/avatars/{quote(name, safe='')}.{form}"
    return httpx.get(url, params={"model": "rgb"} | query, headers=headers)


@pytest.mark.parametrize("name", ["alice", "alice@example.org", "a.b.png", "Żółć 日本", "a/b", "50%", "?", ".", " "])
def test_a_name_is_a_seed(server: Server, name: str) -> None:
    found = avatar(server, name)
    assert found.status_code == 200, found.text
    assert found.headers["content-type"] == "image/png"
    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert found.headers["x-seed"] == str(digest_seed(0, name))
    drawn = post(server, "generations", prompt="any", seed=digest_seed(0, name), temperature=None)
    assert found.content == files(drawn)[0]


def test_one_job_draws_for_everybody(server: Server) -> None:
    tag = avatar(server, "bob", headers={"if-none-match": "*"}, size="16x12").headers["etag"].strip('"')
    post(server, "generations", {"idempotency-key": f"avatar-{tag}"}, prompt="any")  # another's key is another job
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: avatar(server, "bob", size="16x12"), range(16)))
    assert {response.status_code for response in found} == {200}
    assert len({response.content for response in found}) == 1
    assert len({response.headers["x-job-id"] for response in found}) == 1
    other = avatar(server, "carol", size="16x12")
    assert other.content != found[0].content
    assert other.headers["etag"] != found[0].headers["etag"]


def test_a_client_that_has_it_gets_304(server: Server) -> None:
    found = avatar(server, "dave")
    jobs = httpx.get(f"{server.url}/v1/jobs").json()["data"]
    again = avatar(server, "dave", headers={"if-none-match": f'"other", W/{found.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", found.headers["etag"])
    assert httpx.get(f"{server.url}/v1/jobs").json()["data"] == jobs
    for query in ({"form": "webp"}, {"size": "16x12"}, {"prompt": "dog"}, {"style": "oil"}):
        changed = avatar(server, "dave", headers={"if-none-match": found.headers["etag"]}, **query)
        assert changed.status_code == 200, changed.text
        assert changed.headers["etag"] != found.headers["etag"]


def test_a_picture_that_was_asked_for_lately_needs_no_job(server: Server) -> None:
    found = avatar(server, "eve")
    assert httpx.delete(f"{server.url}/v1/jobs/{found.headers['x-job-id']}").status_code == 200
    jobs = httpx.get(f"{server.url}/v1/jobs").json()["data"]
    again = avatar(server, "eve")
    assert again.content == found.content
    names = {name for name in found.headers if name.startswith("x-")} - {"x-request-id"}
    for name in (*names, "etag", "cache-control", "content-type"):
        assert again.headers[name] == found.headers[name]
    assert httpx.get(f"{server.url}/v1/jobs").json()["data"] == jobs


def test_the_cache_forgets_what_was_not_asked_for_the_longest_time() -> None:
    cache = AnswerCache(most=3 * 10_000)
    for name in "abc":
        cache.put(name, name.encode() * 7000, {"etag": name})
    assert cache.get("a") == (b"a" * 7000, {"etag": "a"})
    cache.put("d", b"d" * 7000, {})
    assert [name for name in "abcd" if cache.get(name) is not None] == ["a", "c", "d"]
    cache.put("e", b"e" * 30_000, {})  # alone it has no room
    assert [name for name in "acde" if cache.get(name) is not None] == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("size", "7x7"), ("style", "unknown"), ("prompt", "unknown"), ("seed", "1"), ("palette", "none"),
        ("form", "gif"), ("model", "unknown"), ("name", "x" * 257),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn(server: Server, param: str, value: str) -> None:
    asked: dict[str, Any] = {"name": "alice", param: value}
    check_envelope(avatar(server, **asked), 404 if param == "model" else 400, param)
