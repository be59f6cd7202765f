"""`GET /v1/models` and `GET /v1/audio/voices`."""

from __future__ import annotations

from pathlib import Path

from models import checkpoint
from tests.service.support import VOICES, Server


def test_the_list_of_models(server: Server, zoo: Path) -> None:
    with server.client() as client:
        listed = client.get("/v1/models").json()
        assert listed["object"] == "list"
        assert [model["id"] for model in listed["data"]] == [
            "broken", "fog", "free", "ink", "park", "sketch", "tiny",
        ]  # fmt: skip
        tiny = listed["data"][-1]
        assert client.get("/v1/models/tiny").json() == tiny
    stored = checkpoint.load(zoo / "tiny" / "wavenet")
    assert tiny == {
        "id": "tiny",
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "tests",
        "kind": "speech",
        "capabilities": ["speech", "likelihood"],
        "sample_rate": 16000,
        "sha256": stored.sha256,
        "receptive_field": 7,
        "parameters": sum(tensor.size for tensor in stored.tensors.values()),
    }


def test_a_model_that_draws(server: Server, zoo: Path) -> None:
    stored = checkpoint.load(zoo / "sketch" / "pixelcnn")
    with server.client() as client:
        sketch = client.get("/v1/models/sketch").json()
    assert sketch == {
        "id": "sketch",
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "tests",
        "kind": "image",
        "capabilities": ["image_generation", "image_completion", "image_interpolation", "image_likelihood"],
        "size": "8x6",
        "sha256": stored.sha256,
        "receptive_field": 3,
        "parameters": sum(tensor.size for tensor in stored.tensors.values()),
    }


def test_the_list_of_voices(server: Server) -> None:
    with server.client() as client:
        listed = client.get("/v1/audio/voices").json()
    assert listed["object"] == "list"
    assert listed["voices"] == listed["data"]
    assert [voice["id"] for voice in listed["voices"] if voice["model"] == "tiny"] == list(VOICES)
    keys = {"id", "name", "language", "gender", "model", "description", "preview_url"}
    assert all(set(voice) == keys for voice in listed["voices"])
