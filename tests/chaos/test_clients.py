"""Whoever listens goes away, in one way or another: what was sampled for them stops, and soon."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import numpy as np
import pytest

from tests.chaos.support import SECONDS, House, Listener, connected, eventually, order
from tests.service.api.test_lifecycle import ENDLESS
from tests.service.support import Server

pytestmark = pytest.mark.slow

DISCONNECTS, CANCELS, OTHERS = 24, 12, 4


def test_an_api_process_is_killed(house: House, expected: list[bytes]) -> None:
    url, never = f"{house.apis[0].url}/v1/audio/speech", threading.Event()
    with house.workers(1, stall_seconds=1), house.api() as doomed:
        keys = [{}, {"idempotency-key": "soon"}, {"idempotency-key": "late"}]
        listeners = [Listener(doomed, order(n), never, **headers) for n, headers in enumerate(keys)]
        for listener in listeners:
            assert listener.begun.wait(SECONDS)
            assert listener.error is None, listener.error
        doomed.process.kill()
        soon = httpx.post(url, json=order(1), headers=keys[1], timeout=SECONDS)
        assert (soon.headers["x-job-id"], soon.content == expected[1]) == (listeners[1].job, True)
        took = eventually(lambda: not house.running())
        print(f"API killed: its streams were stopped {took:.1f} s later")
        late = httpx.post(url, json=order(2), headers=keys[2], timeout=SECONDS)
        assert late.content == expected[2]
        never.set()
        for listener in listeners:
            listener.join(SECONDS)
            assert listener.error is not None
    house.check_that_nothing_is_left()


@contextmanager
def streaming(api: Server) -> Iterator[tuple[socket.socket, str]]:
    """A connection that a long body comes in on, some of which has been read, and the id of its job."""
    body = json.dumps(ENDLESS).encode()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with connected(api.port) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        received = b""
        while len(received) < 100_000:
            received += connection.recv(65536)
        headers = received.partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")
        assert headers[0].startswith("http/1.1 200")
        yield connection, next(line.removeprefix("x-job-id: ") for line in headers if line.startswith("x-job-id"))


def slot_is_free(house: House, job: str) -> bool:
    """Whether its worker is done with a job."""
    active: list[bytes] = house.redis.lrange("saq:interactive:active", 0, -1)
    return not any(name.startswith(f"saq:job:interactive:{job}.".encode()) for name in active)


def free_after(house: House, job: str) -> float:
    """Seconds from now until its slot is free."""
    start = time.perf_counter()
    while not slot_is_free(house, job):
        assert time.perf_counter() - start < 10
        time.sleep(0.002)
    return time.perf_counter() - start


def test_a_slot_is_free_soon_after_its_client_left(house: House) -> None:
    (api, other), may = house.apis, threading.Event()
    with house.workers(1, ahead_seconds=2, chunk_ms=50):
        others = [Listener(other, order(n), may) for n in range(OTHERS)]
        may.set()
        left, cancelled = [], []
        for number in range(DISCONNECTS + CANCELS):
            with streaming(api) as (connection, job):
                assert not slot_is_free(house, job)
                if number % 3:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.close()
                    left.append(free_after(house, job))
                else:
                    assert httpx.post(f"{api.url}/v1/jobs/{job}/cancel").status_code == 200
                    cancelled.append(free_after(house, job))
        for listener in others:
            listener.join(SECONDS)
            assert listener.error is None
    for what, seconds in (("client disconnected", left), ("job cancelled", cancelled)):
        p50, p95 = 1000 * np.quantile(seconds, (0.5, 0.95))
        print(f"{what}: slot free after p50 {p50:.0f} ms, p95 {p95:.0f} ms, of {len(seconds)}")
    house.check_that_nothing_is_left()
