"""Workers die, stop, and come back from the dead: every job goes on from where it was."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack

import httpx
import pytest

from tests.chaos.support import FETCHED, LISTENED, SECONDS, House, Process, Work, eventually, order, work

pytestmark = pytest.mark.slow

TAKEN_OVER_SECONDS = 30.0
"""Twice what is promised."""


def held_by(worker: Process, under_way: Work) -> list[str]:
    """The jobs that a worker has in hand: some of each kind."""
    held = [job for job in under_way.ids if under_way.house.holder(job) == worker.pid]
    assert 0 < len(held) < len(under_way.ids)
    return held


def check_taken_up(house: House, held: list[str], *others: Process) -> None:
    """Whoever has these jobs went on from a snapshot, and no symbol was published twice."""
    for job in held:
        (first, start), (second, next_start) = house.begins(job)
        assert (first, start, second) == (1, 0, 2)
        assert next_start is None or next_start > 0
    taken_up = {line["job"]: line["position"] for worker in others for line in worker.said("job taken up again")}
    assert set(held) <= set(taken_up)
    assert all(taken_up[job] > 0 for job in held)


def test_a_worker_is_killed(house: House, expected: list[bytes]) -> None:
    with house.workers(2) as (one, other), work(house) as under_way:
        held = held_by(one, under_way)
        one.kill()
        took = eventually(lambda: all(house.attempt(job) == 2 for job in held), seconds=TAKEN_OVER_SECONDS)
        assert set(held) <= house.running() | {job for job in held if under_way.status(job) == "completed"}
        assert under_way.finish() == expected
        check_taken_up(house, held, other)
        assert all(house.attempt(job) == 1 for job in under_way.ids if job not in held)
    print(f"killed: {len(held)} jobs taken over after {took:.1f} s")
    house.check_that_nothing_is_left()


def test_workers_are_replaced_one_by_one(house: House, expected: list[bytes]) -> None:
    with house.workers(2) as (one, other), work(house) as under_way:
        held = held_by(one, under_way)
        start = time.monotonic()
        assert one.end() == 0
        print(f"stopped: {len(held)} jobs handed over after {time.monotonic() - start:.1f} s")
        eventually(lambda: all(house.attempt(job) > 1 for job in held))
        check_taken_up(house, held, other)
        with house.workers(1) as (third,):
            again = [job for job in under_way.ids if house.holder(job) == other.pid]
            assert other.end() == 0
            assert under_way.finish() == expected
            assert third.said("job taken up again")
        assert not any(house.deaths(job) for job in under_way.ids)
        assert all(house.attempt(job) == 1 + (job in held) + (job in again) for job in under_way.ids)
    house.check_that_nothing_is_left()


def test_a_worker_comes_back_from_the_dead(house: House, expected: list[bytes]) -> None:
    with house.workers(2) as (one, other), work(house) as under_way:
        held = held_by(one, under_way)
        one.send(signal.SIGSTOP)
        eventually(lambda: all(house.attempt(job) == 2 for job in held))
        one.send(signal.SIGCONT)
        assert under_way.finish() == expected
        check_taken_up(house, held, other)
        eventually(lambda: not house.running())
        assert other.end() == 0
        again = httpx.post(f"{house.apis[0].url}/v1/audio/speech", json=order(0), timeout=SECONDS)
        assert again.content == expected[0]
    house.check_that_nothing_is_left()


def test_a_job_that_kills_its_workers_is_given_up(house: House, expected: list[bytes]) -> None:
    numbers = [0, 1, 2, 3, LISTENED, LISTENED + FETCHED - 1]
    with ExitStack() as stack:
        workers = stack.enter_context(house.workers(2))
        under_way = stack.enter_context(work(house, numbers))
        poison, kills = under_way.ids[0], 0

        def is_begun_again() -> bool:
            return house.attempt(poison) > kills or under_way.status(poison) == "failed"

        while under_way.status(poison) != "failed":
            (worker,) = [worker for worker in workers if worker.pid == house.holder(poison)]
            worker.kill()
            kills += 1
            workers += stack.enter_context(house.workers(1))
            eventually(is_begun_again)
        print(kills, "kills", [house.begins(job) for job in under_way.ids])
        error = httpx.get(f"{house.apis[0].url}/v1/jobs/{poison}").json()["error"]
        assert error["code"] == "worker_lost"
        bodies = under_way.finish(failing=[poison])
        assert bodies[1:] == [expected[number] for number in numbers[1:]]
    house.check_that_nothing_is_left()
