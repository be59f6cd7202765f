"""How errors, jobs and server-sent events appear in the OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from service.api.http.errors import PROBLEM
from service.api.schemas import ErrorEnvelope
from service.jobs.schemas import JOB_EXAMPLE

_EXAMPLES: dict[int, tuple[str, str | None, str | None]] = {
    400: ("voice: wavenet-en has no such voice; it has allison, joe", "voice", "voice_not_found"),
    401: ("The API key is not one of this server's.", None, "invalid_api_key"),
    404: ("model: no such model; there is wavenet-en", "model", "model_not_found"),
    409: ("The job has not been completed yet.", None, "job_not_completed"),
    413: ("The body is larger than the 1048576 bytes that this server reads.", None, "payload_too_large"),
    415: ("The body must be JSON, sent with Content-Type: application/json.", None, "unsupported_media_type"),
    416: ("The sound has 71084 bytes.", None, "range_not_satisfiable"),
    422: ("Idempotency-Key: was used for another request", "Idempotency-Key", "idempotency_key_reused"),
    429: ("The server is sampling as many requests as it can, and its queue is full.", None, "overloaded"),
    500: ("The server failed on this request. The log names it by its x-request-id.", None, "internal_error"),
    503: ("The models are being warmed up.", None, "not_ready"),
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses=`` of a route: these errors, in both shapes, and the shape of any other."""
    others: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorEnvelope, "description": "Any other error"}}
    return others | {status: _documented(status) for status in statuses}


def _documented(status: int) -> dict[str, Any]:
    content = {PROBLEM: {"schema": {"type": "object", "required": list(_examples(status)[PROBLEM])}}}
    found: dict[str, Any] = {"model": ErrorEnvelope, "description": HTTPStatus(status).phrase, "content": content}
    if status in (429, 503):
        seconds = {"type": "integer", "minimum": 1}
        found["headers"] = {"Retry-After": {"description": "Seconds.", "required": True, "schema": seconds}}
    return found


def _examples(status: int) -> dict[str, Any]:
    """One error, by media type."""
    message, param, code = _EXAMPLES[status]
    kind = "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    title = HTTPStatus(status).phrase
    return {
        "application/json": {"error": {"message": message, "type": kind, "param": param, "code": code}},
        PROBLEM: {
            "type": "about:blank", "title": title, "status": status, "detail": message, "param": param, "code": code
        },
    }  # fmt: skip


def exemplify(document: dict[str, Any]) -> None:
    """Put an example of every error, and of a job, into the finished documentation: FastAPI drops all nulls in them."""
    for methods in document["paths"].values():
        for responses in (operation["responses"] for operation in methods.values()):
            for status in (int(name) for name in responses if name.isdecimal() and int(name) in _EXAMPLES):
                for kind, example in _examples(status).items():
                    responses[str(status)]["content"][kind]["example"] = example
    document["components"]["schemas"]["JobObject"]["examples"] = [JOB_EXAMPLE]


def event_stream(*payloads: Mapping[str, Any], **examples: object) -> dict[str, Any]:
    """How server-sent events appear in the documentation: as OpenAPI 3.1 has it, the schema is that of one event.

    Args:
        payloads: schemas of what ``data`` may hold, as JSON, besides an error that ends the stream.
        examples: what it holds, by a name.
    """
    failure = {"type": "object", "required": ["error"], "properties": {"error": {"type": "object"}}}
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"oneOf": [*payloads, failure]},
    }
    schema = {"type": "object", "required": ["data"], "properties": {"data": data}}
    return {
        "schema": schema,
        "examples": {name: {"value": {"data": json.dumps(payload)}} for name, payload in examples.items()},
    }
