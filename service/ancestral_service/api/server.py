"""The API process: uvicorn, signals, and the exit code."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from ancestral_service.api.http.errors import respond
from ancestral_service.broker.connection import cancel_all
from ancestral_service.errors import NotReady, RequestTimeout, ServiceError
from ancestral_service.jobs.state import AppState
from ancestral_service.settings import Settings
from ancestral_service.telemetry.logging import REMIND_SECONDS, without_password

if TYPE_CHECKING:
    from asyncio import BaseTransport

    from uvicorn._types import ASGISendEvent


log = logging.getLogger(__name__)

_RESERVED: Final = 64
"""Descriptors for files, logs and idle connections to Redis."""
_MAX_CONNECTIONS: Final = 16_384


def raise_descriptor_limit() -> int:
    """Raise the process's soft limit of descriptors to the hard one.

    Returns:
        How many connections it has descriptors for then: a streaming request needs a second one, to Redis.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(1, min(_MAX_CONNECTIONS, (hard - _RESERVED) // 2)) if hard > 0 else _MAX_CONNECTIONS


class ConnectionLimits:
    """What the connections of one server share."""

    def __init__(self, connections: int, header_seconds: float, stall_seconds: float) -> None:
        """No connection yet.

        Args:
            connections: that may be open at the same time, websockets included.
            header_seconds: for the headers of a request to arrive.
            stall_seconds: in which a client must read something of an answer.
        """
        self.connections = connections
        self.header_seconds = header_seconds
        self.stall_seconds = stall_seconds
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
        self._stall_timer: asyncio.TimerHandle | None = None

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
        self._reads()
        self._limits.receiving.pop(self, None)

    def pause_writing(self) -> None:
        """The client reads more slowly than the app writes, or not at all: then the connection is aborted."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """The client has read most of what was unsent. If that is all of an answer, it must read the rest, too."""
        super().resume_writing()
        self._reads()
        if self.cycle.response_complete:
            self._await_reading()

    def _await_reading(self) -> None:
        self._reads()
        unsent = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(self._limits.stall_seconds, self._reading_late, unsent)

    def _reading_late(self, unsent: int) -> None:
        left = self.transport.get_write_buffer_size()
        if not left:
            self._await_headers()
        elif left < unsent:
            self._await_reading()
        else:
            reason = f"the client read nothing for {self._limits.stall_seconds:g} s"
            log.info("response aborted", extra={"reason": reason})
            self.transport.abort()

    def _reads(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def handle_events(self) -> None:
        """Handle what has arrived; a request whose headers are complete has all the time that the app gives it."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:  # it has read the answer before, or this one's is watched
            self._reads()
        if getattr(self.cycle, "response_complete", True):  # no request yet: None, whatever its annotation says
            return
        self._stop_timer()
        if not self.cycle.more_body:
            self._limits.receiving.pop(self, None)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Hand the connection over to the websocket protocol."""
        self._stop_timer()
        self._reads()
        self._limits.receiving.pop(self, None)
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """The next request has its time when the client has read this answer, for which it has as much as it needs."""
        if self.transport.get_write_buffer_size():
            self._await_reading()
        else:
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


POLL_SECONDS = 0.25


async def until_ready(service: AppState) -> None:
    """Return once every model can be served; until then log what is missing, when it changes and once in a while."""
    logged, logged_at = "", 0.0
    url = service.settings.redis_url
    redis = {} if url is None else {"redis": without_password(url)}
    while problems := await service.readiness_problems():
        reason = " ".join(problems)
        if reason != logged or time.monotonic() - logged_at >= REMIND_SECONDS:
            log.info("not ready yet", extra={"reason": reason, **redis})
            logged, logged_at = reason, time.monotonic()
        await asyncio.sleep(POLL_SECONDS)
    log.info("ready")


# uvicorn's websocket protocol, with limits for slow readers and hostile clients.
#
# uvicorn's ``send`` waits while much is unsent, which is what makes sampling wait for slow readers. By default that is
# 64 KiB in asyncio and megabytes in the kernel: minutes of sound, and a client that reads as slowly as it plays would
# seem to read nothing for as long as a third of that lasts. The close frame for a client that reads nothing would wait
# as well: it would never be sent, and the connection would stay open for as long as the client likes.
#
# When the server stops, uvicorn closes websockets itself, and the socket at once. If the client is just sending, that
# becomes a reset, which loses what the client has not read yet, the close frame included; and a session that cannot be
# resumed would end in the middle. So the app closes its websockets (:mod:`ancestral_service.ws`).

UNSENT_BYTES: Final = 1 << 14
SEND_BUFFER_BYTES: Final = 1 << 15
"""Send buffers of asyncio and of the kernel (Linux doubles it): less than two seconds of 16-bit sound at 24 kHz."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """One websocket connection."""

    _left = False
    """Whether the client has sent a close frame."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Limit the send buffers of a new connection."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(UNSENT_BYTES)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def shutdown(self) -> None:
        """The server stops. The app closes a websocket that is open, in its own time."""
        if not self.handshake_initiated:
            super().shutdown()

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message; a close frame is queued behind what is unsent.

        After the client's close frame nobody reads: the message is dropped, and the app receives the client's close
        code. An exception would end the app first, with 1006, as if the connection had been lost.

        Raises:
            ClientDisconnected: the connection is closing, and not because the client has closed it.
        """
        if self._left:
            return
        if self.handshake_complete and (self.close_sent or self.transport.is_closing()):
            raise ClientDisconnected
        if self.handshake_complete and message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)
        if self.close_timer is not None:
            self._abort_soon()

    def handle_close(self, event: Frame) -> None:
        """The client has sent a close frame."""
        self._left = True
        super().handle_close(event)
        self._abort_soon()

    def send_receive_event_to_app(self) -> None:
        """A message is complete. Text that is not UTF-8 closes the connection without a traceback in the log."""
        data = b"".join(self.frames)
        self.frames = [data]
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                data.decode()
            except UnicodeDecodeError:
                self.conn.fail(CloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Close the connection of a client that has violated the protocol."""
        super().handle_parser_exception()
        self._abort_soon()

    def _abort_soon(self) -> None:
        """Abort the connection after the close timeout, whether or not the client has read everything by then."""
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)


_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ACCEPTED_AT_ONCE = 64
"""Connections in one turn of the event loop, which gives them to the protocol only in the next."""
_BACKLOG = 1024
"""Connections that the kernel keeps until they are accepted."""


class Server(uvicorn.Server):
    """uvicorn with exit code 0 after a signal, draining, and a log line when the service is ready."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_seconds: int, on_ready: Callable[[], None]) -> None:
        """A server that does not run yet.

        Args:
            config: with the app.
            app: whose ``state.draining`` is set on a signal, so that it answers accordingly, and whose
                ``state.stopping`` is set when the socket closes, so that it closes its websockets.
            drain_seconds: between the two.
            on_ready: called once, when every model can be served.
        """
        super().__init__(config)
        self._app = app
        self._draining: asyncio.Event = app.state.draining
        self._drain_seconds = drain_seconds
        self._on_ready = on_ready
        self._readiness: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and log when they can be served."""
        asyncio.get_running_loop().set_exception_handler(AcceptErrors())
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)  # asyncio has set it to what it accepts at once
        if self.started:
            self._readiness = asyncio.create_task(self._announce())

    async def _announce(self) -> None:
        await until_ready(self._app.state.service)
        self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop after the drain time on SIGTERM, and now on Ctrl-C; a second Ctrl-C does not wait for requests.

        Signals go to the main thread: a server in another one is stopped with :meth:`stop`.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._drain, loop)
        loop.add_signal_handler(signal.SIGINT, self.stop, signal.SIGINT)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the socket, and wait for requests in flight; after a second Ctrl-C cancel them."""
        log.info("stopping", extra={"connections": len(self.server_state.connections)})
        if self._readiness is not None:
            await cancel_all(self._readiness)  # requests report the same failure
        self._app.state.stopping.set()
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn would leave these to the end of the event loop, with a traceback for each
            await cancel_all(*self.server_state.tasks)
            await self.lifespan.shutdown()

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let ``/readyz`` answer 503, and stop when load balancers have had time to notice; on a second signal now."""
        if self._draining.is_set() or not self._drain_seconds:
            self.stop(signal.SIGTERM)
            return
        log.info("draining", extra={"seconds": self._drain_seconds})
        self._draining.set()
        loop.call_later(self._drain_seconds, self.stop, signal.SIGTERM)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Close the socket and wait for requests in flight; told a second time with SIGINT, do not wait."""
        self._draining.set()
        self.handle_exit(number, None)


class AcceptErrors:
    """The event loop's handler of errors: connections that cannot be accepted are logged once a second.

    asyncio reports each connection that waits, again and again, while there are no descriptors.
    """

    def __init__(self) -> None:
        self._logged_at = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._logged_at >= 1:
            self._logged_at = time.monotonic()
            log.error("cannot accept connections", extra={"reason": error.strerror})


def server_of(app: FastAPI, settings: Settings, on_ready: Callable[[], None]) -> Server:
    """A server that does not run yet; ``on_ready`` is called when every model can be served."""
    if settings.public_url is None and settings.host not in _LOOPBACK:
        log.warning("URLs in answers are those of a request's Host header: set ANCESTRAL_PUBLIC_URL")
    possible = raise_descriptor_limit()  # whatever is set
    limits = ConnectionLimits(settings.max_connections or possible, settings.header_seconds, settings.stall_seconds)
    http: Any = partial(HttpProtocol, limits=limits)  # uvicorn asks for a class and only calls it
    config = uvicorn.Config(
        app,
        http=http,
        backlog=_ACCEPTED_AT_ONCE,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        ws=SocketProtocol,
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,  # audio does not become smaller
        ws_ping_timeout=None,  # a slow reader's pong waits behind all audio sent before the ping
    )
    return Server(config, app, settings.drain_seconds, on_ready)


def serve(app: FastAPI, settings: Settings, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve on a listening socket until a signal comes."""
    host, port = listener.getsockname()[:2]
    log.info("listening", extra={"host": host, "port": port})
    asyncio.run(server_of(app, settings, on_ready).serve(sockets=[listener]))
    log.info("stopped")
