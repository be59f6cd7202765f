"""Thousands of websocket messages that nobody should send: each is refused by name, and the connection goes on."""

from __future__ import annotations

import json
from typing import Any, Final

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from ancestral.service.images import websocket as images
from ancestral.service.speech.elevenlabs import stream_input
from ancestral.service.speech.session import native
from tests.service.fuzzer import number_of
from tests.service.hostile import changed, check_error, encoded
from tests.service.servers import Server
from tests.service.websocket_messages import WEBSOCKETS, schema
from tests.service.ws_client import SECONDS

Strategies = dict[str, st.SearchStrategy[Any]]
QUICK, FULL = 200, 3_000
A_CONNECTION: Final = 15
"""Messages over one connection, which is closed after 20 errors."""
SEED: Final = st.integers(0, 2**63 - 1)
SPEECH: Final[list[Strategies]] = [
    {
        "type": st.just("session.config"), "model": st.just("tiny"), "voice": st.sampled_from(("ann", {"id": "bob"})),
        "response_format": st.sampled_from(("pcm", "mp3")), "sample_rate": st.just(16000), "seed": SEED,
        "temperature": st.floats(0, 2), "speed": st.floats(0.25, 4),
    },
    {"type": st.just("input.text"), "text": st.sampled_from(("Hello there", "No. "))},
    {"type": st.just("input.done")},
    {"type": st.just("input.cancel")},
]  # fmt: skip
PICTURES: Final[list[Strategies]] = [
    {
        "type": st.just("image.generate"), "model": st.just("rgb"), "prompt": st.sampled_from(("cat", "DOG")),
        "style": st.just("oil"), "n": st.integers(1, 3), "seed": SEED, "temperature": st.floats(0, 2),
        "guidance": st.floats(0, 10), "background": st.sampled_from(("auto", "opaque")),
    },
    {"type": st.just("image.cancel")},
]  # fmt: skip
ELEVENLABS: Final[list[Strategies]] = [
    {
        "text": st.just(" "), "voice_settings": st.just({"speed": 1.0}), "generation_config": st.just({}),
        "flush": st.booleans(), "try_trigger_generation": st.booleans(), "xi_api_key": st.just("x"),
    }
]  # fmt: skip


class Messages:
    """What clients may send over one websocket."""

    def __init__(self, path: str) -> None:
        self._schemas = [schema(model, "validation") for model in WEBSOCKETS[path].client]
        self.fields = {name for found in self._schemas for name in found["properties"]}

    def allow(self, message: Any) -> bool:
        """Whether one of the schemas does."""
        if isinstance(message, dict):  # null is an absent field, which no schema says
            message = {name: value for name, value in message.items() if value is not None}
        return any(jsonschema.Draft202012Validator(found).is_valid(message) for found in self._schemas)


def path_of(server: Server, path: str) -> str:
    return f"ws://127.0.0.1:{server.port}{path}"


def wrong(messages: Messages, kinds: list[Strategies]) -> st.SearchStrategy[dict[str, Any]]:
    """Messages that the schemas do not allow."""
    any_kind = st.one_of([changed(kind, frozenset(kind) & {"type", "model", "voice", "text"}) for kind in kinds])
    return any_kind.filter(lambda message: not messages.allow(message))


def next_json(connection: ClientConnection) -> dict[str, Any]:
    while isinstance(received := connection.recv(timeout=SECONDS), bytes):
        pass
    found: dict[str, Any] = json.loads(received)
    return found


def flood(server: Server, path: str, kinds: list[Strategies], count: int) -> int:
    """Send so many messages that are not allowed: each gets one error, which names a field. Returns how many."""
    sent, messages = 0, Messages(path)

    @settings(max_examples=count // A_CONNECTION, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(wrong(messages, kinds), min_size=A_CONNECTION, max_size=A_CONNECTION))
    def run(batch: list[dict[str, Any]]) -> None:
        nonlocal sent
        with connect(path_of(server, path), proxy=None, compression=None) as connection:
            for message in batch:
                connection.send(encoded(message).decode())
                sent += 1
                answer = next_json(connection)
                while answer["type"] == "session.created":
                    answer = next_json(connection)
                assert answer["type"] == "error", (message, answer)
                check_error(answer["error"], set(message), messages.fields)

    run()
    return sent


def flood_elevenlabs(server: Server, count: int) -> int:
    """The same for the protocol in which an error ends the connection. Its error has no field of its own."""
    sent, messages = 0, Messages(stream_input.PATH)

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))
    @given(wrong(messages, ELEVENLABS))
    def run(message: dict[str, Any]) -> None:
        nonlocal sent
        with connect(
            path_of(server, "/v1/text-to-speech/ann/stream-input"), proxy=None, compression=None
        ) as connection:
            connection.send(encoded(message).decode())
            sent += 1
            answer = next_json(connection)
            assert set(answer) == {"message", "error", "code"}, (message, answer)
            param = answer["message"].partition(":")[0].split(".")[0]
            names = {name.encode(errors="backslashreplace").decode() for name in message}
            assert param in names | messages.fields, (message, answer)
            with pytest.raises(ConnectionClosed) as closed:
                connection.recv(timeout=SECONDS)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008

    run()
    return sent


def check_flood(server: Server, count: int) -> None:
    with server.unharmed():
        sent = flood(server, native.PATH, SPEECH, count // 2)
        sent += flood(server, images.PATH, PICTURES, count // 2)
        sent += flood_elevenlabs(server, count // 10)
    assert sent >= count


def test_wrong_messages_are_named(server: Server) -> None:
    check_flood(server, QUICK)


@pytest.mark.slow
def test_thousands_of_wrong_messages_are_named(server: Server) -> None:
    check_flood(server, FULL)


def pictures_of(connection: ClientConnection, request: dict[str, Any]) -> None:
    """A request that the schemas allow: its answer honours all that was sent, or an error names a field."""
    connection.send(encoded(request).decode())
    start = next_json(connection)
    if start["type"] == "error":
        check_error(start["error"], set(request), set(request) | {"prompt", "class"})
        return
    said = {name: value for name, value in request.items() if value is not None}  # null is as if it were not there
    assert start["n"] == said.get("n", 1)
    assert start["model"] == said["model"]
    assert number_of(start["seed"]) == number_of(said.get("seed", start["seed"]))
    size = 0
    while isinstance(received := connection.recv(timeout=SECONDS), bytes):
        size += len(received)
    assert size == start["n"] * start["width"] * start["height"] * start["channels"]
    assert json.loads(received)["type"] == "image.done"


def test_requests_for_pictures_are_honoured(server: Server) -> None:
    messages = Messages(images.PATH)
    kind = PICTURES[0]
    allowed = changed(kind, frozenset(("type", "model"))).filter(
        lambda message: messages.allow(message) and message.get("type") == "image.generate"
    )

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(allowed)
    def run(request: dict[str, Any]) -> None:
        with connect(path_of(server, "/v1/images/stream"), proxy=None, compression=None) as connection:
            pictures_of(connection, request)

    run()
