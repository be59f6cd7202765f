"""Hostile requests and messages are refused by name or honoured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from websockets.sync.client import connect

from ancestral.formats import MEDIA_TYPES
from ancestral_service.images import answers as images
from ancestral_service.images.schemas import IMAGE_MESSAGES
from ancestral_service.speech.session import native
from ancestral_service.speech.session.state import SPEECH_MESSAGES
from tests.service.fuzzer import Document, Fuzzer
from tests.service.hostile import SCALARS, changed, check_error, encoded
from tests.service.images.pictures import base64_of, noise, written
from tests.service.servers import Server
from tests.service.speech.sounds import in_base64, recording
from tests.service.toys import PICTURES
from tests.service.ws_client import CONFIG, SECONDS

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
SPOKEN: Final = AUDIO | {"model": st.just("tiny"), "input": st.just("No."), "speed": st.floats(0.25, 4)}
SOUND: Final = AUDIO | {
    "model": st.just("free"), "duration": st.floats(0.01, 0.2), "prompt_audio": st.just(in_base64(RECORDING)),
}  # fmt: skip
REST: Final = CLASS | {"image": st.just(base64_of(written(noise("rgb")))), "rows": st.integers(1, 6)}
BETWEEN: Final = IMAGE | {
    "from": st.just("cat"), "to": st.sampled_from(("cow", [0.5] * 5)), "steps": st.integers(2, 4),
}  # fmt: skip
BODIES: Final[dict[str, tuple[dict[str, st.SearchStrategy[Any]], frozenset[str]]]] = {
    "/v1/audio/speech": (SPOKEN, frozenset(("model", "input", "voice"))),
    "/v1/audio/generations": (SOUND, frozenset(("model", "voice", "duration"))),
    "/v1/images/generations": (CLASS, frozenset(("model", "prompt"))),
    "/v1/images/completions": (REST, frozenset(("model", "prompt", "image"))),
    "/v1/images/interpolations": (BETWEEN, frozenset(("model", "from", "to"))),
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
QUICK, QUICK_MESSAGES, FULL = 150, 210, 3_000


@pytest.fixture(scope="module")
def document(server: Server) -> Document:
    found: Document = httpx.get(f"{server.url}/openapi.json", timeout=60).json()
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
            sent, data = draw(changed(valid, frozenset(("model",)))), draw(st.sampled_from((file, file[:50], b"a")))
            fuzzer.form(path, sent, data, "image" if path in SOURCES else "file")
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


def always(**fields: Any) -> Strategies:
    return {name: st.just(value) for name, value in fields.items()}


SPEECH: Final = [
    always(type="session.config", **CONFIG, temperature=0.5, speed=2.0),
    always(type="input.text", text="No. "),
    always(type="input.done"),
    always(type="input.cancel"),
]
DRAWING: Final = [
    always(type="image.generate", model="rgb", prompt="cat", style="oil", n=2, seed=7, guidance=2.0, temperature=0.5,
           coarse=False, background="auto"),
    always(type="image.cancel"),
]  # fmt: skip


def flood_messages(
    server: Server, path: str, messages: Mapping[str, type[BaseModel]], kinds: list[Strategies], count: int
) -> int:
    """Send so many messages that no schema allows: each gets one error, which names a field. Returns how many."""
    schemas = [message.model_json_schema() for message in messages.values()]
    schemas = [found | {"required": ["type", *found.get("required", [])]} for found in schemas]
    fields, sent = {name for found in schemas for name in found["properties"]}, 0

    def is_wrong(message: dict[str, Any]) -> bool:
        given = {name: value for name, value in message.items() if value is not None}  # null is an absent field
        return not any(jsonschema.Draft202012Validator(found).is_valid(given) for found in schemas)

    any_kind = st.one_of([changed(kind, frozenset(kind) & {"type", "model", "voice", "text"}) for kind in kinds])
    wrong = any_kind.filter(is_wrong)

    @settings(max_examples=count // A_CONNECTION, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(wrong, min_size=A_CONNECTION, max_size=A_CONNECTION))
    def run(batch: list[dict[str, Any]]) -> None:
        nonlocal sent
        with connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None, compression=None) as connection:
            for message in batch:
                connection.send(encoded(message).decode())
                sent += 1
                answer = json.loads(connection.recv(timeout=SECONDS))
                while answer["type"] == "session.created":
                    answer = json.loads(connection.recv(timeout=SECONDS))
                assert answer["type"] == "error", (message, answer)
                check_error(answer["error"], set(message), fields)

    run()
    return sent


@pytest.mark.parametrize("count", [QUICK_MESSAGES, pytest.param(FULL, marks=pytest.mark.slow)])
def test_wrong_messages_are_named(server: Server, count: int) -> None:
    with server.unharmed():
        sent = flood_messages(server, native.PATH, SPEECH_MESSAGES, SPEECH, count // 2)
        sent += flood_messages(server, images.PATH, IMAGE_MESSAGES, DRAWING, count // 2)
    assert sent >= count
