"""What several test files share."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.service.images.pictures import Pixels
from tests.service.servers import Server
from tests.service.ws_client import SECONDS


class Watch:
    """One connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def say(self, kind: str, **fields: object) -> None:
        self.connection.send(json.dumps({"type": kind, **fields}))

    def generate(self, **changes: object) -> None:
        fields = {"model": "rgb", "prompt": "dog", "seed": 7} | changes
        self.say("image.generate", **{name: value for name, value in fields.items() if value is not None})

    def told(self) -> dict[str, Any]:
        """The next message, which is no picture."""
        message = self.connection.recv(timeout=SECONDS)
        assert isinstance(message, str)
        found: dict[str, Any] = json.loads(message)
        return found

    def error(self) -> dict[str, Any]:
        found = self.told()
        assert found["type"] == "error", found
        assert set(found["error"]) >= {"message", "type", "param", "code"}
        error: dict[str, Any] = found["error"]
        return error

    def frames(self) -> tuple[dict[str, Any], list[bytes], dict[str, Any]]:
        """A whole answer: its start, what came, its end."""
        start, frames = self.told(), []
        assert start["type"] == "image.start", start
        while isinstance(message := self.connection.recv(timeout=SECONDS), bytes):
            frames.append(message)
        return start, frames, json.loads(message)

    def pictures(self) -> list[Pixels]:
        """The pictures of a whole answer; its messages are checked."""
        start, frames, done = self.frames()
        data, row = b"".join(frames), start["n"] * start["width"] * start["channels"]
        assert all(frame and len(frame) % row == 0 for frame in frames)
        ended = {"type": "image.done", "rows": start["height"], "sha256": hashlib.sha256(data).hexdigest()}
        shown = {"attributes": done["attributes"]} if start["model"] == "palette" else {}  # which has a classifier
        assert done == ended | shown
        shape = (start["height"], start["n"], start["width"], start["channels"])
        return list(np.frombuffer(data, np.uint8).reshape(shape).swapaxes(0, 1))

    def closed(self) -> int:
        """Hear everything to the end; the code that the server closes with."""
        with pytest.raises(ConnectionClosed) as end:
            list(iter(lambda: self.connection.recv(timeout=SECONDS), None))
        assert end.value.rcvd is not None
        return end.value.rcvd.code

    def vanish(self) -> None:
        """Lose the connection, without a word."""
        self.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.socket.shutdown(socket.SHUT_RD)
        self.connection.socket.close()


@contextmanager
def watching(server: Server, query: str = "", **options: Any) -> Iterator[Watch]:
    url = f"ws://127.0.0.1:{server.port}/v1/images/stream{query}"
    with connect(url, proxy=None, compression=None, close_timeout=5, **options) as connection:
        yield Watch(connection)
