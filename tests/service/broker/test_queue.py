"""The queue on a real Valkey: room, order, leases, workers that die, jobs that are suspended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from ancestral.service.broker.control import Message
from ancestral.service.broker.job import Job, Priority, Status
from ancestral.service.broker.messages import Piece
from ancestral.service.errors import NotReady, Overloaded
from tests.service.broker.support import MODELS, Broker, begun, claimed, idle, job, run, stored, submitted
from tests.service.redis_servers import RealRedis

Depths = tuple[int, int]


def test_a_queue_is_full_at_its_slots_and_its_length(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        for _ in range(3):
            await broker.clients.submit(job(), queue=1)
        refused = job()
        with pytest.raises(Overloaded, match="queue is full") as full:
            await broker.clients.submit(refused, queue=1)
        assert int(full.value.headers["retry-after"]) >= 1
        assert await broker.clients.job(refused.id) is None
        await broker.clients.submit(job(priority=Priority.BATCH), queue=0)  # the other priority has slots of its own
        with pytest.raises(Overloaded, match="queue is full"):
            await broker.clients.submit(job(priority=Priority.BATCH), queue=0)

    run(valkey, act)


def test_a_queue_without_workers_is_not_called_full(valkey: RealRedis) -> None:
    """The last worker left after the request had been admitted; a full queue would be 429, and say another reason."""

    async def act(broker: Broker) -> None:
        await broker.workers.leave("w", [0])
        suspended = await broker.clients.submit(job(), queue=1)
        await broker.clients.suspend(suspended)
        await broker.clients.submit(job(), queue=1)
        with pytest.raises(NotReady, match="No worker is running"):
            await broker.clients.submit(job(), queue=1)
        with pytest.raises(NotReady, match="No worker is running"):
            await broker.clients.resume(suspended, queue=1)

    run(valkey, act)


def test_many_at_once_never_overfill_a_queue(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> list[Any]:
        return await asyncio.gather(*(broker.clients.submit(job(), queue=5) for _ in range(40)), return_exceptions=True)

    outcomes = run(valkey, act)
    assert sum(isinstance(outcome, Job) for outcome in outcomes) == 7
    assert all(isinstance(outcome, Job | Overloaded) for outcome in outcomes)


def test_a_job_is_submitted_once_even_if_the_reply_got_lost(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        for _ in range(3):
            await broker.clients.submit(made, queue=0)
        assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (1, 0)
        assert [fields["type"] for _, fields in await broker.clients.events(made.id, "0")] == ["job.queued"]
        await broker.clients.submit(job(owner="other"), queue=0)

    run(valkey, act)


def test_an_owner_has_a_limit_of_their_own(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        parked = (await submitted(broker, 1, limit=1))[0]
        with pytest.raises(Overloaded, match="unfinished"):
            await broker.clients.submit(job(limit=1), queue=9)
        await broker.clients.submit(job(owner="other", limit=1), queue=9)
        await broker.clients.suspend(parked)
        (second,) = await submitted(broker, 1, limit=1)
        with pytest.raises(Overloaded, match="unfinished"):
            await broker.clients.resume(parked, queue=9)
        await broker.clients.cancel(second)
        for _ in range(2):
            await broker.clients.resume(parked, queue=9)
        with pytest.raises(Overloaded, match="unfinished"):
            await broker.clients.submit(job(limit=1), queue=9)

    run(valkey, act)


def test_unfinished_jobs_are_counted_for_all_owners_and_for_the_one_with_most(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> list[tuple[int, int]]:
        jobs = await submitted(broker, 2) + await submitted(broker, 1, owner="other")
        seen = [await broker.clients.queues.unfinished()]
        await broker.clients.suspend(jobs[0])  # nobody's limit counts a suspended job
        seen.append(await broker.clients.queues.unfinished())
        await broker.clients.resume(jobs[0], queue=9)
        for made in jobs:
            seen.append(await broker.clients.queues.unfinished())
            await broker.clients.cancel(made)
        return [*seen, await broker.clients.queues.unfinished()]

    assert run(valkey, act) == [(3, 2), (2, 1), (3, 2), (2, 1), (1, 1), (0, 0)]


def test_jobs_are_claimed_in_the_order_of_their_arrival(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        jobs, later = await submitted(broker, 3), await submitted(broker, 1, priority=Priority.BATCH)
        for made in jobs:
            assert await begun(broker, made) == 1
        assert await claimed(broker) is None
        assert await begun(broker, later[0]) == 1

    run(valkey, act)


def test_a_claimed_job_is_in_progress(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        (made,) = await submitted(broker, 1)
        claim = await claimed(broker)
        assert claim is not None
        assert claim.job == await stored(broker, made)
        assert (claim.job.status, claim.job.engine) == (Status.IN_PROGRESS, "native")
        assert claim.job.started_at is not None
        assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (0, 1)

    run(valkey, act)


def test_position_and_time_follow_the_measured_pace(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        jobs = await submitted(broker, 4)
        assert [(await broker.clients.position(made)).position for made in jobs] == [0, 1, 2, 3]
        assert (await broker.clients.position(jobs[0])).eta is None
        await begun(broker, jobs[0])
        assert (await broker.clients.position(jobs[1])).position == 0
        await asyncio.sleep(0.2)
        await broker.lease(jobs[0]).end(Status.COMPLETED)
        near, far = [(await broker.clients.position(made)).eta for made in (jobs[1], jobs[3])]
        assert near is not None
        assert far is not None
        assert 0.1 <= near < far
        assert (await broker.clients.position(await stored(broker, jobs[0]))).position is None

    run(valkey, act)


def test_a_released_job_goes_back_to_its_place(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        first, second = await submitted(broker, 2)
        attempt = await begun(broker, first)
        for _ in range(2):  # the reply may have got lost
            await broker.lease(first, attempt).release()
        assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (2, 0)
        assert (await broker.clients.position(await stored(broker, first))).position == 0
        assert (await broker.clients.position(second)).position == 1
        assert await begun(broker, first) == attempt + 1
        await broker.lease(first, attempt).release()  # of an attempt that has no lease any more
        assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (1, 1)

    run(valkey, act)


def test_the_worker_that_has_been_idle_the_longest_and_listens_is_woken(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        heard: list[tuple[str, Message]] = []

        async def listen(name: str) -> None:
            async for message in broker.workers.control.messages(name):
                heard.append((name, message))  # noqa: PERF401 - it never ends

        listening = [asyncio.create_task(listen(name)) for name in ("a", "b")]
        while len(await broker.redis.pubsub_shardchannels()) < 2:  # type: ignore[no-untyped-call]
            await asyncio.sleep(0.01)
        for name in ("dead", "b", "a"):
            for _ in range(2):
                assert await claimed(broker, worker=name) is None
        assert await idle(broker) == ["dead", "b", "a"]
        for number in range(3):
            await broker.clients.submit(job(), queue=99)
            while len(heard) < min(number + 1, 2):
                await asyncio.sleep(0.005)
        assert heard == [(name, Message("wake", "interactive")) for name in ("b", "a")]
        assert await idle(broker) == []
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)

    run(valkey, act)


def test_a_worker_without_a_free_slot_is_not_woken(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        await submitted(broker, 2)
        assert await claimed(broker)
        assert await claimed(broker)
        assert await claimed(broker) is None
        assert await idle(broker) == ["w"]
        await submitted(broker, 2)
        assert await idle(broker) == []
        assert await claimed(broker, worker="x") is not None
        assert await broker.workers.claim(Priority.INTERACTIVE, "w", MODELS, last=True) is not None
        assert await idle(broker) == []
        assert await claimed(broker) is None
        await broker.workers.leave("w", [0])
        assert await idle(broker) == []

    run(valkey, act)


def test_a_claim_whose_reply_got_lost_gets_the_same_job_again(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        first, second = await submitted(broker, 2)
        run_script = broker.connection.run

        async def lose_the_reply(*call: Any, **given: Any) -> Any:
            await run_script(*call, **given)
            raise TimeoutError

        broker.connection.run = lose_the_reply  # type: ignore[method-assign]
        for _ in range(2):
            with suppress(TimeoutError):
                await claimed(broker)
        broker.connection.run = run_script  # type: ignore[method-assign]
        assert await begun(broker, first) == 1
        assert await begun(broker, second) == 1
        entries = [fields["type"] for _, fields in await broker.clients.events(first.id, "0")]
        assert entries == ["job.queued", "job.in_progress"]

    run(valkey, act)


@pytest.mark.parametrize(
    ("change", "samples", "code"),
    [({"sha256": "bb"}, 0, "model_changed"), ({"model": "other"}, 0, "model_changed"), ({}, 20, "engine_changed")],
)
def test_a_job_that_a_worker_cannot_run_fails(
    valkey: RealRedis, change: dict[str, str], samples: int, code: str
) -> None:
    async def act(broker: Broker) -> None:
        made, after = job(samples_done=samples, engine="onnx" if samples else None, **change), job()
        for each in (made, after):
            await broker.clients.submit(each, queue=9)
        assert await begun(broker, after) == 1
        failed = await stored(broker, made)
        assert (failed.status, failed.engine, failed.started_at) == (Status.FAILED, made.engine, None)
        assert failed.error is not None
        assert failed.error.code == code
        assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (0, 1)

    run(valkey, act)


@pytest.mark.parametrize("sampled", [False, True])
def test_a_worker_that_rounds_otherwise_continues_no_job_of_another(valkey: RealRedis, sampled: bool) -> None:
    """Its engine has the same name. A job of which nothing was sampled is its as much as anybody's."""
    other = {name: (sha256, engine, "02") for name, (sha256, engine, _) in MODELS.items()}

    async def act(broker: Broker) -> None:
        made = await broker.clients.submit(job(), queue=9)
        lease = await claimed(broker)
        assert lease is not None
        if sampled:
            await lease.publish([Piece(0, 0, b"abc")], None, event=False)
        await lease.release()
        again = await broker.workers.claim(Priority.INTERACTIVE, "x", other)
        found = await stored(broker, made)
        if sampled:
            assert again is None
            assert found.error is not None
            assert (found.status, found.error.code, found.samples_done) == (Status.FAILED, "engine_changed", 3)
        else:
            assert again is not None
            assert found.status is Status.IN_PROGRESS

    run(valkey, act)
