"""Jobs, their symbols and workers on a real Valkey: what is stored comes back, what readers get, how a job ends."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any

import numpy as np
import pytest
from redis.exceptions import ResponseError

from ancestral.service.broker.artifacts import DraftLost
from ancestral.service.broker.clients import Clients
from ancestral.service.broker.job import Failure, Job, Priority, Status
from ancestral.service.broker.keys import SHARED, key
from ancestral.service.broker.messages import (
    Begin,
    Ended,
    JobExpired,
    Piece,
    ResumePoint,
    Snapshot,
    StaleAttempt,
    SymbolsLost,
    WorkerInfo,
)
from ancestral.service.broker.workers import ALIVE_SECONDS
from ancestral.service.errors import Overloaded, Unprocessable
from tests.service.broker.support import WORKER, Broker, begun, claimed, job, run, stored, submitted
from tests.service.redis_servers import RealRedis


def test_a_record_comes_back_as_it_was(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        made = job(paced=True, retention=7, samples_total=5, error=Failure("no", "code", "input"))
        made = await broker.clients.submit(made, queue=0)
        assert abs(made.created_at - time.time()) < 60
        assert await broker.clients.job(made.id) == made
        assert await broker.clients.job("job_0") is None

    run(valkey, act)


def test_readers_get_everything_in_order_and_then_the_end(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        await broker.clients.submit(made, queue=0)
        attempt = await begun(broker, made)
        early = asyncio.create_task(_read(broker, made))
        pieces = [Piece(0, 0, bytes(range(256))), Piece(1, 256, b"\n\r\0")]
        for piece in pieces:
            await broker.lease(made, attempt).publish([piece], None, event=True)
        assert await broker.lease(made, attempt).end(Status.COMPLETED)
        expected = [Begin(1, "native"), *pieces, Ended(Status.COMPLETED, None)]
        assert await early == expected
        assert await _read(broker, made) == expected
        ended = await stored(broker, made)
        assert (ended.status, ended.samples_done, ended.engine) == (Status.COMPLETED, 259, "native")
        assert ended.expires_at is not None
        then = [ended.at(fields) for _, fields in await broker.clients.events(made.id, "0")]
        assert [(at.status, at.samples_done, at.samples_total, at.started_at is not None) for at in then] == [
            (Status.QUEUED, 0, None, False),
            (Status.IN_PROGRESS, 0, None, True),
            (Status.IN_PROGRESS, 256, None, True),
            (Status.IN_PROGRESS, 259, None, True),
            (Status.COMPLETED, 259, None, True),
        ]
        assert [at.completed_at is None for at in then] == [True] * 4 + [False]

    run(valkey, act)


def test_sound_takes_two_bytes_a_sample(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        await broker.clients.submit(made, queue=0)
        attempt = await begun(broker, made)
        sound = np.arange(-150, 150, dtype=np.int16)
        pieces = [Piece.from_samples(0, 0, sound[:100]), Piece.from_samples(1, 100, sound[100:])]
        await broker.lease(made, attempt).publish(pieces, None, event=False)
        await broker.lease(made, attempt).publish(pieces[1:], None, event=False)  # the reply may have got lost
        with pytest.raises(SymbolsLost):
            await broker.lease(made, attempt).publish([Piece.from_samples(1, 301, sound)], None, event=False)
        assert await broker.lease(made, attempt).end(Status.COMPLETED, symbols=300)
        found = [entry for entry in await _read(broker, made) if isinstance(entry, Piece)]
        assert found == pieces
        assert [len(piece) for piece in found] == [100, 200]
        assert np.array_equal(np.concatenate([piece.samples for piece in found]), sound)
        assert (await stored(broker, made)).samples_done == 300

    run(valkey, act)


async def _read(broker: Broker, made: Job) -> list[Any]:
    return [entry async for entry in broker.clients.entries(made.id)]


def test_a_reader_of_what_is_not_kept_is_told(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        with pytest.raises(JobExpired):
            await _read(broker, job())

    run(valkey, act)


def test_an_end_is_final_and_only_its_attempt_may_give_it(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        await broker.clients.submit(made, queue=0)
        first = await begun(broker, made)
        await broker.lease(made, first).release()
        second = await begun(broker, made)
        assert (first, second) == (1, 2)
        assert not await broker.lease(made, first).end(Status.COMPLETED)
        assert await broker.lease(made, second).end(Status.FAILED, error=Failure("lost", "worker_lost"))
        assert not await broker.clients.cancel(made)
        assert await claimed(broker) is None
        assert (await stored(broker, made)).error == Failure("lost", "worker_lost")
        assert (await _read(broker, made))[-1] == Ended(Status.FAILED, Failure("lost", "worker_lost"))

    run(valkey, act)


def test_a_snapshot_that_outruns_the_symbols_is_not_used(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        made, snapshot = job(), Snapshot(1, 300, b"state\n\0")
        await broker.clients.submit(made, queue=0)
        await begun(broker, made)
        assert await broker.lease(made).resume_point() == ResumePoint(0, 0, None)
        await broker.lease(made, 1).publish([Piece(0, 0, bytes(300))], snapshot, event=False)
        await broker.clients.acknowledge(made, 100)
        assert await broker.lease(made).resume_point() == ResumePoint(300, 100, snapshot)
        await broker.lease(made, 1).publish([], Snapshot(1, 301, b""), event=False)
        assert await broker.lease(made).resume_point() == ResumePoint(300, 100, None)

    run(valkey, act)


def test_symbols_are_taken_once_in_order_and_of_the_current_attempt(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        made, piece = job(), Piece(0, 0, bytes(20))
        await broker.clients.submit(made, queue=0)
        first = await begun(broker, made)
        await broker.lease(made, first).release()
        with pytest.raises(StaleAttempt):
            await broker.lease(made, first).publish([piece], None, event=False)
        second = await begun(broker, made)
        for _ in range(2):  # the reply to the first may have got lost
            await broker.lease(made, second).publish([piece], None, event=False)
        with pytest.raises(StaleAttempt):
            await broker.lease(made, first).publish([], Snapshot(0, 20, b""), event=False)
        with pytest.raises(SymbolsLost):
            await broker.lease(made, second).publish([Piece(0, 21, bytes(20))], None, event=False)
        assert await broker.lease(made, second).end(Status.COMPLETED)
        with pytest.raises(StaleAttempt):
            await broker.lease(made, second).publish([Piece(0, 20, bytes(20))], None, event=False)
        assert [entry for entry in await _read(broker, made) if isinstance(entry, Piece)] == [piece]

    run(valkey, act)


def test_a_lease_that_is_renewed_says_that_redis_has_lost_symbols(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        await broker.clients.submit(made, queue=0)
        lease = broker.lease(made, await begun(broker, made))
        await lease.publish([Piece(0, 0, bytes(20)), Piece(0, 20, bytes(10))], None, event=False)
        for done, lost in ((30, False), (29, True)):  # the second as if Redis had been killed
            await broker.redis.hset(key("job", made.id), "samples_done", done)
            (signals,) = await broker.workers.renew([lease])
            assert signals is not None
            assert signals.symbols_lost is lost
        (signals,) = await broker.workers.renew([broker.lease(made, 1)])  # of an attempt that has published nothing yet
        assert signals is not None
        assert not signals.symbols_lost

    run(valkey, act)


def test_what_is_noted_of_a_job_comes_with_its_symbols(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        await broker.clients.submit(made, queue=0)
        lease = broker.lease(made, await begun(broker, made))
        lease.note(total=40, timings={0: "[0]"})
        assert (await stored(broker, made)).samples_total is None
        await lease.publish([Piece(0, 0, bytes(20))], None, event=False)
        assert (await stored(broker, made)).samples_total == 40
        lease.note(total=40, timings={1: "[1]"})
        assert await broker.clients.timings(made, 3) == ["[0]"]
        await lease.publish([Piece(0, 0, bytes(20))], None, event=False)  # nothing new
        assert await broker.clients.timings(made, 3) == ["[0]", "[1]"]
        lease.note(total=50, timings={2: "[2]"})
        with pytest.raises(SymbolsLost):
            await lease.publish([Piece(0, 30, bytes(20))], None, event=False)
        await lease.store()
        assert await broker.clients.timings(made, 3) == ["[0]", "[1]", "[2]"]
        assert ((found := await stored(broker, made)).samples_done, found.samples_total) == (20, 50)

    run(valkey, act)


def test_a_job_is_complete_when_all_of_it_is_there(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        await broker.clients.submit(made, queue=0)
        attempt = await begun(broker, made)
        await broker.lease(made, attempt).publish([Piece(0, 0, bytes(20))], None, event=False)
        with pytest.raises(SymbolsLost):
            await broker.lease(made, attempt).end(Status.COMPLETED, symbols=30)
        assert (await stored(broker, made)).status is Status.IN_PROGRESS
        await broker.lease(made, attempt).publish([Piece(0, 20, bytes(10))], None, event=False)
        assert await broker.lease(made, attempt).end(Status.COMPLETED, symbols=30)
        assert not await broker.lease(made, attempt).end(Status.COMPLETED, symbols=30)  # the reply may have got lost
        found = await stored(broker, made)
        assert (found.status, found.samples_done, found.samples_total) == (Status.COMPLETED, 30, 30)

    run(valkey, act)


def test_an_owner_sees_their_jobs_newest_first(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        jobs = [job() for _ in range(5)]
        for made in (*jobs, job(owner="other")):
            await broker.clients.submit(made, queue=9)
        found, more = await broker.clients.jobs("me", None, 2)
        assert ([made.id for made in found], more) == ([jobs[4].id, jobs[3].id], True)
        await broker.clients.delete(jobs[2])
        found, more = await broker.clients.jobs("me", jobs[3].id, 2)
        assert ([made.id for made in found], more) == ([jobs[1].id, jobs[0].id], False)
        with pytest.raises(JobExpired):
            await broker.clients.jobs("other", jobs[0].id, 2)

    run(valkey, act)


def test_workers_that_do_not_announce_themselves_are_struck_off(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        assert await Clients(broker.connection).queues.workers() == [WORKER]
        await broker.workers.leave("w", [0])
        assert await Clients(broker.connection).queues.workers() == []

    run(valkey, act)


def test_workers_that_are_alike_are_counted_together(valkey: RealRedis) -> None:
    loading = dataclasses.replace(WORKER, ready=False, problem="The models are being warmed up.")

    async def act(broker: Broker) -> None:
        async def found() -> list[WorkerInfo]:
            return sorted(await Clients(broker.connection).queues.workers(), key=lambda info: info.ready)

        for name, info in {"w": WORKER, "x": WORKER, "y": loading}.items():
            await broker.workers.announce(name, info, [0])
        assert await found() == [loading, WORKER + WORKER]
        await broker.workers.announce("y", WORKER, [0])
        assert await found() == [WORKER + WORKER + WORKER]
        await broker.redis.zadd(SHARED["workers"], {"x": 1})  # it died long ago
        await broker.workers.announce("w", WORKER, [0])
        assert await found() == [WORKER + WORKER]
        await broker.redis.delete(SHARED["capacity"])  # as if it had expired
        await broker.workers.announce("y", WORKER, [0])
        assert await found() == [WORKER + WORKER]
        assert 0 < await broker.redis.ttl(SHARED["capacity"]) <= ALIVE_SECONDS  # all may die

    run(valkey, act)


def test_the_same_key_is_the_same_job(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        async def submit(made: Job, name: str = "k", fingerprint: str = "print", queue: int = 9) -> str:
            return (await broker.clients.submit(made, queue=queue, upload=b"x", bound=(name, fingerprint))).id

        first = job()
        with pytest.raises(Overloaded):  # what was refused binds no key
            await submit(first, fingerprint="other", queue=-2)
        assert [await submit(made) for made in (first, job(), first)] == [first.id] * 3
        with pytest.raises(Unprocessable):
            await submit(job(), fingerprint="other")
        for made, name in ((job(owner="you"), "k"), (job(), "another")):
            assert await submit(made, name) == made.id
        await broker.clients.cancel(first)
        second, third = job(), job()
        assert [await submit(made) for made in (second, job())] == [second.id] * 2
        await broker.clients.delete(second)
        assert await submit(third) == third.id
        assert len(await broker.redis.keys(key("input", "*"))) == 3  # of none but the jobs that there are

    run(valkey, act)


def test_a_record_outlives_the_output_of_its_job(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        async def seconds(made: Job) -> dict[str, int]:
            names = await broker.redis.keys(f"*:{made.id}")
            return {name.decode().split(":")[2]: await broker.redis.ttl(name) for name in names}

        first, bound = job(retention=60, record_retention=900, payload="first"), ("k", "print")
        await broker.clients.submit(first, queue=9, bound=bound)
        attempt = await begun(broker, first)
        await broker.lease(first, attempt).publish([Piece(0, 0, b"x")], Snapshot(0, 1, b""), event=False)
        await broker.clients.suspend(first)
        await broker.lease(first, attempt).release()
        assert await seconds(first) == {"job": 900, "stream": 60, "events": 60, "snapshot": 60}
        await broker.clients.resume(first, queue=9)
        await broker.lease(first, await begun(broker, first)).end(Status.COMPLETED, result={"chosen": [0]})
        draft = broker.clients.artifacts.draft(first.id)
        await draft.append(b"x")
        await draft.keep("{}")
        assert await seconds(first) == {"job": 900, "stream": 60, "events": 60, "content": 60}
        assert (await broker.clients.submit(job(), queue=9, bound=bound)).id == first.id
        await broker.redis.delete(*(key(kind, first.id) for kind in ("stream", "events", "content")))
        second = job(payload="second")  # what a seed that was drawn makes different
        again = await broker.clients.submit(second, queue=9, bound=bound)
        assert (again.id, again.payload) == (second.id, "first")

    run(valkey, act)


def test_a_draft_never_loses_its_time_to_live(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        made = await broker.clients.submit(job(), queue=9)
        draft, name = broker.clients.artifacts.draft(made.id), key("draft", made.id, "*").replace("[", "?")
        for written in (draft.append(b"some"), draft.overwrite([(1, b"a")]), draft.append(b"thing")):
            await written
            await broker.redis.client_kill_filter(skipme=True)  # cut between any two
            (found,) = await broker.redis.keys(name)
            assert 0 < await broker.redis.ttl(found) <= 60
        assert await broker.redis.get(found) == b"samething"
        await broker.redis.delete(found)  # it took too long
        await draft.overwrite([(1, b"a")])
        assert 0 < await broker.redis.ttl(found) <= 60
        with pytest.raises(DraftLost):
            await draft.append(b" more")

    run(valkey, act)


def test_a_draft_is_kept_only_if_it_is_what_was_written(valkey: RealRedis) -> None:
    """A new master may lack the last writes: here it is made to."""

    async def kept(broker: Broker, *lost: tuple[str, Any]) -> bytes | None:
        made = await broker.clients.submit(job(), queue=9)
        draft = broker.clients.artifacts.draft(made.id)
        await draft.append(b"\xff\x00\nthing")
        await draft.overwrite([(0, b"\x00\x0a\xfe"), (4, b"H")])
        (name,) = await broker.redis.keys(key("draft", made.id, "*").replace("[", "?"))
        for command, *arguments in lost:
            await broker.redis.execute_command(command, name, *arguments)
        await draft.keep("{}")
        assert not await broker.redis.exists(name)
        content: bytes | None = await broker.redis.get(key("content", made.id))
        assert await broker.clients.artifacts.info(made.id) == (None if content is None else "{}")
        return content

    async def act(broker: Broker) -> None:
        assert await kept(broker) == b"\x00\x0a\xfetHing"
        assert await kept(broker, ("SETRANGE", 0, b"\xff\x00\n")) is None
        assert await kept(broker, ("SETRANGE", 4, b"h")) is None
        assert await kept(broker, ("SET", b"\x00\x0a\xfetHin")) is None

    run(valkey, act)


def test_a_job_that_ends_before_it_began_has_no_stream(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        made = job()
        await broker.clients.submit(made, queue=9)
        early = asyncio.create_task(_read(broker, made))
        await broker.clients.cancel(made)
        assert not await broker.redis.exists(key("stream", made.id))
        assert await early == await _read(broker, made) == [Ended(Status.CANCELLED, None)]

    run(valkey, act)


def test_a_redis_that_has_forgotten_its_scripts_is_sent_them_again(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        for _ in range(2):
            await broker.redis.script_flush()
            await asyncio.gather(*(broker.clients.submit(job(), queue=9) for _ in range(3)))
        assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (6, 0)

    run(valkey, act)


def test_calls_of_one_turn_go_to_redis_together_and_each_gets_its_own_reply(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        jobs = await submitted(broker, 3)
        await broker.redis.set(key("job", "odd"), "a string")  # on which its script fails
        odd = job(id="odd")
        cancelled = asyncio.create_task(broker.clients.cancel(jobs[0]))
        await asyncio.sleep(0)
        cancelled.cancel()  # before it was sent
        calls = [broker.clients.cancel(made) for made in (jobs[1], odd, jobs[2])]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(each, ResponseError) for each in ended] == [False, True, False]
        assert ended[0] is ended[2] is True
        assert [(await stored(broker, made)).status for made in jobs] == [Status.QUEUED] + 2 * [Status.CANCELLED]

    run(valkey, act)
