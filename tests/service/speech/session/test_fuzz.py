"""Ten thousand frames that nobody should send: the server says what is wrong or leaves, and is as it was before.

tests/service/api/test_fuzz.py sends messages that are wrong in their fields.
"""

from __future__ import annotations

import json
import random
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import httpx
import pytest

from tests.service.servers import ServeProcess, Server, holdings
from tests.service.ws_client import CONFIG, LONG, spoken, whole
from tests.waiting import eventually

WARM_UP, FRAMES, A_CONNECTION, AT_A_TIME = 2000, 10_000, 25, 4
KEPT = {"api": FRAMES // A_CONNECTION // 10, "worker": 8}
"""Connections to Redis that the flood may have brought: the pool keeps as many as were ever needed at a time, which are
more on a slow machine. One left of each of its own connections would be ten times as many."""
GROWTH_KB: Final = 24 << 10
"""What allocators may keep for themselves."""
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
PATHS = (
    *("/v1/audio/speech/stream",) * 4,
    "/v1/text-to-speech/ann/stream-input?output_format=pcm_16000",
    "/v1/text-to-speech/ann/multi-stream-input?output_format=pcm_16000",
)
TYPES = ("session.config", "input.text", "input.done", "input.cancel", "session.close", "audio.start", None, 5, [], {})
FIELDS = (*CONFIG, "text", "flush", "type", "voice_settings", "generation_config", "xi_api_key", "\ud800", "x" * 300)
VALUES = (None, True, -1, 2**70, 1e400, 0.5, "", "ann", "mp3", "\x00", "\ud800", "No. ", "x" * 5000, [[]], {"id": 5})
HANDSHAKE: Final = (
    "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """One websocket frame."""
    size = len(payload)
    length = struct.pack(">B", size) if size < 126 else struct.pack(">BH" if size < 1 << 16 else ">BQ", 0, size)
    marker = length[0] if size < 126 else 126 if size < 1 << 16 else 127
    head = bytes([fin << 7 | rsv << 4 | opcode, masked << 7 | marker]) + length[1:]
    return head + (bytes(4) if masked else b"") + payload  # a mask of zeros changes nothing


def message(rng: random.Random) -> str:
    """Almost what a client might say."""
    fields = {rng.choice(FIELDS): rng.choice(VALUES) for _ in range(rng.randrange(4))}
    valid = {"type": "session.config"} | CONFIG if rng.random() < 0.3 else {"type": rng.choice(TYPES)}
    return json.dumps(valid | fields)


def no_json(rng: random.Random) -> str:
    """Text that is none of what a client might say."""
    depth = rng.choice((10, 1000, 60_000))
    half, long = depth // 2, '{"type": "input.text", "text": "' + "x" * depth
    deep = ("[" * depth, '{"a":' * (depth // 5), "[" * half + "]" * half, '{"type": ' + "9" * depth + "}")
    return rng.choice(("", "null", "NaN", '"\\u0000"', "9" * depth, long, *deep))


def frames(rng: random.Random) -> bytes:
    """The next frame, or several that belong together."""
    text, noise, kind = message(rng).encode(), rng.randbytes(rng.randrange(300)), rng.randrange(200)
    if kind < 193:
        return frame(TEXT, text if kind < 110 else no_json(rng).encode())
    cut = rng.randrange(len(text))
    return (
        frame(BINARY, noise),
        frame(TEXT, noise),  # hardly ever UTF-8
        frame(TEXT, text[:cut], fin=False) + frame(PING, b"?") + frame(0, text[cut:]),
        frame(0, text),  # continues nothing
        frame(rng.randrange(16), noise[:125], fin=rng.random() < 0.9, rsv=rng.randrange(8)),
        frame(TEXT, text, masked=False)[: rng.randrange(1, 300)],
        frame(rng.choice((CLOSE, PING)), noise),
    )[kind - 193]


def assault(server: Server, seed: int, count: int) -> int:
    """Send so many frames, in as many connections as that takes; how many were answered with an error."""
    rng, sent, refused = random.Random(seed), 0, 0
    while sent < count:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(HANDSHAKE.format(rng.choice(PATHS)).encode())
            assert b" 101 " in connection.recv(4096)
            if rng.random() < 0.5:
                connection.sendall(frame(TEXT, json.dumps({"type": "session.config"} | CONFIG).encode()))
            with suppress(OSError):  # the server has left
                for _ in range(A_CONNECTION):
                    sent += 1
                    connection.sendall(frames(rng))
                if rng.random() < 0.33:  # one connection of three ends without hearing what the server has to say
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    continue
                connection.sendall(frame(CLOSE, struct.pack(">H", 1000)))
                refused += b"".join(iter(lambda: connection.recv(1 << 16), b"")).count(b'"error"')
    return refused


@pytest.mark.slow
def test_ten_thousand_frames(serve_process: ServeProcess) -> None:
    with serve_process(interactive_slots=4) as server, ThreadPoolExecutor(AT_A_TIME) as pool:
        expected = whole(server, LONG)

        def flood(first_seed: int, count: int) -> int:
            seeds = range(first_seed, first_seed + AT_A_TIME)
            return sum(pool.map(lambda seed: assault(server, seed, count // AT_A_TIME), seeds))

        flood(0, WARM_UP)
        before = holdings(server)
        assert flood(100, FRAMES) > FRAMES // 10
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert spoken(server, LONG).sound == expected

        def is_quiet() -> bool:
            after = holdings(server)
            return all(after[name].files <= before[name].files + KEPT[name] for name in before)

        eventually(is_quiet)
        grown = {name: found.memory_kb - before[name].memory_kb for name, found in holdings(server).items()}
        assert max(grown.values()) < GROWTH_KB, grown
        assert not [
            line for line in server.log if "traceback" in line or line.get("level") in ("warning", "error", None)
        ]
