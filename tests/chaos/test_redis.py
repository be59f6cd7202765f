"""Redis goes away and comes back, with all it knew or with less: everybody waits, and nothing comes out differently."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.exceptions import ResponseError

from tests.chaos.servers import ReplicatedServers, Servers
from tests.chaos.support import LISTENED, SECONDS, House, answer, by_jobs, held_by, order, work
from tests.service.api.job_requests import check_envelope
from tests.service.servers import Server
from tests.service.toys import ASYNC, SPEECH
from tests.waiting import eventually

pytestmark = pytest.mark.slow


def only(kind: str) -> pytest.MarkDecorator:
    """What Redis is, of a test for which the other kind would be the same again."""
    return pytest.mark.parametrize("kind", [kind], indirect=True)


AWAY_SECONDS = 6.0
"""Longer than a worker may show no sign of life."""
BURST = 60
"""Requests at once."""
PAIRS = int(os.environ.get("PAIRS", "20"))
"""Number of requests with the same key."""
ROUNDS = int(os.environ.get("ROUNDS", "1"))
"""Rounds of twenty bodies, for each trouble."""
PAUSE_SECONDS = float(os.environ.get("PAUSE_SECONDS", "15"))
"""Longer than anybody waits for a reply."""


def test_redis_is_started_again(house: House, expected: list[bytes]) -> None:
    with house.workers(2) as workers, work(house) as under_way:
        with house.servers.outage(signal.SIGKILL):
            start = time.monotonic()
            under_way.may.set()  # so listeners wait for what does not come, with more read than they could say
            house.check_that_nothing_is_taken()
            check_envelope(httpx.get(f"{house.apis[0].url}/v1/jobs", timeout=SECONDS), 503, None)
            time.sleep(max(0.0, start + AWAY_SECONDS - time.monotonic()))
        eventually(lambda: house.all_are(200))
        with house.servers.outage(signal.SIGTERM):
            time.sleep(1)
        assert under_way.finish() == expected
        # While its disk is busy, Redis answers before it writes (everysec): what it has lost is sampled again.
        lost = [line["job"] for worker in workers for line in worker.log if line["message"] == "redis has lost symbols"]
        attempts = [house.attempt(job) - lost.count(job) for job in under_way.ids]
        assert attempts == [1] * len(expected)  # nobody was taken for dead
    house.check_that_nothing_is_left()


def test_workers_are_killed_and_stopped_while_redis_is_unavailable(house: House, expected: list[bytes]) -> None:
    with house.workers(3) as workers, work(house) as under_way:
        killed, stopped, _ = by_jobs(workers, under_way)  # one of them may have none
        for worker in (killed, stopped):  # so that no job of theirs ends while we look
            worker.send(signal.SIGSTOP)
        held = held_by(killed, under_way) + held_by(stopped, under_way)
        with house.servers.outage(signal.SIGKILL):
            under_way.may.set()
            killed.kill()
            stopped.send(signal.SIGCONT)
            assert stopped.end() == 0
        took = eventually(lambda: all(house.attempt(job) == 2 for job in held))
        print(f"both: {len(held)} jobs taken over {took:.1f} s after Redis was back")
        assert under_way.finish() == expected
        assert all(house.attempt(job) == 1 + (job in held) for job in under_way.ids)
    house.check_that_nothing_is_left()


def last_event(api: Server, job: str) -> str:
    """Read the events of a job as a browser does, which comes back with the last id; the kind of the last one."""
    kind, last = "", "0-0"
    while kind in ("", "job.queued", "job.in_progress", "job.progress"):
        url, headers = f"{api.url}/v1/jobs/{job}/events", {"last-event-id": last}
        with suppress(httpx.TransportError), httpx.stream("GET", url, headers=headers, timeout=SECONDS) as response:
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                kind, last = (value if name == "event" else kind), (value if name == "id" else last)
    return kind


@only("cluster")
def test_redis_forgets_what_it_had_taken(house: House, expected: list[bytes]) -> None:
    with house.workers(2) as workers, work(house) as under_way, ThreadPoolExecutor(LISTENED) as pool:
        sizes = {log: log.stat().st_size for log in house.servers.logs()}
        under_way.may.set()  # so that listeners have what Redis then knows nothing of
        eventually(lambda: all(log.stat().st_size > sizes.get(log, 0) + 200_000 for log in house.servers.logs()))
        watching = [pool.submit(last_event, house.apis[0], job) for job in under_way.jobs]
        with house.servers.outage(signal.SIGKILL):
            for log in house.servers.logs():  # another than before, if it was rewritten meanwhile
                os.truncate(log, sizes.get(log, 0) + 20_000)
            house.clock.set(-3600)
        assert under_way.finish() == expected
        assert any(worker.said("redis has lost symbols") for worker in workers)
        assert {each.result(SECONDS) for each in watching} == {"job.completed"}
    house.clock.set(0)
    with house.workers(1, stall_seconds=5):  # nobody reads what is sampled again of a job whose end it has forgotten
        house.check_that_nothing_is_left()


@only("one")
def test_redis_is_full(house: House, expected: list[bytes]) -> None:
    numbers = [0, 1, 2, LISTENED]
    with house.workers(1), work(house, numbers) as under_way:
        dropped = house.submit(LISTENED + 1)
        house.servers.each(lambda redis: redis.config_set("maxmemory", 1))
        try:
            under_way.may.set()
            refused = httpx.post(f"{house.apis[0].url}/v1/audio/speech", json=order(0), timeout=SECONDS)
            check_envelope(refused, 503, None)
            assert int(refused.headers["retry-after"]) >= 1
            cancelled = httpx.post(f"{house.apis[0].url}/v1/jobs/{dropped}/cancel", timeout=SECONDS)
            assert cancelled.json()["status"] == "cancelled"  # which gives memory back
            time.sleep(1)
        finally:
            house.servers.each(lambda redis: redis.config_set("maxmemory", 0))
        assert under_way.finish() == [expected[number] for number in numbers]
    house.check_that_nothing_is_left()


def test_a_request_that_got_no_answer_is_no_second_job(house: House) -> None:
    def ask(number: int) -> httpx.Response:
        headers = ASYNC | {"idempotency-key": f"burst-{number}"}
        body = SPEECH | {"seed": number}
        return httpx.post(f"{house.apis[number % 2].url}/v1/audio/speech", json=body, headers=headers, timeout=SECONDS)

    before = house.servers.count("jobs", "anonymous")
    with ThreadPoolExecutor(BURST) as pool:
        with house.workers(1) as (worker,):
            worker.kill()  # it is believed to be there for some seconds yet
            asked = [pool.submit(ask, number) for number in range(BURST)]
            eventually(lambda: any(each.done() for each in asked))
            with house.servers.pause():
                took = eventually(lambda: all(each.done() for each in asked))
        first = [each.result() for each in asked]
    with house.workers(1):
        eventually(lambda: house.all_are(200))
        taken = house.servers.count("jobs", "anonymous") - before
        again = [ask(number) for number in range(BURST)]
        assert {response.status_code for response in again} == {202}
        ids = [response.json()["id"] for response in again]
        for response, job in zip(first, ids, strict=True):
            assert response.status_code == 503 or (response.status_code == 202 and response.json()["id"] == job)
        refused = sum(response.status_code == 503 for response in first)
        print(f"a burst into a pause: {refused} of {BURST} refused within {took:.1f} s, {taken} taken all the same")
        assert refused
        assert house.servers.count("jobs", "anonymous") == before + BURST
        assert {house.apis[0].ended(job)["status"] for job in ids} == {"completed"}
    house.check_that_nothing_is_left()


@pytest.mark.parametrize("stalled", [False, True])
def test_one_key_is_one_job_when_two_requests_overlap(house: House, stalled: bool) -> None:
    keys = [f"pair-{stalled}-{number}" for number in range(PAIRS)]
    body = {name: value for name, value in SPEECH.items() if name != "seed"}  # two jobs would draw two seeds

    def ask(api: int, key: str) -> httpx.Response:
        url, headers = f"{house.apis[api].url}/v1/audio/speech", {"idempotency-key": key} | (ASYNC if stalled else {})
        return httpx.post(url, json=body, headers=headers, timeout=SECONDS)

    before = house.servers.count("jobs", "anonymous")
    with house.workers(1), ThreadPoolExecutor(2 * PAIRS if stalled else 2) as pool:
        eventually(lambda: house.all_are(200))
        if stalled:  # nobody can tell the first request from one that got lost, so clients repeat it
            with house.servers.pause():
                pairs = [[pool.submit(ask, 0, name)] for name in keys]
                time.sleep(1)
                for pair, name in zip(pairs, keys, strict=True):
                    pair.append(pool.submit(ask, 1, name))
                time.sleep(1)
        else:
            pairs = [[pool.submit(ask, api, name) for api in range(2)] for name in keys]
        answers = [[each.result() for each in pair] for pair in pairs]
        assert {answer.status_code for pair in answers for answer in pair} == {202 if stalled else 200}
        jobs = [[answer.headers["x-job-id"] for answer in pair] for pair in answers]
        assert {house.apis[0].ended(job)["status"] for job, _ in jobs} == {"completed"}
    assert all(first == second for first, second in jobs)
    assert stalled or all(first.content == second.content for first, second in answers)
    assert house.servers.count("jobs", "anonymous") == before + PAIRS
    house.check_that_nothing_is_left()


def turn_clock(house: House) -> None:
    """The clock of Redis goes back an hour, and then a little forward: less than what has ended is kept."""
    for ahead in (-3600, -3600 + random.randint(1, 300)):
        house.clock.set(ahead)
        time.sleep(random.uniform(0.2, 1.0))
    house.clock.set(-3600)


def cut_connections(house: House) -> None:
    """Every process loses its connections to Redis, whatever it is waiting for."""
    for kind in ("normal", "pubsub"):
        house.servers.each(lambda redis, kind=kind: redis.client_kill_filter(_type=kind))
    time.sleep(random.uniform(0.02, 0.3))


@only("cluster")
@pytest.mark.parametrize("trouble", [turn_clock, cut_connections])
def test_every_body_is_whole(house: House, expected: list[bytes], trouble: Callable[[House], None]) -> None:
    times = 0
    for number in range(1, ROUNDS + 1):
        # If Redis forgets that a job has ended, nobody reads what is sampled again, and it ends once more. The API's
        # heartbeat, a third of its 600 s, keeps no worker waiting here: a reader whose count is lost says it after 2 s.
        with house.workers(2, stall_seconds=5), work(house) as under_way:
            under_way.may.set()
            while times < number * 100 and any(listener.is_alive() for listener in under_way.listeners):
                trouble(house)
                times += 1
            assert under_way.finish() == expected
            house.check_that_nothing_is_left()
    house.clock.set(0)
    print(f"{trouble.__name__}: {ROUNDS * len(expected)} bodies, {times} times")


@only("cluster")
def test_redis_is_paused(house: House, expected: list[bytes]) -> None:
    with house.workers(2), work(house) as under_way:
        with house.servers.pause():
            start = time.monotonic()
            under_way.may.set()
            took = eventually(lambda: house.all_are(503))
            time.sleep(max(0.0, start + PAUSE_SECONDS - time.monotonic()))
            assert house.all_are(503)
        back = eventually(lambda: house.all_are(200))
        print(f"paused for {PAUSE_SECONDS:.0f} s: not ready after {took:.1f} s, ready {back:.1f} s after its end")
        assert under_way.finish() == expected
    house.check_that_nothing_is_left()


# Masters of Redis are replaced, and slots moved, while jobs are submitted, run and fetched: none is lost, none is
# done twice, and every byte is as with one Redis that nobody disturbs.


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
    """A request, again while Redis is unavailable or is lost in the middle of a body: nothing else may be wrong."""
    url = f"{house.apis[number % 2].url}{path}"
    # The body is shorter than announced if Redis went away after the headers.
    response = answer(lambda: httpx.request(method, url, timeout=SECONDS, **options), lost=(httpx.RemoteProtocolError,))
    assert response.status_code in (200, 202, 409), (path, response.text)
    return response


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
    """Records of all jobs, by id."""
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


# The disk of Redis is full: nothing is taken that could be lost, and what was taken is done once there is room.


FULL_SECONDS = 8.0
"""Longer than a worker may show no sign of life."""
NUMBERS = [0, 1, 2, LISTENED, LISTENED + 1]


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 64 MiB."""
    at = tmp_path_factory.mktemp("disk")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", at], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)


@pytest.fixture(scope="module")
def cramped(environment: dict[str, str], kind: str, small_disk: Path) -> Iterator[House]:
    """A deployment whose Redis keeps its data there."""
    with House(environment, small_disk / "data", kind) as house:
        yield house


def fill(path: Path, servers: Servers) -> None:
    """Write to a file until the disk is full, and to each server until it has used up the last page of its own file."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(path.parent).free == 0
    for name in servers.names("workers"):
        with suppress(ResponseError):
            while True:
                servers.client.set(f"{name} ballast", bytes(4096), px=1000)


def test_the_disk_of_redis_is_full(cramped: House, small_disk: Path, expected: list[bytes]) -> None:
    ballast = small_disk / "ballast"
    with cramped.workers(2), work(cramped, NUMBERS) as under_way:
        fill(ballast, cramped.servers)
        try:
            start = time.monotonic()
            under_way.may.set()
            took = eventually(lambda: cramped.all_are(503))
            cramped.check_that_nothing_is_taken()
            time.sleep(max(0.0, start + FULL_SECONDS - time.monotonic()))
            assert cramped.all_are(503)
        finally:
            ballast.unlink()
        cramped.servers.start_ended()  # a server of a cluster ends when it cannot write what it knows of the others
        back = eventually(lambda: cramped.all_are(200))
        print(f"disk full: not ready after {took:.1f} s, ready {back:.1f} s after there was room")
        assert under_way.finish() == [expected[number] for number in NUMBERS]
        # A replica whose append-only file could not be written may have spoilt it until it has copied its master's.
        eventually(cramped.servers.answer)
        with cramped.servers.outage(signal.SIGKILL):  # what it said that it had, it has
            pass
        eventually(lambda: cramped.all_are(200))
        for job, number in zip(under_way.jobs, NUMBERS[-2:], strict=True):
            content = httpx.get(f"{cramped.apis[0].url}/v1/jobs/{job}/content", timeout=SECONDS)
            assert (content.status_code, content.content) == (200, expected[number])
    cramped.check_that_nothing_is_left()
