"""`GET /v1/avatars/{name}.png`: a name has one picture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from ancestral.catalog.seeds import digest_seed
from ancestral.service.jobs.cache import AnswerCache
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import files, post
from tests.service.servers import Server

OTHERS = {"size": "16x12", "prompt": "dog", "style": "oil"}


def avatar(
    server: Server, name: str, form: str = "png", headers: dict[str, str] | None = None, **query: Any
) -> httpx.Response:
    """The picture of a name, drawn by a model of the tests."""
    url = f"{server.url}/v1/avatars/{quote(name, safe='')}.{form}"
    return httpx.get(url, params={"model": "rgb"} | query, headers=headers)


@pytest.mark.parametrize("name", ["alice", "alice@example.org", "a.b.png", "Żółć 日本", "50%", "?", ".", " "])
def test_a_name_is_a_seed(server: Server, name: str) -> None:
    found = avatar(server, name)
    assert found.status_code == 200, found.text
    assert found.headers["content-type"] == "image/png"
    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert found.headers["x-seed"] == str(digest_seed(0, name))
    drawn = post(server, "generations", prompt="any", seed=digest_seed(0, name), temperature=None)
    assert found.content == files(drawn)[0]


def test_one_job_draws_for_everybody(server: Server) -> None:
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
    for form, query in (
        ("webp", {}),
        ("png", {"size": "16x12"}),
        ("png", {"prompt": "dog"}),
        ("png", {"style": "oil"}),
    ):
        changed = avatar(server, "dave", form, headers={"if-none-match": found.headers["etag"]}, **query)
        assert changed.status_code == 200, changed.text
        assert changed.headers["etag"] != found.headers["etag"]


def test_a_picture_that_was_asked_for_lately_needs_no_job(server: Server) -> None:
    found = avatar(server, "eve")
    assert httpx.delete(f"{server.url}/v1/jobs/{found.headers['x-job-id']}").status_code == 200
    jobs = httpx.get(f"{server.url}/v1/jobs").json()["data"]
    again = avatar(server, "eve")
    assert again.content == found.content
    names = {name for name in found.headers if name.startswith("x-")} - {"x-request-id"}
    assert {name: again.headers[name] for name in (*names, "etag", "cache-control", "content-type")} == {
        name: found.headers[name] for name in (*names, "etag", "cache-control", "content-type")
    }
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
    ("name", "form", "query", "status", "param"),
    [
        ("x" * 257, "png", {}, 400, "name"),
        ("alice", "gif", {}, 400, "form"),
        ("alice", "png", {"model": "unknown"}, 404, "model"),
        ("alice", "png", {"size": "7x7"}, 400, "size"),
        ("alice", "png", {"style": "unknown"}, 400, "style"),
        ("alice", "png", {"prompt": "unknown"}, 400, "prompt"),
        ("alice", "png", {"seed": "1"}, 400, "seed"),
    ],
)
def test_what_cannot_be_drawn(
    server: Server, name: str, form: str, query: dict[str, Any], status: int, param: str
) -> None:
    check_envelope(avatar(server, name, form, **query), status, param)
