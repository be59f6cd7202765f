"""Errors as responses; what the framework raises by itself becomes one of ours first.

The body is ``{"error": {"message", "type", "param", "code"}}``, or an RFC 9457 problem where the client asks for one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from service.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    ServiceError,
    UnsupportedMedia,
    envelope,
    queue_away,
)
from service.jobs.validation import from_validation

log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def problem(error: ServiceError) -> dict[str, Any]:
    """The same error as an RFC 9457 object."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.message,
        "param": error.param,
        "code": error.code,
    }


def respond(error: ServiceError, accept: str) -> JSONResponse:
    """The response for ``error``, in the shape that the request's ``Accept`` header asks for."""
    if _accepts_problem(accept):
        return JSONResponse(problem(error), error.status, error.headers, media_type=PROBLEM)
    return JSONResponse(envelope(error), error.status, error.headers)


def _accepts_problem(accept: str) -> bool:
    for item in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        if kind == PROBLEM and not any(p.replace(" ", "") in ("q=0", "q=0.0") for p in parameters):
            return True
    return False


_BY_STATUS: dict[int, type[ServiceError]] = {
    error.status: error for error in (InvalidRequest, NotFound, MethodNotAllowed, PayloadTooLarge, UnsupportedMedia)
}


def from_http(error: HTTPException, method: str, path: str) -> ServiceError:
    """The framework's own refusals (no such route, wrong method) as ours."""
    message = str(error.detail)
    if error.status_code == 404:
        message = f"There is nothing at {method} {path}."
    elif error.status_code == 405:
        message = f"{path} does not take {method}."
    kind = _BY_STATUS.get(error.status_code, ServiceError)
    own = kind(message, headers=error.headers)
    own.status = error.status_code
    return own


def _methods(request: Request) -> list[str]:
    """What the path takes. The framework tells of the first route there alone, and the next one takes others."""
    asked = ({**request.scope, "method": method} for method in _METHODS)
    return [scope["method"] for scope in asked if any(_takes(route, scope) for route in request.app.routes)]


def _takes(route: BaseRoute, scope: Scope) -> bool:
    return route.matches(scope)[0] is Match.FULL


def install(
    app: FastAPI,
    unavailable_errors: Sequence[type[Exception]] = (),
    tell: Callable[[ServiceError], None] = lambda error: None,
) -> None:
    """Make every error that a route or the framework raises leave in the envelope.

    Args:
        app: whose errors.
        unavailable_errors: what is raised while a part of the service is away: 503, to be tried again.
        tell: is told of every one.
    """

    def answer(request: Request, error: ServiceError) -> JSONResponse:
        tell(error)
        return respond(error, request.headers.get("accept", ""))

    async def unavailable(request: Request, error: Exception) -> JSONResponse:
        log.warning("redis is away", extra={"reason": type(error).__name__})
        return answer(request, queue_away())

    async def own(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ServiceError)
        return answer(request, error)

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        own = from_http(error, request.method, request.url.path)
        if isinstance(own, MethodNotAllowed):
            own.headers = {"allow": ", ".join(_methods(request))}
        return answer(request, own)

    async def validation(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return answer(request, from_validation(error.errors()))

    app.add_exception_handler(ServiceError, own)
    for kind in unavailable_errors:
        app.add_exception_handler(kind, unavailable)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, validation)
