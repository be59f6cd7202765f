"""Leases of claimed jobs, dead workers, suspended jobs and records that expire."""

from __future__ import annotations

import asyncio

import pytest

from ancestral.service.broker.job import MAX_DEATHS, Job, Priority, Status
from ancestral.service.broker.keys import SHARED, Keys, key
from ancestral.service.broker.messages import JobExpired, Piece, Snapshot, StaleAttempt
from ancestral.service.errors import Overloaded
from tests.service.broker.support import Broker, begun, claimed, expired, job, renewed, run, stored, submitted
from tests.service.redis_servers import RealRedis


def test_jobs_of_a_dead_worker_go_back_to_their_places(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        dead, alive, waiting = await submitted(broker, 3)
        await begun(broker, dead, worker="dead")
        await begun(broker, alive)
        assert await broker.workers.reclaim(Priority.INTERACTIVE) == []
        await expired(broker, dead)
        found = [await broker.workers.reclaim(Priority.INTERACTIVE) for _ in range(2)]
        assert [[(orphan.job.id, orphan.worker) for orphan in each] for each in found] == [[(dead.id, "dead")], []]
        positions = [await broker.clients.position(made) for made in (await stored(broker, dead), waiting)]
        assert [found.position for found in positions] == [0, 1]
        assert (await stored(broker, alive)).status is Status.IN_PROGRESS
        assert await begun(broker, dead) == 2

    run(valkey, act)


def test_a_renewed_lease_does_not_expire(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        kept, left = await submitted(broker, 2)
        for made in (kept, left):
            await begun(broker, made, lease=1.0)
        found = []
        for _ in range(12):
            signals = await renewed(broker, kept, 1, seconds=1.0)
            assert signals is not None
            assert (signals.attempt, signals.status) == (1, Status.IN_PROGRESS)
            found += [orphan.job.id for orphan in await broker.workers.reclaim(Priority.INTERACTIVE, lease=1.0)]
            await asyncio.sleep(0.15)
        assert found == [left.id]
        lost = await renewed(broker, left, 1)
        assert lost is not None
        assert lost.status is Status.QUEUED
        assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (
            1,
            1,
        )  # nor does a late renewal bring a lease back

    run(valkey, act)


async def shifted(broker: Broker, made: Job, remaining: float, shift: float) -> None:
    """Let the last check have been so much earlier, when a job's lease had so many seconds left."""
    checked = float(await broker.redis.get(key("reclaimed", "interactive")) or 0) - shift
    await broker.redis.set(key("reclaimed", "interactive"), checked)
    await broker.redis.zadd(key("running", "interactive"), {made.id: checked + remaining}, xx=True)


@pytest.mark.parametrize("shift", [10.0, -1000.0], ids=["away", "another clock"])
def test_leases_do_not_expire_while_nobody_can_renew_them(valkey: RealRedis, shift: float) -> None:
    async def act(broker: Broker) -> None:
        (made,) = await submitted(broker, 1)
        await begun(broker, made)
        await broker.workers.reclaim(Priority.INTERACTIVE)
        await shifted(broker, made, 2.0, shift)
        for _ in range(2):
            assert await broker.workers.reclaim(Priority.INTERACTIVE) == []
        await shifted(broker, made, 0.1, 0.0)
        await asyncio.sleep(0.2)
        assert len(await broker.workers.reclaim(Priority.INTERACTIVE)) == 1

    run(valkey, act)


def test_leases_expire_even_if_nobody_checks_in_time(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> int:
        (made,) = await submitted(broker, 1)
        await begun(broker, made, lease=5.0)
        await broker.workers.reclaim(Priority.INTERACTIVE)
        for count in range(1, 20):
            deadline = await broker.redis.zscore(key("running", "interactive"), made.id)
            assert deadline is not None
            checked = float(await broker.redis.get(key("reclaimed", "interactive")) or 0)
            await shifted(broker, made, deadline - checked, 60.0)
            if await broker.workers.reclaim(Priority.INTERACTIVE):
                return count
        raise AssertionError("never")

    assert 9 <= run(valkey, act) <= 11


def test_nothing_is_taken_of_an_attempt_that_was_overtaken(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        (made,), piece = await submitted(broker, 1), Piece(0, 0, bytes(20))
        first = await begun(broker, made)
        await expired(broker, made)
        await broker.workers.reclaim(Priority.INTERACTIVE)
        with pytest.raises(StaleAttempt):
            await broker.lease(made, first).publish([piece], None, event=False)
        second = await begun(broker, made)
        with pytest.raises(StaleAttempt):
            await broker.lease(made, first).publish([piece], None, event=False)
        signals = await renewed(broker, made, first, seconds=0.0)
        assert signals is not None
        assert signals.attempt == second
        assert await broker.workers.reclaim(Priority.INTERACTIVE) == []  # the lease of the second was not touched
        assert not await broker.lease(made, first).end(Status.COMPLETED)
        assert await broker.lease(made, second).end(Status.COMPLETED)
        assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (0, 0)

    run(valkey, act)


async def die(broker: Broker, made: Job) -> None:
    """A worker claims a job and dies; several others find that."""
    await begun(broker, made)
    await expired(broker, made)
    found = await asyncio.gather(*(broker.workers.reclaim(made.priority) for _ in range(3)))
    assert sum(map(len, found)) == 1


def test_deaths_count_until_there_is_progress(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        (made,) = await submitted(broker, 1)
        for _ in range(MAX_DEATHS - 1):
            await die(broker, made)
        attempt = await begun(broker, made)
        await broker.lease(made, attempt).publish([Piece(0, 0, bytes(20))], None, event=False)
        await broker.lease(made, attempt).release()
        for _ in range(MAX_DEATHS - 1):
            await die(broker, made)
        assert (await stored(broker, made)).status is Status.QUEUED
        await die(broker, made)
        failed = await stored(broker, made)
        assert failed.status is Status.FAILED
        assert failed.error is not None
        assert failed.error.code == "worker_lost"
        assert f"{MAX_DEATHS} workers" in failed.error.message
        assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (0, 0)

    run(valkey, act)


def test_a_job_whose_next_death_is_the_last_runs_beside_no_other(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        first, second, harmless = await submitted(broker, 3)
        for made in (first, second):
            await broker.redis.hset(key("job", made.id), "deaths", str(MAX_DEATHS - 1))  # type: ignore[misc]
        lease = await claimed(broker)
        assert lease is not None
        assert (lease.job.id, lease.suspect) == (first.id, True)
        await begun(broker, harmless, suspect_held=True)  # which waits for nobody
        assert await claimed(broker, suspect_held=True) is None
        await lease.publish([], Snapshot(0, 0, b"state"), event=False)
        assert lease.suspect, "without a symbol it has not got on"
        await lease.publish([Piece(0, 0, bytes(20))], None, event=False)
        assert not lease.suspect
        await begun(broker, second)

    run(valkey, act)


def test_a_suspended_job_waits_until_it_is_asked_for(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        running, waiting = await submitted(broker, 2)
        attempt = await begun(broker, running)
        for made in (waiting, running):
            await broker.clients.suspend(made)
        signals = await renewed(broker, running, attempt)
        assert signals is not None
        assert signals.suspend
        await broker.lease(running, attempt).release()
        assert await claimed(broker) is None
        for made in (waiting, running):
            assert (await stored(broker, made)).status is Status.QUEUED
        for _ in range(2):  # nor do they take room
            await broker.clients.submit(job(), queue=0)
        with pytest.raises(Overloaded, match="queue is full"):
            await broker.clients.resume(running, queue=0)
        await broker.clients.resume(running, queue=1)
        for _ in range(2):
            assert (await claimed(broker)) is not None
        assert await begun(broker, running) == attempt + 1

    run(valkey, act)


def test_no_key_stays_for_ever_but_those_that_everybody_shares(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> set[str]:
        (made,) = await submitted(broker, 1)
        lost = Keys(made.id)["events"]
        await broker.redis.delete(lost)  # as if it had expired
        attempt = await begun(broker, made)
        await broker.lease(made, attempt).publish([Piece(0, 0, b"x")], Snapshot(0, 1, b""), event=True)
        lease = broker.lease(made, attempt)
        lease.note(timings={0: "[]"})
        await lease.store()
        await broker.lease(made, attempt).release()
        assert await broker.redis.exists(lost)
        await broker.workers.reclaim(made.priority)
        found = await broker.redis.keys()
        return {name.decode() for name in found if await broker.redis.ttl(name) == -1}

    shared = {SHARED["counter"]}
    assert run(valkey, act) == shared | {Keys(priority=Priority.INTERACTIVE)["waiting"]}


def test_leases_are_renewed_together_however_many_they_are(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        mine, lost = await submitted(broker, 2)
        attempts = [await begun(broker, mine), await begun(broker, lost)]
        leases = [broker.lease(mine, attempts[0])] * 4100 + [broker.lease(lost, attempts[1] - 1)]
        await expired(broker, mine)
        await expired(broker, lost)
        assert None not in await broker.workers.renew(leases)
        assert [orphan.job.id for orphan in await broker.workers.reclaim(Priority.INTERACTIVE)] == [lost.id]

    run(valkey, act)


def test_a_job_that_was_asked_for_again_keeps_its_new_place(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        suspended, other = await submitted(broker, 2)
        await broker.clients.suspend(suspended)
        await broker.clients.resume(suspended, queue=9)
        await begun(broker, other)
        attempt = await begun(broker, suspended)
        await broker.lease(other, 1).release()
        await broker.lease(suspended, attempt).release()
        assert (await broker.clients.position(await stored(broker, other))).position == 0

    run(valkey, act)


def test_a_job_that_ended_while_it_was_suspended_is_not_revived(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        waiting, running = await submitted(broker, 2)
        first, second = await begun(broker, waiting), await begun(broker, running)
        for made, attempt in ((waiting, first), (running, second)):
            await broker.clients.suspend(made)
            await broker.lease(made, attempt).release()
            assert await broker.clients.cancel(made)
            await broker.clients.resume(made, queue=9)
            assert (await stored(broker, made)).status is Status.CANCELLED
        assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (0, 0)
        assert await broker.clients.queues.unfinished() == (0, 0)
        assert await claimed(broker) is None

    run(valkey, act)


def test_jobs_whose_record_has_expired_lose_their_places(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        running, waiting, last = await submitted(broker, 3)
        await begun(broker, running)
        await expired(broker, running)
        await broker.redis.delete(*(key("job", made.id) for made in (running, waiting)))
        assert await broker.workers.reclaim(Priority.INTERACTIVE) == []
        await begun(broker, last)
        assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (0, 1)

    run(valkey, act)


def test_no_record_is_made_for_a_job_that_is_gone(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> list[bytes]:
        gone = job()
        lease = broker.lease(gone)
        lease.note(total=5)
        await lease.store()
        await broker.clients.acknowledge(gone, 5)
        await broker.lease(gone).clear_deaths()
        await broker.lease(gone, 1).release()
        assert await renewed(broker, gone, 1) is None
        with pytest.raises(StaleAttempt):
            await broker.lease(gone, 1).publish([Piece(0, 0, bytes(20))], None, event=True)
        with pytest.raises(JobExpired):
            await broker.lease(gone).upload()
        return [key async for key in broker.redis.scan_iter("ancestral:*:*:job_*")]

    assert run(valkey, act) == []
