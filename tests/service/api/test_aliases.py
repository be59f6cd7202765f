"""Aliases of models and voices, and lists that need no key: what clients of other services rely on."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from ancestral.service.api.http.auth import digest
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import DRAWING, decode, draw
from tests.service.servers import Server
from tests.service.speech.elevenlabs.support import FIRST, open_stream, rest, say
from tests.service.toys import PREVIEW, SPEECH
from tests.service.ws_client import speak, talking

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
        assert [model["id"] for model in speaking["models"]] == [
            "tiny",
            "broken",
            "shaped",
        ]
        preview = client.get("/v1/audio/voices/nova/preview", params={"model": "tts-1"})
        assert (preview.status_code, preview.content) == (200, PREVIEW)
        assert preview.content == client.get("/v1/audio/voices/ann/preview", params={"model": "tiny"}).content


def test_an_alias_works_over_websockets(aliased: Server) -> None:
    expected = aliased.speak(voice="bob", response_format="pcm", sample_rate=16000).content
    with talking(aliased) as talk:
        speak(talk, SPEECH["input"], model="tts-1", voice="alloy")
        assert talk.sound == expected
    with open_stream(aliased, "model_id=tts-1&output_format=pcm_16000&seed=7", voice="alloy") as connection:
        say(connection, FIRST, {"text": SPEECH["input"]}, {"text": ""})
        assert (
            rest(connection)
            == aliased.speak(voice="bob", response_format="pcm", sample_rate=16000, input=" " + SPEECH["input"]).content
        )


def test_what_is_no_alias_is_refused(server: Server, aliased: Server) -> None:
    check_envelope(server.speak(model="tts-1"), 404, "model")
    check_envelope(aliased.speak(voice="echo"), 400, "voice")


def test_fields_that_change_nothing(aliased: Server) -> None:
    plain = aliased.speak().content
    assert aliased.speak(stream=True, user="u1", instructions="").content == plain
    assert aliased.speak(stream=False).content == plain
    error = check_envelope(aliased.speak(instructions="Whisper."), 400, "instructions")
    assert "pitch" in error["message"]
    pixels = draw(aliased)
    again = draw(aliased, background="auto", moderation="low", quality="auto", user="u1")
    assert np.array_equal(pixels[0], again[0])
    for field, value in (("quality", "hd"), ("background", "transparent"), ("moderation", "none")):
        check_envelope(_generate(aliased, **{field: value}), 400, field)


def _generate(server: Server, **changes: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/images/generations", json=DRAWING | changes, timeout=60)


def test_any_size_for_who_cannot_know_better(aliased: Server) -> None:
    check_envelope(_generate(aliased, size="100x50"), 400, "size")
    check_envelope(_generate(aliased, model="dall-e-3", size="100x50", fit="exact"), 400, "size")
    own = draw(aliased)[0]
    found = _generate(aliased, model="dall-e-3", size="100x50").json()
    assert (found["size"], found["drawn_size"]) == ("100x50", "64x48")
    pixels = decode(base64.b64decode(found["data"][0]["b64_json"]))
    assert pixels.shape == (50, 100, 3)
    assert np.array_equal(pixels[1:49, 18:82][::8, ::8], own)
    edge = {tuple(pixel) for pixel in np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])}
    assert len(edge) == 1
    assert edge <= {tuple(pixel) for pixel in np.concatenate([own[0], own[-1], own[:, 0], own[:, -1]])}


def test_pictures_of_gpt_image_are_base64_unless_asked_otherwise(aliased: Server) -> None:
    asked = {"response_format": None}
    for model, changes, given in (
        ("gpt-image-1", {}, "b64_json"),
        ("dall-e-3", {}, "url"),
        ("gpt-image-1", {"response_format": "url"}, "url"),
    ):
        (picture,) = _generate(aliased, model=model, **(asked | changes)).json()["data"]
        assert picture[given]


def test_a_size_that_fits_is_not_padded(aliased: Server) -> None:
    found = _generate(aliased, model="dall-e-3", size="16x12").json()
    assert (found["size"], "drawn_size" in found) == ("16x12", False)
    check_envelope(_generate(aliased, fit="pad", size="7x6"), 400, "size")
    check_envelope(_generate(aliased, fit="pad", size="8000x6"), 400, "size")


def test_a_padded_picture_is_verified_by_its_manifest(aliased: Server) -> None:
    response = _generate(aliased, model="dall-e-3", size="20x20")
    manifest = httpx.get(f"{aliased.url}/v1/jobs/{response.headers['x-job-id']}/manifest").json()
    assert {name: manifest["request"][name] for name in ("model", "size", "fit")} == {
        "model": "rgb", "size": "20x20", "fit": "pad",
    }  # fmt: skip
    assert httpx.post(f"{aliased.url}/v1/verify", json=manifest, timeout=60).json()["equal"]


def test_public_lists_need_no_key(shared: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> None:
    keys = tmp_path_factory.mktemp("public") / "keys"
    keys.write_text(f"me {digest('anc_mine').hex()}\n")
    public = shared(**ALIASES, public_lists="on", api_keys_file=str(Path(keys)), public_url="https://a.example/b")
    (ann, *_) = httpx.get(f"{public.url}/v1/audio/voices").json()["voices"]
    assert ann["preview_url"].startswith("https://a.example/b/v1/audio/voices/")
    for path in LISTS:
        for headers in ({}, {"authorization": "Bearer wrong"}):
            assert httpx.get(f"{public.url}{path}", headers=headers).status_code == 200, path
            assert httpx.head(f"{public.url}{path}", headers=headers).status_code == 200, path
    for path in ("/v1/jobs", "/v1/models/tiny/card", "/v1/audio/voices/ann/preview"):
        check_envelope(httpx.get(f"{public.url}{path}"), 401, None)
    check_envelope(public.speak(), 401, None)


def test_lists_need_a_key_otherwise(keyed: Server) -> None:
    for path in set(LISTS) - {"/v1/models/tts-1"} | {"/v1/models/tiny"}:
        check_envelope(httpx.get(f"{keyed.url}{path}"), 401, None)
