"""Errors as clients see them: one tree of exceptions, one envelope on the wire.

    ServiceError                    500  server_error, the base
    ├── InvalidRequest              400  a value that cannot be served; ``param`` names it
    ├── NotFound                    404  no such model or route
    ├── MethodNotAllowed            405
    ├── PayloadTooLarge             413
    ├── UnsupportedMedia            415
    ├── Overloaded                  429  with Retry-After
    └── NotReady                    503  with Retry-After

The body is ``{"error": {"message", "type", "param", "code"}}``, or an RFC 9457 problem where the client asks for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

PROBLEM = "application/problem+json"


class ServiceError(Exception):
    """Something that ends a request with an error response."""

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.code
        self.headers = dict(headers or {})


class InvalidRequest(ServiceError):
    """A request that can never be served as it stands."""

    status = 400
    type = "invalid_request_error"


class NotFound(ServiceError):
    """No such thing under this name."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class MethodNotAllowed(ServiceError):
    """The path exists, for other methods."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class PayloadTooLarge(ServiceError):
    """The body is longer than this server reads."""

    status = 413
    type = "invalid_request_error"
    code = "payload_too_large"


class UnsupportedMedia(ServiceError):
    """The body is of a kind that this route does not read."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"


class Overloaded(ServiceError):
    """Every stream is taken and the queue is full."""

    status = 429
    type = "rate_limit_error"
    code = "overloaded"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, headers={"retry-after": str(max(1, retry_after))})


class NotReady(ServiceError):
    """The server lives but cannot serve yet."""

    status = 503
    type = "server_error"
    code = "not_ready"

    def __init__(self, message: str, *, retry_after: int = 2) -> None:
        super().__init__(message, headers={"retry-after": str(max(1, retry_after))})


class BrokenOff(Exception):
    """Ends a response that has begun, incomplete, for a reason that lies with the client."""


def internal_error() -> ServiceError:
    """What a client is told of a failure that is ours: nothing that helps an attacker."""
    return ServiceError(
        "The server failed on this request. The log names it by its x-request-id.", code="internal_error"
    )


def envelope(error: ServiceError) -> dict[str, dict[str, str | None]]:
    """The body of an error response, and of an error inside a stream of events."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


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


def from_validation(errors: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """The first of pydantic's complaints, in a client's words; ``param`` names the field."""
    first = errors[0]
    path = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    if not path:
        return InvalidRequest("The body must be a JSON object.", code="invalid_type")
    param, kind, message = path[0], str(first["type"]), str(first["msg"])
    if len(path) > 1:  # inside the one field that takes two forms; pydantic speaks of the first form alone
        message, kind = "must be an id, or an object with an id", "invalid_type"
    elif kind == "extra_forbidden":
        message, kind = "no such parameter", "unknown_parameter"
    elif kind == "missing":
        message, kind = "required", "missing_parameter"
    return InvalidRequest(f"{param}: {message[:1].lower()}{message[1:]}", param=param, code=kind)


def install(app: FastAPI) -> None:
    """Make every error that a route or the framework raises leave in the envelope."""

    async def own(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ServiceError)
        return respond(error, request.headers.get("accept", ""))

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return respond(from_http(error, request.method, request.url.path), request.headers.get("accept", ""))

    async def validation(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return respond(from_validation(error.errors()), request.headers.get("accept", ""))

    app.add_exception_handler(ServiceError, own)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, validation)
