"""A worker's probes: ``/metrics`` for Prometheus, ``/healthz`` and ``/readyz`` for an orchestrator.

They are answered by a thread of their own, so that sampling does not delay them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket

from ancestral.service.telemetry.metrics import CONTENT_TYPE, WorkerMetrics
from ancestral.service.worker.worker import Worker

ANSWER_SECONDS = 10.0
"""Time for which a client may keep a connection open without sending a request."""
_TEXT = "text/plain; charset=utf-8"

log = logging.getLogger(__name__)


@contextmanager
def answering(listener: socket, worker: Worker, metrics: WorkerMetrics) -> Iterator[None]:
    """Serve the probes on a listening socket, which is closed when the block ends."""

    class Handler(BaseHTTPRequestHandler):
        timeout = ANSWER_SECONDS

        def do_GET(self) -> None:
            status, kind, body = _answer(self.path.partition("?")[0], worker, metrics)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def version_string(self) -> str:
            return "ancestral"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            log.debug("probed", extra={"path": self.path})

    address = listener.getsockname()
    server = ThreadingHTTPServer(address[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    thread = threading.Thread(target=server.serve_forever, name="probes")
    thread.start()
    log.info("probes listening", extra={"host": address[0], "port": address[1]})
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(path: str, worker: Worker, metrics: WorkerMetrics) -> tuple[int, str, bytes]:
    """Status, media type and body."""
    if path == "/metrics":
        return 200, CONTENT_TYPE, metrics.exposition()
    if path == "/healthz":
        return (200, _TEXT, b"ok\n") if worker.alive() else (503, _TEXT, b"The event loop does not run.\n")
    if path == "/readyz":
        problem = worker.readiness_problem()
        return (200, _TEXT, b"ready\n") if problem is None else (503, _TEXT, f"{problem}\n".encode())
    return 404, _TEXT, b"There are /metrics, /healthz and /readyz.\n"
