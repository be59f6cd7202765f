"""The API process: uvicorn, signals, and the exit code."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from ancestral.service.api.readiness import until_ready
from ancestral.service.api.websocket_protocol import SocketProtocol
from ancestral.service.settings import Settings

log = logging.getLogger(__name__)


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
        await super().startup(sockets)
        if self.started:
            self._readiness = asyncio.create_task(self._announce())

    async def _announce(self) -> None:
        await until_ready(self._app.state.service)
        self._on_ready()

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
            self._stop(signal.SIGTERM)
            return
        log.info("draining", extra={"seconds": self._drain_seconds})
        self._draining.set()
        loop.call_later(self._drain_seconds, self._stop, signal.SIGTERM)

    def _stop(self, number: int) -> None:
        self._draining.set()
        self.handle_exit(number, None)


def serve(app: FastAPI, settings: Settings, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve on a listening socket until a signal comes; ``on_ready`` is called when every model can be served."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        ws=SocketProtocol,
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,  # audio does not become smaller
        ws_ping_timeout=None,  # a slow reader's pong waits behind all audio sent before the ping
    )
    host, port = listener.getsockname()[:2]
    log.info("listening", extra={"host": host, "port": port})
    server = Server(config, app, settings.drain_seconds, on_ready)
    asyncio.run(server.serve(sockets=[listener]))
    log.info("stopped")
