"""Workers die, stop, and come back from the dead: every job goes on from where it was."""

from __future__ import annotations

import io
import json
import random
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from ancestral.service.broker.job import MAX_DEATHS, key
from tests.chaos.servers import PRIORITIES
from tests.chaos.support import (
    FETCHED,
    LISTENED,
    SECONDS,
    Clock,
    House,
    Listener,
    Process,
    connected,
    held_by,
    order,
    work,
)
from tests.service.servers import Server
from tests.service.shaky import ENDLESS
from tests.service.toys import ASYNC, SPEECH
from tests.waiting import awaited, eventually

TAKEN_OVER_SECONDS = 30.0
"""Twice what is promised."""
POISON_SECONDS = 200


def check_taken_up(house: House, held: list[str], *others: Process) -> None:
    """Whoever has these jobs went on from a snapshot, and no symbol was published twice."""
    for job in held:
        (first, start), (second, next_start) = house.begins(job)
        assert (first, start, second) == (1, 0, 2)
        assert next_start is None or next_start > 0

    def taken_up() -> dict[str, int]:
        return {line["job"]: line["position"] for worker in others for line in worker.said("job taken up again")}

    eventually(lambda: set(held) <= set(taken_up()))  # a worker says so after the attempt has begun
    positions = taken_up()
    assert all(positions[job] > 0 for job in held)


@pytest.mark.slow
def test_a_worker_is_killed(house: House, expected: list[bytes]) -> None:
    with house.workers(2) as (one, other), work(house) as under_way:
        one.send(signal.SIGSTOP)  # so that it takes no other job while we look
        held = held_by(one, under_way)
        one.kill()
        took = eventually(lambda: all(house.attempt(job) == 2 for job in held), seconds=TAKEN_OVER_SECONDS)
        assert set(held) <= house.running() | {job for job in held if under_way.status(job) == "completed"}
        assert under_way.finish() == expected
        check_taken_up(house, held, other)
        assert all(house.attempt(job) == 1 for job in under_way.ids if job not in held)
    print(f"killed: {len(held)} jobs taken over after {took:.1f} s")
    house.check_that_nothing_is_left()


@pytest.mark.slow
def test_a_worker_comes_back_from_the_dead(house: House, expected: list[bytes]) -> None:
    with house.workers(2) as (one, other), work(house) as under_way:
        one.send(signal.SIGSTOP)
        held = held_by(one, under_way)
        eventually(lambda: all(house.attempt(job) == 2 for job in held))
        one.send(signal.SIGCONT)
        assert under_way.finish() == expected
        check_taken_up(house, held, other)
        assert not house.running()
        assert other.end() == 0
        again = httpx.post(f"{house.apis[0].url}/v1/audio/speech", json=order(0), timeout=SECONDS)
        assert again.content == expected[0]
        assert not house.running()
    house.check_that_nothing_is_left()


def test_a_worker_is_killed_in_mid_picture(house: House) -> None:
    body = {"model": "canvas", "prompt": "cat", "n": 10, "seed": 3, "response_format": "b64_json"}
    url = f"{house.apis[0].url}/v1/images/generations"
    with ThreadPoolExecutor(1) as pool, house.workers(2) as workers:
        undisturbed = httpx.post(url, json=body, timeout=SECONDS).json()["data"]
        answer = pool.submit(httpx.post, url, json=body, timeout=SECONDS)
        eventually(lambda: any(house.done(job) for job in house.running()))
        (job,) = house.running()
        (holder,) = [worker for worker in workers if worker.pid == house.holder(job)]
        holder.send(signal.SIGSTOP)  # so that nothing is finished while we look
        assert 0 < house.done(job) < 10 * 32 * 32 * 3
        assert job in house.running()
        holder.kill()
        assert answer.result().json()["data"] == undisturbed
        assert house.attempt(job) == 2
    house.check_that_nothing_is_left()


def test_a_worker_is_killed_in_mid_sound_that_it_has_filtered(house: House) -> None:
    """What filter and correction remember comes back with the snapshot: no bit tells where the other worker went on."""
    url, body = f"{house.apis[0].url}/v1/audio/speech", order(0) | {"model": "shaped", "voice": "bob"}
    with house.workers(2) as workers:
        undisturbed = httpx.post(url, json=body, timeout=SECONDS).content
        response = httpx.post(url, json=body, headers=ASYNC, timeout=SECONDS)
        job = response.json()["id"]
        eventually(lambda: house.redis.exists(key("snapshot", job)))
        (holder,) = [worker for worker in workers if worker.pid == house.holder(job)]
        holder.send(signal.SIGSTOP)
        assert job in house.running()
        holder.kill()
        assert house.apis[1].ended(job)["status"] == "completed"
        assert house.attempt(job) == 2
        (_, start), (_, next_start) = house.begins(job)
        assert start == 0
        assert next_start is None or next_start > 0
        content = httpx.get(f"{house.apis[1].url}/v1/jobs/{job}/content", timeout=SECONDS).content
    assert content[44:] == undisturbed[44:], "all but the header, in which a stream has no length"
    house.check_that_nothing_is_left()


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_a_worker_has_another_time(house: House, tmp_path: Path, ahead: int) -> None:
    clock = Clock(tmp_path)
    clock.set(ahead)
    with house.workers(1, clock):
        job = house.submit(LISTENED)
        while (seen := httpx.get(f"{house.apis[0].url}/v1/jobs/{job}", timeout=SECONDS).json())["completed_at"] is None:
            assert seen["eta_seconds"] is None or 0 <= seen["eta_seconds"] < SECONDS
            assert seen["started_at"] is None or 0 <= seen["started_at"] - seen["created_at"] < SECONDS
        assert 0 <= seen["completed_at"] - seen["started_at"] < SECONDS
    house.check_that_nothing_is_left()


def submit_poison(house: House) -> str:
    """A job that takes some seconds without getting on in between; its id."""
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(1).normal(0.0, 0.1, POISON_SECONDS * 16000), 16000, format="WAV")
    form = {"model": "free", "voice": "ann"}
    url = f"{house.apis[0].url}/v1/audio/likelihood"
    response = httpx.post(url, data=form, files={"file": file.getvalue()}, headers=ASYNC, timeout=SECONDS)
    assert response.status_code == 202, response.text
    job: str = response.json()["id"]
    return job


@pytest.mark.slow
def test_a_job_that_kills_its_workers_is_given_up(house: House, expected: list[bytes]) -> None:
    numbers = [0, 1, 2, LISTENED, LISTENED + FETCHED - 1]
    with ExitStack() as stack:
        (worker,) = stack.enter_context(house.workers(1))
        under_way = stack.enter_context(work(house, numbers))
        poison = submit_poison(house)
        for attempt in range(1, MAX_DEATHS + 1):
            eventually(partial(house.has_begun, poison, attempt))
            worker.kill()  # with all that it has in hand, the moment that it has begun this one
            (worker,) = stack.enter_context(house.workers(1))
        bodies = under_way.finish()
        assert bodies == [expected[number] for number in numbers]
        failed = house.apis[0].ended(poison)
        assert failed["status"] == "failed"
        assert failed["error"]["code"] == "worker_lost"
        assert "3 workers" in failed["error"]["message"]
    house.check_that_nothing_is_left()


# Workers are told to stop again and again, at any moment, under load: nothing is lost, held, or taken for dead.


ROUNDS, WORKERS = 25, 2
"""So many workers are stopped in each."""
LISTENERS = 3
WAITS_SECONDS = 4 * SECONDS
"""For which a client may wait for sound: its job may be released several times before a worker ends it."""
SHORT = [SPEECH | {"seed": seed, "response_format": "pcm"} for seed in range(4)]
"""Sampled in some milliseconds: workers are always about to end one of them, or to claim the next."""
LONG = [order(LISTENED + number) | {"response_format": "pcm"} for number in range(2)]
"""Sampled over many rounds."""


def asked(house: House, body: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response | None:
    """The answer; None while there is no worker."""
    url = f"{house.apis[body['seed'] % 2].url}/v1/audio/speech"
    response = httpx.post(url, json=body, headers=headers, timeout=WAITS_SECONDS)
    return None if response.status_code == 503 else response


class Listeners:
    """Clients that stream short requests, one after the other; what went wrong for them."""

    def __init__(self, house: House, expected: list[bytes]) -> None:
        self.failures: list[str] = []
        self._house, self._expected, self._stopping = house, expected, threading.Event()
        self._threads = [threading.Thread(target=self._listen, args=(number,)) for number in range(LISTENERS)]
        for thread in self._threads:
            thread.start()

    def _listen(self, number: int) -> None:
        while not self._stopping.is_set():
            try:
                response = asked(self._house, SHORT[number])
            except httpx.HTTPError as error:
                self.failures.append(repr(error))
            else:
                if response is None:
                    time.sleep(0.1)
                elif response.content != self._expected[number]:
                    self.failures.append(f"{response.status_code}: {len(response.content)} other bytes")

    def finish(self) -> None:
        """Let them hear to the end what they have asked for, which needs a worker."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()


class Places:
    """Where every unfinished job stands, now that no worker runs."""

    def __init__(self, house: House) -> None:
        self.waiting, self.leased, self.unfinished = dict[str, float](), set[str](), set[str]()
        queues = list(product(("waiting", "running"), PRIORITIES))
        for shard in range(house.servers.shards):
            names = [key(*queue, shard=shard) for queue in queues]
            with house.redis.pipeline(transaction=True) as pipe:  # at one moment: clients go on submitting
                for name in (*names, key("unfinished", "anonymous", shard=shard)):
                    pipe.zrange(name, 0, -1, withscores=True)
                *waiting_and_leased, unfinished = pipe.execute()
            self.waiting |= {job.decode(): score for found in waiting_and_leased[:2] for job, score in found}
            self.leased |= {job.decode() for found in waiting_and_leased[2:] for job, _ in found}
            self.unfinished |= {job.decode() for job, _ in unfinished}


def check(house: House, orders: dict[str, float]) -> int:
    """Every unfinished job waits at the place it got when it came, and none has lost a worker. How many there are."""
    places = Places(house)
    assert places.leased == set()
    assert places.waiting.keys() == places.unfinished
    for job, place in places.waiting.items():
        assert orders.setdefault(job, place) == place
        assert house.deaths(job) == 0
    return len(places.waiting)


@pytest.mark.slow
def test_fifty_workers_are_stopped_under_load(house: House) -> None:
    chance, orders, jobs, kept = random.Random(1), dict[str, float](), dict[str, dict[str, Any]](), 0
    with house.workers(1):
        undisturbed = {}
        for body in SHORT + LONG:
            response = asked(house, body)
            assert response is not None
            assert response.status_code == 200
            undisturbed[body["seed"]] = response.content
    listeners = Listeners(house, [undisturbed[body["seed"]] for body in SHORT])
    try:
        for number in range(ROUNDS):
            with house.workers(WORKERS) as workers:
                eventually(lambda: house.all_are(200))
                for body in SHORT + LONG * (number % 8 == 0):
                    response = asked(house, body, ASYNC)
                    assert response is not None
                    assert response.status_code == 202, response.text
                    jobs[response.json()["id"]] = body
                for worker in workers:
                    time.sleep(chance.uniform(0.0, 0.5))
                    worker.send(signal.SIGTERM)
                assert [worker.process.wait(SECONDS) for worker in workers] == [0] * WORKERS
            assert not [line for worker in workers for line in worker.said("job reclaimed: its worker died")]
            kept += check(house, orders)
    finally:
        with house.workers(1) as (last,):
            listeners.finish()
            ended = {job: house.apis[0].ended(job) for job in jobs}
    assert not last.said("job reclaimed: its worker died")
    assert listeners.failures == []
    assert {job["status"] for job in ended.values()} == {"completed"}
    for job, body in jobs.items():
        content = httpx.get(f"{house.apis[1].url}/v1/jobs/{job}/content", timeout=SECONDS)
        assert content.content == undisturbed[body["seed"]]
    again = sum(house.attempt(job) > 1 for job in jobs)
    print(f"{ROUNDS * WORKERS} workers stopped: {kept} jobs back at their places, {again} of {len(jobs)} resumed")
    assert again
    house.check_that_nothing_is_left()


# Whoever listens goes away, in one way or another: what was sampled for them stops, and soon.


DISCONNECTS, CANCELS, OTHERS = 24, 12, 4


@pytest.mark.slow
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
def asked_for_much(api: Server) -> Iterator[socket.socket]:
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

    with asked_for_much(api) as connection:
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


@pytest.mark.slow
def test_a_slot_is_free_soon_after_its_client_left(house: House) -> None:
    """Every slot is taken, and one more client waits: it is served as soon as one of the others leaves."""
    api, other = house.apis
    left, cancelled = [], []
    with house.workers(1, interactive_slots=OTHERS + 1, ahead_seconds=2, chunk_ms=50), ExitStack() as stack:
        for _ in range(OTHERS):
            stack.enter_context(listening(other))
        connection = stack.enter_context(asked_for_much(api))
        for number in range(DISCONNECTS + CANCELS):
            job = heard(connection)
            following = stack.enter_context(asked_for_much(api))
            # Looked at once: a listener that the machine delays is parked, and then this one waits no more.
            (waiting,) = awaited(lambda: house.servers.members("waiting", "interactive"))
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
