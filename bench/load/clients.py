"""Clients that behave as people's do: players that read sound as fast as it is played, and notice silence.

Blocking code: under locust, gevent makes each of them a greenlet. Silence is counted as the server counts it
(:mod:`service.telemetry.playback`), from what has arrived here.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import websocket

from bench.listeners import BYTES_PER_SECOND, MODEL, SAMPLE_RATE, TEXTS, VOICES
from service.telemetry.playback import BUFFER_SECONDS, Playback

PICTURES = (("pixelcnn-digits", "7"), ("pixelcnn-fashion", "Sneaker"))
ROADS = ("http", "sse", "websocket", "image")
PATIENCE_SECONDS = 120.0
TYPING_SECONDS = 0.5
"""Between two sentences of one who types."""
REFUSED, BROKEN = 429, 0


@dataclass(frozen=True)
class Outcome:
    """How one client fared."""

    road: str
    status: int
    """200, or what it was refused with; :data:`BROKEN` if the answer broke off or never came."""
    first: float | None = None
    """Seconds until the first sound had arrived; of pictures, until all was there."""
    sound: float = 0.0
    """Seconds of it."""
    silence: float = 0.0
    """Seconds for which the player had nothing to play before the end."""


class _Player:
    """Plays what arrives, and takes no more than it needs; an :class:`service.telemetry.playback.PlaybackObserver`."""

    def __init__(self, asked_at: float) -> None:
        self.first: float | None = None
        self.lost = self.sound = 0.0
        self._hearing = Playback(self, asked_at)

    def began(self, seconds: float | None) -> None:
        self.first = seconds

    def silence(self, seconds: float, *, first: bool) -> None:
        self.lost += seconds

    def take(self, size: int) -> None:
        """So many bytes of pcm have arrived; return when more are wanted."""
        self._hearing.came()
        self.sound += size / BYTES_PER_SECOND
        self._hearing.went(self.sound)
        assert self._hearing.dry_at is not None
        time.sleep(max(0.0, self._hearing.dry_at - BUFFER_SECONDS - time.perf_counter()))

    def outcome(self, road: str, status: int) -> Outcome:
        return Outcome(road, status, self.first, self.sound, self.lost)


def _post(url: str, path: str, body: dict[str, Any]) -> tuple[HTTPConnection, HTTPResponse]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_SECONDS)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    return connection, connection.getresponse()


def _pieces(response: HTTPResponse) -> Iterator[int]:
    """Sizes of what arrives of a body of pcm."""
    while piece := response.read1(16384):
        yield len(piece)


def _events(response: HTTPResponse) -> Iterator[int]:
    """The same of server-sent events."""
    for line in response:
        if not line.startswith(b"data: "):
            continue
        event = json.loads(line[6:])
        if "error" in event:
            raise HTTPException(event["error"]["message"])
        if event["type"] == "speech.audio.delta":
            yield len(base64.b64decode(event["audio"]))


def listen(url: str, number: int, road: str) -> Outcome:
    """Ask for speech over HTTP, and listen; ``number`` decides text, voice and seed."""
    player = _Player(time.perf_counter())
    body = {
        "model": MODEL,
        "input": TEXTS[number % len(TEXTS)],
        "voice": VOICES[number % len(VOICES)],
        "seed": number,
        "response_format": "pcm",
        "stream_format": "sse" if road == "sse" else "audio",
    }
    try:
        connection, response = _post(url, "/v1/audio/speech", body)
        with response:
            if response.status == 200:
                for size in _events(response) if road == "sse" else _pieces(response):
                    player.take(size)
        connection.close()
    except (OSError, HTTPException):
        return player.outcome(road, BROKEN)
    return player.outcome(road, response.status)


def talk(url: str, number: int) -> Outcome:
    """Type a text into a websocket, sentence by sentence, and listen."""
    path = f"ws://{urlsplit(url).netloc}/v1/audio/speech/stream"
    config = {"model": MODEL, "voice": VOICES[number % len(VOICES)], "seed": number, "response_format": "pcm"}
    first, second = TEXTS[number % len(TEXTS)].split(". ")
    player = _Player(time.perf_counter())
    try:
        connection = websocket.create_connection(path, timeout=PATIENCE_SECONDS)
        connection.send(json.dumps({"type": "session.config", "sample_rate": SAMPLE_RATE, **config}))
        player = _Player(time.perf_counter())
        connection.send(json.dumps({"type": "input.text", "text": f"{first}. "}))
        typing = threading.Timer(TYPING_SECONDS, _finish, (connection, second))
        typing.start()
        status = _heed(connection, player)
        typing.cancel()
        connection.close()
    except (OSError, websocket.WebSocketException):
        return player.outcome("websocket", BROKEN)
    return player.outcome("websocket", status)


def _finish(connection: Any, text: str) -> None:
    """Type the rest, unless the connection has ended."""
    with suppress(OSError, websocket.WebSocketException):
        connection.send(json.dumps({"type": "input.text", "text": text}))
        connection.send(json.dumps({"type": "input.done"}))


def _heed(connection: Any, player: _Player) -> int:
    """Listen to a session's end."""
    while True:
        message = connection.recv()
        if isinstance(message, bytes):
            player.take(len(message))
            continue
        told = json.loads(message)
        if told["type"] == "session.done":
            return 200
        if told["type"] == "error":
            return REFUSED if "retry_after" in told["error"] else BROKEN


def draw(url: str, number: int) -> Outcome:
    """Ask for two pictures."""
    asked_at = time.perf_counter()
    model, prompt = PICTURES[number % len(PICTURES)]
    body = {"model": model, "prompt": prompt, "n": 2, "seed": number, "response_format": "b64_json"}
    try:
        connection, response = _post(url, "/v1/images/generations", body)
        with response:
            response.read()
        connection.close()
    except (OSError, HTTPException):
        return Outcome("image", BROKEN)
    return Outcome("image", response.status, time.perf_counter() - asked_at if response.status == 200 else None)


def go(url: str, number: int, road: str) -> Outcome:
    """One client on this road, from beginning to end."""
    if road == "image":
        return draw(url, number)
    return talk(url, number) if road == "websocket" else listen(url, number, road)
