"""`/asyncapi.json`: it is valid, has every websocket, and what it says is what a live websocket sends and accepts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ancestral.service.api.routes.websockets import CHANNELS, router
from tests.paths import ROOT
from tests.service.support import Server
from tests.service.ws_client import CONFIG, LONG, SECONDS

SCHEMA = Path(__file__).with_name("asyncapi-3.0.0.json.gz")
"""Unchanged from the npm package @asyncapi/specs 6.11.1 (Apache-2.0): schemas/3.0.0-without-$id.json."""
ELEVENLABS = "/v1/text-to-speech/ann/stream-input?output_format=pcm_16000&model_id=tiny"
CONTEXTS = ELEVENLABS.replace("stream-input", "multi-stream-input")
Message = dict[str, Any]


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    """What the server says."""
    found: dict[str, Any] = httpx.get(f"{server.url}/asyncapi.json").json()
    return found


def exchange(server: Server, path: str, *messages: Message) -> Iterator[Message]:
    """Send messages one after another; the JSON messages that come back, until the server closes or is done."""
    with connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None, compression=None) as connection:
        for message in messages:
            connection.send(json.dumps(message))
        with suppress(ConnectionClosed):
            while True:
                received = connection.recv(timeout=SECONDS)
                if isinstance(received, str):
                    yield json.loads(received)


@pytest.fixture(scope="module")
def recorded(server: Server) -> dict[str, list[Message]]:
    """What a live server sends over each websocket, by the id of its channel."""
    config = {"type": "session.config"} | CONFIG | {"speed": 0.25, "timestamps": ["word", "phoneme"]}
    text, done = {"type": "input.text", "text": LONG}, {"type": "input.done"}
    close = {"type": "session.close"}
    speech = []
    for message in exchange(server, "/v1/audio/speech/stream", text, config, text, done):
        speech.append(message)
        if message["type"] == "session.done":
            break
    speech += exchange(server, "/v1/audio/speech/stream", config, text, {"type": "input.cancel"}, close)
    pictures = []
    draw = {"type": "image.generate", "model": "park", "prompt": "Birds", "n": 2, "seed": 7, "coarse": True}
    for message in exchange(server, "/v1/images/stream", {"type": "image.cancel"}, draw):
        pictures.append(message)
        if message["type"] == "image.done":
            break
    spoken = list(exchange(server, ELEVENLABS, {"text": " "}, {"text": "The birch canoe slid."}, {"text": ""}))
    refused = list(exchange(server, ELEVENLABS, {"text": " ", "frog": 1}))
    contexts = [
        *exchange(
            server, CONTEXTS, {"text": "The birch canoe slid.", "context_id": "a"},
            {"context_id": "a", "close_context": True}, {"text": "слово. ", "flush": True}, {"close_socket": True},
        ),
        *exchange(server, CONTEXTS, {"frog": 1}),
    ]  # fmt: skip
    return {
        "speech": speech, "images": pictures, "elevenlabs": spoken + refused, "elevenlabsMulti": contexts,
    }  # fmt: skip


def resolved(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The JSON schema of a message, which may refer to the document."""
    payload: dict[str, Any] = document["components"]["messages"][name]["payload"]
    return document | payload


def accepts(document: dict[str, Any], name: str, message: Message) -> bool:
    return jsonschema.Draft202012Validator(resolved(document, name)).is_valid(message)


def sent_by(document: dict[str, Any], channel: str, action: str) -> set[str]:
    """The names of the messages that the server receives or sends, without binary frames."""
    references = document["operations"][f"{channel}.{action}"]["messages"]
    return {reference["$ref"].rpartition("/")[2] for reference in references} - {"frames"}


def test_it_is_valid_asyncapi(document: dict[str, Any]) -> None:
    schema = json.loads(gzip.decompress(SCHEMA.read_bytes()))
    errors = list(jsonschema.Draft7Validator(schema).iter_errors(document))
    assert not errors, [(error.json_path, error.message[:200]) for error in errors]


def test_it_has_every_websocket(document: dict[str, Any]) -> None:
    paths = {route.path for route in router.routes}  # type: ignore[attr-defined]
    assert {channel["address"] for channel in document["channels"].values()} == paths
    for channel in document["channels"].values():
        assert set(channel.get("parameters", {})) == set(channel["address"].replace("{", "}").split("}")[1::2])


def test_live_messages_are_as_described(document: dict[str, Any], recorded: dict[str, list[Message]]) -> None:
    for channel, messages in recorded.items():
        names = sent_by(document, channel, "send")
        seen = set()
        for message in messages:
            fitting = {name for name in names if accepts(document, name, message)}
            assert len(fitting) == 1, (fitting, message)
            seen |= fitting
        assert names - seen <= {"image.cancelled"}  # these pictures take a moment; tests/service/images cancels some


def test_every_field_of_live_messages_is_described(
    document: dict[str, Any], recorded: dict[str, list[Message]]
) -> None:
    for message in (message for messages in recorded.values() for message in messages):
        for name in message:
            frog = message | {f"{name}_": 1}
            assert not any(accepts(document, known, frog) for known in document["components"]["messages"])


def test_examples_are_messages(document: dict[str, Any]) -> None:
    for name, message in document["components"]["messages"].items():
        assert message["examples"]
        for example in message["examples"]:
            jsonschema.validate(example["payload"], resolved(document, name), jsonschema.Draft202012Validator)


def test_the_code_accepts_the_examples_of_clients(document: dict[str, Any]) -> None:
    for channel in CHANNELS:
        for model in channel.client:
            examples = model.model_config["json_schema_extra"]["examples"]  # type: ignore[index,call-overload]
            assert all(model.model_validate(example) for example in examples)


def test_docs_api_names_every_message_and_field(document: dict[str, Any]) -> None:
    text = (ROOT / "docs/api.md").read_text().partition("## Websockets")[2]
    for name, message in document["components"]["messages"].items():
        schema = document["components"]["schemas"][message["payload"]["$ref"].rpartition("/")[2]]
        words = {name} if "." in name else set()
        for field in words | set(schema["properties"]) - {"type"}:
            assert f"`{field}`" in text or f'"{field}"' in text, f"{name}: {field}"
    for channel in document["channels"].values():
        for parameter in channel["bindings"]["ws"]["query"].get("properties", {}):
            assert parameter in text, parameter
