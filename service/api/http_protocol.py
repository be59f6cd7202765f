"""uvicorn's HTTP protocol, with limits for connections on which no complete request arrives.

uvicorn limits only the time between two requests. A client that sends nothing, or half a header, would keep its
connection for ever, and as many of them as the process has descriptors would keep everybody else out.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from http import HTTPStatus
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ancestral.service.api.http.errors import respond
from ancestral.service.errors import NotReady, RequestTimeout, ServiceError

log = logging.getLogger(__name__)

_RESERVED: Final = 64
"""Descriptors for files, logs and idle connections to Redis."""
_MAX_CONNECTIONS: Final = 16_384


def default_connections() -> int:
    """How many connections the process has descriptors for: a streaming request needs a second one, to Redis.

    Raises the process's soft limit of descriptors to the hard one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(1, min(_MAX_CONNECTIONS, (hard - _RESERVED) // 2)) if hard > 0 else _MAX_CONNECTIONS


class ConnectionLimits:
    """What the connections of one server share."""

    def __init__(self, connections: int, header_seconds: float) -> None:
        """No connection yet.

        Args:
            connections: that may be open at the same time, websockets included.
            header_seconds: for the headers of a request to arrive.
        """
        self.connections = connections
        self.header_seconds = header_seconds
        self.receiving: dict[HttpProtocol, None] = {}
        """Connections whose request is incomplete, the oldest first."""
        self._closed = 0
        self._logged_at = 0.0

    def make_room(self) -> bool:
        """Close the oldest connection whose request is incomplete; False if every request is complete."""
        self._closed += 1
        if time.monotonic() - self._logged_at >= 1:  # once a second, however many there are
            log.warning("too many connections", extra={"limit": self.connections, "closed": self._closed})
            self._closed, self._logged_at = 0, time.monotonic()
        oldest = next(iter(self.receiving), None)
        if oldest is None:
            return False
        oldest.abort()
        return True


class HttpProtocol(H11Protocol):
    """One HTTP connection."""

    def __init__(self, *args: Any, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits
        self._header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, if there is room for another connection; otherwise answer 503."""
        full = len(self.connections) >= self._limits.connections and not self._limits.make_room()
        super().connection_made(transport)
        if full:
            self._refuse(NotReady("The server has too many connections.", retry_after=1))
        else:
            self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_timer()
        self._limits.receiving.pop(self, None)

    def handle_events(self) -> None:
        """Handle what has arrived; a request whose headers are complete has all the time that the app gives it."""
        super().handle_events()
        if getattr(self.cycle, "response_complete", True):  # no request yet: None, whatever its annotation says
            return
        self._stop_timer()
        if not self.cycle.more_body:
            self._limits.receiving.pop(self, None)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Hand the connection over to the websocket protocol."""
        self._stop_timer()
        self._limits.receiving.pop(self, None)
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        self._await_headers()
        super().on_response_complete()

    def abort(self) -> None:
        """Close the connection for another one."""
        self._limits.receiving.pop(self, None)
        self.connections.discard(self)  # not only when the event loop has closed it
        self.transport.abort()

    def _await_headers(self) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self._limits.receiving[self] = None
            self._header_timer = self.loop.call_later(self._limits.header_seconds, self._headers_late)

    def _headers_late(self) -> None:
        if self.conn.trailing_data[0]:  # half a header
            self._refuse(RequestTimeout("The headers of the request did not arrive in time."))
        else:
            self.transport.abort()

    def _refuse(self, error: ServiceError) -> None:
        """Send an error without having read a request, and close."""
        response = respond(error, accept="")
        response.headers["connection"] = "close"
        status, reason = response.status_code, HTTPStatus(response.status_code).phrase
        head = h11.Response(status_code=status, headers=response.raw_headers, reason=reason)
        for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
