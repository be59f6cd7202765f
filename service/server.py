"""The process that serves: uvicorn, signals, and the exit code."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from service.app import create_app
from service.auth import Keys
from service.catalogue import Catalogue
from service.settings import Settings
from service.talk.protocol import SocketProtocol

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn, except that a signal ends it with exit code 0 instead of being raised once more at the end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gracefully on the first SIGTERM or Ctrl-C, at once on a second Ctrl-C."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


def serve(settings: Settings, catalogue: Catalogue, keys: Keys, redis_url: str, listener: socket.socket) -> None:
    """Serve on a listening socket until a signal comes."""
    config = uvicorn.Config(
        create_app(settings, catalogue, keys, redis_url),
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
    asyncio.run(Server(config).serve(sockets=[listener]))
    log.info("stopped")
