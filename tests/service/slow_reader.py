"""A client that reads slowly, and so keeps a job running."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.service.servers import Server
from tests.service.toys import SPEECH

ENDLESS = SPEECH | {"input": ("The birch canoe slid on. " * 160), "speed": 0.25, "sample_rate": 48000}
"""Tens of megabytes: more than sockets hold, so a client that does not read it keeps its stream."""


@contextmanager
def reading_slowly(server: Server, **changes: object) -> Iterator[socket.socket]:
    """A client that asks for a long body and reads no more than its beginning."""
    body = json.dumps(ENDLESS | changes).encode()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        assert connection.recv(1024).startswith(b"HTTP/1.1 200 ")
        yield connection
