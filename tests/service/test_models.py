"""`GET /v1/models`, `GET /v1/audio/voices`, the documentation, and OpenAI's own client against all of it."""

from __future__ import annotations

import io
from pathlib import Path

import openai
import pytest
import soundfile

from models import checkpoint
from tests.service.support import SPEECH, VOICES, Server


@pytest.fixture
def client(server: Server) -> openai.OpenAI:
    """OpenAI's client, pointed at us."""
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)


def test_the_list_of_models(server: Server, zoo: Path) -> None:
    with server.client() as client:
        listed = client.get("/v1/models").json()
        assert listed["object"] == "list"
        assert [model["id"] for model in listed["data"]] == ["broken", "tiny"]
        tiny = listed["data"][1]
        assert client.get("/v1/models/tiny").json() == tiny
    stored = checkpoint.load(zoo / "tiny" / "wavenet")
    assert tiny == {
        "id": "tiny",
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "tests",
        "kind": "speech",
        "capabilities": ["speech"],
        "sample_rate": 16000,
        "sha256": stored.sha256,
        "receptive_field": 7,
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


def test_the_documentation_is_complete(server: Server) -> None:
    with server.client() as client:
        document = client.get("/openapi.json").json()
    routes = {"/v1/audio/speech", "/v1/audio/voices", "/v1/models", "/v1/models/{model_id}", "/healthz", "/readyz"}
    assert set(document["paths"]) == routes
    speech = document["paths"]["/v1/audio/speech"]["post"]["responses"]
    assert set(speech) == {"200", "400", "404", "413", "415", "429", "500", "503", "default"}
    for status, response in speech.items():
        if status not in ("200", "default"):
            assert set(response["content"]) == {"application/json", "application/problem+json"}
            example = response["content"]["application/json"]["example"]
            assert set(example["error"]) >= {"message", "type", "code"}
    assert "422" not in str(document["paths"])
    assert "HTTPValidationError" not in str(document)


def test_openai_lists_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["broken", "tiny"]
    assert client.models.retrieve("tiny").owned_by == "tests"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-4o-mini-tts")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_openai_speaks(client: openai.OpenAI, server: Server) -> None:
    sound = client.audio.speech.create(model="tiny", voice="ann", input=str(SPEECH["input"]), response_format="wav")
    samples, rate = soundfile.read(io.BytesIO(sound.content))
    assert rate == 16000
    assert len(samples) > rate // 10
    same = client.audio.speech.create(
        model="tiny", voice="ann", input=str(SPEECH["input"]), response_format="wav", extra_body={"seed": 7}
    )
    assert same.content == server.speak().content


def test_openai_streams(client: openai.OpenAI, tmp_path: Path) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tiny", voice="bob", input="Hello there."
    ) as response:
        response.stream_to_file(tmp_path / "a.mp3")
    samples, _ = soundfile.read(tmp_path / "a.mp3")
    assert len(samples) > 1600


def test_openai_sees_what_was_wrong(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(model="tiny", voice="alloy", input="Hello.")
    assert (caught.value.param, caught.value.code) == ("voice", "voice_not_found")
    assert "ann, bob" in str(caught.value)
