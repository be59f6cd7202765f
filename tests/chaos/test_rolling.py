"""Every process of a deployment is replaced, one after the other, under load: no client notices.

The clients do what a load balancer would: they ask every API process that they know of if it is ready, several times a
second, and go to one that was. Those of websockets all go to the one that will be replaced next.
"""

from __future__ import annotations

import itertools
import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, WebSocketException

from ancestral_service.broker.job import key
from tests.chaos.support import SECONDS, House, Process, connected, order
from tests.service.servers import Server
from tests.service.ws_client import CONFIG, SpeechConnection, talking
from tests.waiting import awaited, eventually

pytestmark = pytest.mark.slow

CLIENTS = 8
TALKERS = 4
"""Clients of websockets, besides."""
NUMBERS = (0, 1, 2, 5)
"""Of the requests that they make, again and again."""
LOOK_SECONDS = 0.2
DRAIN_SECONDS = 5
"""Longer than it takes to look, on a machine that is busy."""
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
        """Start a further server; returns once clients are sent to it."""
        self._known.append(server)
        eventually(lambda: server in self._ready)

    def remove(self, server: Server) -> None:
        """Remove a server."""
        self._known.remove(server)

    def choose(self) -> Server:
        """A server that was ready."""
        return random.choice(self._ready)

    def oldest(self) -> Server:
        """The one of them that has been known for longest."""
        return self._ready[0]

    def _look(self) -> None:
        with ThreadPoolExecutor() as pool:  # one that answers slowly must not keep the others from being seen
            while not self._stopping.wait(LOOK_SECONDS):
                known = [*self._known]
                self._ready = [*itertools.compress(known, pool.map(self._is_ready, known))]

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


def spoken(client: httpx.Client, server: Server, number: int, **changes: object) -> bytes:
    """A request's body."""
    response = client.post(f"{server.url}/v1/audio/speech", json=order(number) | changes, timeout=SECONDS)
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


def told(number: int) -> str:
    """What is said in a session: enough for several times ``DRAIN_SECONDS``, or none would ever be interrupted."""
    text: str = order(number)["input"]
    return f"{text} {text}"


def typing(talk: SpeechConnection, text: str) -> None:
    """Say it as somebody who writes it; whether it arrives is the listener's business."""
    with suppress(ConnectionClosed):
        for start in range(0, len(text), 4):
            talk.say("input.text", text=text[start : start + 4])
            time.sleep(0.05)
        talk.say("input.done")


class Talker:
    """A client of websockets: it writes and listens at once, slowly, and resumes where it was left."""

    def __init__(self, balancer: Balancer) -> None:
        self.goodbyes: list[int | None] = []
        """Codes with which sessions were interrupted."""
        self._balancer = balancer

    def __call__(self, server: Server, number: int) -> bytes:
        """The sound of a request's text, in as many connections as that takes."""
        wanted, query, sound = order(number), "", b""
        while True:
            with talking(server, query, sock=connected(server.port), ping_interval=None) as talk:
                if not query:
                    talk.configure(**{name: wanted[name] for name in ("voice", "seed", "speed")})
                done = self._heard(talk, told(number)[talk.session["received_characters"] :])
            sound += talk.sound
            if done:
                return sound
            query = f"?session_id={talk.session['session_id']}&from_sample={len(sound) // 2}"
            server = self._balancer.oldest()

    def _heard(self, talk: SpeechConnection, text: str) -> bool:
        """Whether that was all; else the connection is lost."""
        writing = threading.Thread(target=typing, args=(talk, text))
        writing.start()
        try:
            while not isinstance(message := talk.hear(), dict) or message["type"] != "session.done":
                assert isinstance(message, bytes) or message["type"] != "error", message
                time.sleep(0.2)  # about as fast as it would be played
            return True
        except ConnectionClosed as closed:
            self.goodbyes.append(closed.rcvd and closed.rcvd.code)
            return False
        finally:
            writing.join()


class Load:
    """Clients that ask, one request after the other, until told to stop; what went wrong, and how much went well."""

    def __init__(self, balancer: Balancer, server: Server) -> None:
        """Nothing happens yet, but that the server is asked, undisturbed."""
        self.failures: list[str] = []
        self.done = 0
        self.talkers = [Talker(balancer) for _ in range(TALKERS)]
        self.talks = 0
        """Sessions that are over."""
        self._balancer = balancer
        pcm = {name: CONFIG[name] for name in ("response_format", "sample_rate")}
        with httpx.Client() as client:
            self._bodies = {number: spoken(client, server, number) for number in NUMBERS}
            self._sounds = {number: spoken(client, server, number, input=told(number), **pcm) for number in NUMBERS}
        self._numbers = itertools.cycle(NUMBERS)
        self._stopping = threading.Event()

    def _ask(self, patient: bool) -> None:
        with httpx.Client() as client:  # which keeps its connections
            way = slowly if patient else partial(spoken, client)
            while not self._stopping.is_set():
                if self._went_well(way, self._balancer.choose(), self._bodies):
                    self.done += 1

    def _talk(self, talker: Talker) -> None:
        while not self._stopping.is_set():
            if self._went_well(talker, self._balancer.oldest(), self._sounds):
                self.talks += 1

    def _went_well(self, way: Callable[[Server, int], bytes], server: Server, expected: Mapping[int, bytes]) -> bool:
        number = next(self._numbers)
        try:
            body = way(server, number)
        except (OSError, HTTPException, httpx.HTTPError, WebSocketException, AssertionError) as error:
            self.failures.append(f"{number} on port {server.port}: {error!r}")
            return False
        if body != expected[number]:
            self.failures.append(f"{number} on port {server.port}: {len(body)} other bytes")
        return True

    @contextmanager
    def running(self) -> Iterator[None]:
        """The clients, at work."""
        clients = [threading.Thread(target=self._ask, args=(bool(n % 2),)) for n in range(CLIENTS)]
        clients += [threading.Thread(target=self._talk, args=(talker,)) for talker in self.talkers]
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


def talked_by(house: House, worker: Process) -> list[str]:
    """The jobs of websocket sessions that a worker has in hand."""
    states = [house.redis.hget(found, "state") for found in house.redis.scan_iter(key("session", "*"))]
    utterances = [each for state in states if state for each in json.loads(state)["utterances"]]
    return [each["job_id"] for each in utterances if house.holder(each["job_id"]) == worker.pid]


def caught_talking(house: House, worker: Process) -> list[str]:
    """The same of a worker that is stopped meanwhile, or they might end before it does; without any it goes on."""
    if not talked_by(house, worker):  # whoever is stopped each time it is asked about never gets to any work
        return []
    worker.send(signal.SIGSTOP)
    if not (found := talked_by(house, worker)):
        worker.send(signal.SIGCONT)
    return found


@pytest.mark.parametrize("kind", ["cluster"], indirect=True)
def test_everything_is_replaced_under_load(house: House) -> None:
    settings = {"drain_seconds": DRAIN_SECONDS, "shutdown_seconds": GRACE_SECONDS}
    with ExitStack() as stack, house.workers(2) as workers, Balancer() as balancer:
        servers = [stack.enter_context(house.api(**settings)) for _ in range(2)]
        for server in servers:
            balancer.add(server)
        load, talked = Load(balancer, servers[0]), []
        with load.running():
            load.go_on(CLIENTS)
            for worker in workers:
                stack.enter_context(house.workers(1))
                talked += awaited(partial(caught_talking, house, worker))
                worker.send(signal.SIGTERM)
                worker.send(signal.SIGCONT)
                assert worker.end() == 0
                load.go_on(CLIENTS)
            for server in servers:
                balancer.add(stack.enter_context(house.api(**settings)))
                server.process.terminate()
                assert server.process.wait(GRACE_SECONDS) == 0
                balancer.remove(server)
                load.go_on(CLIENTS)
        left = sum(line["jobs"] for worker in workers for line in worker.said("worker stopping"))
        moved = sum(house.attempt(job) > 1 for job in talked)
        goodbyes = [code for talker in load.talkers for code in talker.goodbyes]
        print(f"all replaced: {load.done} requests, {left} jobs handed over, {len(load.failures)} failures")
        print(f"websockets: {load.talks} sessions, {moved} jobs handed over, {len(goodbyes)} resumed")
        assert load.failures == []
        assert left, "no worker had anything in hand when it was told to stop"
        assert moved, "no worker had a session in hand"
        assert len(goodbyes) >= len(servers)
        assert set(goodbyes) == {1012}
        broken = [line for server in servers for line in server.log if line["message"] == "response aborted"]
        assert broken == []
    house.check_that_nothing_is_left()
