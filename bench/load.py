"""A real server under mixed traffic, and clients that behave like players: ``python -m bench.load``.

    python -m bench.load                    increasing rates, up to the one at which the service answers 429
    python -m bench.load --rate 1           this many arrivals per second, for --seconds
    python -m bench.load --rate 1 --soak    the same for twenty minutes, with memory, open files and Redis over time

Clients arrive at random times (Poisson) and wait for none of those before them: users who wait for a response before
they send the next request would hide overload, because a slow service then gets fewer. Clients and server share the
machine's cores, so the results include both.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

import numpy as np
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from ancestral_service.telemetry.metrics import BUFFER_SECONDS, Playback
from bench.listeners import BYTES_PER_SECOND, MODEL, SAMPLE_RATE, TEXTS, VOICES, fetch, free_port, serving
from bench.report import report, total

RATES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
STEP_SECONDS = 40.0
STEADY_SECONDS = 60.0
SOAK_SECONDS = 1200.0
SETTLING_SECONDS = 180.0
"""Time until data that is kept for a while (``stream_seconds``) expires as fast as it is added."""
READ_SECONDS = 10.0
PICTURES = (("pixelcnn-digits", "7"), ("pixelcnn-fashion", "Sneaker"))
TRANSPORTS = ("http", "sse", "websocket", "image")
SHARES = (0.5, 0.1, 0.2, 0.2)
"""Shares of the transports."""
MOST_CLIENTS = 500
"""Clients at once."""
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
    """Plays audio in real time and reads no further than its buffer; silence is computed as in the server, from the
    audio received here (telemetry/metrics.py)."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.underrun_seconds = self.audio_seconds = 0.0
        self._playback = Playback(self, time.perf_counter())

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


def _post(port: int, path: str, body: dict[str, Any]) -> tuple[HTTPConnection, HTTPResponse]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
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


def listen(port: int, number: int, transport: str) -> Outcome:
    """Request speech over HTTP and play it; ``number`` selects text, voice and seed."""
    player = _Player()
    body = {
        "model": MODEL,
        "input": TEXTS[number % len(TEXTS)],
        "voice": VOICES[number % len(VOICES)],
        "seed": number,
        "response_format": "pcm",
        "stream_format": "sse" if transport == "sse" else "audio",
    }
    try:
        connection, response = _post(port, "/v1/audio/speech", body)
        with response:
            if response.status == 200:
                for size in _events(response) if transport == "sse" else _pieces(response):
                    player.take(size)
        connection.close()
    except (OSError, HTTPException):
        return player.outcome(transport, BROKEN)
    return player.outcome(transport, response.status)


def speak_over_websocket(port: int, number: int) -> Outcome:
    """Send a text over a websocket, sentence by sentence, and play the audio."""
    path = f"ws://127.0.0.1:{port}/v1/audio/speech/stream"
    config = {"model": MODEL, "voice": VOICES[number % len(VOICES)], "seed": number, "response_format": "pcm"}
    first, second = TEXTS[number % len(TEXTS)].split(". ")
    player = _Player()
    try:
        with connect(path, open_timeout=PATIENCE_SECONDS, max_size=None) as connection:
            connection.send(json.dumps({"type": "session.config", "sample_rate": SAMPLE_RATE, **config}))
            player = _Player()
            connection.send(json.dumps({"type": "input.text", "text": f"{first}. "}))
            typing = threading.Timer(TYPING_SECONDS, _finish, (connection, second))
            typing.start()
            status = _play_session(connection, player)
            typing.cancel()
    except (OSError, WebSocketException):
        return player.outcome("websocket", BROKEN)
    return player.outcome("websocket", status)


def _finish(connection: ClientConnection, text: str) -> None:
    """Send the rest of the text, unless the connection has closed."""
    with suppress(OSError, WebSocketException):
        connection.send(json.dumps({"type": "input.text", "text": text}))
        connection.send(json.dumps({"type": "input.done"}))


def _play_session(connection: ClientConnection, player: _Player) -> int:
    """Play a session to its end. Returns its status."""
    while True:
        message = connection.recv(PATIENCE_SECONDS)
        if isinstance(message, bytes):
            player.take(len(message))
            continue
        event = json.loads(message)
        if event["type"] == "session.done":
            return 200
        if event["type"] == "error":
            return REJECTED if "retry_after" in event["error"] else BROKEN


def draw(port: int, number: int) -> Outcome:
    """Request two pictures."""
    asked_at = time.perf_counter()
    model, prompt = PICTURES[number % len(PICTURES)]
    body = {"model": model, "prompt": prompt, "n": 2, "seed": number, "response_format": "b64_json"}
    connection, response = _post(port, "/v1/images/generations", body)
    with response:
        response.read()
    connection.close()
    return Outcome("image", response.status, time.perf_counter() - asked_at if response.status == 200 else None)


def run_client(port: int, number: int, transport: str) -> Outcome:
    """Run one client over this transport."""
    if transport == "image":
        return draw(port, number)
    return speak_over_websocket(port, number) if transport == "websocket" else listen(port, number, transport)


@dataclass(frozen=True)
class Row:
    """Results of a group of clients."""

    transport: str
    rate: float
    """Arrivals per second, all transports together."""
    clients: int
    rejected: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    """Time to first audio; for pictures, to the complete response."""
    with_underruns: int
    """Listeners with underruns."""
    silence_seconds: float
    server_silence_seconds: float | None
    """The same silence as counted by the server, for all transports together."""


def _row(transport: str, rate: float, outcomes: Sequence[Outcome], counted: float | None) -> Row:
    firsts = [1000 * outcome.first for outcome in outcomes if outcome.first is not None]
    p50, p95, p99 = (round(float(np.quantile(firsts, q)), 1) if firsts else None for q in (0.5, 0.95, 0.99))
    return Row(
        transport,
        rate,
        clients=len(outcomes),
        rejected=sum(outcome.status == REJECTED for outcome in outcomes),
        errors=sum(outcome.status not in (200, REJECTED) for outcome in outcomes),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        with_underruns=sum(outcome.silence > 0 for outcome in outcomes),
        silence_seconds=round(sum(outcome.silence for outcome in outcomes), 2),
        server_silence_seconds=counted,
    )


@contextmanager
def arriving(port: int, rate: float) -> Iterator[list[Outcome]]:
    """Start clients at this rate until the block ends, then wait for those in progress. Yields their outcomes."""
    outcomes, over = list[Outcome](), threading.Event()

    def client(number: int, transport: str) -> None:
        outcome = Outcome(transport, BROKEN)
        try:
            outcome = run_client(port, number, transport)
        finally:
            outcomes.append(outcome)

    def arrive() -> None:
        chosen, due, number = random.Random(1), time.monotonic(), 0
        while not over.wait(max(0.0, due - time.monotonic())):
            number, due = number + 1, due + chosen.expovariate(rate)
            (transport,) = chosen.choices(TRANSPORTS, SHARES)
            pool.submit(client, number, transport)

    with ThreadPoolExecutor(MOST_CLIENTS) as pool:
        arrivals = threading.Thread(target=arrive)
        arrivals.start()
        try:
            yield outcomes
        finally:
            over.set()
            arrivals.join()


def step(port: int, rate: float, seconds: float) -> list[Row]:
    """One rate for ``seconds``: a row for all audio clients, and one per transport."""
    before = total(fetch(port, "/metrics")[1], "ancestral_underrun_seconds_total")
    with arriving(port, rate) as outcomes:
        time.sleep(seconds)
    counted = round(total(fetch(port, "/metrics")[1], "ancestral_underrun_seconds_total") - before, 2)
    rows = [_row("all audio", rate, [o for o in outcomes if o.transport != "image"], counted)]
    by_transport = {transport: [o for o in outcomes if o.transport == transport] for transport in TRANSPORTS}
    return rows + [_row(transport, rate, found, None) for transport, found in by_transport.items() if found]


def knee(port: int) -> list[Row]:
    """Increase the rate until more than one client in ten is rejected."""
    rows: list[Row] = []
    for rate in RATES:
        rows += (found := step(port, rate, STEP_SECONDS))
        if sum(row.rejected for row in found[1:]) > 0.1 * sum(row.clients for row in found[1:]):
            break
    return rows


@dataclass(frozen=True)
class Resources:
    """Resource usage at one moment."""

    minute: float
    api_mb: float
    worker_mb: float
    api_files: int
    worker_files: int


def read_resources(port: int, worker_port: int, since: float) -> Resources:
    """Read the resource usage from the metrics of both processes."""
    api, worker = fetch(port, "/metrics")[1], fetch(worker_port, "/metrics")[1]
    memory, files = "process_resident_memory_bytes", "process_open_fds"
    return Resources(
        round((time.perf_counter() - since) / 60, 1),
        round(total(api, memory) / 1e6, 1),
        round(total(worker, memory) / 1e6, 1),
        int(total(api, files)),
        int(total(worker, files)),
    )


def soak(port: int, worker_port: int, rate: float, seconds: float) -> tuple[list[Row], list[Resources]]:
    """One rate for a long time, with resource usage: the median of each minute, and at the end, without clients."""
    since, readings = time.perf_counter(), list[Resources]()
    with arriving(port, rate) as outcomes:
        while time.perf_counter() - since < seconds:
            time.sleep(READ_SECONDS)
            readings.append(read_resources(port, worker_port, since))
    per_minute = [readings[at : at + 6] for at in range(0, len(readings), 6)]
    medians = [sorted(minute, key=lambda reading: reading.api_mb)[len(minute) // 2] for minute in per_minute]
    medians.append(read_resources(port, worker_port, since))  # without clients
    return [
        _row(transport, rate, [o for o in outcomes if o.transport == transport], None) for transport in TRANSPORTS
    ], medians


def drift(readings: Sequence[Resources]) -> dict[str, float]:
    """Change of each value per hour: a line fitted after the settling time, without the last entry."""
    settled = [reading for reading in readings[:-1] if 60 * reading.minute > SETTLING_SECONDS]
    hours = [reading.minute / 60 for reading in settled]
    names = [name for name in Resources.__dataclass_fields__ if name != "minute"]
    return {f"{n}_per_hour": round(float(np.polyfit(hours, [getattr(o, n) for o in settled], 1)[0]), 2) for n in names}


def main() -> None:
    """Measure, then print the tables and the JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, help="arrivals per second; without it, increasing rates")
    parser.add_argument("--seconds", type=float, help="duration (60; with --soak: 1200)")
    parser.add_argument("--soak", action="store_true", help="record resource usage over time")
    options = parser.parse_args()
    if options.soak and options.rate is None:
        parser.error("--soak needs a --rate")
    worker_port = free_port()
    with serving(metrics_port=worker_port) as port:
        os.nice(5)  # the server has started already and keeps its priority
        step(port, 1.0, 5.0)  # load what is loaded on first use
        if options.soak:
            rows, readings = soak(port, worker_port, options.rate, options.seconds or SOAK_SECONDS)
            report("Resource usage during the soak test", readings, drift(readings), width=140)
        else:
            rows = knee(port) if options.rate is None else step(port, options.rate, options.seconds or STEADY_SECONDS)
    report("Load", rows, {"broken": sum(row.errors for row in rows)}, width=160)


if __name__ == "__main__":
    main()
