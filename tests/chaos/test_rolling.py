"""Every process of a deployment is replaced, one after the other, under load: no client notices.

The clients do what a load balancer would: they ask every API process that they know of if it is ready, several times a
second, and go to one that was.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException

import httpx
import pytest

from tests.chaos.support import SECONDS, House, connected, eventually, order
from tests.service.support import Server

pytestmark = pytest.mark.slow

CLIENTS = 8
NUMBERS = (0, 1, 2, 5)
"""Of the requests that they make, again and again."""
LOOK_SECONDS = 0.2
DRAIN_SECONDS = 2
GRACE_SECONDS = 60
"""For bodies in flight; the slowest client takes some seconds."""


class Balancer:
    """API processes, and which of them were ready a moment ago."""

    def __init__(self) -> None:
        self._known: list[Server] = []
        self._ready: list[Server] = []
        self._stopping = threading.Event()
        self._looking = threading.Thread(target=self._look)

    def add(self, server: Server) -> None:
        """One more; returns once clients are sent to it."""
        self._known.append(server)
        eventually(lambda: server in self._ready)

    def remove(self, server: Server) -> None:
        """It is gone."""
        self._known.remove(server)

    def choose(self) -> Server:
        """One that was ready."""
        return random.choice(self._ready)

    def _look(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            self._ready = [server for server in [*self._known] if self._is_ready(server)]

    def _is_ready(self, server: Server) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{server.url}/readyz", timeout=SECONDS).status_code == 200
        return False

    def __enter__(self) -> Balancer:
        self._looking.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._stopping.set()
        self._looking.join()


def spoken(server: Server, number: int, client: httpx.Client | None = None) -> bytes:
    """A request's body."""
    post = httpx.post if client is None else client.post
    response = post(f"{server.url}/v1/audio/speech", json=order(number), timeout=SECONDS)
    assert response.status_code == 200, response.text
    return response.content


def slowly(server: Server, number: int) -> bytes:
    """A request's body, read over some seconds through a connection that holds little, so that its job goes on."""
    connection = HTTPConnection("127.0.0.1", server.port)
    connection.sock = connected(server.port)
    try:
        headers = {"content-type": "application/json"}
        connection.request("POST", "/v1/audio/speech", json.dumps(order(number)), headers)
        response = connection.getresponse()
        read = []
        while piece := response.read(16384):
            read.append(piece)
            time.sleep(0.1)
        assert response.status == 200, b"".join(read)
        return b"".join(read)
    finally:
        connection.close()


class Load:
    """Clients that ask, one request after the other, until told to stop; what went wrong, and how much went well."""

    def __init__(self, balancer: Balancer, expected: Mapping[int, bytes]) -> None:
        self.failures: list[str] = []
        self.done = 0
        self._balancer = balancer
        self._expected = expected
        self._numbers = itertools.cycle(NUMBERS)
        self._stopping = threading.Event()

    def _ask(self, patient: bool) -> None:
        with httpx.Client() as client:  # which keeps its connections
            while not self._stopping.is_set():
                number, server = next(self._numbers), self._balancer.choose()
                try:
                    body = slowly(server, number) if patient else spoken(server, number, client)
                except (OSError, HTTPException, httpx.HTTPError, AssertionError) as error:
                    self.failures.append(f"{number} on port {server.port}: {error!r}")
                    continue
                self.done += 1
                if body != self._expected[number]:
                    self.failures.append(f"{number} on port {server.port}: {len(body)} other bytes")

    @contextmanager
    def running(self) -> Iterator[None]:
        """The clients, at work."""
        clients = [threading.Thread(target=self._ask, args=(bool(n % 2),)) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self._stopping.set()
            for client in clients:
                client.join()

    def go_on(self, count: int) -> None:
        """Wait for so many more requests."""
        until = self.done + count
        eventually(lambda: self.done >= until or self.failures)


def test_everything_is_replaced_under_load(house: House) -> None:
    settings = {"drain_seconds": DRAIN_SECONDS, "shutdown_seconds": GRACE_SECONDS}
    with ExitStack() as stack, house.workers(2) as workers, Balancer() as balancer:
        servers = [stack.enter_context(house.api(**settings)) for _ in range(2)]
        for server in servers:
            balancer.add(server)
        load = Load(balancer, {number: spoken(servers[0], number) for number in NUMBERS})
        with load.running():
            load.go_on(CLIENTS)
            for worker in workers:
                stack.enter_context(house.workers(1))
                assert worker.end() == 0
                load.go_on(CLIENTS)
            for server in servers:
                balancer.add(stack.enter_context(house.api(**settings)))
                server.process.terminate()
                assert server.process.wait(GRACE_SECONDS) == 0
                balancer.remove(server)
                load.go_on(CLIENTS)
        left = sum(line["jobs"] for worker in workers for line in worker.said("worker stopping"))
        print(f"all replaced: {load.done} requests, {left} jobs handed over, {len(load.failures)} failures")
        assert load.failures == []
        assert left, "no worker had anything in hand when it was told to stop"
        broken = [line for server in servers for line in server.log if line["message"] == "response broken off"]
        assert broken == []
    house.check_that_nothing_is_left()
