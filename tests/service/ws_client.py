"""Websocket clients."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.service.servers import Server
from tests.service.toys import SPEECH

# What the tests of the websockets share: a client of the native dialect.

CONFIG = {"model": "tiny", "voice": "ann", "response_format": "pcm", "sample_rate": 16000, "seed": 7}
LONG = "The birch canoe slid. Is it late? No! " * 8
SECONDS = 60.0


@dataclass
class Heard:
    """One utterance, as a client hears it."""

    start: dict[str, Any]
    sound: bytes = b""
    progress: list[dict[str, Any]] = field(default_factory=list)
    done: dict[str, Any] | None = None


class Client:
    """One connection with a native protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def say(self, kind: str, **fields: object) -> None:
        self.connection.send(json.dumps({"type": kind, **fields}))

    def hear(self) -> dict[str, Any] | bytes:
        """The next message."""
        message = self.connection.recv(timeout=SECONDS)
        return message if isinstance(message, bytes) else dict(json.loads(message))

    def closed(self) -> int | None:
        """The code with which the server closes the connection, once it has."""
        with suppress(ConnectionClosed):
            while True:
                self.hear()
        return self.connection.protocol.close_code

    def vanish(self) -> None:
        """Lose the connection, without a word."""
        self.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.socket.shutdown(socket.SHUT_RD)
        self.connection.socket.close()


def checked_error(told: dict[str, Any]) -> dict[str, Any]:
    """What a message says that is an error."""
    assert told["type"] == "error", told
    error: dict[str, Any] = told["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    return error


class SpeechConnection(Client):
    """One connection that speaks; what is heard is filed."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__(connection)
        self.heard: dict[int, Heard] = {}
        self.others: list[dict[str, Any]] = []
        self.session: dict[str, Any] = {}
        self._now: Heard | None = None

    def configure(self, **changes: object) -> None:
        self.say("session.config", **{k: v for k, v in (CONFIG | changes).items() if v is not None})

    def hear(self) -> dict[str, Any] | bytes:
        told = super().hear()
        if isinstance(told, bytes):
            assert self._now is not None
            self._now.sound += told
            return told
        if told["type"] == "audio.start":
            self._now = self.heard[told["utterance"]] = Heard(told)
        elif told["type"] == "audio.progress":
            self.heard[told["utterance"]].progress.append(told)
        elif told["type"] == "audio.done":
            self.heard[told["utterance"]].done = told
        elif told["type"] == "session.created":
            self.session = told
        else:
            self.others.append(told)
        return told

    def until(self, kind: str) -> dict[str, Any]:
        """Hear everything up to a message of this type."""
        while True:
            message = self.hear()
            if isinstance(message, dict) and message["type"] == kind:
                return message

    def until_bytes(self, count: int) -> None:
        """Hear at least so many bytes of sound."""
        while len(self.sound) < count:
            self.hear()

    @property
    def sound(self) -> bytes:
        return b"".join(heard.sound for heard in self.heard.values())

    def error(self) -> dict[str, Any]:
        """The next error, as it should look."""
        return checked_error(self.until("error"))

    def write(self, *texts: str) -> None:
        """Send text, a message each."""
        for text in texts:
            self.say("input.text", text=text)

    def utter(self, *texts: str) -> None:
        """Send text, and hear it up to the end of an utterance."""
        self.write(*texts)
        self.until("audio.done")

    def finish(self) -> None:
        """Say that this was all, and hear it to the end."""
        self.say("input.done")
        self.until("session.done")

    def speak(self, *texts: str, **config: object) -> None:
        """Say it all, and hear it to the end."""
        self.configure(**config)
        self.write(*texts)
        self.finish()


def small_window(server: Server) -> socket.socket:
    """A connection whose kernel takes little that nobody has asked for: what has been read, the server soon knows."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    raw.connect(("127.0.0.1", server.port))
    return raw


@contextmanager
def talking(server: Server, query: str = "", **options: Any) -> Iterator[SpeechConnection]:
    """A connection, greeted."""
    url = f"ws://127.0.0.1:{server.port}/v1/audio/speech/stream{query}"
    with connect(url, proxy=None, compression=None, close_timeout=5, **options) as connection:
        talk = SpeechConnection(connection)
        talk.until("session.created")
        yield talk


@contextmanager
def begun(server: Server, *texts: str, **config: object) -> Iterator[SpeechConnection]:
    """A connection that has said how, and this text."""
    with talking(server) as talk:
        talk.configure(**config)
        talk.write(*texts)
        yield talk


def whole(server: Server, text: str, headers: dict[str, str] | None = None, /, **changes: object) -> bytes:
    """The sound of one request over HTTP."""
    request = SPEECH | {k: v for k, v in (CONFIG | changes).items() if v is not None}
    response = server.speak(headers, **request | {"input": text})
    assert response.status_code == 200, response.text
    return response.content


def spoken(server: Server, *texts: str, **config: object) -> SpeechConnection:
    """A connection of its own that has said it all."""
    with talking(server) as talk:
        talk.speak(*texts, **config)
    return talk


def jobs(server: Server) -> list[dict[str, Any]]:
    """The newest jobs."""
    found: list[dict[str, Any]] = httpx.get(f"{server.url}/v1/jobs", params={"limit": 20}).json()["data"]
    return found


def resumed(server: Server, first: SpeechConnection, sample: int) -> SpeechConnection:
    """The rest of a session, from a sample on; the connection is lost once more.

    What was said just before a connection is lost may be lost with it, so the client says again that it has said all.
    """
    with talking(server, f"?session_id={first.session['session_id']}&from_sample={sample}") as talk:
        assert talk.session["session_id"] == first.session["session_id"]
        talk.finish()
        talk.vanish()
    return talk
