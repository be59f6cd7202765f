"""Lists: models, voices, their aliases, previews; the reference."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import av
import httpx
import numpy as np
import pytest
from PIL import Image

from ancestral.catalog.catalog import BUNDLED
from ancestral_models import checkpoint
from ancestral_models.checkpoint import load
from ancestral_models.entries import ModelEntry, discover
from ancestral_models.spec import ImageSpec
from ancestral_service.api.http.auth import digest
from ancestral_service.api.routes.models import get_card
from tests.service.api.job_requests import check_envelope
from tests.service.images.pictures import decode, draw, post
from tests.service.servers import Server
from tests.service.toys import PREVIEW, VOICES

# `GET /v1/models` and `GET /v1/audio/voices`.


def test_the_list_of_models(server: Server, zoo: Path) -> None:
    with server.client() as client:
        listed = client.get("/v1/models").json()
        assert listed["object"] == "list"
        assert [model["id"] for model in listed["data"]] == [
            "broken", "shaped", "tiny", "binary", "diagonal", "free", "grey", "palette", "rgb", "row", "subclasses",
            "autoencoder", "portraits",
        ]  # fmt: skip
        tiny = listed["data"][2]
        assert client.get("/v1/models/tiny").json() == tiny
    stored, acoustic = (checkpoint.load(zoo / "tiny" / name) for name in ("wavenet", "acoustic"))
    assert tiny == {
        "id": "tiny", "aliases": [], "object": "model", "created": 1_700_000_000, "owned_by": "tests",
        "description": "Random weights.", "kind": "speech", "capabilities": ["speech", "likelihood"],
        "sample_rate": 16000, "default_sample_rate": 16000, "receptive_field": 7, "temperature": 1.0,
        "shutdown_date": None,
        "sha256": hashlib.sha256((stored.sha256 + acoustic.sha256).encode()).hexdigest(),
        "parameters": sum(tensor.size for tensor in stored.tensors.values()),
    }  # fmt: skip


def test_the_list_of_voices(server: Server) -> None:
    with server.client() as client:
        listed = client.get("/v1/audio/voices").json()
    assert listed["object"] == "list"
    assert listed["voices"] == listed["data"]
    assert [voice["id"] for voice in listed["voices"]] == list(VOICES)
    able = {
        "speech": ["broken", "shaped", "tiny"], "likelihood": ["broken", "shaped", "tiny", "free"],
        "generation": ["free"], "continuation": ["free"],
    }  # fmt: skip
    assert listed["voices"][0] == {
        "id": "ann", "name": "Ann", "aliases": [], "language": "en", "gender": "none", "model": "broken",
        "models": ["broken", "shaped", "tiny", "free"], "capabilities": able, "description": "Noise.",
        "license": "CC0-1.0", "preview_url": f"{server.url}/v1/audio/voices/ann/preview",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("model=free", 2), ("model=grey", 0), ("language=en", 2), ("language=EN", 2), ("language=en-GB", 0),
        ("language=e", 0), ("gender=none", 2), ("gender=female", 0), ("model=tiny&language=en&gender=None", 2),
    ],
)  # fmt: skip
def test_voices_are_filtered(server: Server, query: str, count: int) -> None:
    assert len(httpx.get(f"{server.url}/v1/audio/voices?{query}").json()["voices"]) == count


def test_voices_of_an_unknown_model(server: Server) -> None:
    check_envelope(httpx.get(f"{server.url}/v1/audio/voices?model=frog"), 404, "model")
    check_envelope(httpx.get(f"{server.url}/v1/audio/voices?gender="), 400, "gender")


# Aliases of models and voices, and lists that need no key: what clients of other services rely on.


ALIASES = {"model_aliases": "tts-1=tiny, dall-e-3=rgb, gpt-image-1=rgb", "voice_aliases": "alloy=bob,nova=ann"}
LISTS = ("/v1/models", "/v1/models/tts-1", "/v1/audio/models", "/v1/audio/voices", "/v1/images/classes", "/v1/voices")


@pytest.fixture(scope="module")
def aliased(shared: Callable[..., Server]) -> Server:
    """A server with aliases."""
    return shared(**ALIASES)


def test_an_alias_gives_the_same_bytes_and_is_resolved_in_the_answer(aliased: Server) -> None:
    plain, other = aliased.speak(voice="bob"), aliased.speak(model="tts-1", voice="alloy")
    assert (plain.status_code, other.status_code) == (200, 200)
    assert plain.content == other.content
    for response in (plain, other):
        assert (response.headers["x-model"], response.headers["x-voice"]) == ("tiny", "bob")
    job = other.headers["x-job-id"]
    aliased.ended(job)
    manifest = httpx.get(f"{aliased.url}/v1/jobs/{job}/manifest").json()
    assert (manifest["model"], manifest["request"]["model"], manifest["request"]["voice"]) == ("tiny", "tiny", "bob")
    content = httpx.get(f"{aliased.url}/v1/jobs/{job}/content")
    assert (content.headers["x-model"], content.headers["x-voice"]) == ("tiny", "bob")
    assert httpx.post(f"{aliased.url}/v1/verify", json=manifest, timeout=60).json()["equal"]


def test_the_lists_have_the_aliases(aliased: Server) -> None:
    with aliased.client() as client:
        models = {model["id"]: model["aliases"] for model in client.get("/v1/models").json()["data"]}
        assert (models["tiny"], models["rgb"], models["free"]) == (["tts-1"], ["dall-e-3", "gpt-image-1"], [])
        assert client.get("/v1/models/tts-1").json() == client.get("/v1/models/tiny").json()
        voices = client.get("/v1/audio/voices", params={"model": "tts-1"}).json()["voices"]
        assert {voice["id"]: voice["aliases"] for voice in voices} == {"ann": ["nova"], "bob": ["alloy"]}
        speaking = client.get("/v1/audio/models").json()
        assert speaking["models"] == speaking["data"]
        assert [model["id"] for model in speaking["models"]] == ["tiny", "broken", "shaped"]
        preview = client.get("/v1/audio/voices/nova/preview", params={"model": "tts-1"})
        assert (preview.status_code, preview.content) == (200, PREVIEW)
        assert preview.content == client.get("/v1/audio/voices/Ann/preview", params={"model": "tiny"}).content


def test_what_is_no_alias_is_refused(server: Server, aliased: Server) -> None:
    check_envelope(server.speak(model="tts-1"), 404, "model")
    check_envelope(aliased.speak(voice="echo"), 400, "voice")


def test_fields_that_change_nothing(aliased: Server) -> None:
    plain = aliased.speak().content
    assert aliased.speak(stream=True, user="u1", instructions="").content == plain
    assert aliased.speak(stream=False).content == plain
    check_envelope(post(aliased, "generations", moderation="none"), 400, "moderation")


def test_aliased_model_pads_to_any_size(aliased: Server) -> None:
    check_envelope(post(aliased, "generations", size="100x50"), 400, "size")
    check_envelope(post(aliased, "generations", model="dall-e-3", size="100x50", fit="exact"), 400, "size")
    own = draw(aliased)[0]
    found = post(aliased, "generations", model="dall-e-3", size="100x50").json()
    assert (found["size"], found["drawn_size"]) == ("100x50", "64x48")
    pixels = decode(base64.b64decode(found["data"][0]["b64_json"]))
    assert pixels.shape == (50, 100, 3)
    assert np.array_equal(pixels[1:49, 18:82][::8, ::8], own)
    edge = {tuple(pixel) for pixel in np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])}
    assert len(edge) == 1
    assert edge <= {tuple(pixel) for pixel in np.concatenate([own[0], own[-1], own[:, 0], own[:, -1]])}


def test_pictures_of_gpt_image_are_base64_unless_asked_otherwise(aliased: Server) -> None:
    asked = [("gpt-image-1", None, "b64_json"), ("dall-e-3", None, "url"), ("gpt-image-1", "url", "url")]
    for model, form, given in asked:
        (picture,) = post(aliased, "generations", model=model, response_format=form).json()["data"]
        assert picture[given]


def test_a_size_that_fits_is_not_padded(aliased: Server) -> None:
    found = post(aliased, "generations", model="dall-e-3", size="16x12").json()
    assert (found["size"], "drawn_size" in found) == ("16x12", False)
    check_envelope(post(aliased, "generations", fit="pad", size="7x6"), 400, "size")
    check_envelope(post(aliased, "generations", fit="pad", size="8000x6"), 400, "size")


def test_public_lists_need_no_key(shared: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Metrics can need one."""
    keys = tmp_path_factory.mktemp("public") / "keys"
    keys.write_text(f"me {digest('anc_mine').hex()}\n")
    settings = ALIASES | {"public_lists": "on", "public_metrics": "off", "public_url": "https://a.example/b"}
    public = shared(**settings, api_keys_file=str(keys))
    (ann, *_) = httpx.get(f"{public.url}/v1/audio/voices").json()["voices"]
    assert ann["preview_url"].startswith("https://a.example/b/v1/audio/voices/")
    for path in LISTS:
        for headers in ({}, {"authorization": "Bearer wrong"}):
            assert httpx.get(f"{public.url}{path}", headers=headers).status_code == 200, path
            assert httpx.head(f"{public.url}{path}", headers=headers).status_code == 200, path
    for path in ("/v1/jobs", "/v1/models/tiny/card", "/v1/audio/voices/ann/preview", "/metrics"):
        check_envelope(httpx.get(f"{public.url}{path}"), 401, None)
    assert httpx.get(f"{public.url}/metrics", headers={"authorization": "Bearer anc_mine"}).status_code == 200
    check_envelope(public.speak(), 401, None)


# Previews of voices, thumbnails of values of attributes, cards of models.


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


@pytest.mark.parametrize("entry", discover(BUNDLED), ids=lambda entry: entry.id)
def test_bundled_models_have_a_preview_of_every_voice_and_value(entry: ModelEntry) -> None:
    assert list(missing(entry)) == []


def test_a_preview_is_the_file_beside_the_model(server: Server) -> None:
    thumbnail = "images/classes/thumbnail?model=binary&class=Two"
    for path, media_type in (("audio/voices/ann/preview?model=tiny", "audio/mpeg"), (thumbnail, "image/png")):
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


@pytest.mark.parametrize(
    ("path", "status", "param"),
    [
        ("audio/voices/frog/preview", 404, "voice_id"), ("audio/voices/ann/preview?model=frog", 404, "model"),
        ("audio/voices/ann/preview?model=binary", 400, "model"), ("audio/voices/bob/preview", 404, "model"),
        ("images/classes/thumbnail?model=binary&class=One", 404, "model"),
        ("images/classes/thumbnail?model=binary", 400, "class"),
        ("images/classes/thumbnail?model=binary&class=frog", 400, "class"),
        ("images/classes/thumbnail?model=tiny&class=One", 400, "class"), ("models/frog/card", 404, "model"),
    ],
)  # fmt: skip
def test_unknown_voices_classes_and_models_are_refused(server: Server, path: str, status: int, param: str) -> None:
    found = httpx.get(f"{server.url}/v1/{path}")
    assert (found.status_code, found.json()["error"]["param"]) == (status, param)


def test_the_card_is_the_text_of_both_checkpoints(server: Server) -> None:
    found = httpx.get(f"{server.url}/v1/models/tiny/card")
    assert found.headers["content-type"] == "text/markdown; charset=utf-8"
    assert found.text == "Random weights, for tests.\nRandom weights, for tests."


def test_a_card_that_is_not_utf8_is_shown(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(b"Caf\xe9")
    service = Mock()
    service.catalog.model.return_value.entry = Mock(sampled=tmp_path, networks={}, acoustic=None, classifier=None)
    assert bytes(asyncio.run(get_card("a", service)).body) == "Caf\ufffd".encode()


# `/docs`: the API reference works without any other host, under a strict policy.


@pytest.fixture(scope="module")
def page(server: Server) -> httpx.Response:
    response = httpx.get(f"{server.url}/docs")
    assert response.status_code == 200
    return response


def test_the_page_may_only_load_from_this_server(page: httpx.Response) -> None:
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def test_the_page_refers_to_no_other_host_and_has_nothing_inline(page: httpx.Response) -> None:
    assert not re.search(r"https?:|//", page.text.replace("<!DOCTYPE", ""))
    for attributes, content in re.findall(r"<script([^>]*)>(.*?)</script>", page.text, re.DOTALL):
        assert "src=" in attributes
        assert not content.strip()
    assert not re.search(r"<style|\bstyle=|\bon\w+=", page.text)


def test_there_is_no_other_file(server: Server) -> None:
    for name in ("index.html", "nothing.js", "..%2f..%2fapp.py", "swagger-ui-bundle.js.LICENSE.txt"):
        assert httpx.get(f"{server.url}/docs/{name}").status_code == 404
    assert httpx.get(f"{server.url}/redoc").status_code == 404
    assert httpx.get(f"{server.url}/docs?frog=1").json()["error"]["param"] == "frog"
