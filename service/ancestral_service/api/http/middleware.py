"""Middleware of every request: its id, safe headers, those of the rate limit, one log line, the answer to failures, a
limit on its body, and ``HEAD`` for every ``GET``.

Plain ASGI, so that streams pass through untouched.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ancestral.catalog.seeds import draw_from
from ancestral.errors import AncestralError
from ancestral_service import errors
from ancestral_service.api.http.errors import respond
from ancestral_service.telemetry.logging import ACCESS_LOGGER, Tracing, request_id
from ancestral_service.telemetry.metrics import ApiMetrics, Transport

log = logging.getLogger(ACCESS_LOGGER)

_SANE_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
_SAFE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Headers of every response that has none of its own by these names."""

_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Polled every few seconds: logged only when they fail."""

_DISCONNECTED = 499
"""What the log and the metrics say of a client that has disconnected before it got a response (as nginx does)."""

_BODY_BYTES_PER_SECOND = 1024
"""A body that arrives more slowly is refused."""


class RootMiddleware:
    """The outermost layer of the app: request ids, logs, metrics, and the answer to a request that fails."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics, tracing: Tracing) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        own = given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
        token = request_id.set(own)
        draw_from(scope["app"].state.seed_source)
        serve = _serve if scope["type"] == "http" else _connect
        scope.setdefault("state", {})["asked_at"] = time.perf_counter()
        method = scope.get("method", "WEBSOCKET")
        try:
            with self._tracing.request(method, headers):
                try:
                    await serve(self._app, scope, receive, send, own, self._metrics)
                finally:
                    route = _route(scope) or ""
                    self._tracing.named(f"{method} {route}".strip(), request_id=own, route=route)
        finally:
            request_id.reset(token)


def _route(scope: Scope) -> str | None:
    """The template of the route's path, as OpenAPI has it; None where there is no route."""
    return getattr(scope.get("route"), "path_format", None)


async def _serve(app: ASGIApp, scope: Scope, receive: Receive, send: Send, own_id: str, metrics: ApiMetrics) -> None:
    start, status, finished = scope["state"]["asked_at"], 0, False

    async def stamped(message: Message) -> None:
        nonlocal status, finished
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = own_id
            headers.update(scope["state"].get("ratelimit", {}))  # deps.py, ``counted_caller``
            for name, value in _SAFE.items():
                headers.setdefault(name, value)
            if scope["app"].state.draining.is_set():
                headers["connection"] = "close"
        elif not message.get("more_body", False):
            finished = True
        await send(message)
        if body := message.get("body"):
            metrics.sent(_route(scope), len(body))

    metrics.in_progress.inc()
    try:
        await app(scope, receive, stamped)
    except errors.ResponseAborted as reason:
        log.info("response aborted", extra={"reason": str(reason)})
        raise
    except ClientDisconnect:  # before the body was complete
        pass
    except asyncio.CancelledError:  # the server stops, and the time for requests in flight is over
        if status:
            raise
        await _fail(errors.stopping(), scope, receive, stamped, metrics)
    except Exception:
        log.exception("request failed")
        if status:  # the response has begun: uvicorn breaks the connection off
            raise
        await _fail(errors.internal_error(), scope, receive, stamped, metrics)
    finally:
        route, method, seconds = _route(scope), scope["method"], time.perf_counter() - start
        status = status or _DISCONNECTED
        metrics.in_progress.dec()
        metrics.answered(route, method, status, seconds, complete=finished)
        figures = {"method": method, "route": route, "status": status, "complete": finished}
        level = logging.DEBUG if route in _PROBES and status == 200 else logging.INFO
        log.log(level, "request", extra=figures | {"milliseconds": round(1000 * seconds, 1)})


async def _fail(error: AncestralError, scope: Scope, receive: Receive, send: Send, metrics: ApiMetrics) -> None:
    metrics.refused(error, Transport.HTTP)
    await respond(error, Headers(scope=scope).get("accept", ""))(scope, receive, send)


async def _connect(app: ASGIApp, scope: Scope, receive: Receive, send: Send, own_id: str, metrics: ApiMetrics) -> None:
    async def stamped(message: Message) -> None:
        if message["type"] in ("websocket.accept", "websocket.http.response.start"):
            MutableHeaders(scope=message)["x-request-id"] = own_id
        await send(message)
        if body := message.get("bytes") or message.get("text"):
            metrics.sent(_route(scope), len(body))

    try:
        await app(scope, receive, stamped)
    except Exception:
        log.exception("websocket failed")
        raise


class BodyLimit:
    """Limits the size of request bodies, whether or not their length was announced, and the time that they take.

    A client that is still sending when it is refused would lose the response if its connection were closed at once:
    for a moment, the rest of its body is read and dropped before the response ends.

    Starlette's RequestBodyLimitMiddleware does not fit: it answers a body whose length was announced with plain text
    and not with our error, drops no rest, and in FastAPI stands outside of all other middleware, where a response gets
    no request id.
    """

    linger_seconds = 2.0
    linger_bytes = 64 << 20

    def __init__(self, app: ASGIApp, limit: int, uploads: Mapping[str, int], seconds: float) -> None:
        """Wrap an app.

        Args:
            app: to wrap.
            limit: bytes.
            uploads: limits of the paths that take more, in bytes.
            seconds: that a body may take, beside the time of its bytes at 1 kB a second.
        """
        self._app = app
        self._limit = limit
        self._uploads = uploads
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._uploads.get(scope["path"], self._limit)
        error = errors.PayloadTooLarge(f"The body is larger than the {limit} bytes that this server reads.")
        refusing, ended, count = False, False, 0
        begun = asyncio.get_running_loop().time()

        async def limited() -> Message:
            nonlocal count, ended
            until = None if ended else begun + self._seconds + count / _BODY_BYTES_PER_SECOND
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise errors.RequestTimeout("The body of the request did not arrive in time.") from None
            if message["type"] == "http.request":
                count += len(message.get("body", b""))
                ended = not message.get("more_body", False)
                if count > limit:
                    raise error
            return message

        async def lingering(message: Message) -> None:
            nonlocal refusing
            if message["type"] == "http.response.start":
                refusing = message["status"] == errors.status_of(error)
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if not (refusing and last) or ended or "expect" in headers:
                await send(message)
                return
            await send({**message, "more_body": True})
            await self._drain(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        if int(headers.get("content-length", "0")) > limit:
            await respond(error, headers.get("accept", ""))(scope, receive, lingering)
            return
        await self._app(scope, limited, lingering)

    async def _drain(self, receive: Receive) -> None:
        count = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(self.linger_seconds):
                while count < self.linger_bytes:
                    message = await receive()
                    count += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return


class _Answered(Exception):
    """The headers have been sent; the body of the response is not needed."""


class HeadMiddleware:
    """Calls the ``GET`` route for a ``HEAD`` request: same status and headers, no body (RFC 9110, section 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_headers(message: Message) -> None:
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            raise _Answered

        # A copy: the server must still see HEAD, or it would count the bytes of a body.
        get = {**scope, "method": "GET"}
        try:
            await self._app(get, receive, send_headers)
        except _Answered:
            pass
        finally:
            scope["route"] = get.get("route")  # for the log and the metrics
