"""Errors as clients see them: statuses for those of the library, the service's own, and one envelope on the wire.

    InvalidRequest                  400  a value that cannot be served; ``param`` names it (ancestral/errors.py)
    NotFound                        404  no such model, job or route (ancestral/errors.py)
    ServiceError                    500  server_error, the base of those that follow
    ├── Unauthorized                401  with WWW-Authenticate
    ├── Forbidden                   403  a web page of an origin that is not allowed
    ├── MethodNotAllowed            405
    ├── RequestTimeout              408  a request that did not arrive in time
    ├── Conflict                    409  not in this state of the job
    ├── PayloadTooLarge             413
    ├── UnsupportedMedia            415
    ├── RangeNotSatisfiable         416
    ├── Unprocessable               422  an idempotency key that was used for another request
    ├── UpgradeRequired             426  a websocket route, requested over plain HTTP
    ├── SigningFailed               500
    ├── Overloaded                  429  with Retry-After
    ├── NotReady                    503  with Retry-After
    └── ModelUnusable               503  a model that the workers have left out

api/http/errors.py makes HTTP responses of them. This module needs no web framework: workers raise these
errors, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ancestral.errors import AncestralError, InvalidRequest, NotFound

_STATUS: Final[dict[type[AncestralError], int]] = {InvalidRequest: 400, NotFound: 404}
"""HTTP status of the library's errors."""


class ServiceError(AncestralError):
    """Something that ends a request with an error response."""

    status = 500
    type = "server_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, param=param, code=code)
        self.headers = dict(headers or {})


def status_of(error: AncestralError) -> int:
    return error.status if isinstance(error, ServiceError) else _STATUS[type(error)]


def type_of(error: AncestralError) -> str:
    """The ``type`` of an error, as OpenAI's clients know it."""
    return error.type if isinstance(error, ServiceError) else "invalid_request_error"


def error_headers(error: AncestralError) -> dict[str, str]:
    """The headers that the response to an error has."""
    return error.headers if isinstance(error, ServiceError) else {}


class ClientError(ServiceError):
    """The request cannot be served as it is."""

    type = "invalid_request_error"


class Unauthorized(ClientError):
    """No API key, or an unknown one."""

    status = 401
    code = "invalid_api_key"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"www-authenticate": "Bearer"})


class Forbidden(ClientError):
    """Not allowed, whatever the key."""

    status = 403
    code = "forbidden"


class MethodNotAllowed(ClientError):
    """The route exists, but not for this method."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(ClientError):
    """The request did not arrive in time."""

    status = 408
    code = "request_timeout"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"connection": "close"})


class Conflict(ClientError):
    """The request does not fit the present state of its object; ``retry`` says whether it may fit later."""

    status = 409
    code = "conflict"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, retry: bool = False) -> None:
        headers = {"retry-after": "1"} if retry else {"x-should-retry": "false"}
        super().__init__(message, param=param, code=code, headers=headers)


class PayloadTooLarge(ClientError):
    """The body is larger than the server accepts."""

    status = 413
    code = "payload_too_large"


class UnsupportedMedia(ClientError):
    """The body has a media type, charset or encoding that this route does not read."""

    status = 415
    code = "unsupported_media_type"


class RangeNotSatisfiable(ClientError):
    """The requested range lies outside the content."""

    status = 416
    code = "range_not_satisfiable"


class Unprocessable(ClientError):
    """Well formed, but it contradicts an earlier request."""

    status = 422
    code = "unprocessable"


class UpgradeRequired(ClientError):
    """A websocket route, requested without an upgrade to websocket."""

    status = 426
    code = "upgrade_required"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"upgrade": "websocket", "connection": "upgrade"})


class Overloaded(ServiceError):
    """Every slot is taken and the queue is full or the wait would be too long, or the caller has reached a limit."""

    status = 429
    type = "rate_limit_error"
    code = "overloaded"

    def __init__(self, message: str, *, retry_after: int, code: str | None = None) -> None:
        super().__init__(message, code=code, headers={"retry-after": str(max(1, retry_after))})


class SigningFailed(ServiceError):
    """A file could not be signed, and is not handed out unsigned; what was sampled is kept."""

    code = "signing_failed"

    def __init__(self, job_id: str) -> None:
        message = f"The file could not be signed. The output is kept: GET /v1/jobs/{job_id}/content tries again."
        super().__init__(message, headers={"x-job-id": job_id})


class NotReady(ServiceError):
    """The server runs but cannot serve now; the client should try again."""

    status = 503
    code = "not_ready"

    def __init__(self, message: str, *, retry_after: int = 2) -> None:
        super().__init__(message, headers={"retry-after": str(max(1, retry_after))})


class ModelUnusable(ServiceError):
    """The workers have left the model out for good; a repeated request would get the same answer."""

    status = 503
    code = "model_unusable"

    def __init__(self, model_id: str) -> None:
        message = f"{model_id} cannot be sampled: the workers have left it out, and their logs say why."
        super().__init__(message, headers={"x-should-retry": "false"})


class ResponseAborted(Exception):
    """Aborts a response that has begun, for a reason that is no failure of the server."""


class ClientDisconnected(ResponseAborted):
    """The client has disconnected."""

    def __init__(self) -> None:
        super().__init__("the client disconnected")


def content_expired() -> NotFound:
    """The output of a job has been deleted after its retention time."""
    return NotFound("The output of this job has expired.", code="content_expired")


def redis_unavailable() -> NotReady:
    """Redis is unreachable, or accepts no writes."""
    return NotReady("Redis is unavailable; retry.")


def stopping() -> NotReady:
    """This process is shutting down; another one will answer."""
    return NotReady("This process is stopping.")


def internal_error() -> ServiceError:
    """A failure of the server; the message says nothing that helps an attacker."""
    return ServiceError("Internal server error. Quote x-request-id to the operator.", code="internal_error")


def envelope(error: AncestralError) -> dict[str, dict[str, str | None]]:
    """The body of an error response, and the data of an error inside a stream of events."""
    return {"error": {"message": error.message, "type": type_of(error), "param": error.param, "code": error.code}}
