"""`GET /v1/models` and `GET /v1/audio/voices`."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from ancestral.models import checkpoint
from tests.service.api.envelope import check_envelope
from tests.service.servers import Server
from tests.service.toys import VOICES


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
    stored = checkpoint.load(zoo / "tiny" / "wavenet")
    assert tiny == {
        "id": "tiny",
        "aliases": [],
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "tests",
        "description": "Random weights.",
        "kind": "speech",
        "capabilities": ["speech", "likelihood"],
        "sample_rate": 16000,
        "sha256": stored.sha256,
        "receptive_field": 7,
        "parameters": sum(tensor.size for tensor in stored.tensors.values()),
        "temperature": 1.0,
    }


def test_a_model_that_draws(server: Server, zoo: Path) -> None:
    stored = checkpoint.load(zoo / "rgb" / "pixelcnn")
    with server.client() as client:
        rgb = client.get("/v1/models/rgb").json()
    assert rgb == {
        "id": "rgb",
        "aliases": [],
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "tests",
        "description": "Random pictures.",
        "kind": "image",
        "capabilities": ["image_generation", "image_completion", "image_interpolation", "image_likelihood"],
        "size": "8x6",
        "sha256": stored.sha256,
        "receptive_field": 3,
        "parameters": sum(tensor.size for tensor in stored.tensors.values()),
        "temperature": 1.0,
        "guidance": 1.0,
    }


@pytest.mark.parametrize(("model", "draws"), [("autoencoder", "image_reconstruction"), ("portraits", "image_portrait")])
def test_a_model_that_draws_from_a_picture_says_what(server: Server, model: str, draws: str) -> None:
    with server.client() as client:
        found = client.get(f"/v1/models/{model}").json()
    assert found["capabilities"] == [draws, "image_encoding", "image_interpolation", "image_likelihood"]


def test_the_list_of_voices(server: Server) -> None:
    with server.client() as client:
        listed = client.get("/v1/audio/voices").json()
    assert listed["object"] == "list"
    assert listed["voices"] == listed["data"]
    assert [voice["id"] for voice in listed["voices"]] == list(VOICES)
    assert listed["voices"][0] == {
        "id": "ann",
        "name": "Ann",
        "aliases": [],
        "language": "en",
        "gender": "none",
        "model": "broken",
        "models": ["broken", "shaped", "tiny", "free"],
        "capabilities": {
            "speech": ["broken", "shaped", "tiny"],
            "likelihood": ["broken", "shaped", "tiny", "free"],
            "generation": ["free"],
            "continuation": ["free"],
        },
        "description": "Noise.",
        "license": "CC0-1.0",
        "preview_url": f"{server.url}/v1/audio/voices/ann/preview",
    }


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
