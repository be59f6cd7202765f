"""Connections on which no complete request arrives: they are closed in time, and keep nobody else out."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from tests.service.servers import Serve, ServeProcess, Server
from tests.service.slow_reader import reading_slowly
from tests.service.ws_client import eventually

_JSON = b"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 64\r\n\r\n"
HALF_OPEN = {
    "nothing": b"",
    "half a header": b"POST /v1/audio/speech HTTP/1.1\r\nhos",
    "half a body": _JSON + b'{"model": "ti',
    "half a handshake": b"GET /v1/audio/speech/stream HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: up",
}
LATE = {"nothing": b"", "half a handshake": b"408", "half a header": b"408", "half a body": b"408"}


@contextmanager
def half_open(server: Server, kind: str, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        connections = []
        for _ in range(count):
            connections.append(stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60)))
            connections[-1].sendall(HALF_OPEN[kind])
        yield connections


def everything(connection: socket.socket) -> bytes:
    """What the server sends until it closes."""
    received = b""
    try:
        while piece := connection.recv(1 << 16):
            received += piece
    except ConnectionResetError:
        pass
    return received


def lines(server: Server, **fields: Any) -> list[dict[str, Any]]:
    """Of the log, those with these fields."""
    return [line for line in server.log if fields.items() <= line.items()]


@pytest.fixture(scope="module")
def narrow(serve: Serve) -> Iterator[Server]:
    with serve(header_seconds=1, body_seconds=1, max_connections=16) as server:
        yield server


@pytest.mark.parametrize("kind", HALF_OPEN)
def test_a_request_that_does_not_arrive_is_refused_in_time(narrow: Server, kind: str) -> None:
    with half_open(narrow, kind, 1) as (connection,):
        answer = everything(connection)
    assert answer[9:12] == LATE[kind]
    if answer:
        assert b"did not arrive in time" in answer
        assert b"connection: close" in answer


@pytest.mark.parametrize("kind", HALF_OPEN)
def test_half_open_connections_make_room_for_others(narrow: Server, kind: str) -> None:
    before = len(narrow.log)
    with half_open(narrow, kind, 60):
        assert httpx.get(f"{narrow.url}/healthz").status_code == 200
        assert narrow.speak().status_code == 200
    assert len(narrow.log) - before < 150


def test_a_connection_too_many_is_refused_while_all_others_are_in_use(serve: Serve) -> None:
    with serve(max_connections=2) as server:
        with reading_slowly(server), reading_slowly(server):
            refused = httpx.get(f"{server.url}/healthz")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["code"] == "not_ready"


def test_a_client_that_leaves_within_its_body_is_no_error(narrow: Server) -> None:
    before = len(narrow.log)
    with narrow.unharmed():
        with half_open(narrow, "half a body", 1):
            pass
        assert eventually(lambda: lines(narrow, message="request", status=499, level="info"))
    assert not [line for line in narrow.log[before:] if line["level"] in ("error", "warning")]


@pytest.mark.slow
def test_two_thousand_half_open_connections_silence_nobody(serve_process: ServeProcess) -> None:
    """Of each kind, at 1 024 descriptors."""
    with serve_process(max_connections=480) as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
        for kind in HALF_OPEN:
            before = len(server.log)
            begun = time.monotonic()
            with half_open(server, kind, 2000):
                for _ in range(10):
                    assert httpx.get(f"{server.url}/healthz", timeout=10).status_code == 200
                    assert server.speak().status_code == 200
            assert len(server.log) - before < 2200 + 10 * (time.monotonic() - begun), kind
            assert not lines(server, message="cannot accept connections")
