"""The process that serves: uvicorn, signals, and the exit code."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from service.api.app import create_app
from service.api.http.auth import Keys
from service.api.websocket_protocol import SocketProtocol
from service.catalog.catalog import Catalog
from service.settings import Settings

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn, except that a signal ends it with exit code 0 instead of being raised once more at the end."""

    def __init__(
        self, config: uvicorn.Config, draining: asyncio.Event, stopping: asyncio.Event, drain_seconds: int
    ) -> None:
        """A server that does not run yet.

        Args:
            config: with the app.
            draining: set when it has been told to stop; the app answers accordingly.
            stopping: set when its socket closes; the app parts with its websockets.
            drain_seconds: between the two.
        """
        super().__init__(config)
        self._draining = draining
        self._stopping = stopping
        self._drain_seconds = drain_seconds

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gracefully: on SIGTERM after a while, on Ctrl-C now, on a second Ctrl-C at once."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._drain, loop)
        loop.add_signal_handler(signal.SIGINT, self._stop, signal.SIGINT)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the socket, and wait for what is in flight."""
        self._stopping.set()
        await super().shutdown(sockets)

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say that others should be asked from now on, and stop when that has been heard; now, if told again."""
        if self._draining.is_set() or not self._drain_seconds:
            self._stop(signal.SIGTERM)
            return
        log.info("draining", extra={"seconds": self._drain_seconds})
        self._draining.set()
        loop.call_later(self._drain_seconds, self._stop, signal.SIGTERM)

    def _stop(self, number: int) -> None:
        self._draining.set()
        self.handle_exit(number, None)


def serve(settings: Settings, catalog: Catalog, keys: Keys, redis_url: str, listener: socket.socket) -> None:
    """Serve on a listening socket until a signal comes."""
    app = create_app(settings, catalog, keys, redis_url)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        ws=SocketProtocol,
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,  # sound does not become smaller
        ws_ping_timeout=None,  # a slow reader's pong comes behind all the sound that was sent before the ping
    )
    host, port = listener.getsockname()[:2]
    log.info("listening", extra={"host": host, "port": port})
    server = Server(config, app.state.draining, app.state.stopping, settings.drain_seconds)
    asyncio.run(server.serve(sockets=[listener]))
    log.info("stopped")
