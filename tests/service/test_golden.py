"""What a server serves beside sounds and pictures, held by golden files: its OpenAPI document and its refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, get_args

import httpx
import pytest

from ancestral.errors import InvalidRequest
from ancestral.requests import checked
from ancestral_service.images.schemas import IMAGE_MESSAGES
from ancestral_service.speech.elevenlabs.schemas import FirstMessage, StreamQuery
from ancestral_service.speech.realtime.schemas import EVENTS, RealtimeQuery
from ancestral_service.speech.session.state import SPEECH_MESSAGES
from tests.golden_files import Golden
from tests.service.images.pictures import noise, written
from tests.service.servers import Server
from tests.service.speech.sounds import recording

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document(server: Server) -> Document:
    """What `/openapi.json` says."""
    found: Document = httpx.get(f"{server.url}/openapi.json").json()
    return found


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Method, path and description of every route."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_openapi(document: Document, golden: Golden) -> None:
    """The golden file names the errors of a route by their statuses: each status has one description."""
    errors: Document = {}
    for _, _, operation in operations(document):
        responses = operation["responses"]
        found = [status for status in responses if status == "default" or status >= "400"]
        for status in found:
            error = responses.pop(status)
            assert errors.setdefault(status, error) == error
        operation["errors"] = " ".join(sorted(found))
    golden("openapi", document | {"errors": errors})


# Refusals: one wrong value for every field of every route.

_WRONG: Final = {"": []}
"""No field of a JSON body takes this, of whichever type."""
_WRONG_TEXT: Final = "x" * 5000
"""The same in a form, a query or a header, where all is text: no name, no number, and too long for a text."""
_MODELS: Final = {
    "/v1/audio/speech": "tiny", "/v1/audio/generations": "free", "/v1/audio/likelihood": "free",
    "/v1/images/edits": "palette", "/v1/images/reconstructions": "autoencoder", "/v1/images/portraits": "portraits",
    "/v1/images/encodings": "autoencoder",
}  # fmt: skip
"""The model of an otherwise valid request; elsewhere `rgb`."""


def valid_body(document: Document, path: str, operation: Document) -> tuple[Document, Document]:
    """A body that is valid, but that its prompt may name nothing of the model; and the schemas of its fields."""
    ((kind, media),) = operation.get("requestBody", {"content": {"": {}}})["content"].items()
    if not kind:
        return {}, {}
    schema = document["components"]["schemas"][media["schema"]["$ref"].rpartition("/")[2]]
    fields, model = schema["properties"], _MODELS.get(path, "rgb")
    known = {"model": model, "model_id": "tiny", "voice": "ann", "prompt": "axe"}
    if kind == "application/json":
        return {"json": {name: known.get(name, value) for name, value in schema["examples"][0].items()}}, fields
    upload = recording(0.1) if "audio" in path else written(noise(model))
    files = {name: upload for name, field in fields.items() if "contentMediaType" in field}
    return {"data": {n: known[n] for n in known if n in fields and path != "/v1/detect"}, "files": files}, fields


def wrong_requests(document: Document, path: str, operation: Document) -> Iterator[tuple[str, str, Document]]:
    """The name of each field of a route; the path and the options of a request with a wrong value there."""
    sent, fields = valid_body(document, path, operation)
    for name in fields:
        part, value = ("json", _WRONG) if "json" in sent else ("data", _WRONG_TEXT)
        if name in sent.get("files", {}):
            part, value = "files", b"a"
        yield name, path, sent | {part: sent[part] | {name: value}}
    for parameter in operation.get("parameters", []):
        name, place = parameter["name"], parameter["in"]
        if place == "path":
            yield name, path.replace(f"{{{name}}}", "x"), sent
        elif place == "query" or name == "idempotency-key":  # what the other headers ask for may be left undone
            yield name, path, sent | {"params" if place == "query" else "headers": {name: _WRONG_TEXT}}


def test_refusals(server: Server, document: Document, golden: Golden) -> None:
    """Status, code, param and type."""
    found: Document = {}
    with server.unharmed(), server.client() as client:
        for method, path, operation in operations(document):
            for name, wrong, sent in wrong_requests(document, path, operation):
                url = wrong.replace("{voice_id}", "ann").replace("{index}.{form}", "0.png").replace("{form}", "png")
                response = client.request(method, re.sub("{.*?}", "x", url), **sent)
                error = {} if response.is_success else response.json()["error"]
                told = [response.status_code, *map(error.get, ("code", "param", "type"))]
                found.setdefault(f"{method.upper()} {path}", {})[name] = told
    golden("refusals", found)


def test_refused_messages(golden: Golden) -> None:
    """The same of the messages of websockets, and of the query of one, without a status."""
    found: Document = {}
    queries, speech = (StreamQuery, RealtimeQuery), (*SPEECH_MESSAGES.values(), FirstMessage, *EVENTS.values())
    for kind in (*speech, *IMAGE_MESSAGES.values(), *queries):
        names = {field.alias or name: field.is_required() for name, field in kind.model_fields.items()}
        valid = {name: "x" for name, required in names.items() if required and name != "type"}
        valid |= {"type": get_args(kind.model_fields["type"].annotation)[0]} if "type" in names else {}
        for name in names:
            with pytest.raises(InvalidRequest) as caught:
                checked(kind, valid | {name: _WRONG_TEXT if kind in queries else _WRONG})
            found.setdefault(kind.__name__, {})[name] = [caught.value.code, caught.value.param]
    golden("refused_messages", found)
