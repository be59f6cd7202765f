"""The queue on a real Valkey: room, order, leases, workers that die, suspended jobs, records that expire."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from ancestral_service.broker.clients import Clients
from ancestral_service.broker.job import (
    MAX_DEATHS,
    SHARED,
    Job,
    JobExpired,
    Keys,
    Piece,
    Priority,
    Snapshot,
    StaleAttempt,
    Status,
    key,
)
from ancestral_service.broker.workers import Message
from ancestral_service.errors import NotReady, Overloaded
from ancestral_service.speech.session.runner import SessionRunner
from tests.service.broker.support import MODELS, WORKER, Broker, fails, job, without_models

pytestmark = pytest.mark.anyio


async def test_a_queue_is_full_at_its_slots_and_its_length(broker: Broker) -> None:
    for _ in range(3):
        await broker.clients.submit(job(), queue=1)
    refused = job()
    with pytest.raises(Overloaded, match="queue is full") as full:
        await broker.clients.submit(refused, queue=1)
    assert int(full.value.headers["retry-after"]) >= 1
    assert await broker.clients.job(refused.id) is None
    await broker.clients.submit(job(priority=Priority.BACKGROUND), queue=0)  # the other priority has slots of its own
    await fails(Overloaded, broker.clients.submit(job(priority=Priority.BACKGROUND), queue=0), "queue is full")


async def test_nobody_waits_longer_than_they_may(broker: Broker) -> None:
    """A worker of two slots, each of which a job takes for a second: one may wait half a second, two for one."""
    await broker.redis.rpush(Keys(priority=Priority.INTERACTIVE)["durations"], 1.0)
    clients = Clients(broker.connection, max_wait_seconds=1.1)
    for _ in range(4):
        await clients.submit(job(), queue=99)
    await fails(Overloaded, clients.submit(job(), queue=99), "queue is full")
    for _ in range(9):
        await clients.submit(job(priority=Priority.BACKGROUND), queue=99)


async def test_a_queue_without_workers_is_not_called_full(broker: Broker) -> None:
    """The last worker left after the request had been admitted; a full queue would be 429, and say another reason."""
    await broker.workers.leave("w", [0])
    suspended = await broker.clients.submit(job(), queue=1)
    await broker.clients.suspend(suspended)
    await broker.clients.submit(job(), queue=1)
    await fails(NotReady, broker.clients.submit(job(), queue=1), "No worker is running")
    await fails(NotReady, broker.clients.resume(suspended, queue=1), "No worker is running")


async def test_many_at_once_never_overfill_a_queue(broker: Broker) -> None:
    calls = (broker.clients.submit(job(), queue=5) for _ in range(40))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert Counter(map(type, outcomes)) == {Job: 7, Overloaded: 33}


async def test_a_job_is_submitted_once_even_if_the_reply_got_lost(broker: Broker) -> None:
    made = job()
    for _ in range(3):
        await broker.clients.submit(made, queue=0)
    assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (1, 0)
    assert [fields["type"] for _, fields in await broker.clients.events(made.id, "0")] == ["job.queued"]
    await broker.clients.submit(job(owner="other"), queue=0)


async def test_an_owner_has_a_limit_of_their_own(broker: Broker) -> None:
    parked = (await broker.submitted(1, limit=1))[0]
    await fails(Overloaded, broker.clients.submit(job(limit=1), queue=9), "unfinished")
    await broker.clients.submit(job(owner="other", limit=1), queue=9)
    await broker.clients.suspend(parked)
    (second,) = await broker.submitted(1, limit=1)
    await fails(Overloaded, broker.clients.resume(parked, queue=9), "unfinished")
    await broker.clients.cancel(second)
    for _ in range(2):
        await broker.clients.resume(parked, queue=9)
    await fails(Overloaded, broker.clients.submit(job(limit=1), queue=9), "unfinished")


async def test_unfinished_jobs_are_counted_for_all_owners_and_for_the_one_with_most(broker: Broker) -> None:
    jobs = await broker.submitted(2) + await broker.submitted(1, owner="other")
    unfinished = broker.clients.queues.unfinished
    seen = [await unfinished()]
    await broker.clients.suspend(jobs[0])  # nobody's limit counts a suspended job
    seen.append(await unfinished())
    await broker.clients.resume(jobs[0], queue=9)
    for made in jobs:
        seen.append(await unfinished())
        await broker.clients.cancel(made)
    assert [*seen, await unfinished()] == [(3, 2), (2, 1), (3, 2), (2, 1), (1, 1), (0, 0)]


async def test_jobs_are_claimed_in_the_order_of_their_arrival(broker: Broker) -> None:
    jobs, later = await broker.submitted(3), await broker.submitted(1, priority=Priority.BACKGROUND)
    for number, made in enumerate(jobs, 1):
        claim = await broker.claimed()
        assert (claim.job.id, claim.attempt, claim.job) == (made.id, 1, await broker.stored(made))
        assert (claim.job.status, claim.job.engine) == (Status.IN_PROGRESS, "native")
        assert claim.job.started_at is not None
        assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (3 - number, number)
    assert await broker.claimed() is None
    assert await broker.begun(later[0]) == 1


async def test_position_and_time_follow_the_measured_pace(broker: Broker) -> None:
    jobs = await broker.submitted(4)
    assert [(await broker.clients.position(made)).position for made in jobs] == [0, 1, 2, 3]
    assert (await broker.clients.position(jobs[0])).eta is None
    await broker.begun(jobs[0])
    assert (await broker.clients.position(jobs[1])).position == 0
    await asyncio.sleep(0.2)
    lease = broker.lease(jobs[0])
    for status, ends in ((Status.COMPLETED, True), (Status.COMPLETED, True), (Status.FAILED, False)):
        assert await lease.end(status) == ends  # a reply may get lost, an end is another
    near, far = [(await broker.clients.position(made)).eta for made in (jobs[1], jobs[3])]
    assert 0.1 <= near < far
    assert (await broker.clients.position(await broker.stored(jobs[0]))).position is None


async def test_a_released_job_goes_back_to_its_place(broker: Broker) -> None:
    first, second = await broker.submitted(2)
    attempt = await broker.begun(first)
    for _ in range(2):  # the reply may have got lost
        await broker.lease(first, attempt).release()
    assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (2, 0)
    assert (await broker.clients.position(await broker.stored(first))).position == 0
    assert (await broker.clients.position(second)).position == 1
    assert await broker.begun(first) == attempt + 1
    await broker.lease(first, attempt).release()  # of an attempt that has no lease any more
    assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (1, 1)


async def test_the_worker_that_has_been_idle_the_longest_and_listens_is_woken(broker: Broker) -> None:
    async with broker.listening("a", "b") as heard:
        for name in ("dead", "b", "a"):
            for _ in range(2):
                assert await broker.claimed(worker=name) is None
        assert await broker.idle() == ["dead", "b", "a"]
        for number in range(3):
            await broker.clients.submit(job(), queue=99)
            while len(heard) < min(number + 1, 2):
                await asyncio.sleep(0.005)
        assert heard == [(name, Message("wake", "interactive")) for name in ("b", "a")]
        assert await broker.idle() == []


async def test_a_worker_without_a_free_slot_is_not_woken(broker: Broker) -> None:
    await broker.submitted(2)
    assert await broker.claimed()
    assert await broker.claimed()
    assert await broker.claimed() is None
    assert await broker.idle() == ["w"]
    await broker.submitted(2)
    assert await broker.idle() == []
    assert await broker.claimed(worker="x") is not None
    assert await broker.workers.claim(Priority.INTERACTIVE, "w", MODELS, last=True) is not None
    assert await broker.idle() == []
    assert await broker.claimed() is None


async def test_a_worker_that_stops_is_not_woken_while_its_jobs_end(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ancestral_service.worker.warm_up", lambda models: {})
    _, lease = await broker.leased()
    for busy in (True, False):
        worker, stopping = without_models(broker.workers), asyncio.Event()
        running = asyncio.create_task(worker.run(stopping))
        async with asyncio.timeout(30):
            while await broker.idle() != [worker.id]:
                await asyncio.sleep(0.05)
            if busy:
                ending = asyncio.create_task(asyncio.sleep(60))
                worker._running[ending] = lease
                ending.add_done_callback(worker._running.pop)
            stopping.set()
            while await broker.idle():
                await asyncio.sleep(0.05)
        if busy:
            assert (ending.done(), running.done()) == (False, False)
            ending.cancel()
        await running
        assert await broker.idle() == []


async def test_a_claim_or_an_end_whose_reply_got_lost_is_done_once(broker: Broker) -> None:
    first, second = await broker.submitted(2)
    run_script = broker.connection.run

    async def lose_the_reply(*call: Any, **given: Any) -> Any:
        await run_script(*call, **given)
        raise TimeoutError

    async def send_twice(*call: Any, **given: Any) -> Any:
        await run_script(*call, **given)
        return await run_script(*call, **given)

    broker.connection.run = lose_the_reply  # type: ignore[method-assign]
    for _ in range(2):
        with suppress(TimeoutError):
            await broker.claimed()
    broker.connection.run = run_script  # type: ignore[method-assign]
    assert await broker.begun(first) == 1
    broker.connection.run = send_twice  # type: ignore[method-assign] # as redis-py does when its connection breaks
    assert await broker.begun(second) == 1
    assert await broker.clients.cancel(second)
    broker.connection.run = run_script  # type: ignore[method-assign]
    assert not await broker.clients.cancel(second)
    entries = [fields["type"] for _, fields in await broker.clients.events(first.id, "0")]
    assert entries == ["job.queued", "job.in_progress"]


@pytest.mark.parametrize(
    ("change", "samples", "code"),
    [({"sha256": "bb"}, 0, "model_changed"), ({"model": "other"}, 0, "model_changed"), ({}, 20, "engine_changed")],
)
async def test_a_job_that_a_worker_cannot_run_fails(
    broker: Broker, change: dict[str, str], samples: int, code: str
) -> None:
    made, after = job(samples_done=samples, engine="onnx" if samples else None, **change), job()
    for each in (made, after):
        await broker.clients.submit(each, queue=9)
    assert await broker.begun(after) == 1
    failed = await broker.stored(made)
    assert (failed.status, failed.engine, failed.started_at) == (Status.FAILED, made.engine, None)
    assert failed.error.code == code
    assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (0, 1)


async def test_a_job_whose_weights_another_worker_has_is_left_to_it(broker: Broker) -> None:
    """A model is replaced worker by worker: the new ones have other weights than the old ones."""
    new = {name: ("bb", engine, probe) for name, (_, engine, probe) in MODELS.items()}
    made, after = job(sha256="bb"), job()
    for each in (made, after):
        await broker.clients.submit(each, queue=9)
    await broker.workers.announce("x", replace(WORKER, models={"tiny": "bb"}), [0])
    assert await broker.begun(after) == 1
    assert await broker.claimed() is None
    assert (await broker.stored(made)).status == Status.QUEUED
    lease = await broker.workers.claim(Priority.INTERACTIVE, "x", new)
    assert lease is not None
    assert lease.job.id == made.id
    # Once no ready worker has them any more, the job fails at once.
    last = await broker.clients.submit(job(sha256="bb"), queue=9)
    await broker.workers.announce("x", replace(WORKER, models={"tiny": "bb"}, ready=False), [0])
    assert await broker.claimed() is None
    assert (await broker.stored(last)).error.code == "model_changed"


@pytest.mark.parametrize("sampled", [False, True])
async def test_a_worker_that_rounds_otherwise_continues_no_job_of_another(broker: Broker, sampled: bool) -> None:
    """Its engine has the same name. A job of which nothing was sampled is its as much as anybody's."""
    other = {name: (sha256, engine, "02") for name, (sha256, engine, _) in MODELS.items()}
    made = await broker.clients.submit(job(), queue=9)
    lease = await broker.claimed()
    if sampled:
        await lease.publish([Piece(0, 0, b"abc")], None, event=False)
    await lease.release()
    again = await broker.workers.claim(Priority.INTERACTIVE, "x", other)
    found = await broker.stored(made)
    assert (again is None) is sampled
    expected = (Status.FAILED, "engine_changed", 3) if sampled else (Status.IN_PROGRESS, None, 0)
    assert (found.status, found.error and found.error.code, found.samples_done) == expected


# Leases


async def test_jobs_of_a_dead_worker_go_back_to_their_places(broker: Broker) -> None:
    dead, alive, waiting = await broker.submitted(3)
    await broker.begun(dead, worker="dead")
    await broker.begun(alive)
    assert await broker.workers.reclaim(Priority.INTERACTIVE) == []
    await broker.expired(dead)
    found = [await broker.workers.reclaim(Priority.INTERACTIVE) for _ in range(2)]
    assert [[(orphan.job.id, orphan.worker) for orphan in each] for each in found] == [[(dead.id, "dead")], []]
    positions = [await broker.clients.position(made) for made in (await broker.stored(dead), waiting)]
    assert [found.position for found in positions] == [0, 1]
    assert (await broker.stored(alive)).status is Status.IN_PROGRESS
    assert await broker.begun(dead) == 2


async def test_a_worker_takes_over_from_the_one_of_its_name_at_once(broker: Broker) -> None:
    left, *others = await broker.submitted(5)
    await broker.begun(left, worker="n/host-1")
    for made, worker in zip(others, ("n/host-2", "m/host-3", "n-2/host-4", "n-host-5"), strict=True):
        await broker.begun(made, worker=worker)
    orphans = await broker.workers.reclaim(Priority.INTERACTIVE, dead="n/", but="n/host-2")
    assert [orphan.job.id for orphan in orphans] == [left.id]
    assert [(await broker.stored(made)).deaths for made in (left, *others)] == [1, 0, 0, 0, 0]


async def test_a_renewed_lease_does_not_expire(broker: Broker) -> None:
    kept, left = await broker.submitted(2)
    await broker.workers.reclaim(Priority.INTERACTIVE)
    for made in (kept, left):
        await broker.begun(made, lease=0.0)
    signals = await broker.renewed(kept, 1)
    assert (signals.attempt, signals.status) == (1, Status.IN_PROGRESS)
    assert [orphan.job.id for orphan in await broker.workers.reclaim(Priority.INTERACTIVE)] == [left.id]
    lost = await broker.renewed(left, 1)
    assert lost.status is Status.QUEUED
    # Nor does a late renewal bring a lease back.
    assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (1, 1)


async def shifted(broker: Broker, made: Job, remaining: float, shift: float) -> None:
    """Let the last check have been so much earlier, when a job's lease had so many seconds left."""
    checked = float(await broker.redis.get(key("reclaimed", "interactive")) or 0) - shift
    await broker.redis.set(key("reclaimed", "interactive"), checked)
    await broker.redis.zadd(key("running", "interactive"), {made.id: checked + remaining}, xx=True)


@pytest.mark.parametrize(
    ("shift", "renewed"), [(10.0, False), (-1000.0, False), (-1000.0, True)], ids=["away", "another clock", "renewed"]
)
async def test_leases_do_not_expire_while_nobody_can_renew_them(broker: Broker, shift: float, renewed: bool) -> None:
    made, _ = await broker.leased()
    await broker.workers.reclaim(Priority.INTERACTIVE)
    await shifted(broker, made, 2.0, shift)
    if renewed:  # before anybody has checked
        await broker.renewed(made, 1)
    for _ in range(2):
        assert await broker.workers.reclaim(Priority.INTERACTIVE) == []
    await shifted(broker, made, 0.1, 0.0)
    await asyncio.sleep(0.2)
    assert len(await broker.workers.reclaim(Priority.INTERACTIVE)) == 1


async def die(broker: Broker, made: Job) -> None:
    """A worker claims a job and dies; several others find that."""
    await broker.begun(made)
    await broker.expired(made)
    found = await asyncio.gather(*(broker.workers.reclaim(made.priority) for _ in range(3)))
    assert sum(map(len, found)) == 1


async def test_deaths_count_until_there_is_progress(broker: Broker) -> None:
    (made,) = await broker.submitted(1)
    for _ in range(MAX_DEATHS - 1):
        await die(broker, made)
    lease = await broker.claimed()
    await lease.publish([Piece(0, 0, bytes(20))], None, event=False)
    await lease.release()
    for _ in range(MAX_DEATHS - 1):
        await die(broker, made)
    assert (await broker.stored(made)).status is Status.QUEUED
    await die(broker, made)
    failed = await broker.stored(made)
    assert (failed.status, failed.error.code) == (Status.FAILED, "worker_lost")
    assert f"{MAX_DEATHS} workers" in failed.error.message
    assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (0, 0)


async def test_a_job_whose_next_death_is_the_last_runs_beside_no_other(broker: Broker) -> None:
    first, second, harmless = await broker.submitted(3)
    for made in (first, second):
        await broker.redis.hset(key("job", made.id), "deaths", str(MAX_DEATHS - 1))  # type: ignore[misc]
    lease = await broker.claimed()
    assert (lease.job.id, lease.suspect) == (first.id, True)
    await broker.begun(harmless, suspect_held=True)  # which waits for nobody
    assert await broker.claimed(suspect_held=True) is None
    await lease.publish([], Snapshot(0, 0, b"state"), event=False)
    assert lease.suspect, "without a symbol it has not got on"
    await lease.publish([Piece(0, 0, bytes(20))], None, event=False)
    assert not lease.suspect
    await broker.begun(second)


async def test_a_suspended_job_waits_until_it_is_asked_for(broker: Broker) -> None:
    running, waiting = await broker.submitted(2)
    attempt = await broker.begun(running)
    for made in (waiting, running):
        await broker.clients.suspend(made)
    signals = await broker.renewed(running, attempt)
    assert signals.suspend
    await broker.lease(running, attempt).release()
    assert await broker.claimed() is None
    for made in (waiting, running):
        assert (await broker.stored(made)).status is Status.QUEUED
    for _ in range(2):  # nor do they take room
        await broker.clients.submit(job(), queue=0)
    await fails(Overloaded, broker.clients.resume(running, queue=0), "queue is full")
    await broker.clients.resume(running, queue=1)
    assert await broker.begun(running) == attempt + 1


async def test_what_is_suspended_is_kept_for_a_session_while_there_is_no_room_for_it(broker: Broker) -> None:
    jobs = await broker.submitted(2, limit=2, retention=120, record_retention=120)
    for made in jobs:
        await broker.clients.suspend(made)
    await broker.submitted(2, limit=2)
    runner, model = SessionRunner.__new__(SessionRunner), SimpleNamespace(spec=SimpleNamespace(sample_rate=16000))
    state: Any = SimpleNamespace(broker=broker.clients, queue_of=lambda priority: 9)
    session: Any = SimpleNamespace(outstanding=[SimpleNamespace(job_id=made.id, estimate=0) for made in jobs])
    for name, value in {"_state": state, "session_state": session, "_model": model, "sample_rate": 16000}.items():
        setattr(runner, name, value)
    await runner._keep_jobs_alive()
    assert min([await broker.redis.ttl(key("job", made.id)) for made in jobs]) > 3000
    broker.connection.run = unanswered = AsyncMock(side_effect=TimeoutError)  # type: ignore[method-assign]
    async with asyncio.timeout(10):
        await runner._keep_jobs_alive()
    assert unanswered.await_count == 2


async def test_no_key_stays_for_ever_but_those_that_everybody_shares(broker: Broker) -> None:
    (made,) = await broker.submitted(1)
    lost = Keys(made.id)["events"]
    await broker.redis.delete(lost)  # as if it had expired
    lease = broker.lease(made, await broker.begun(made))
    await lease.publish([Piece(0, 0, b"x")], Snapshot(0, 1, b""), event=True)
    lease.note(timings={0: "[]"})
    await lease.store()
    await lease.release()
    assert await broker.redis.exists(lost)
    await broker.workers.reclaim(made.priority)
    stay = {name.decode() for name in await broker.redis.keys() if await broker.redis.ttl(name) == -1}
    assert stay == {SHARED["counter"], Keys(priority=Priority.INTERACTIVE)["waiting"]}


async def test_leases_are_renewed_together_however_many_they_are(broker: Broker) -> None:
    mine, lost = await broker.submitted(2)
    attempts = [await broker.begun(mine), await broker.begun(lost)]
    leases = [broker.lease(mine, attempts[0])] * 4100 + [broker.lease(lost, attempts[1] - 1)]
    await broker.expired(mine)
    await broker.expired(lost)
    assert None not in await broker.workers.renew(leases)
    assert [orphan.job.id for orphan in await broker.workers.reclaim(Priority.INTERACTIVE)] == [lost.id]


@pytest.mark.parametrize(
    ("begun", "symbols", "seconds", "place"), [(False, 0, 120, 0), (True, 0, 120, 0), (True, 20, 9999, 1)]
)
async def test_a_job_without_symbols_keeps_its_place_but_no_record(
    broker: Broker, begun: bool, symbols: int, seconds: int, place: int
) -> None:
    suspended, other = await broker.submitted(2, retention=120, record_retention=9999)
    lease = broker.lease(suspended, await broker.begun(suspended) if begun else 0)
    if symbols:
        await lease.publish([Piece(0, 0, bytes(symbols))], None, event=False)
    await broker.clients.suspend(suspended)
    await lease.release()
    assert await broker.redis.ttl(key("job", suspended.id)) == pytest.approx(seconds, abs=9)
    await broker.clients.resume(suspended, queue=9)
    claimed = [await broker.claimed() for _ in range(2)]
    assert [lease.job.id for lease in claimed].index(suspended.id) == place
    for lease in claimed:  # and it keeps this one
        await lease.release()
    assert (await broker.clients.position(await broker.stored(suspended))).position == place
    assert (await broker.clients.position(await broker.stored(other))).position == 1 - place


async def test_a_job_that_ended_while_it_was_suspended_is_not_revived(broker: Broker) -> None:
    waiting, running = await broker.submitted(2)
    first, second = await broker.begun(waiting), await broker.begun(running)
    for made, attempt in ((waiting, first), (running, second)):
        await broker.clients.suspend(made)
        await broker.lease(made, attempt).release()
        assert await broker.clients.cancel(made)
        await broker.clients.resume(made, queue=9)
        assert (await broker.stored(made)).status is Status.CANCELLED
    assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (0, 0)
    assert await broker.clients.queues.unfinished() == (0, 0)
    assert await broker.claimed() is None


async def test_jobs_whose_record_has_expired_lose_their_places(broker: Broker) -> None:
    running, waiting, last = await broker.submitted(3)
    await broker.begun(running)
    await broker.expired(running)
    await broker.redis.delete(*(key("job", made.id) for made in (running, waiting)))
    assert await broker.workers.reclaim(Priority.INTERACTIVE) == []
    await broker.begun(last)
    assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (0, 1)


async def test_no_record_is_made_for_a_job_that_is_gone(broker: Broker) -> None:
    lease = broker.lease(gone := job())
    lease.note(total=5)
    await lease.store()
    await broker.clients.acknowledge(gone, 5)
    await lease.clear_deaths()
    await lease.release()
    assert await broker.renewed(gone, 1) is None
    await fails(StaleAttempt, lease.publish([Piece(0, 0, bytes(20))], None, event=True))
    await fails(JobExpired, lease.upload())
    assert [key async for key in broker.redis.scan_iter("ancestral:*:*:job_*")] == []
