"""Workers die, stop, and come back from the dead: every job goes on from where it was."""

from __future__ import annotations

import io
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from ancestral.service.broker.job import MAX_DEATHS
from ancestral.service.broker.keys import key
from tests.chaos.support import FETCHED, LISTENED, SECONDS, Clock, House, Process, held_by, order, work
from tests.service.toys import ASYNC
from tests.waiting import eventually

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
def test_workers_are_replaced_one_by_one(house: House, expected: list[bytes]) -> None:
    with house.workers(2) as (one, other), work(house) as under_way:
        held = held_by(one, under_way)
        start = time.monotonic()
        assert one.end() == 0
        print(f"stopped: {len(held)} jobs handed over after {time.monotonic() - start:.1f} s")
        eventually(lambda: all(house.attempt(job) > 1 for job in held))
        check_taken_up(house, held, other)
        with house.workers(1) as (third,):
            assert other.end() == 0
            assert under_way.finish() == expected
            assert third.said("job taken up again")
        assert not any(house.deaths(job) for job in under_way.ids)
        began = {listener.job: house.began(listener.job) for listener in under_way.listeners}
        assert [job for job, pids in began.items() if len(pids) > len(set(pids))] == [], (began, one.pid, other.pid)
        assert not [job for job, pids in began.items() if pids[-1] == one.pid]
    house.check_that_nothing_is_left()


@pytest.mark.slow
def test_a_worker_comes_back_from_the_dead(house: House, expected: list[bytes]) -> None:
    with house.workers(2) as (one, other), work(house) as under_way:
        held = held_by(one, under_way)
        one.send(signal.SIGSTOP)
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
