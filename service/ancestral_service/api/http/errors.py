"""Errors as HTTP responses, those that the framework raises included.

The body is ``{"error": {"message", "type", "param", "code"}}``, or an RFC 9457 problem if the client asks for one. A
websocket's handshake that is refused gets the same response.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from ancestral.errors import AncestralError, InvalidRequest, NotFound
from ancestral.requests import from_validation, shown
from ancestral_service import errors
from ancestral_service.broker.connection import UNAVAILABLE

# Query parameters: an unknown or a repeated one is an error, never ignored.


async def check_query(request: Request) -> None:
    """Dependency of every HTTP route.

    Raises:
        InvalidRequest: the route has no parameter of that name, or the parameter is given twice.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    known = set(_query_names(request.scope["route"].dependant)) if names else set()
    for name in names:
        if name not in known:
            raise InvalidRequest(f"{shown(name)}: no such parameter", param=shown(name), code="unknown_parameter")
        if names.count(name) > 1:
            raise InvalidRequest(f"{name}: given twice", param=name, code="duplicate_parameter")


def _query_names(dependant: Dependant) -> Iterator[str]:
    """The query parameters that a route and its dependencies declare, one by one or as a model."""
    for field in dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from (info.alias or name for name, info in model.model_fields.items())
        else:
            yield field.alias
    for dependency in dependant.dependencies:
        yield from _query_names(dependency)


log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
_METHODS = ("DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT")


def problem(status: int, error: Mapping[str, str | None]) -> dict[str, Any]:
    """An error of the envelope as an RFC 9457 object."""
    shown = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": error["message"]}
    return shown | {"param": error["param"], "code": error["code"]}


def respond(error: AncestralError, accept: str) -> JSONResponse:
    """The response for ``error``, in the shape that the request's ``Accept`` header asks for."""
    status, headers, body = errors.status_of(error), errors.error_headers(error), errors.envelope(error)
    if _accepts_problem(accept):
        return JSONResponse(problem(status, body["error"]), status, headers, media_type=PROBLEM)
    return JSONResponse(body, status, headers)


def _accepts_problem(accept: str) -> bool:
    for item in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        if kind == PROBLEM and not any(p.replace(" ", "") in ("q=0", "q=0.0") for p in parameters):
            return True
    return False


def from_http(error: HTTPException, connection: HTTPConnection) -> AncestralError:
    """The framework's own errors (no such route, wrong method) as ours."""
    scope, path = connection.scope, connection.url.path
    method = scope.get("method", "WEBSOCKET")
    if error.status_code == 404 and method != "WEBSOCKET" and _matches(connection, {**scope, "type": "websocket"}):
        return errors.UpgradeRequired(f"{path} is a websocket: connect with ws:// or wss://.")
    if error.status_code == 404:
        return NotFound(f"There is nothing at {method} {path}.")
    if error.status_code == 405:
        allowed = [name for name in _METHODS if _matches(connection, {**scope, "method": name})]
        allowed += ["HEAD"] if "GET" in allowed else []
        return errors.MethodNotAllowed(f"{path} does not take {method}.", headers={"allow": ", ".join(allowed)})
    if error.status_code == 400:
        return InvalidRequest(str(error.detail))
    own = errors.ServiceError(str(error.detail), headers=error.headers)
    own.status = error.status_code
    return own


def _matches(connection: HTTPConnection, scope: Scope) -> bool:
    """Whether a route serves this. The framework's error knows the methods of the first route of a path alone."""
    routes: Sequence[BaseRoute] = connection.app.routes
    return any(route.matches(scope)[0] is Match.FULL for route in routes)


async def no_route(scope: Scope, receive: Receive, send: Send) -> None:
    """The app's answer to an unknown path, of a websocket, too: the framework would refuse that without a body."""
    raise HTTPException(404)


def install(app: FastAPI, on_error: Callable[[AncestralError], None] = lambda error: None) -> None:
    """Answer every error that a route or the framework raises in the envelope.

    Args:
        app: to install the handlers in.
        on_error: called with every error that is answered.
    """

    async def answer(connection: Request | WebSocket, error: Exception) -> JSONResponse:
        match error:
            case AncestralError():
                own = error
            case HTTPException():
                own = from_http(error, connection)
            case RequestValidationError():
                own = from_validation(error.errors())
            case _:  # one of UNAVAILABLE
                log.warning("Redis is unavailable", extra={"reason": type(error).__name__})
                own = errors.redis_unavailable()
        on_error(own)
        return respond(own, connection.headers.get("accept", ""))

    for kind in (AncestralError, HTTPException, RequestValidationError, *UNAVAILABLE):
        app.add_exception_handler(kind, answer)
    app.router.default = no_route
