"""Hostile requests and messages are refused by name or honoured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from ancestral.formats import MEDIA_TYPES
from ancestral.service.api.routes.websockets import router
from ancestral.service.images import answers as images
from ancestral.service.images.schemas import ImageCancelled
from ancestral.service.speech.elevenlabs.websockets import CONTEXTS, STREAM_INPUT
from ancestral.service.speech.session import native
from tests.service.fuzzer import Document, Fuzzer
from tests.service.hostile import SCALARS, changed, check_error, encoded, shown
from tests.service.images.pictures import base64_of, noise, written
from tests.service.servers import Server
from tests.service.speech.sounds import in_base64, recording
from tests.service.toys import PICTURES
from tests.service.ws_client import CONFIG, LONG, SECONDS, WEBSOCKETS, schema

# Thousands of requests that nobody should send, over every route: each is refused by name, or honoured in full.


NO_JOB: Final = "job_000000000000000000000000"
SEED = st.integers(0, 2**63 - 1)
TEMPERATURE = st.floats(0, 2)
SKETCH = PICTURES["rgb"]
RECORDING: Final = recording(0.1)
SIZES = ["auto", *(f"{SKETCH.width * k}x{SKETCH.height * k}" for k in (1, 2, 3))]


AUDIO: Final = {
    "voice": st.sampled_from(("ann", "bob", {"id": "ann"})), "response_format": st.sampled_from(sorted(MEDIA_TYPES)),
    "stream_format": st.sampled_from(("audio", "sse")), "seed": SEED, "temperature": TEMPERATURE,
    "sample_rate": st.sampled_from((8000, 16000, 22050, 24000, 44100, 48000)),
}  # fmt: skip
IMAGE: Final = {
    "model": st.just("rgb"), "style": st.sampled_from(("oil", "Crayon", "any")), "size": st.sampled_from(SIZES),
    "response_format": st.sampled_from(("url", "b64_json")), "output_format": st.sampled_from(("png", "webp", "jpeg")),
    "background": st.sampled_from(("auto", "opaque")), "seed": SEED, "temperature": TEMPERATURE,
    "guidance": st.floats(0, 10),
}  # fmt: skip
CLASS: Final = IMAGE | {
    "prompt": st.sampled_from(("cat", "DOG", "any")), "n": st.integers(1, 3), "stream": st.booleans(),
    "partial_images": st.integers(0, 3),
}  # fmt: skip
BODIES: Final[dict[str, tuple[dict[str, st.SearchStrategy[Any]], frozenset[str]]]] = {
    "/v1/audio/speech": (
        AUDIO | {"model": st.just("tiny"), "input": st.just("No."), "speed": st.floats(0.25, 4)},
        frozenset(("model", "input", "voice")),
    ),
    "/v1/audio/generations": (
        AUDIO
        | {"model": st.just("free"), "duration": st.floats(0.01, 0.2), "prompt_audio": st.just(in_base64(RECORDING))},
        frozenset(("model", "voice", "duration")),
    ),
    "/v1/images/generations": (CLASS, frozenset(("model", "prompt"))),
    "/v1/images/completions": (
        CLASS | {"image": st.just(base64_of(written(noise("rgb")))), "rows": st.integers(1, 6)},
        frozenset(("model", "prompt", "image")),
    ),
    "/v1/images/interpolations": (
        IMAGE | {"from": st.just("cat"), "to": st.sampled_from(("cow", [0.5] * 5)), "steps": st.integers(2, 4)},
        frozenset(("model", "from", "to")),
    ),
}
FORMS: Final = {
    "/v1/audio/likelihood": ({"model": "free", "voice": "ann"}, RECORDING),
    "/v1/images/likelihood": ({"model": "rgb", "class": "cat", "style": "oil", "map": "true"}, written(noise("rgb"))),
    "/v1/detect": ({"model": "rgb", "seed": "7", "recipe": '{"prompt": "cat"}', "search": "1"}, written(noise("rgb"))),
}
SOURCE: Final = {
    "seed": "7", "n": "2", "temperature": "0.5", "size": "16x12", "response_format": "b64_json",
    "output_format": "webp", "stream": "true", "partial_images": "1", "background": "auto", "fit": "pad",
}  # fmt: skip
SOURCES: Final = {
    "/v1/images/reconstructions": (SOURCE | {"model": "autoencoder"}, written(noise("autoencoder"))),
    "/v1/images/portraits": (SOURCE | {"model": "portraits"}, written(noise("portraits"))),
    "/v1/images/encodings": ({"model": "autoencoder"}, written(noise("autoencoder"))),
}
"""Forms whose file is the field ``image``."""
GETS: Final = (
    "GET /v1/audio/voices", "GET /v1/images/classes", "GET /v1/models", "GET /v1/models/{model_id}", "GET /v1/jobs",
    "GET /v1/jobs/{job_id}", "GET /v1/jobs/{job_id}/content", "GET /v1/jobs/{job_id}/events",
    "GET /v1/jobs/{job_id}/manifest", "POST /v1/jobs/{job_id}/cancel", "DELETE /v1/jobs/{job_id}",
    "GET /v1/images/files/{job_id}/{index}.{form}", "GET /healthz", "GET /readyz", "GET /metrics",
    "GET /docs", "PUT /v1/models", "GET /v1/nothing",
)  # fmt: skip
QUERY: Final = ("model", "language", "gender", "embeddings", "after", "limit", "token", "frog")
HEADERS: Final = ("last-event-id", "range", "if-range", "if-none-match", "prefer", "idempotency-key", "accept")
HEADER_VALUES: Final = st.sampled_from(
    ("", "0-0", "9-9", "x", "bytes=0-1", "bytes=9-1", "bytes=-", '"a"', "*", "respond-async", "text/html", "a" * 300)
)
QUICK, QUICK_MESSAGES, FULL = 150, 200, 3_000


@pytest.fixture(scope="module")
def document(server: Server) -> Document:
    found: Document = httpx.get(f"{server.url}/openapi.json").json()
    return found


def texts() -> st.SearchStrategy[str]:
    """Texts for places that hold no JSON."""
    return st.sampled_from([value for value in SCALARS if isinstance(value, str)]) | st.text(max_size=12)


def flood(fuzzer: Fuzzer, count: int) -> None:
    """Send so many requests: some with a JSON body, some forms, some without a body."""
    output = fuzzer.manifest["output"]
    whole = {name: st.just(value) for name, value in fuzzer.manifest.items()}
    asked = {name: st.just(value) for name, value in fuzzer.manifest["request"].items()}
    whole["request"] = changed(asked, frozenset(asked))
    whole["output"] = changed({name: st.just(value) for name, value in output.items()}, frozenset(output))
    options = settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))

    def requests(draw: st.DrawFn) -> None:
        kind = draw(st.sampled_from(("json", "json", "json", "json", "manifest", "form", "get", "get")))
        if kind == "json":
            path = draw(st.sampled_from(sorted(BODIES)))
            fuzzer.post(path, draw(changed(*BODIES[path])))
        elif kind == "manifest":
            fuzzer.post("/v1/verify", draw(changed(whole, frozenset(whole))))
        elif kind == "form":
            path = draw(st.sampled_from(sorted(FORMS | SOURCES)))
            fields, file = (FORMS | SOURCES)[path]
            valid = {name: st.just(value) for name, value in fields.items()}
            fuzzer.form(
                path,
                draw(changed(valid, frozenset(("model",)))),
                draw(st.sampled_from((file, file[:50], b"a"))),
                "image" if path in SOURCES else "file",
            )
        else:
            operation = draw(st.sampled_from(GETS))
            names = operation.replace("{", "}").split("}")[1::2]
            path_values = {name: draw(st.sampled_from(("tiny", NO_JOB, "0", "png")) | texts()) or "x" for name in names}
            query = draw(st.dictionaries(st.sampled_from(QUERY) | texts(), texts(), max_size=2))
            headers = draw(st.dictionaries(st.sampled_from(HEADERS), HEADER_VALUES, max_size=2))
            fuzzer.get(operation, path_values, query, headers)

    @options
    @given(st.data())
    def run(data: st.DataObject) -> None:
        requests(data.draw)

    run()


@pytest.mark.parametrize("count", [QUICK, pytest.param(FULL, marks=pytest.mark.slow)])
def test_requests_are_refused_by_name_or_honoured(server: Server, document: Document, count: int) -> None:
    with server.unharmed(), server.client() as client:
        fuzzer = Fuzzer(client, document)
        flood(fuzzer, count)
    assert sum(fuzzer.counts.values()) >= count
    assert fuzzer.counts[200] > count // 50, fuzzer.counts
    assert fuzzer.counts[400] > count // 3, fuzzer.counts


# Thousands of websocket messages that nobody should send: each is refused by name, and the connection goes on.


Strategies = dict[str, st.SearchStrategy[Any]]
A_CONNECTION: Final = 15
"""Messages over one connection, which is closed after 20 errors."""
MESSAGES_SEED: Final = st.integers(0, 2**63 - 1)
SPEECH: Final[list[Strategies]] = [
    {
        "type": st.just("session.config"), "model": st.just("tiny"), "voice": st.sampled_from(("ann", {"id": "bob"})),
        "response_format": st.sampled_from(("pcm", "mp3")), "sample_rate": st.just(16000), "seed": MESSAGES_SEED,
        "temperature": st.floats(0, 2), "speed": st.floats(0.25, 4),
    },
    {"type": st.just("input.text"), "text": st.sampled_from(("Hello there", "No. "))},
    {"type": st.just("input.done")},
    {"type": st.just("input.cancel")},
]  # fmt: skip
PICTURE_MESSAGES: Final[list[Strategies]] = [
    {
        "type": st.just("image.generate"), "model": st.just("rgb"), "prompt": st.sampled_from(("cat", "DOG")),
        "style": st.just("oil"), "n": st.integers(1, 3), "seed": MESSAGES_SEED, "temperature": st.floats(0, 2),
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


def flood_messages(server: Server, path: str, kinds: list[Strategies], count: int) -> int:
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
    sent, messages = 0, Messages(STREAM_INPUT)

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
            names = {shown(name).split(".")[0] for name in message}
            assert param in names | messages.fields, (message, answer)
            with pytest.raises(ConnectionClosed) as closed:
                connection.recv(timeout=SECONDS)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008

    run()
    return sent


@pytest.mark.parametrize("count", [QUICK_MESSAGES, pytest.param(FULL, marks=pytest.mark.slow)])
def test_wrong_messages_are_named(server: Server, count: int) -> None:
    with server.unharmed():
        sent = flood_messages(server, native.PATH, SPEECH, count // 2)
        sent += flood_messages(server, images.PATH, PICTURE_MESSAGES, count // 2)
        sent += flood_elevenlabs(server, count // 10)
    assert sent >= count


# What live websockets send is what the models of their messages say, and docs/api.md names all of it.


NO_QUERY = "?output_format=pcm_16000&model_id=tiny"
Message = dict[str, Any]


def exchange(server: Server, path: str, *messages: Message) -> Iterator[Message]:
    """Send messages one after another; the JSON messages that come back, until the server closes or is done."""
    path = path.replace("{voice_id}", "ann") + (NO_QUERY if "{" in path else "")
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
        STREAM_INPUT: [
            *exchange(server, STREAM_INPUT, {"text": " "}, sentence, {"text": ""}),
            *exchange(server, STREAM_INPUT, {"text": " ", "frog": 1}),
        ],
        CONTEXTS: [
            *exchange(
                server, CONTEXTS, sentence | {"context_id": "a"}, {"context_id": "a", "close_context": True},
                {"text": "слово. ", "flush": True}, {"close_socket": True},
            ),
            *exchange(server, CONTEXTS, {"frog": 1}),
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
