"""`GET /v1/images/files/…`: who has a picture's URL may see it, and nothing else."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import DRAWING, INTERPOLATION, base64_of, draw, files, noise, post, same, written
from tests.service.servers import Server
from tests.service.toys import ASYNC

NOBODY = "job_000000000000000000000000"


def urls(response: httpx.Response) -> list[str]:
    """Where the pictures of an answer are."""
    assert response.status_code == 200, response.text
    return [entry["url"] for entry in response.json()["data"]]


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    """Of the second picture of two."""
    return urls(post(server, "generations", n=2, response_format="url"))[1]


def test_a_url_gives_the_file(server: Server, url: str) -> None:
    found = httpx.get(url)
    assert found.status_code == 200
    assert found.headers["content-type"] == "image/png"
    assert int(found.headers["content-length"]) == len(found.content)
    assert found.content == files(post(server, "generations", n=2))[1]
    assert httpx.get(url).content == found.content
    head = httpx.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == found.headers["content-length"]


def test_a_url_has_an_etag_of_its_own(url: str) -> None:
    found = httpx.get(url)
    unchanged = httpx.get(url, headers={"if-none-match": found.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert httpx.get(url.replace("/1.png", "/0.png")).headers["etag"] != found.headers["etag"]
    part = httpx.get(url, headers={"range": "bytes=4-9"})
    assert (part.status_code, part.content) == (206, found.content[4:10])


RECIPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "generations": ({"style": "oil"}, {"prompt": "dog", "style": "oil"}),
    "completions": ({}, {"prompt": "dog", "rows": 2}),
    "interpolations": ({}, {"from": "cat", "to": "cow", "steps": 3, "step": 1}),
}
"""For each route: changes of the standard request, and what the recipe of the second picture has besides."""


@pytest.mark.parametrize("route", RECIPES)
def test_a_png_has_its_recipe(server: Server, route: str) -> None:
    changes, expected = RECIPES[route]
    body = changes if route == "interpolations" else changes | {"n": 2}
    if route == "completions":
        body |= {"image": base64.b64encode(written(noise("rgb"))).decode()}
    answer = post(server, route, temperature=0.9, **body)
    with Image.open(io.BytesIO(files(answer)[1])) as image:
        recipe = json.loads(image.text["recipe"])
    seed = answer.json()["data"][1]["seed"]
    always = {"model": "rgb", "model_sha256": answer.headers["x-model-sha256"], "seed": seed, "temperature": 0.9}
    if route == "completions":
        assert len(recipe.pop("prompt_sha256")) == 64
    assert recipe == always | {"guidance": 1.0} | expected


def test_case_alone_makes_no_other_file(server: Server) -> None:
    found = [
        files(post(server, "generations", style=style, prompt=prompt))
        for style, prompt in (("oil", "dog"), ("OIL", "Dog "))
    ]
    assert found[0] == found[1]


def test_a_recipe_makes_the_same_file(server: Server) -> None:
    data = files(post(server, "generations", n=3, style="crayon", guidance=2.0))[2]
    with Image.open(io.BytesIO(data)) as image:
        recipe = json.loads(image.text["recipe"])
    del recipe["model_sha256"]
    again = httpx.post(
        f"{server.url}/v1/images/generations", json=recipe | {"response_format": "b64_json"}, timeout=60.0
    )
    assert files(again) == [data]


@pytest.mark.parametrize(("form", "media"), [("png", "image/png"), ("webp", "image/webp"), ("jpeg", "image/jpeg")])
def test_a_url_gives_the_file_in_the_requested_format(server: Server, form: str, media: str) -> None:
    (found,) = urls(post(server, "generations", response_format="url", output_format=form, size="16x12"))
    assert re.search(rf"/0\.{form}\?token=", found)
    response = httpx.get(found)
    assert response.headers["content-type"] == media
    assert [response.content] == files(post(server, "generations", output_format=form, size="16x12"))


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
    ("pattern", "replacement"),
    [
        (r"token=.*", "token="),
        (r"token=.*", "token=wrong"),
        (r"token=(.*).", r"token=\1"),
        (r"token=(.*)", r"token=\1\1"),
        (r"token=.*", "token=%C3%A9"),
        (r"/1\.png", "/0002.png"),
        (r"/1\.png", "/2.png"),
        (r"/1\.png", "/99.png"),
        (r"/1\.png", "/1.webp"),
        (r"/1\.png", "/1.jpeg"),
        (r"job_[^/]*", NOBODY),
        (r"/1\.png", "/1/1.png"),
        (r"/1\.png", "/1"),
    ],
)
def test_there_is_nothing_beside_it(url: str, pattern: str, replacement: str) -> None:
    wrong = re.sub(pattern, replacement, url)
    assert wrong != url
    check_envelope(httpx.get(wrong), 404, None)


@pytest.mark.parametrize(
    ("pattern", "replacement", "param"),
    [
        (r"\?token=.*", "", "token"),
        (r"token=.*", "token=" + "x" * 65, "token"),
        (r"/1\.png", "/-1.png", "index"),
        (r"/1\.png", "/100.png", "index"),
        (r"/1\.png", "/one.png", "index"),
        (r"/1\.png", "/1.gif", "form"),
        (r"job_[^/]*", "job_1", "job_id"),
    ],
)
def test_what_no_url_can_be(url: str, pattern: str, replacement: str, param: str) -> None:
    check_envelope(httpx.get(re.sub(pattern, replacement, url)), 400, param)


def test_jobs_of_other_kinds_have_no_pictures(server: Server, url: str) -> None:
    spoken = server.speak().headers["x-job-id"]
    form = {"file": ("a.png", written(noise("rgb")))}
    scored = httpx.post(f"{server.url}/v1/images/likelihood", data={"model": "rgb"}, files=form, timeout=60)
    for job in (spoken, scored.headers["x-job-id"]):
        check_envelope(httpx.get(re.sub(r"job_[^/]*", job, url)), 404, None)


def test_a_job_that_was_deleted_has_none(server: Server) -> None:
    response = post(server, "generations", response_format="url")
    (mine,) = urls(response)
    assert httpx.get(mine).status_code == 200
    assert httpx.delete(f"{server.url}/v1/jobs/{response.headers['x-job-id']}").status_code == 200
    check_envelope(httpx.get(mine), 404, None)


def test_every_route_gives_urls(server: Server) -> None:
    image = base64_of(written(noise("rgb")))
    for route, changes in (("completions", {"image": image, "n": 2}), ("interpolations", {})):
        linked = post(server, route, response_format="url", **changes)
        assert files(linked) == files(post(server, route, **changes))


def test_pictures_are_kept_as_long_as_jobs(server: Server) -> None:
    kept, sent = (post(server, "generations", response_format=way) for way in ("url", "b64_json"))
    jobs = [httpx.get(f"{server.url}/v1/jobs/{answer.headers['x-job-id']}").json() for answer in (kept, sent)]
    lives = [job["expires_at"] - job["completed_at"] for job in jobs]
    assert lives == [3600, 120]


def test_no_key_is_needed_where_there_are_keys(keyed: Server, keys: dict[str, str]) -> None:
    for route, body in (("generations", DRAWING), ("interpolations", INTERPOLATION)):
        refused = httpx.post(f"{keyed.url}/v1/images/{route}", json=body)
        assert check_envelope(refused, 401, None)["code"] == "invalid_api_key"
    check_envelope(httpx.get(f"{keyed.url}/v1/images/classes"), 401, None)
    form = {"file": ("a.png", written(noise("rgb")))}
    check_envelope(httpx.post(f"{keyed.url}/v1/images/likelihood", data={"model": "rgb"}, files=form), 401, None)
    headers = {"authorization": f"Bearer {keys['files']}"}
    (found,) = urls(post(keyed, "generations", headers, response_format="url"))
    plain = post(keyed, "generations", headers)
    assert httpx.get(found).content == files(plain)[0]
    check_envelope(httpx.get(found + "x"), 404, None)
    check_envelope(httpx.get(f"{keyed.url}/v1/jobs/{plain.headers['x-job-id']}/content"), 401, None)
    lines = str(keyed.log)
    assert "token=" not in lines
    assert re.sub(".*token=", "", found) not in lines


def test_the_files_of_a_job_asked_for_later(server: Server) -> None:
    job = post(server, "generations", ASYNC, n=2, response_format="url").json()["id"]
    assert server.ended(job)["status"] == "completed"
    assert same(draw(server, n=2), draw(server, n=2, response_format="url"))
