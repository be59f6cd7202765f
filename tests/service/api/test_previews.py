"""Previews of voices, thumbnails of values of attributes, cards of models."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import pytest
from PIL import Image

from ancestral.models import entries
from ancestral.models.checkpoint import load
from ancestral.models.entries import ModelEntry, discover
from ancestral.models.spec import ImageSpec
from deploy.previews import make
from tests.service.servers import Server
from tests.service.toys import PREVIEW

ZOO = Path(entries.__file__).with_name("zoo")


def missing(entry: ModelEntry) -> Iterator[str]:
    """The voices, and values of attributes, that a model has no usable preview of."""
    for voice in entry.voices:
        with av.open(io.BytesIO(entry.preview(f"{voice.id}.mp3").read_bytes())) as file:
            if sum(frame.samples for frame in file.decode(audio=0)) < 4000:
                yield voice.id
    spec = load(entry.sampled).spec
    if isinstance(spec, ImageSpec):
        for value in (value for values in spec.conditions for value in values):
            with Image.open(entry.preview(f"{value}.png")) as picture:
                if picture.size != (spec.width, spec.height):
                    yield value


@pytest.mark.parametrize("entry", discover(ZOO), ids=lambda entry: entry.id)
def test_bundled_models_have_a_preview_of_every_voice_and_value(entry: ModelEntry) -> None:
    assert list(missing(entry)) == []


def test_previews_are_made_by_a_server_with_the_models(server: Server, zoo: Path, tmp_path: Path) -> None:
    for name in ("tiny", "free", "binary"):
        (tmp_path / name).mkdir()
        for part in (zoo / name).iterdir():
            if part.name != "previews":
                (tmp_path / name / part.name).symlink_to(part)
    assert make(server.url, tmp_path) == 2 + 2 + 3
    assert [list(missing(entry)) for entry in discover(tmp_path)] == [[], [], []]


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("audio/voices/ann/preview?model=tiny", "audio/mpeg"),
        ("images/classes/thumbnail?model=binary&class=Two", "image/png"),
    ],
)
def test_a_preview_is_the_file_beside_the_model(server: Server, path: str, media_type: str) -> None:
    found = httpx.get(f"{server.url}/v1/{path}")
    assert (found.content, found.headers["content-type"]) == (PREVIEW, media_type)
    assert found.headers["cache-control"] == "private, max-age=86400"
    unchanged = httpx.get(f"{server.url}/v1/{path}", headers={"if-none-match": found.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_lists_have_the_urls_of_files_that_exist(server: Server) -> None:
    for model, count in (("binary", 1), ("subclasses", 0)):
        classes = httpx.get(f"{server.url}/v1/images/classes?model={model}").json()["data"]
        urls = [entry["thumbnail_url"] for entry in classes if "thumbnail_url" in entry]
        assert [httpx.get(url).status_code for url in urls] == [200] * count
    voices = httpx.get(f"{server.url}/v1/audio/voices").json()["voices"]
    assert [voice["id"] for voice in voices if voice["preview_url"]] == ["ann"]


def test_previews_need_a_key(keyed: Server) -> None:
    assert httpx.get(f"{keyed.url}/v1/images/classes/thumbnail?model=binary&class=Two").status_code == 401


@pytest.mark.parametrize(
    ("path", "status", "param"),
    [
        ("audio/voices/frog/preview", 404, "voice_id"),
        ("audio/voices/ann/preview?model=frog", 404, "model"),
        ("audio/voices/ann/preview?model=binary", 400, "model"),
        ("audio/voices/bob/preview", 404, "model"),
        ("images/classes/thumbnail?model=binary&class=One", 404, "model"),
        ("images/classes/thumbnail?model=binary", 400, "class"),
        ("images/classes/thumbnail?model=binary&class=frog", 400, "class"),
        ("images/classes/thumbnail?model=tiny&class=One", 400, "class"),
        ("models/frog/card", 404, "model"),
    ],
)
def test_unknown_voices_classes_and_models_are_refused(server: Server, path: str, status: int, param: str) -> None:
    found = httpx.get(f"{server.url}/v1/{path}")
    assert (found.status_code, found.json()["error"]["param"]) == (status, param)


def test_the_card_is_the_text_of_both_checkpoints(server: Server) -> None:
    found = httpx.get(f"{server.url}/v1/models/tiny/card")
    assert found.headers["content-type"] == "text/markdown; charset=utf-8"
    assert found.text == "Random weights, for tests.\nRandom weights, for tests."
