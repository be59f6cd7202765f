"""A thousand requests leave nothing behind: no memory, no open files, no connections."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from redis import Redis

from ancestral.codecs import MEDIA_TYPES
from ancestral.service.broker.keys import key
from ancestral.service.broker.topology import MAX_IDLE
from tests.service.servers import ServeProcess, Server, holdings, redis_of
from tests.service.toys import GENERATION, SPEECH

WARM_UP, COUNT, AT_A_TIME = 200, 1000, 8
SHARE, ALLOWANCE_KB = 0.05, 4096
"""How much more memory a process may hold afterwards; the allocator's arenas come in megabytes."""
STANDING = 8
"""Connections to Redis that a process holds while nothing is asked of it: for its queues and its announcements."""
SPARE = 4
"""Files and keys that come and go, whatever is asked."""
KEPT_SECONDS = 10
FORMS = list(MEDIA_TYPES)
LONG = "The birch canoe slid on. " * 60


def ask(client: httpx.Client, number: int) -> None:
    """One request: of five, one is left in the middle; of seven, one comes as events; of nine, one has no text."""
    form = {"response_format": FORMS[number % len(FORMS)], "seed": number, "voice": ("ann", "bob")[number % 2]}
    form["stream_format"] = "sse" if number % 7 == 0 else "audio"
    path, body = ("generations", GENERATION) if number % 9 == 0 else ("speech", SPEECH)
    leaves = path == "speech" and number % 5 == 0
    body = body | form | ({"input": LONG} if leaves else {})
    with client.stream("POST", f"/v1/audio/{path}", json=body) as response:
        assert response.status_code == 200
        pieces = response.iter_raw()
        assert next(pieces)
        if not leaves:
            for piece in pieces:
                assert piece


def run(server: Server, redis: Redis, numbers: range) -> None:
    """Send requests, and wait until nothing is sampled any more and no sound is kept."""
    with server.client() as client, ThreadPoolExecutor(AT_A_TIME) as pool:
        for _ in pool.map(lambda number: ask(client, number), numbers):
            pass
    deadline = time.monotonic() + 120
    while redis.zcard(key("running", "interactive")) or redis.keys(key("stream", "*")):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_a_thousand_requests_leave_nothing_behind(
    serve_process: ServeProcess,
) -> None:
    with serve_process(interactive_slots=AT_A_TIME, stream_seconds=KEPT_SECONDS) as server, redis_of(server) as redis:
        run(server, redis, range(WARM_UP))
        before, keys = holdings(server), redis.dbsize()
        run(server, redis, range(WARM_UP, WARM_UP + COUNT))
        after = holdings(server)
        assert redis.info("clients")["connected_clients"] <= len(after) * (MAX_IDLE + STANDING)
        deadline = time.monotonic() + 60  # what is kept for a while is gone by then
        while redis.dbsize() > keys + SPARE:
            assert time.monotonic() < deadline, redis.keys()
            time.sleep(0.5)
    for name, held in before.items():
        assert after[name].files <= held.files + MAX_IDLE + SPARE, (name, held, after[name])
        assert after[name].memory_kb <= held.memory_kb * (1 + SHARE) + ALLOWANCE_KB, (name, held, after[name])
