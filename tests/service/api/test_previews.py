"""Previews of voices, thumbnails of values of attributes, cards of models."""

from __future__ import annotations

import io

import av
import httpx
import pytest

from tests.service.images.pictures import decode
from tests.service.support import PICTURES, Server


def voices(server: Server) -> list[dict[str, str]]:
    found: list[dict[str, str]] = httpx.get(f"{server.url}/v1/audio/voices").json()["voices"]
    return found


@pytest.mark.parametrize("model", ["tiny", "free"])
def test_every_voice_has_a_preview(server: Server, model: str) -> None:
    for voice in voices(server):
        url = f"{voice['preview_url']}?model={model}"
        first = httpx.get(url, timeout=60.0)
        assert first.status_code == 200, first.text
        assert first.headers["content-type"] == "audio/mpeg"
        with av.open(io.BytesIO(first.content)) as file:
            assert sum(frame.samples for frame in file.decode(audio=0)) > 4000
        assert httpx.get(url, timeout=60.0).content == first.content


def test_a_thumbnail_shows_the_class(server: Server) -> None:
    classes = httpx.get(f"{server.url}/v1/images/classes?model=park").json()["data"]
    pictures = {}
    for entry in classes:
        found = httpx.get(entry["thumbnail_url"], timeout=60.0)
        assert found.headers["content-type"] == "image/png"
        assert decode(found.content).shape == (PICTURES["park"].height, PICTURES["park"].width, 3)
        pictures[entry["id"]] = found.content
    assert len(set(pictures.values())) == len(pictures) == 9


def test_only_the_first_request_samples(server: Server) -> None:
    url = f"{server.url}/v1/images/classes/thumbnail?model=ink&class=Two"
    first = httpx.get(url, timeout=60.0)
    job = server.newest()
    again = httpx.get(url, timeout=60.0)
    assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"])
    assert server.newest() == job
    assert first.headers["cache-control"] == "private, max-age=86400"
    unchanged = httpx.get(url, headers={"if-none-match": first.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_samples_do_not_fill_the_list_of_jobs(keyed: Server, keys: dict[str, str]) -> None:
    headers = {"authorization": f"Bearer {keys['samples']}"}
    url = f"{keyed.url}/v1/images/classes/thumbnail?model=ink&class=One"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers=headers, timeout=60.0).status_code == 200
    assert httpx.get(f"{keyed.url}/v1/jobs", headers=headers).json()["data"] == []


@pytest.mark.parametrize(
    ("path", "status", "param"),
    [
        ("audio/voices/frog/preview", 404, "voice_id"),
        ("audio/voices/ann/preview?model=frog", 404, "model"),
        ("audio/voices/ann/preview?model=ink", 400, "model"),
        ("images/classes/thumbnail?model=ink", 400, "class"),
        ("images/classes/thumbnail?model=ink&class=frog", 400, "class"),
        ("images/classes/thumbnail?model=tiny&class=One", 400, "model"),
        ("models/frog/card", 404, "model"),
    ],
)
def test_what_there_is_not(server: Server, path: str, status: int, param: str) -> None:
    found = httpx.get(f"{server.url}/v1/{path}")
    assert (found.status_code, found.json()["error"]["param"]) == (status, param)


def test_a_card(server: Server) -> None:
    found = httpx.get(f"{server.url}/v1/models/tiny/card")
    assert found.headers["content-type"] == "text/markdown; charset=utf-8"
    assert found.text == "Random weights, for tests.\nRandom weights, for tests."
