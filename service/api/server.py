"""The API process: uvicorn, signals, and the exit code."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI

from ancestral.service.api.http_protocol import ConnectionLimits, HttpProtocol, default_connections
from ancestral.service.api.readiness import until_ready
from ancestral.service.api.websocket_protocol import SocketProtocol
from ancestral.service.settings import Settings

log = logging.getLogger(__name__)

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
            self._readiness.cancel()
            await asyncio.gather(self._readiness, return_exceptions=True)  # requests report the same failure
        self._app.state.stopping.set()
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn would leave these to the end of the event loop, with a traceback for each
            tasks = list(self.server_state.tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
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
    limits = ConnectionLimits(settings.max_connections or default_connections(), settings.header_seconds)
    config = uvicorn.Config(
        app,
        http=partial(HttpProtocol, limits=limits),  # type: ignore[arg-type]  # uvicorn only calls it
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
