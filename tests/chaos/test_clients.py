"""Whoever listens goes away, in one way or another: what was sampled for them stops, and soon."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import numpy as np
import pytest

from tests.chaos.support import SECONDS, House, Listener, connected, order
from tests.service.servers import Server
from tests.service.slow_reader import ENDLESS
from tests.waiting import eventually

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
def asked(api: Server) -> Iterator[socket.socket]:
    """A connection on which a long body has been asked for."""
    body = json.dumps(ENDLESS).encode()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with connected(api.port) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        yield connection


def heard(connection: socket.socket) -> str:
    """The id of its job, some of whose sound has come in."""
    received = b""
    while len(received) < 100_000:
        received += connection.recv(65536)
    headers = received.partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")
    assert headers[0].startswith("http/1.1 200")
    return next(line.removeprefix("x-job-id: ") for line in headers if line.startswith("x-job-id"))


@contextmanager
def listening(api: Server) -> Iterator[None]:
    """A client that listens to a long body at the pace at which it would be played."""
    stopping = threading.Event()

    def listen(connection: socket.socket) -> None:
        while not stopping.wait(0.1):
            connection.recv(9600)

    with asked(api) as connection:
        heard(connection)
        reading = threading.Thread(target=listen, args=(connection,))
        reading.start()
        try:
            yield
        finally:
            stopping.set()
            reading.join()


def begun_after(house: House, job: str) -> float:
    """Seconds from now until a job that waits for a slot has one."""
    start = time.perf_counter()
    while not house.attempt(job):
        assert time.perf_counter() - start < 10
        time.sleep(0.002)
    return time.perf_counter() - start


def test_a_slot_is_free_soon_after_its_client_left(house: House) -> None:
    """Every slot is taken, and one more client waits: it is served as soon as one of the others leaves."""
    api, other = house.apis
    left, cancelled = [], []
    with house.workers(1, interactive_slots=OTHERS + 1, ahead_seconds=2, chunk_ms=50), ExitStack() as stack:
        for _ in range(OTHERS):
            stack.enter_context(listening(other))
        connection = stack.enter_context(asked(api))
        for number in range(DISCONNECTS + CANCELS):
            job = heard(connection)
            following = stack.enter_context(asked(api))
            eventually(lambda: house.servers.count("waiting", "interactive"))
            (waiting,) = house.servers.members("waiting", "interactive")
            if number % 3:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
                left.append(begun_after(house, waiting))
            else:
                assert httpx.post(f"{api.url}/v1/jobs/{job}/cancel").status_code == 200
                cancelled.append(begun_after(house, waiting))
            connection = following
    for what, seconds in (("client left", left), ("job cancelled", cancelled)):
        p50, p95 = 1000 * np.quantile(seconds, (0.5, 0.95))
        print(f"{what}: the next one began after p50 {p50:.0f} ms, p95 {p95:.0f} ms, of {len(seconds)}")
    house.check_that_nothing_is_left()
