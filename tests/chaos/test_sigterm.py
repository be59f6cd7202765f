"""Workers are told to stop again and again, at any moment, under load: nothing is lost, held, or taken for dead."""

from __future__ import annotations

import random
import signal
import threading
import time
from itertools import product
from typing import Any

import httpx
import pytest

from ancestral.service.broker.keys import key
from tests.chaos.servers import PRIORITIES
from tests.chaos.support import LISTENED, SECONDS, House, order
from tests.service.toys import ASYNC, SPEECH
from tests.waiting import eventually

pytestmark = pytest.mark.slow

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
