"""What live websockets send is what the models of their messages say, and docs/api.md names all of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ancestral.service.api.routes.websockets import router
from ancestral.service.images import websocket as images
from ancestral.service.images.events import ImageCancelled
from ancestral.service.speech.elevenlabs import contexts, stream_input
from ancestral.service.speech.session import native
from tests.paths import ROOT
from tests.service.servers import Server
from tests.service.websocket_messages import WEBSOCKETS, schema
from tests.service.ws_client import CONFIG, LONG, SECONDS

QUERY = "?output_format=pcm_16000&model_id=tiny"
Message = dict[str, Any]


def exchange(server: Server, path: str, *messages: Message) -> Iterator[Message]:
    """Send messages one after another; the JSON messages that come back, until the server closes or is done."""
    path = path.replace("{voice_id}", "ann") + (QUERY if "{" in path else "")
    with connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None, compression=None) as connection:
        for message in messages:
            connection.send(json.dumps(message))
        with suppress(ConnectionClosed):
            while True:
                received = connection.recv(timeout=SECONDS)
                if isinstance(received, str):
                    yield json.loads(received)


def until(kind: str, messages: Iterator[Message]) -> Iterator[Message]:
    for message in messages:
        yield message
        if message["type"] == kind:
            return


@pytest.fixture(scope="module")
def recorded(server: Server) -> dict[str, list[Message]]:
    """What a live server sends over each websocket."""
    config = {"type": "session.config"} | CONFIG | {"speed": 0.25, "timestamps": ["word", "phoneme"]}
    text, done = {"type": "input.text", "text": LONG}, {"type": "input.done"}
    draw = {"type": "image.generate", "model": "subclasses", "prompt": "Birds", "n": 2, "seed": 7, "coarse": True}
    sentence = {"text": "The birch canoe slid."}
    return {
        native.PATH: [
            *until("session.done", exchange(server, native.PATH, text, config, text, done)),
            *exchange(server, native.PATH, config, text, {"type": "input.cancel"}, {"type": "session.close"}),
        ],
        images.PATH: list(until("image.done", exchange(server, images.PATH, {"type": "image.cancel"}, draw))),
        stream_input.PATH: [
            *exchange(server, stream_input.PATH, {"text": " "}, sentence, {"text": ""}),
            *exchange(server, stream_input.PATH, {"text": " ", "frog": 1}),
        ],
        contexts.PATH: [
            *exchange(
                server, contexts.PATH, sentence | {"context_id": "a"}, {"context_id": "a", "close_context": True},
                {"text": "слово. ", "flush": True}, {"close_socket": True},
            ),
            *exchange(server, contexts.PATH, {"frog": 1}),
        ],
    }  # fmt: skip


def accepts(model: type[BaseModel], message: Message) -> bool:
    return jsonschema.Draft202012Validator(schema(model, "serialization")).is_valid(message)


def test_every_websocket_route_is_listed() -> None:
    assert set(WEBSOCKETS) == {route.path for route in router.routes}  # type: ignore[attr-defined]


def test_live_messages_fit_exactly_one_model(recorded: dict[str, list[Message]]) -> None:
    for path, messages in recorded.items():
        seen = set()
        for message in messages:
            fitting = {model for model in WEBSOCKETS[path].server if accepts(model, message)}
            assert len(fitting) == 1, (fitting, message)
            seen |= fitting
        unseen = set(WEBSOCKETS[path].server) - seen
        assert unseen <= {ImageCancelled}, "these pictures take a moment; tests/service/images cancels some"


def test_models_accept_no_field_beside_those_of_live_messages(recorded: dict[str, list[Message]]) -> None:
    models = {model for websocket in WEBSOCKETS.values() for model in websocket.server}
    for message in (message for messages in recorded.values() for message in messages):
        for name in message:
            assert not any(accepts(model, message | {f"{name}_": 1}) for model in models)


def test_docs_api_names_every_message_and_field() -> None:
    text = (ROOT / "docs/api.md").read_text().partition("## Websockets")[2]
    for websocket in WEBSOCKETS.values():
        for model in (*websocket.client, *websocket.server):
            properties = schema(model, "serialization" if model in websocket.server else "validation")["properties"]
            kind = properties.get("type", {}).get("const")
            for word in set(properties) - {"type"} | ({kind} if kind else set()):
                assert f"`{word}`" in text or f'"{word}"' in text, f"{model.__name__}: {word}"
        for parameter in websocket.query.model_json_schema().get("properties", {}):
            assert parameter in text, parameter
