"""A real server, and clients that are honest players: they read sound as fast as it is played, and notice silence.

All clients of a measurement live in one thread, on raw sockets: what they cost must not disturb the server beside them.
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

from service.telemetry.playback import BUFFER_SECONDS

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
"""Of pcm, as OpenAI's clients expect it."""
BYTES_PER_SECOND = 2 * SAMPLE_RATE
JITTER_SECONDS = BUFFER_SECONDS
"""What a player has in its buffer before it starts, and at most afterwards."""
_SOCKET_BYTES = 8192
"""So that the sound which nobody plays yet waits on the server's side."""
_START_SECONDS = 300.0

_T = TypeVar("_T")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def serving(**settings: int | float | str) -> Iterator[int]:
    """Serve with these settings besides those of the environment, until the block ends: the port."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="anc-") as data, tempfile.TemporaryFile() as log:
        own = {"data_dir": data, "port": port, "log_level": "warning", **settings}
        environment = os.environ | {f"ANCESTRAL_{name.upper()}": str(value) for name, value in own.items()}
        command = [str(Path(sys.executable).with_name("ancestral")), "serve"]
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
    raise RuntimeError("the server does not become ready")


def fetch(port: int, path: str) -> tuple[int, str]:
    """GET a path: the status and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def nicely(work: Coroutine[Any, Any, _T]) -> _T:
    """Run clients in a thread that gives way to the server's."""
    with ThreadPoolExecutor(1, initializer=os.nice, initargs=(5,)) as pool:
        return pool.submit(asyncio.run, work).result()


@dataclass
class Answer:
    """A response whose body is yet to be read."""

    status: int
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, chunk by chunk."""
        while size := int(await self.reader.readline(), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]

    def close(self) -> None:
        """Hang up: abruptly, with a reset, unless all has been read."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


async def ask(port: int, text: str, number: int, **more: Any) -> Answer:
    """Ask for speech as pcm, on a connection of its own; ``number`` decides voice and seed."""
    body = {"model": MODEL, "voice": VOICES[number % len(VOICES)], "seed": number, "input": text}
    content = json.dumps(body | {"response_format": "pcm"} | more).encode()
    plug = socket.socket()
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BYTES)
    plug.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plug, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=plug, limit=_SOCKET_BYTES)
    head = "POST /v1/audio/speech HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    status = int((await reader.readline()).split()[1])
    headers = {}
    while (line := (await reader.readline()).decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Answer(status, headers, reader, writer)


@dataclass(frozen=True)
class Played:
    """One utterance as its listener heard it."""

    first_audio: float
    """Seconds from the request to the first byte of sound."""
    seconds: float
    """Of sound."""
    silence: float
    """Seconds for which the player had nothing to play before the end."""


async def play(port: int, text: str, number: int) -> Played:
    """Ask for speech and listen to it at the speed at which it is spoken.

    The player starts when it has :data:`JITTER_SECONDS` of sound, and reads on only when it has less. A piece that
    comes after the one before it was played is an underrun: the player waits, and what follows is due so much later.
    """
    asked = time.monotonic()
    answer = await ask(port, text, number)
    assert answer.status == 200, answer.status
    first = started = silence = 0.0
    heard = 0
    async for piece in answer.pieces():
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
    answer.close()
    end = (started or time.monotonic()) + heard / BYTES_PER_SECOND
    await asyncio.sleep(end - time.monotonic())
    return Played(first - asked, heard / BYTES_PER_SECOND, silence)
