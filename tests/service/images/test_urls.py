"""Pictures under URLs: `GET /v1/images/files/…`, where nothing but the URL is needed, and `GET /v1/avatars/{name}.png`,
where a name has one picture."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from ancestral.catalog.seeds import digest_seed
from ancestral.service.jobs.cache import AnswerCache
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import (
    ROUTES,
    entries,
    files,
    post,
)
from tests.service.servers import Server

NOBODY = "job_000000000000000000000000"


def urls(response: httpx.Response) -> list[str]:
    """Where the pictures of an answer are."""
    return [entry["url"] for entry in entries(response)]


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    """Of the second picture of two."""
    return urls(post(server, "generations", n=2, response_format=None))[1]


def test_a_url_gives_the_file(server: Server, url: str) -> None:
    found, head = httpx.get(url), httpx.head(url)
    assert (found.status_code, found.headers["content-type"]) == (200, "image/png")
    assert found.content == files(post(server, "generations", n=2))[1]
    assert httpx.get(url).content == found.content
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == int(found.headers["content-length"]) == len(found.content)
    unchanged = httpx.get(url, headers={"if-none-match": found.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert httpx.get(url.replace("/1.png", "/0.png")).headers["etag"] != found.headers["etag"]
    part = httpx.get(url, headers={"range": "bytes=4-9"})
    assert (part.status_code, part.content) == (206, found.content[4:10])


@pytest.mark.parametrize("route", ["completions", "interpolations", "edits", "reconstructions"])
def test_every_route_gives_urls(server: Server, route: str) -> None:
    linked = post(server, route, response_format="url")
    assert len(urls(linked)) == len(entries(linked))
    assert files(linked) == files(post(server, route))


def test_pages_of_other_origins_may_show_it(url: str) -> None:
    found = httpx.get(url, headers={"origin": "https://example.org"})
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


def test_pictures_are_kept_as_long_as_jobs(server: Server) -> None:
    for form, seconds in (("url", 3600), ("b64_json", 120)):
        job = server.ended(post(server, "generations", response_format=form).headers["x-job-id"])
        assert job["expires_at"] - job["completed_at"] == seconds


def test_no_key_is_needed_where_there_are_keys(keyed: Server, keys: dict[str, str]) -> None:
    for route in ROUTES:
        assert check_envelope(post(keyed, route), 401, None)["code"] == "invalid_api_key"
    check_envelope(httpx.get(f"{keyed.url}/v1/images/classes"), 401, None)
    headers = {"authorization": f"Bearer {keys['files']}"}
    (found,) = urls(post(keyed, "generations", headers, response_format="url"))
    plain = post(keyed, "generations", headers)
    assert httpx.get(found).content == files(plain)[0]
    check_envelope(httpx.get(found + "x"), 404, None)
    check_envelope(httpx.get(f"{keyed.url}/v1/jobs/{plain.headers['x-job-id']}/content"), 401, None)
    assert not any(word in str(keyed.log) for word in ("token=", re.sub(".*token=", "", found)))


# Avatars


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
    ("name", "form", "query", "status", "param"),
    [
        ("x" * 257, "png", {}, 400, "name"), ("alice", "gif", {}, 400, "form"),
        ("alice", "png", {"model": "unknown"}, 404, "model"),
        *(("alice", "png", {name: value}, 400, name) for name, value in {
            "size": "7x7", "style": "unknown", "prompt": "unknown", "seed": "1", "palette": "none"}.items()),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn(
    server: Server, name: str, form: str, query: dict[str, Any], status: int, param: str
) -> None:
    check_envelope(avatar(server, name, form, **query), status, param)


def test_an_avatar_in_the_colours_of_a_palette(server: Server) -> None:
    found = avatar(server, "alice", model="palette", palette="1-bit")
    drawing = {"model": "palette", "prompt": "any", "seed": digest_seed(0, "alice"), "palette": "1-bit"}
    assert found.content == files(post(server, "generations", **drawing))[0]
