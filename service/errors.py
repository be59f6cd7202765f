"""Errors as clients see them: one tree of exceptions, one envelope on the wire.

    ServiceError                    500  server_error, the base
    ├── InvalidRequest              400  a value that cannot be served; ``param`` names it
    ├── Unauthorized                401  with WWW-Authenticate
    ├── NotFound                    404  no such model, job or route
    ├── MethodNotAllowed            405
    ├── Conflict                    409  not in this state of the job
    ├── PayloadTooLarge             413
    ├── UnsupportedMedia            415
    ├── RangeNotSatisfiable         416
    ├── Unprocessable               422  an idempotency key that was used for another request
    ├── Overloaded                  429  with Retry-After
    └── NotReady                    503  with Retry-After

The body is ``{"error": {"message", "type", "param", "code"}}``, or an RFC 9457 problem where the client asks for one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


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


class Unauthorized(ServiceError):
    """No key, or none of ours."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"www-authenticate": "Bearer"})


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


class Conflict(ServiceError):
    """What is asked does not go with the state of the thing; ``retry`` says whether it may later."""

    status = 409
    type = "invalid_request_error"
    code = "conflict"

    def __init__(self, message: str, *, code: str | None = None, retry: bool = False) -> None:
        super().__init__(message, code=code, headers={"retry-after": "1"} if retry else {"x-should-retry": "false"})


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


class RangeNotSatisfiable(ServiceError):
    """The bytes asked for lie outside."""

    status = 416
    type = "invalid_request_error"
    code = "range_not_satisfiable"


class Unprocessable(ServiceError):
    """Well formed, and still not to be done."""

    status = 422
    type = "invalid_request_error"
    code = "unprocessable"


class Overloaded(ServiceError):
    """No room: every slot is taken and the queue is full, or a limit of the caller's is reached."""

    status = 429
    type = "rate_limit_error"
    code = "overloaded"

    def __init__(self, message: str, *, retry_after: int, code: str | None = None) -> None:
        super().__init__(message, code=code, headers={"retry-after": str(max(1, retry_after))})


class NotReady(ServiceError):
    """The server lives but cannot serve yet."""

    status = 503
    type = "server_error"
    code = "not_ready"

    def __init__(self, message: str, *, retry_after: int = 2) -> None:
        super().__init__(message, headers={"retry-after": str(max(1, retry_after))})


class BrokenOff(Exception):
    """Ends a response that has begun, incomplete, for a reason that lies with the client."""


class ClientLeft(BrokenOff):
    """Nobody waits for the response any more."""

    def __init__(self) -> None:
        super().__init__("the client left")


def content_expired() -> NotFound:
    """What a job gave was kept for as long as its record said."""
    return NotFound("What this job gave is no longer kept.", code="content_expired")


def queue_away() -> NotReady:
    """What a client is told while Redis is away."""
    return NotReady("The queue does not answer.")


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


def _methods(request: Request) -> list[str]:
    """What the path takes. The framework tells of the first route there alone, and the next one takes others."""
    asked = ({**request.scope, "method": method} for method in _METHODS)
    return [scope["method"] for scope in asked if any(_takes(route, scope) for route in request.app.routes)]


def _takes(route: BaseRoute, scope: Scope) -> bool:
    return route.matches(scope)[0] is Match.FULL


_VECTOR = "a class, or a vector: a list of numbers from -1e6 to 1e6"
_TWO_FORMS = {"voice": "an id, or an object with an id", "from": _VECTOR, "to": _VECTOR}
"""Fields that take either, and what."""


def from_validation(errors: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """The first of pydantic's complaints, in a client's words; ``param`` names the field."""
    first = errors[0]
    path = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    if not path:
        return InvalidRequest("The body must be a JSON object.", code="invalid_type")
    kind, message = str(first["type"]), str(first["msg"])
    if two := next((name for name in path[:-1] if name in _TWO_FORMS), None):  # pydantic speaks of the first form alone
        path = path[: path.index(two) + 1]
        message, kind = f"must be {_TWO_FORMS[two]}", "invalid_type"
    elif kind == "extra_forbidden":
        message, kind = "no such parameter", "unknown_parameter"
    elif kind == "missing":
        message, kind = "required", "missing_parameter"
    param = ".".join(path)
    return InvalidRequest(f"{param}: {message[:1].lower()}{message[1:]}", param=param, code=kind)


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
