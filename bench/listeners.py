"""A real server, and clients that behave like players: they read audio in real time and measure underruns.

All clients of a benchmark run in one thread on raw sockets, so that they use little CPU beside the server.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ancestral_service.telemetry.metrics import BUFFER_SECONDS

MODEL = "wavenet-en"
VOICES = ("heart", "joe", "allison", "rms")
TEXTS = (
    "The harbor was quiet before the first boats came in. A gull sat on the rail and watched the water.",
    "She wrote the address on the back of an old ticket. Nobody asked her why she kept it.",
    "Rain fell on the tin roof for most of the night. In the morning the road was gone.",
    "Nine of the lamps still worked after the storm. We carried them up to the hall.",
    "He read the letter twice and put it in the drawer. Then he went out to feed the horses.",
)
SAMPLE_RATE = 24000
"""The default rate of pcm, which OpenAI's clients expect."""
BYTES_PER_SECOND = 2 * SAMPLE_RATE
JITTER_SECONDS = BUFFER_SECONDS
"""Audio that a player buffers before it starts, and at most afterwards."""
_SOCKET_BYTES = 8192
"""Receive buffer; small, so that unplayed audio stays with the server."""
_START_SECONDS = 300.0

_T = TypeVar("_T")


def free_port() -> int:
    """A free TCP port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def serving(**settings: int | float | str) -> Iterator[int]:
    """Run a server with these settings, in addition to the environment's, until the block ends. Yields the port."""
    port, command = free_port(), [str(Path(sys.executable).with_name("ancestral")), "serve"]
    with tempfile.TemporaryDirectory(prefix="anc-") as data, tempfile.TemporaryFile() as log:
        own = {"port": port, "log_level": "warning", "data_dir": data, **settings}
        environment = os.environ | {f"ANCESTRAL_{name.upper()}": str(value) for name, value in own.items()}
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait(process, port)
            yield port
        finally:
            process.terminate()
            process.wait(60)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if fetch(port, "/readyz")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the server did not become ready")


def fetch(port: int, path: str) -> tuple[int, str]:
    """GET a path. Returns status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def run_clients(work: Coroutine[Any, Any, _T]) -> _T:
    """Run clients in a thread of lower priority than the server."""
    with ThreadPoolExecutor(1, initializer=os.nice, initargs=(5,)) as pool:
        return pool.submit(asyncio.run, work).result()


@dataclass
class Response:
    """A response whose body has not been read."""

    status: int
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, chunk by chunk."""
        while size := int(await self.reader.readline(), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]

    def close(self) -> None:
        """Close the connection, with a reset unless everything has been read."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


async def request_speech(port: int, text: str, number: int, **more: Any) -> Response:
    """Request speech as pcm over a new connection; ``number`` selects voice and seed."""
    body = {"model": MODEL, "voice": VOICES[number % len(VOICES)], "seed": number, "input": text}
    content = json.dumps(body | {"response_format": "pcm"} | more).encode()
    client_socket = socket.socket()
    client_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BYTES)
    client_socket.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client_socket, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=client_socket, limit=_SOCKET_BYTES)
    head = "POST /v1/audio/speech HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    status = int((await reader.readline()).split()[1])
    headers = {}
    while (line := (await reader.readline()).decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Response(status, headers, reader, writer)


@dataclass(frozen=True)
class Played:
    """Measurements of one utterance, as its listener heard it."""

    first_audio: float
    """Seconds from the request to the first byte of audio."""
    seconds: float
    """Seconds of audio."""
    silence: float
    """Seconds of underrun before the end."""


async def play(port: int, text: str, number: int) -> Played:
    """Request speech and play it in real time.

    The player starts when it has buffered :data:`JITTER_SECONDS` of audio, and reads only while it has less than that.
    A chunk that arrives after the previous one was played is an underrun, which delays all later audio.
    """
    requested_at = time.monotonic()
    response = await request_speech(port, text, number)
    assert response.status == 200, response.status
    first = started = silence = 0.0
    heard = 0
    async for piece in response.pieces():
        now = time.monotonic()
        first = first or now
        if started:
            late = max(0.0, now - (started + heard / BYTES_PER_SECOND))
            silence += late
            started += late
        heard += len(piece)
        if not started and heard >= JITTER_SECONDS * BYTES_PER_SECOND:
            started = now
        if started:
            await asyncio.sleep(started + heard / BYTES_PER_SECOND - JITTER_SECONDS - now)
    response.close()
    end = (started or time.monotonic()) + heard / BYTES_PER_SECOND
    await asyncio.sleep(end - time.monotonic())
    return Played(first - requested_at, heard / BYTES_PER_SECOND, silence)


async def _listen(port: int, number: int, delay: float, until: float) -> list[Played]:
    """One listener, playing one utterance after another until the time is over."""
    await asyncio.sleep(delay)
    heard: list[Played] = []
    while time.monotonic() < until:
        heard.append(await play(port, TEXTS[len(heard) % len(TEXTS)], 100 * number + len(heard)))
    return heard


async def listen_together(port: int, count: int, seconds: float) -> list[Played]:
    """``count`` listeners, who start one after the other within the first second."""
    until = time.monotonic() + seconds
    listeners = (_listen(port, n, n / count, until) for n in range(count))
    return [played for one in await asyncio.gather(*listeners) for played in one]
