"""Masters of Redis are replaced, and slots moved, while jobs are submitted, run and fetched: none is lost, none is done
twice, and every byte is as with one Redis that nobody disturbs."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.chaos.servers import ReplicatedServers
from tests.chaos.support import SECONDS, House, order, work
from tests.service.toys import ASYNC, SPEECH
from tests.waiting import eventually

pytestmark = pytest.mark.slow

JOBS = int(os.environ.get("JOBS", "1000"))
CLIENTS = 8
CALM_SECONDS = 1.0
"""Between two troubles."""


@pytest.fixture(scope="module", params=["cluster", "sentinels"])
def replicated(houses: Callable[[str], House], request: pytest.FixtureRequest) -> House:
    """A deployment whose masters have replicas."""
    return houses(request.param)


@pytest.fixture(scope="module")
def contents(houses: Callable[[str], House]) -> dict[int, bytes]:
    """What each job gives, undisturbed, with one Redis."""
    house = houses("one")
    with house.workers(1), ThreadPoolExecutor(CLIENTS) as pool:
        eventually(lambda: house.all_are(200))
        return dict(zip(range(JOBS), pool.map(lambda number: done(house, number)[1], range(JOBS)), strict=True))


def body(number: int) -> dict[str, Any]:
    """Job number ``number``: sound of half a second and, of every hundredth, a minute of it."""
    if number % 100 == 0:
        return order(17 + number // 100 % 3) | {"seed": number, "response_format": "flac"}
    form = ("wav", "flac", "pcm")[number % 3]
    return SPEECH | {"input": f"Number {number}.", "seed": number, "response_format": form}


def answered(house: House, number: int, method: str, path: str, **options: Any) -> httpx.Response:
    """A request, again while Redis is unavailable or is lost in the middle: nothing else may be wrong."""
    until = time.monotonic() + SECONDS
    while True:
        url = f"{house.apis[number % 2].url}{path}"
        try:
            response = httpx.request(method, url, timeout=SECONDS, **options)
        except httpx.RemoteProtocolError:  # the body is shorter than announced: Redis went away after the headers
            response = httpx.Response(503)
        if response.status_code != 503:
            assert response.status_code in (200, 202, 409), (path, response.text)
            return response
        assert time.monotonic() < until, response.text
        time.sleep(0.2)


def done(house: House, number: int) -> tuple[str, bytes]:
    """Submit a job, wait for its end and fetch its sound: its id, and the sound."""
    headers = ASYNC | {"idempotency-key": f"failover-{number}"}
    job = answered(house, number, "POST", "/v1/audio/speech", json=body(number), headers=headers).json()["id"]
    while True:
        while (found := answered(house, number + 1, "GET", f"/v1/jobs/{job}").json())["status"] != "completed":
            assert found["status"] in ("queued", "in_progress"), found
            time.sleep(0.1)
        content = answered(house, number, "GET", f"/v1/jobs/{job}/content")
        if content.status_code != 409:  # the new master may not know of its end: then it is done to the end again
            return job, content.content


@contextmanager
def troubled(house: House) -> Iterator[Counter[str]]:
    """Masters are replaced one after the other, in every way; how often, when the block has ended."""
    servers = house.servers
    assert isinstance(servers, ReplicatedServers)
    stopping, times, failures = threading.Event(), Counter[str](), list[BaseException]()

    def disturb() -> None:
        try:
            for trouble in itertools.cycle(servers.troubles()):
                if stopping.wait(CALM_SECONDS):
                    break
                trouble()
                times[trouble.__name__] += 1
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    try:
        yield times
    finally:
        stopping.set()
        disturbing.join()
    assert not failures, failures


def statuses(house: House) -> dict[str, str]:
    """Of all jobs that are on record, by their ids."""
    found, after = dict[str, str](), ""
    while True:
        page = httpx.get(f"{house.apis[0].url}/v1/jobs?limit=100{after}", timeout=SECONDS).json()
        found |= {job["id"]: job["status"] for job in page["data"]}
        if not page["has_more"]:
            return found
        after = f"&after={page['last_id']}"


def test_no_job_is_lost_or_done_twice(replicated: House, contents: dict[int, bytes]) -> None:
    others = statuses(replicated)  # the deployment serves other tests, too
    with replicated.workers(2), ThreadPoolExecutor(CLIENTS) as pool, troubled(replicated) as times:
        found = list(pool.map(lambda number: done(replicated, number), range(JOBS)))
    print(f"{replicated.kind}: {JOBS} jobs, {dict(times)}")
    assert len({job for job, _ in found}) == JOBS
    assert [number for number, (_, content) in enumerate(found) if content != contents[number]] == []
    assert min(times.values()) > 0
    assert len(times) == len(replicated.servers.troubles())
    listed = {job: status for job, status in statuses(replicated).items() if job not in others}
    # Cancelled: a submission that no replica had in time was withdrawn, and its client sent it again.
    assert {job: s for job, s in listed.items() if s != "cancelled"} == {job: "completed" for job, _ in found}


def test_listeners_hear_every_byte(replicated: House, expected: list[bytes]) -> None:
    with replicated.workers(2), work(replicated) as under_way, troubled(replicated) as times:
        under_way.may.set()
        eventually(lambda: len(times) == len(replicated.servers.troubles()), seconds=4 * SECONDS)
        assert under_way.finish() == expected
    # The new master may not know that a job has ended. It is sampled again then, and nobody reads it.
    with replicated.workers(1, stall_seconds=5):
        replicated.check_that_nothing_is_left()
