"""JSON bodies and forms, and how errors appear in the documentation."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from service.auth import caller_of
from service.error_responses import PROBLEM
from service.errors import InvalidRequest, UnsupportedMedia
from service.schemas import JOB_EXAMPLE, ErrorEnvelope

_MAX_FIELDS = 16


class JsonRoute(APIRoute):
    """A route that says precisely what is wrong with a body that is not JSON, before anything looks into it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the check."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def checked(request: Request) -> Response:
            await caller_of(request)  # nobody without a key gets a body read
            await _check_json(request)
            return await handle(request)

        return checked


async def _check_json(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMedia("The body must be JSON, sent with Content-Type: application/json.")
    body = await request.body()
    try:
        json.loads(body)
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body is not UTF-8.", code="json_invalid") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"The body is not JSON: {error.msg} at {where}.", code="json_invalid") from error
    except (RecursionError, ValueError) as error:  # nested too deep; an integer of thousands of digits
        raise InvalidRequest("The body is JSON that no request needs.", code="json_invalid") from error


class FormRoute(APIRoute):
    """A route that says precisely what is wrong with a body that is no form, before anything looks into it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the check."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            await caller_of(request)  # nobody without a key gets a body read
            media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if media_type != "multipart/form-data":
                raise UnsupportedMedia("The body must be a form, sent with Content-Type: multipart/form-data.")
            try:
                form = await request.form(max_files=1, max_fields=_MAX_FIELDS)
            except HTTPException as error:
                raise InvalidRequest(f"The body is no form: {error.detail}", code="form_invalid") from error
            names = [name for name, _ in form.multi_items()]
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise InvalidRequest(f"{twice}: given twice", param=twice, code="duplicate_parameter")
            return await handle(request)

        return checked


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
