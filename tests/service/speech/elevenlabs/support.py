"""What the tests of ElevenLabs' websockets share: a client."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.service.servers import Server
from tests.service.ws_client import SECONDS

PCM = "model_id=tiny&output_format=pcm_16000&seed=7"
FIRST = {"text": " ", "voice_settings": {"stability": 0.5, "similarity_boost": 0.75}, "generation_config": {}}


@dataclass
class Spoken:
    """What was spoken to a client."""

    sound: bytes = b""
    alignments: list[dict[str, Any]] = field(default_factory=list)
    """The messages that had times."""

    def add(self, message: dict[str, Any]) -> None:
        """A message with sound."""
        self.sound += base64.b64decode(message["audio"])
        if message["alignment"] is not None:
            self.alignments.append(message)

    def text(self, name: str) -> str:
        """The characters of all alignments of this name."""
        return "".join(char for message in self.alignments for char in message[name]["chars"])


@contextmanager
def open_stream(
    server: Server, query: str = PCM, voice: str = "ann", route: str = "stream-input", **options: Any
) -> Iterator[ClientConnection]:
    """A connection."""
    url = f"ws://127.0.0.1:{server.port}/v1/text-to-speech/{voice}/{route}?{query}"
    with connect(url, proxy=None, close_timeout=5, **options) as connection:
        yield connection


def say(connection: ClientConnection, *messages: dict[str, object]) -> None:
    for message in messages:
        connection.send(json.dumps(message))


def hear(connection: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(connection.recv(timeout=SECONDS))
    return message


def spoken(connection: ClientConnection) -> Spoken:
    """Everything up to the last message, and the goodbye."""
    found = Spoken()
    while not (message := hear(connection))["isFinal"]:
        assert set(message) == {"audio", "isFinal", "normalizedAlignment", "alignment"}
        found.add(message)
    assert message == {"audio": None, "isFinal": True, "normalizedAlignment": None, "alignment": None}
    with pytest.raises(ConnectionClosed):
        connection.recv(timeout=SECONDS)
    assert connection.protocol.close_code == 1000
    return found


def error(connection: ClientConnection) -> dict[str, Any]:
    """The error that ends the connection."""
    message = hear(connection)
    while "error" not in message:
        message = hear(connection)
    assert set(message) == {"message", "error", "code"}
    with pytest.raises(ConnectionClosed):
        connection.recv(timeout=SECONDS)
    assert connection.protocol.close_code == message["code"] == 1008
    return message


class Listener:
    """Hears every context of a connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.heard: dict[str | None, Spoken] = {}
        self.final: set[str | None] = set()
        self.failed: dict[str | None, str] = {}

    def hear(self) -> None:
        """The next message."""
        message = hear(self.connection)
        name = message["contextId"]
        if "error" in message:
            self.failed[name] = message["error"]
        elif message["isFinal"]:
            assert name not in self.final
            self.final.add(name)
        else:
            assert name not in self.final | self.failed.keys()
            self.heard.setdefault(name, Spoken()).add(message)

    def until(self, *names: str | None) -> None:
        """Hear everything until these contexts have ended."""
        while not set(names) <= self.final | self.failed.keys():
            self.hear()

    def sound(self, name: str | None) -> bytes:
        """What was heard of a context."""
        return self.heard[name].sound if name in self.heard else b""
