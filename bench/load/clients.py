"""Clients that behave like players: they read audio in real time and measure underruns.

Blocking code: under locust, gevent runs each of them as a greenlet. Silence is computed as in the server
(:mod:`ancestral.service.telemetry.metrics`), from the audio received here.
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

from ancestral.service.telemetry.metrics import BUFFER_SECONDS, Playback
from bench.listeners import BYTES_PER_SECOND, MODEL, SAMPLE_RATE, TEXTS, VOICES

PICTURES = (("pixelcnn-digits", "7"), ("pixelcnn-fashion", "Sneaker"))
TRANSPORTS = ("http", "sse", "websocket", "image")
PATIENCE_SECONDS = 120.0
TYPING_SECONDS = 0.5
"""Time between two sentences typed into a websocket."""
REJECTED, BROKEN = 429, 0


@dataclass(frozen=True)
class Outcome:
    """Result of one client."""

    transport: str
    status: int
    """HTTP status; :data:`BROKEN` if the response was aborted or never came."""
    first: float | None = None
    """Seconds to the first audio; for pictures, to the complete response."""
    audio_seconds: float = 0.0
    """Seconds of audio."""
    silence: float = 0.0
    """Seconds of underrun before the end."""


class _Player:
    """Plays audio in real time and reads no further than its buffer; see telemetry/metrics.py."""

    def __init__(self, asked_at: float) -> None:
        self.first: float | None = None
        self.underrun_seconds = self.audio_seconds = 0.0
        self._playback = Playback(self, asked_at)

    def began(self, seconds: float | None) -> None:
        self.first = seconds

    def silence(self, seconds: float, *, first: bool) -> None:
        self.underrun_seconds += seconds

    def take(self, size: int) -> None:
        """``size`` bytes of pcm have arrived. Returns when the buffer needs more."""
        self._playback.chunk_received()
        self.audio_seconds += size / BYTES_PER_SECOND
        self._playback.chunk_sent(self.audio_seconds)
        assert self._playback.dry_at is not None
        time.sleep(max(0.0, self._playback.dry_at - BUFFER_SECONDS - time.perf_counter()))

    def outcome(self, transport: str, status: int) -> Outcome:
        return Outcome(transport, status, self.first, self.audio_seconds, self.underrun_seconds)


def _post(url: str, path: str, body: dict[str, Any]) -> tuple[HTTPConnection, HTTPResponse]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_SECONDS)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    return connection, connection.getresponse()


def _pieces(response: HTTPResponse) -> Iterator[int]:
    """Sizes of the chunks of a pcm body."""
    while piece := response.read1(16384):
        yield len(piece)


def _events(response: HTTPResponse) -> Iterator[int]:
    """Sizes of the audio in server-sent events."""
    for line in response:
        if not line.startswith(b"data: "):
            continue
        event = json.loads(line[6:])
        if "error" in event:
            raise HTTPException(event["error"]["message"])
        if event["type"] == "speech.audio.delta":
            yield len(base64.b64decode(event["audio"]))


def listen(url: str, number: int, transport: str) -> Outcome:
    """Request speech over HTTP and play it; ``number`` selects text, voice and seed."""
    player = _Player(time.perf_counter())
    body = {
        "model": MODEL,
        "input": TEXTS[number % len(TEXTS)],
        "voice": VOICES[number % len(VOICES)],
        "seed": number,
        "response_format": "pcm",
        "stream_format": "sse" if transport == "sse" else "audio",
    }
    try:
        connection, response = _post(url, "/v1/audio/speech", body)
        with response:
            if response.status == 200:
                for size in _events(response) if transport == "sse" else _pieces(response):
                    player.take(size)
        connection.close()
    except (OSError, HTTPException):
        return player.outcome(transport, BROKEN)
    return player.outcome(transport, response.status)


def speak_over_websocket(url: str, number: int) -> Outcome:
    """Send a text over a websocket, sentence by sentence, and play the audio."""
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
        status = _play_session(connection, player)
        typing.cancel()
        connection.close()
    except (OSError, websocket.WebSocketException):
        return player.outcome("websocket", BROKEN)
    return player.outcome("websocket", status)


def _finish(connection: Any, text: str) -> None:
    """Send the rest of the text, unless the connection has closed."""
    with suppress(OSError, websocket.WebSocketException):
        connection.send(json.dumps({"type": "input.text", "text": text}))
        connection.send(json.dumps({"type": "input.done"}))


def _play_session(connection: Any, player: _Player) -> int:
    """Play a session to its end. Returns its status."""
    while True:
        message = connection.recv()
        if isinstance(message, bytes):
            player.take(len(message))
            continue
        event = json.loads(message)
        if event["type"] == "session.done":
            return 200
        if event["type"] == "error":
            return REJECTED if "retry_after" in event["error"] else BROKEN


def draw(url: str, number: int) -> Outcome:
    """Request two pictures."""
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


def run_client(url: str, number: int, transport: str) -> Outcome:
    """Run one client over this transport."""
    if transport == "image":
        return draw(url, number)
    return speak_over_websocket(url, number) if transport == "websocket" else listen(url, number, transport)
