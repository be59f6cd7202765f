"""The parts of ``/openapi.json`` that FastAPI does not derive from the routes: errors and server-sent events."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ancestral.service.api.books.schemas import BookEvent, BookObject
from ancestral.service.api.http.errors import PROBLEM
from ancestral.service.api.schemas import ErrorEnvelope, Problem
from ancestral.service.errors import NotReady, Overloaded
from ancestral.service.jobs.schemas import JobEvent, JobObject, Manifest
from ancestral.service.speech.phonemes import Phonemized

_REF: Final = "#/components/schemas/{model}"


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses=`` of a route: the errors with these statuses, in both shapes, and the shape of any other."""
    others: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorEnvelope, "description": "Any other error"}}
    return others | {status: _error(status) for status in statuses}


def _error(status: int) -> dict[str, Any]:
    content = {PROBLEM: {"schema": {"$ref": _REF.format(model=Problem.__name__)}}}
    found: dict[str, Any] = {"model": ErrorEnvelope, "description": HTTPStatus(status).phrase, "content": content}
    if status in (Overloaded.status, NotReady.status):
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

    The schemas of events move to the components of the document, descriptions of fields lose the line breaks of the
    source, and examples that have nulls are put in again: FastAPI drops them.
    """
    schemas = document["components"]["schemas"]
    schemas[Problem.__name__] = Problem.model_json_schema(mode="serialization")
    fields: list[dict[str, Any]] = []
    for operation in (operation for methods in document["paths"].values() for operation in methods.values()):
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
    for model in (JobObject, JobEvent, BookObject, BookEvent, Manifest, Phonemized):
        schemas[model.__name__]["examples"] = [_example(model)]
