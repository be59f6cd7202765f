"""Workers die, stop, and come back from the dead: every job goes on from where it was."""

from __future__ import annotations

import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from ancestral_service.broker.job import MAX_DEATHS, key
from tests.chaos.servers import PRIORITIES
from tests.chaos.support import FETCHED, LISTENED, SECONDS, Clock, House, Listener, Process, held_by, order, work
from tests.service.speech.sounds import recording, score
from tests.service.toys import ASYNC, SPEECH
from tests.waiting import eventually

POISON_SECONDS = 200
"""Of a recording that takes some seconds to score, without getting on in between."""


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
@pytest.mark.parametrize("killed", [True, False], ids=["is killed", "comes back from the dead"])
def test_a_worker_that_hangs(house: House, expected: list[bytes], killed: bool) -> None:
    with house.workers(2) as (one, other), work(house) as under_way:
        one.send(signal.SIGSTOP)  # so that it takes no other job while we look
        held = held_by(one, under_way)
        if killed:
            one.kill()
        eventually(lambda: all(house.attempt(job) == 2 for job in held), 30)
        if not killed:
            one.send(signal.SIGCONT)
        assert under_way.finish() == expected
        check_taken_up(house, held, other)
        assert all(house.attempt(job) == 1 for job in under_way.ids if job not in held)
        if not killed:
            assert other.end() == 0
            again = httpx.post(f"{house.apis[0].url}/v1/audio/speech", json=order(0), timeout=SECONDS)
            assert again.content == expected[0]
        assert not house.running()
    house.check_that_nothing_is_left()


def kill_holder(house: House, workers: list[Process], job: str) -> None:
    """End the worker that runs a job, which it does when it is killed."""
    (holder,) = [worker for worker in workers if worker.pid == house.holder(job)]
    holder.send(signal.SIGSTOP)  # so that nothing is finished while we look
    assert job in house.running()
    holder.kill()


def test_workers_are_killed_in_mid_picture_and_in_mid_sound_that_they_have_filtered(house: House) -> None:
    """What filter and correction remember comes back with the snapshot: no bit tells where the other worker went on."""
    drawing = {"model": "canvas", "prompt": "cat", "n": 10, "seed": 3, "response_format": "b64_json"}
    saying = order(0) | {"model": "shaped", "voice": "bob"}
    images, speech = (f"{house.apis[0].url}/v1/{route}" for route in ("images/generations", "audio/speech"))
    with ThreadPoolExecutor(1) as pool, house.workers(3) as workers:
        undisturbed = httpx.post(images, json=drawing, timeout=SECONDS).json()["data"]
        answer = pool.submit(httpx.post, images, json=drawing, timeout=SECONDS)
        eventually(lambda: any(house.done(job) for job in house.running()))
        (job,) = house.running()
        kill_holder(house, workers, job)
        assert 0 < house.done(job) < 10 * 32 * 32 * 3
        assert answer.result().json()["data"] == undisturbed
        assert house.attempt(job) == 2

        undisturbed = httpx.post(speech, json=saying, timeout=SECONDS).content
        job = httpx.post(speech, json=saying, headers=ASYNC, timeout=SECONDS).json()["id"]
        eventually(lambda: house.redis.exists(key("snapshot", job)))
        kill_holder(house, workers, job)
        assert house.apis[1].ended(job)["status"] == "completed"
        (first, start), (second, next_start) = house.begins(job)
        assert (first, start, second) == (1, 0, 2)
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


@pytest.mark.slow
def test_a_job_that_kills_its_workers_is_given_up(house: House, expected: list[bytes]) -> None:
    numbers = [0, 1, 2, LISTENED, LISTENED + FETCHED - 1]
    with ExitStack() as stack:
        (worker,) = stack.enter_context(house.workers(1))
        under_way = stack.enter_context(work(house, numbers))
        form = {"model": "free", "voice": "ann"}
        poison = score(house.apis[0], form, recording(POISON_SECONDS), ASYNC).json()["id"]
        for attempt in range(1, MAX_DEATHS + 1):
            eventually(lambda attempt=attempt: house.attempt(poison) >= attempt)  # type: ignore[misc]
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


def listen(house: House, body: dict[str, Any], expected: bytes, stopping: threading.Event) -> None:
    """A client that streams a short request again and again."""
    while not stopping.is_set():
        if (response := asked(house, body)) is None:
            time.sleep(0.1)
        else:
            assert response.content == expected


def check(house: House, orders: dict[bytes, float]) -> int:
    """Now that no worker runs, every unfinished job waits at the place it got when it came, and none has lost a worker.
    How many there are."""
    waiting, unfinished = dict[bytes, float](), set[bytes]()
    for shard in range(house.servers.shards):
        with house.redis.pipeline(transaction=True) as pipe:  # at one moment: clients go on submitting
            for queue in product(("waiting", "running"), PRIORITIES):
                pipe.zrange(key(*queue, shard=shard), 0, -1, withscores=True)
            pipe.zrange(key("unfinished", "anonymous", shard=shard), 0, -1)
            *queues, ids = pipe.execute()
        assert queues[2:] == [[], []], "no job is leased"
        waiting |= dict(queues[0] + queues[1])
        unfinished |= {*ids}
    assert waiting.keys() == unfinished
    for job, place in waiting.items():
        assert orders.setdefault(job, place) == place
        assert house.deaths(job.decode()) == 0
    return len(waiting)


@pytest.mark.slow
def test_fifty_workers_are_stopped_under_load(house: House) -> None:
    chance, orders, jobs, kept = random.Random(1), dict[bytes, float](), dict[str, dict[str, Any]](), 0
    with house.workers(1):
        undisturbed = {}
        for body in SHORT + LONG:
            response = asked(house, body)
            assert response is not None
            assert response.status_code == 200
            undisturbed[body["seed"]] = response.content
    stopping, pool = threading.Event(), ThreadPoolExecutor(LISTENERS)
    listening = [pool.submit(listen, house, body, undisturbed[body["seed"]], stopping) for body in SHORT[:LISTENERS]]
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
        stopping.set()
        with house.workers(1) as (last,):  # which those who listen need to hear the rest
            for each in listening:
                each.result()
            ended = {job: house.apis[0].ended(job) for job in jobs}
    assert not last.said("job reclaimed: its worker died")
    assert {job["status"] for job in ended.values()} == {"completed"}
    for job, body in jobs.items():
        content = httpx.get(f"{house.apis[1].url}/v1/jobs/{job}/content", timeout=SECONDS)
        assert content.content == undisturbed[body["seed"]]
    again = sum(house.attempt(job) > 1 for job in jobs)
    print(f"{ROUNDS * WORKERS} workers stopped: {kept} jobs back at their places, {again} of {len(jobs)} resumed")
    assert again
    house.check_that_nothing_is_left()


# Whoever listens goes away: what was sampled for them stops.


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
