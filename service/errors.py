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

How they are answered over HTTP is in error_responses.py; a worker raises them, too, and needs no web framework for it.
"""

from __future__ import annotations

from collections.abc import Mapping


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
