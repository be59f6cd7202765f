"""The parts of ``/openapi.json`` that FastAPI does not derive from the routes: errors and server-sent events."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api.http.errors import PROBLEM, problem
from service.api.schemas import ErrorEnvelope, Problem
from service.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    RangeNotSatisfiable,
    ServiceError,
    Unauthorized,
    Unprocessable,
    UnsupportedMedia,
    envelope,
    internal_error,
)
from service.jobs.schemas import JobEvent, JobObject

_REF: Final = "#/components/schemas/{model}"
_EXAMPLES: Final[dict[int, ServiceError]] = {
    error.status: error
    for error in (
        InvalidRequest(
            "voice: wavenet-en has no such voice; it has allison, joe", param="voice", code="voice_not_found"
        ),
        Unauthorized("The API key is not one of this server's."),
        NotFound("model: no such model; there is wavenet-en", param="model", code="model_not_found"),
        Conflict("The job has not been completed yet.", code="job_not_completed"),
        PayloadTooLarge("The body is larger than the 1048576 bytes that this server reads."),
        UnsupportedMedia("The body must be JSON, sent with Content-Type: application/json."),
        RangeNotSatisfiable("The sound has 71084 bytes."),
        Unprocessable(
            "Idempotency-Key: was used for another request", param="Idempotency-Key", code="idempotency_key_reused"
        ),
        Overloaded("The server is sampling as many requests as it can, and its queue is full.", retry_after=1),
        internal_error(),
        NotReady("The models are being warmed up."),
    )
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses=`` of a route: the errors with these statuses, in both shapes, and the shape of any other."""
    others: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorEnvelope, "description": "Any other error"}}
    return others | {status: _error(status) for status in statuses}


def _error(status: int) -> dict[str, Any]:
    content = {PROBLEM: {"schema": {"$ref": _REF.format(model=Problem.__name__)}}}
    found: dict[str, Any] = {"model": ErrorEnvelope, "description": HTTPStatus(status).phrase, "content": content}
    if "retry-after" in _EXAMPLES[status].headers:
        seconds = {"type": "integer", "minimum": 1}
        found["headers"] = {
            "Retry-After": {
                "description": "Seconds until a retry is likely to succeed.",
                "required": True,
                "schema": seconds,
            }
        }
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

    The schemas of events move to the components of the document. Examples with nulls are put in: FastAPI drops them.
    """
    schemas = document["components"]["schemas"]
    schemas[Problem.__name__] = Problem.model_json_schema(mode="serialization")
    for operation in (operation for methods in document["paths"].values() for operation in methods.values()):
        for status, response in operation["responses"].items():
            for media in response.get("content", {}).values():
                for name, schema in media.get("schema", {}).pop("$defs", {}).items():
                    schemas.setdefault(name, schema)
            if status.isdecimal() and (error := _EXAMPLES.get(int(status))) is not None:
                response["content"]["application/json"]["example"] = envelope(error)
                response["content"][PROBLEM]["example"] = problem(error)
    for model in (JobObject, JobEvent):
        schemas[model.__name__]["examples"] = [_example(model)]
