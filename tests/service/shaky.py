"""Connections that fail, and readers that are slow."""

from __future__ import annotations

import json
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import count
from typing import Any

from tests.service.servers import Server
from tests.service.toys import SPEECH

# Proxies.


def _in_thread(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


@contextmanager
def _accepting(handle: Callable[[socket.socket], object]) -> Iterator[str]:
    """The URL of a server that hands each connection over."""

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):  # the end of the test
            while True:
                handle(listener.accept()[0])

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        _in_thread(serve, listener)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def shaky_proxy(port: int, most: int, swap: tuple[bytes, bytes] = (b"", b"")) -> Iterator[str]:
    """The URL of a server on this port. Connections break after some bytes of what it sends, each after three times as
    many as the one before.

    Args:
        port: of the server.
        most: bytes of the first connection.
        swap: bytes that all others replace by others.
    """
    numbers = count()

    def handle(client: socket.socket) -> None:
        number = next(numbers)
        _in_thread(_connect, client, port, most * 3**number, swap if number else (b"", b""))

    with _accepting(handle) as url:
        yield url


@contextmanager
def cut_proxy(port: int) -> Iterator[tuple[str, Callable[[], int]]]:
    """The URL of a server on this port, and a function that breaks all connections that are open, and counts them."""
    clients: list[socket.socket] = []

    def handle(client: socket.socket) -> None:
        clients.append(client)
        _in_thread(_connect, client, port, sys.maxsize, (b"", b""))

    def cut() -> int:
        count = 0
        for client in clients:
            with suppress(OSError):  # it is closed
                client.shutdown(socket.SHUT_RDWR)
                count += 1
        return count

    with _accepting(handle) as url:
        yield url, cut


@contextmanager
def slow_proxy(port: int, round_trip: float) -> Iterator[str]:
    """The URL of a server on this port that is so many seconds away, there and back."""

    def carry(source: socket.socket, target: socket.socket) -> None:
        pieces: queue.Queue[tuple[float, bytes]] = queue.Queue()

        def deliver() -> None:
            with suppress(OSError):
                while (piece := pieces.get())[1]:
                    time.sleep(max(0.0, piece[0] - time.monotonic()))
                    target.sendall(piece[1])
                target.shutdown(socket.SHUT_WR)

        delivering = _in_thread(deliver)
        with suppress(OSError):
            while data := source.recv(65536):
                pieces.put((time.monotonic() + round_trip / 2, data))
        pieces.put((0.0, b""))
        delivering.join()

    def connect(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            asking = _in_thread(carry, client, server)
            carry(server, client)
            asking.join()

    with _accepting(partial(_in_thread, connect)) as url:
        yield url


def _connect(client: socket.socket, port: int, most: int, swap: tuple[bytes, bytes]) -> None:
    # Either side may go first: the reader hangs up when it has the answer.
    with suppress(OSError), client, socket.create_connection(("127.0.0.1", port)) as server:
        _in_thread(_copy, client, server)  # as long as there is any: head and body of a request may come separately
        sent = 0
        while sent < most and (data := server.recv(min(65536, most - sent))):
            client.sendall(data.replace(*swap) if swap[0] else data)
            sent += len(data)
        client.shutdown(socket.SHUT_RDWR)  # which ends the copying, too


def _copy(client: socket.socket, server: socket.socket) -> None:
    with suppress(OSError):
        while data := client.recv(65536):
            server.sendall(data)


# A client that reads slowly, and so keeps a job running.

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


def rest_of(connection: socket.socket) -> bytes:
    """All that comes until the server closes; a reset is an end as well."""
    received = []
    with suppress(ConnectionResetError):
        while piece := connection.recv(1 << 20):
            received.append(piece)
    return b"".join(received)
