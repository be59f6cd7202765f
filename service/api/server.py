"""The API process: uvicorn, signals, and the exit code."""

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
    """uvicorn, with a drain time before it stops, and exit code 0 after a signal instead of the signal raised again."""

    def __init__(
        self, config: uvicorn.Config, draining: asyncio.Event, stopping: asyncio.Event, drain_seconds: int
    ) -> None:
        """Args:
        config: with the app.
        draining: set at the signal; from then on the app is not ready.
        stopping: set when the listening socket closes; the app closes its websockets.
        drain_seconds: between the two.
        """
        super().__init__(config)
        self._draining = draining
        self._stopping = stopping
        self._drain_seconds = drain_seconds

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """On SIGTERM, stop after the drain time; on Ctrl-C, stop now; on a second Ctrl-C, do not wait for requests."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._drain, loop)
        loop.add_signal_handler(signal.SIGINT, self._stop, signal.SIGINT)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listening socket, and wait for requests in flight."""
        self._stopping.set()
        await super().shutdown(sockets)

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop being ready, and stop after the drain time; at a second signal, now."""
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
    """Serve on a listening socket until a signal."""
    app = create_app(settings, catalog, keys, redis_url)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        ws=SocketProtocol,
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,  # sound does not compress
        ws_ping_timeout=None,  # a slow reader answers a ping only after all the sound that was sent before it
    )
    host, port = listener.getsockname()[:2]
    log.info("listening", extra={"host": host, "port": port})
    server = Server(config, app.state.draining, app.state.stopping, settings.drain_seconds)
    asyncio.run(server.serve(sockets=[listener]))
    log.info("stopped")
