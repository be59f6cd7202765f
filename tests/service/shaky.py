"""A proxy whose connections break."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial


@contextmanager
def shaky_proxy(port: int, most: int, swap: tuple[bytes, bytes] = (b"", b"")) -> Iterator[str]:
    """The URL of a server on this port. Connections break after some bytes of what it sends, each after three times as
    many as the one before.

    Args:
        port: of the server.
        most: bytes of the first connection.
        swap: bytes that all others replace by others.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=partial(_forward, listener, port, most, swap), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def cut_proxy(port: int) -> Iterator[tuple[str, Callable[[], int]]]:
    """The URL of a server on this port, and a function that breaks all connections that are open, and counts them."""
    clients: list[socket.socket] = []

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):  # the end of the test
            while True:
                clients.append(listener.accept()[0])
                arguments = (clients[-1], port, sys.maxsize, (b"", b""))
                threading.Thread(target=_connect, args=arguments, daemon=True).start()

    def cut() -> int:
        count = 0
        for client in clients:
            with suppress(OSError):  # it is closed
                client.shutdown(socket.SHUT_RDWR)
                count += 1
        return count

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", cut


def _forward(listener: socket.socket, port: int, most: int, swap: tuple[bytes, bytes]) -> None:
    for number in range(10_000):
        try:
            client, _ = listener.accept()
        except OSError:  # the end of the test
            return
        arguments = (client, port, most * 3**number, swap if number else (b"", b""))
        threading.Thread(target=_connect, args=arguments, daemon=True).start()


def _connect(client: socket.socket, port: int, most: int, swap: tuple[bytes, bytes]) -> None:
    # Either side may go first: the reader hangs up when it has the answer.
    with suppress(OSError), client, socket.create_connection(("127.0.0.1", port)) as server:
        # As long as there is any: head and body of a request may come separately.
        threading.Thread(target=_copy, args=(client, server), daemon=True).start()
        sent = 0
        while sent < most and (data := server.recv(min(65536, most - sent))):
            client.sendall(data.replace(*swap) if swap[0] else data)
            sent += len(data)
        client.shutdown(socket.SHUT_RDWR)  # which ends the copying, too


def _copy(client: socket.socket, server: socket.socket) -> None:
    with suppress(OSError):
        while data := client.recv(65536):
            server.sendall(data)
