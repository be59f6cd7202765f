"""The parts of ``/openapi.json`` that FastAPI does not derive from the routes: errors and server-sent events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ancestral.requests import Described
from ancestral.speech.utterance import Phonemized
from ancestral_service.api.http.errors import PROBLEM
from ancestral_service.errors import NotReady, Overloaded
from ancestral_service.jobs.schemas import JobEvent, JobObject, Manifest


class ErrorBody(Described):
    """An error; all four keys are always present."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(Described):
    """Every error response."""

    error: ErrorBody


class Problem(Described):
    """Every error response, for clients that accept ``application/problem+json`` (RFC 9457)."""

    type: Literal["about:blank"]
    title: str
    """The status in words."""
    status: int
    detail: str
    param: str | None
    code: str | None


_REF: Final = "#/components/schemas/{model}"


ANY_ERROR: Final[dict[int | str, dict[str, Any]]] = {
    "default": {"model": ErrorEnvelope, "description": "Any other error"}
}
"""``responses=`` of every route; :func:`complete` adds those of its errors that clients should expect."""
_WAITS_FOR_JOBS: Final = re.compile(r"/v1/jobs/\{\w+\}/(?!events)|/v1/verify")
_SIGNS_FILES: Final = re.compile(r"/v1/(jobs/\{\w+\}/(content|manifest)|images/files/|avatars/)")
_REFERS: Final = re.compile(r".*\{|/v1/(jobs|audio/voices|images/classes)")
_IN_REDIS: Final = re.compile(r"/v1/(jobs|images/files|avatars)|/readyz")


def _statuses(path: str, operation: dict[str, Any]) -> Iterator[int]:
    """The statuses of the errors that an operation should be expected to answer with."""
    names, has_body = {p["name"].lower() for p in operation.get("parameters", ())}, "requestBody" in operation
    yield 400
    conditions = {
        401: "401" in operation["responses"],  # of routes that need a key, see app.py
        404: has_body or bool(_REFERS.match(path)),
        408: has_body,
        409: bool(_WAITS_FOR_JOBS.match(path)),
        413: has_body,
        415: has_body,
        416: "range" in names,
        422: "idempotency-key" in names,
        429: has_body or path.startswith("/v1/avatars"),
        500: has_body or bool(_SIGNS_FILES.match(path)),
        503: has_body or bool(_IN_REDIS.match(path)),
    }
    yield from (status for status, holds in conditions.items() if holds)


def _error(status: int) -> dict[str, Any]:
    """An error as OpenAPI describes it, in both of its shapes."""
    shapes = {"application/json": ErrorEnvelope.__name__, PROBLEM: Problem.__name__}
    content = {media: {"schema": {"$ref": _REF.format(model=model)}} for media, model in shapes.items()}
    found: dict[str, Any] = {"description": HTTPStatus(status).phrase, "content": content}
    if status in (Overloaded.status, NotReady.status):
        said, seconds = "Seconds until a retry is likely to succeed.", {"type": "integer", "minimum": 1}
        header = {"description": said, "required": status == Overloaded.status, "schema": seconds}
        found["headers"] = {"Retry-After": header}
    return found


def event_stream(*events: type[BaseModel]) -> dict[str, Any]:
    """A response of server-sent events: as OpenAPI 3.1 has it, the schema is that of one event.

    Args:
        events: what ``data`` may hold, as JSON, besides an error that ends the stream; each has an example.
    """
    models: tuple[type[BaseModel], ...] = (*events, ErrorEnvelope)
    references, definitions = models_json_schema([(model, "serialization") for model in models], ref_template=_REF)
    schemas = [references[model, "serialization"] for model in models]
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": {"oneOf": schemas}}
    schema = {"type": "object", "required": ["data"], "properties": {"data": data}, **definitions}
    examples = {model.__name__: {"value": {"data": json.dumps(_example(model))}} for model in events}
    return {"schema": schema, "examples": examples}


def _example(model: type[BaseModel]) -> Any:
    extra = model.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    assert isinstance(extra["examples"], list)
    return extra["examples"][0]


def complete(document: dict[str, Any]) -> None:
    """Finish what FastAPI has made of the routes.

    The schemas of events move to the components of the document, descriptions of fields lose the line breaks of the
    source, and examples that have nulls are put in again: FastAPI drops them.
    """
    schemas = document["components"]["schemas"]
    schemas[Problem.__name__] = Problem.model_json_schema(mode="serialization")
    fields: list[dict[str, Any]] = []
    operations = [(path, each) for path, methods in document["paths"].items() for each in methods.values()]
    for path, operation in operations:
        operation["responses"] |= {str(status): _error(status) for status in _statuses(path, operation)}
        for parameter in operation.get("parameters", ()):
            fields += parameter, parameter["schema"]
        for response in operation["responses"].values():
            for media in response.get("content", {}).values():
                for name, schema in media.get("schema", {}).pop("$defs", {}).items():
                    schemas.setdefault(name, schema)
    fields += [field for schema in schemas.values() for field in schema.get("properties", {}).values()]
    for field in fields:
        if "description" in field:
            field["description"] = " ".join(field["description"].split())
    for model in (JobObject, JobEvent, Manifest, Phonemized):
        schemas[model.__name__]["examples"] = [_example(model)]
