"""Jobs, their symbols, workers, messages to them and counters on a real Valkey."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from redis.exceptions import ResponseError

from ancestral.catalog.catalog import Catalog
from ancestral.errors import NotFound
from ancestral_service.broker.clients import Clients
from ancestral_service.broker.connection import UNAVAILABLE
from ancestral_service.broker.files import DraftLost
from ancestral_service.broker.job import (
    SHARED,
    Begin,
    Ended,
    Failure,
    Job,
    JobExpired,
    Keys,
    Piece,
    Priority,
    ResumePoint,
    Snapshot,
    StaleAttempt,
    Status,
    SymbolsLost,
    WorkerInfo,
    key,
)
from ancestral_service.broker.workers import Message
from ancestral_service.errors import NotReady, Overloaded, Unprocessable
from ancestral_service.jobs.artifacts import Artifacts
from ancestral_service.jobs.plans import ArtifactInfo
from tests.service.broker.support import WORKER, Broker, fails, job

pytestmark = pytest.mark.anyio


async def test_a_record_comes_back_as_it_was(broker: Broker) -> None:
    made = job(paced=True, retention=7, samples_total=5, error=Failure("no", "code", "input"))
    made = await broker.clients.submit(made, queue=0)
    assert abs(made.created_at - time.time()) < 60
    assert await broker.clients.job(made.id) == made
    assert await broker.clients.job("job_0") is None


async def test_readers_get_everything_in_order_and_then_the_end(broker: Broker) -> None:
    made, lease = await broker.leased()
    early = asyncio.create_task(_read(broker, made))
    pieces = [Piece(0, 0, bytes(range(256))), Piece(1, 256, b"\n\r\0")]
    for piece in pieces:
        await lease.publish([piece], None, event=True)
    assert await lease.end(Status.COMPLETED)
    expected = [Begin(1, "native"), *pieces, Ended(Status.COMPLETED, None)]
    assert await early == expected
    assert await _read(broker, made) == expected
    ended = await broker.stored(made)
    assert (ended.status, ended.samples_done, ended.engine) == (Status.COMPLETED, 259, "native")
    assert ended.expires_at is not None
    then = [ended.at(fields) for _, fields in await broker.clients.events(made.id, "0")]
    statuses = [Status.QUEUED] + 3 * [Status.IN_PROGRESS] + [Status.COMPLETED]
    assert [(at.status, at.samples_done) for at in then] == list(zip(statuses, (0, 0, 256, 259, 259), strict=True))
    assert [(at.started_at is None, at.completed_at is None, at.samples_total) for at in then] == [
        (True, True, None), *3 * [(False, True, None)], (False, False, None),
    ]  # fmt: skip


async def test_sound_takes_two_bytes_a_sample(broker: Broker) -> None:
    made, lease = await broker.leased()
    sound = np.arange(-150, 150, dtype=np.int16)
    pieces = [Piece.from_samples(0, 0, sound[:100]), Piece.from_samples(1, 100, sound[100:])]
    await lease.publish(pieces, None, event=False)
    await lease.publish(pieces[1:], None, event=False)  # the reply may have got lost
    await fails(SymbolsLost, lease.publish([Piece.from_samples(1, 301, sound)], None, event=False))
    assert await lease.end(Status.COMPLETED, symbols=300)
    found = [entry for entry in await _read(broker, made) if isinstance(entry, Piece)]
    assert found == pieces
    assert [len(piece) for piece in found] == [100, 200]
    assert np.array_equal(np.concatenate([piece.samples for piece in found]), sound)
    assert (await broker.stored(made)).samples_done == 300


async def _read(broker: Broker, made: Job) -> list[Any]:
    return [entry async for entry in broker.clients.entries(made.id)]


async def test_a_reader_is_idle_from_its_last_entry_on_whatever_breaks(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ancestral_service.broker.clients.BLOCK_MS", 800)
    (made, lease), times = await broker.leased(), list[float]()

    async def idle() -> None:
        times.append(asyncio.get_running_loop().time())

    async def read() -> None:
        async for _ in broker.clients.entries(made.id, idle):
            pass

    reading = asyncio.create_task(read())
    async with asyncio.timeout(20):
        while len(times) < 2:
            await asyncio.sleep(0.2)
            await broker.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]
    assert times[1] - times[0] >= 0.7
    await lease.end(Status.COMPLETED)
    await reading


async def test_a_reader_of_what_is_not_kept_is_told(broker: Broker) -> None:
    await fails(JobExpired, _read(broker, job()))


async def test_an_end_is_final_and_only_its_attempt_may_give_it(broker: Broker) -> None:
    made, first = await broker.leased()
    await first.release()
    second = await broker.begun(made)
    assert (first.attempt, second) == (1, 2)
    assert not await first.end(Status.COMPLETED)
    assert await broker.lease(made, second).end(Status.FAILED, error=Failure("lost", "worker_lost"))
    assert not await broker.clients.cancel(made)
    assert await broker.claimed() is None
    assert (await broker.stored(made)).error == Failure("lost", "worker_lost")
    assert (await _read(broker, made))[-1] == Ended(Status.FAILED, Failure("lost", "worker_lost"))


async def test_a_snapshot_that_outruns_the_symbols_is_not_used(broker: Broker) -> None:
    (made, lease), snapshot = await broker.leased(), Snapshot(1, 300, b"state\n\0")
    assert await lease.resume_point() == ResumePoint(0, 0, None)
    await lease.publish([Piece(0, 0, bytes(300))], snapshot, event=False)
    await broker.clients.acknowledge(made, 100)
    assert await lease.resume_point() == ResumePoint(300, 100, snapshot)
    await lease.publish([], Snapshot(1, 301, b""), event=False)
    assert await lease.resume_point() == ResumePoint(300, 100, None)


@pytest.mark.parametrize("lost", ["released", "expired"])
async def test_symbols_are_taken_once_in_order_and_of_the_current_attempt(broker: Broker, lost: str) -> None:
    (made, first), piece = await broker.leased(), Piece(0, 0, bytes(20))
    if lost == "released":
        await first.release()
    else:
        await broker.expired(made)
        await broker.workers.reclaim(Priority.INTERACTIVE)
    await fails(StaleAttempt, first.publish([piece], None, event=False))
    second = broker.lease(made, await broker.begun(made))
    for _ in range(2):  # the reply to the first may have got lost
        await second.publish([piece], None, event=False)
    await fails(StaleAttempt, first.publish([piece], None, event=False))
    await fails(StaleAttempt, first.publish([], Snapshot(0, 20, b""), event=False))
    assert (await broker.renewed(made, first.attempt, seconds=0.0)).attempt == second.attempt
    assert await broker.workers.reclaim(Priority.INTERACTIVE) == []  # the lease of the second was not touched
    await fails(SymbolsLost, second.publish([Piece(0, 21, bytes(20))], None, event=False))
    assert [await lease.end(Status.COMPLETED) for lease in (first, second)] == [False, True]
    await fails(StaleAttempt, second.publish([Piece(0, 20, bytes(20))], None, event=False))
    assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (0, 0)
    assert [entry for entry in await _read(broker, made) if isinstance(entry, Piece)] == [piece]


async def test_a_lease_that_is_renewed_says_that_redis_has_lost_symbols(broker: Broker) -> None:
    made, lease = await broker.leased()
    await lease.publish([Piece(0, 0, bytes(20)), Piece(0, 20, bytes(10))], None, event=False)
    fresh = broker.lease(made, 1)  # of an attempt that has published nothing yet
    for renews, done, lost in ((lease, 30, False), (lease, 29, True), (fresh, 29, False)):
        await broker.redis.hset(key("job", made.id), "samples_done", done)  # less as if Redis had been killed
        (signals,) = await broker.workers.renew([renews])
        assert signals.symbols_lost is lost


async def test_what_is_noted_of_a_job_comes_with_its_symbols(broker: Broker) -> None:
    made, lease = await broker.leased()
    lease.note(total=40, timings={0: "[0]"})
    assert (await broker.stored(made)).samples_total is None
    await lease.publish([Piece(0, 0, bytes(20))], None, event=False)
    assert (await broker.stored(made)).samples_total == 40
    lease.note(total=40, timings={1: "[1]"})
    assert await broker.clients.timings(made, 3) == ["[0]"]
    await lease.publish([Piece(0, 0, bytes(20))], None, event=False)  # nothing new
    assert await broker.clients.timings(made, 3) == ["[0]", "[1]"]
    lease.note(total=50, timings={2: "[2]"})
    await fails(SymbolsLost, lease.publish([Piece(0, 30, bytes(20))], None, event=False))
    await lease.store()
    assert await broker.clients.timings(made, 3) == ["[0]", "[1]", "[2]"]
    assert ((found := await broker.stored(made)).samples_done, found.samples_total) == (20, 50)


async def test_a_job_is_complete_when_all_of_it_is_there(broker: Broker) -> None:
    made, lease = await broker.leased()
    await lease.publish([Piece(0, 0, bytes(20))], None, event=False)
    await fails(SymbolsLost, lease.end(Status.COMPLETED, symbols=30))
    assert (await broker.stored(made)).status is Status.IN_PROGRESS
    await lease.publish([Piece(0, 20, bytes(10))], None, event=False)
    assert await lease.end(Status.COMPLETED, symbols=30)
    assert await lease.end(Status.COMPLETED, symbols=30)  # the reply may have got lost
    found = await broker.stored(made)
    assert (found.status, found.samples_done, found.samples_total) == (Status.COMPLETED, 30, 30)


async def test_an_owner_sees_a_job_as_long_as_its_record_is_kept(broker: Broker) -> None:
    made, lease = await broker.leased(job(record_retention=9_999_999))
    await lease.end(Status.COMPLETED)
    await broker.clients.submit(job(), queue=9)
    assert await broker.redis.ttl(Keys.for_job(made)["jobs"]) > 9_990_000


async def test_uploads_stay_for_as_long_as_their_job(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async def seconds(made: Job) -> list[int]:
        return [await broker.redis.ttl(key(kind, made.id)) for kind in ("input", "ingredient")]

    async def no_reply(*_: Any, **__: Any) -> None:
        raise TimeoutError

    made, lost = job(), job()
    await broker.clients.submit(made, queue=9, upload=b"x", ingredient=b"y")
    assert min(await seconds(made)) > 86400
    monkeypatch.setattr(broker.connection, "run", no_reply)
    await fails(TimeoutError, broker.clients.submit(lost, queue=9, upload=b"x", ingredient=b"y"))
    assert 0 < max(await seconds(lost)) <= 60


async def test_workers_that_are_alike_are_counted_together_while_they_announce_themselves(broker: Broker) -> None:
    loading = dataclasses.replace(WORKER, ready=False, problem="The models are being warmed up.")

    async def found() -> list[WorkerInfo]:
        return sorted(await Clients(broker.connection).queues.workers(), key=lambda info: info.ready)

    assert await found() == [WORKER]
    await broker.workers.leave("w", [0])
    assert await found() == []
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
    assert 0 < await broker.redis.ttl(SHARED["capacity"]) <= broker.workers.alive_seconds  # all may die


async def test_the_same_key_is_the_same_job(broker: Broker) -> None:
    async def submit(made: Job, name: str = "k", fingerprint: str = "print", queue: int = 9) -> str:
        return (await broker.clients.submit(made, queue=queue, upload=b"x", bound=(name, fingerprint))).id

    first = job()
    with pytest.raises(Overloaded):  # what was refused binds no key
        await submit(first, fingerprint="other", queue=-2)
    assert [await submit(made) for made in (first, job(), first)] == [first.id] * 3
    await fails(Unprocessable, submit(job(), fingerprint="other"))
    for made, name in ((job(owner="you"), "k"), (job(), "another")):
        assert await submit(made, name) == made.id
    await broker.clients.cancel(first)
    second, third = job(), job()
    assert [await submit(made) for made in (second, job())] == [second.id] * 2
    await broker.clients.delete(second)
    assert await submit(third) == third.id
    assert len(await broker.redis.keys(key("input", "*"))) == 3  # of none but the jobs that there are


async def test_a_record_outlives_the_output_of_its_job(broker: Broker) -> None:
    async def seconds(made: Job) -> dict[str, int]:
        names = await broker.redis.keys(f"*:{made.id}")
        return {name.decode().split(":")[2]: await broker.redis.ttl(name) for name in names}

    first, bound = job(retention=60, record_retention=900, payload="first"), ("k", "print")
    await broker.clients.submit(first, queue=9, bound=bound)
    lease = broker.lease(first, await broker.begun(first))
    await lease.publish([Piece(0, 0, b"x")], Snapshot(0, 1, b""), event=False)
    await broker.clients.suspend(first)
    await lease.release()
    assert await seconds(first) == {"job": 900, "stream": 60, "events": 60, "snapshot": 60}
    await broker.clients.resume(first, queue=9)
    await broker.lease(first, await broker.begun(first)).end(Status.COMPLETED, result={"chosen": [0]})
    draft = broker.clients.draft(first.id)
    await draft.append(b"x")
    await draft.keep("{}")
    assert await seconds(first) == {"job": 900, "stream": 60, "events": 60, "content": 60}
    assert (await broker.clients.submit(job(), queue=9, bound=bound)).id == first.id
    await broker.redis.delete(*(key(kind, first.id) for kind in ("stream", "events", "content")))
    second = job(payload="second")  # what a seed that was drawn makes different
    again = await broker.clients.submit(second, queue=9, bound=bound)
    assert (again.id, again.payload) == (second.id, "first")


async def test_a_draft_never_loses_its_time_to_live(broker: Broker) -> None:
    made = await broker.clients.submit(job(), queue=9)
    draft, name = broker.clients.draft(made.id), key("draft", made.id, "*").replace("[", "?")
    for written in (draft.append(b"some"), draft.overwrite([(1, b"a")]), draft.append(b"thing")):
        await written
        await broker.redis.client_kill_filter(skipme=True)  # cut between any two
        (found,) = await broker.redis.keys(name)
        assert 0 < await broker.redis.ttl(found) <= 60
    assert await broker.redis.get(found) == b"samething"
    await broker.redis.delete(found)  # it took too long
    await draft.overwrite([(1, b"a")])
    assert 0 < await broker.redis.ttl(found) <= 60
    await fails(DraftLost, draft.append(b" more"))


async def test_a_draft_is_kept_only_if_it_is_what_was_written(broker: Broker) -> None:
    """A new master may lack the last writes: here it is made to."""

    async def kept(broker: Broker, *lost: tuple[str, Any]) -> bytes | None:
        made = await broker.clients.submit(job(), queue=9)
        draft = broker.clients.draft(made.id)
        await draft.append(b"\xff\x00\nthing")
        await draft.overwrite([(0, b"\x00\x0a\xfe"), (4, b"H")])
        (name,) = await broker.redis.keys(key("draft", made.id, "*").replace("[", "?"))
        for command, *arguments in lost:
            await broker.redis.execute_command(command, name, *arguments)
        await draft.keep("{}")
        assert not await broker.redis.exists(name)
        content: bytes | None = await broker.redis.get(key("content", made.id))
        assert await broker.clients.artifact_info(made.id) == (None if content is None else "{}")
        return content

    assert await kept(broker) == b"\x00\x0a\xfetHing"
    for lost in (("SETRANGE", 0, b"\xff\x00\n"), ("SETRANGE", 4, b"h"), ("SET", b"\x00\x0a\xfetHin")):
        assert await kept(broker, lost) is None


async def test_files_that_cannot_be_read_are_an_error_that_tells_why(broker: Broker) -> None:
    made, lease = await broker.leased()
    await lease.end(Status.COMPLETED)
    draft, ended = broker.clients.draft(made.id), await broker.stored(made)
    await draft.append(b"some")
    await draft.keep(json.dumps(dataclasses.asdict(ArtifactInfo("audio/flac", 5, "", 1, ""))))
    artifacts = Artifacts(broker.clients, Catalog({}), None)
    await fails(NotFound, artifacts.files(ended), "expired")  # the fifth byte is not there
    await broker.redis.append(key("content", made.id), b"!")
    assert await artifacts.files(ended) == [b"some!"]

    async def lose_the_reply(*_words: Any) -> Any:
        raise TimeoutError

    broker.connection.command = lose_the_reply  # type: ignore[method-assign]
    await fails(NotReady, artifacts.files(ended), "Redis is unavailable")


async def test_a_job_that_ends_before_it_began_has_no_stream(broker: Broker) -> None:
    made = await broker.clients.submit(job(), queue=9)
    early = asyncio.create_task(_read(broker, made))
    await broker.clients.cancel(made)
    assert not await broker.redis.exists(key("stream", made.id))
    assert await early == await _read(broker, made) == [Ended(Status.CANCELLED, None)]


async def test_a_redis_that_has_forgotten_its_scripts_is_sent_them_again(broker: Broker) -> None:
    for _ in range(2):
        await broker.redis.script_flush()
        await asyncio.gather(*(broker.clients.submit(job(), queue=9) for _ in range(3)))
    assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (6, 0)


async def test_calls_of_one_turn_go_to_redis_together_and_each_gets_its_own_reply(broker: Broker) -> None:
    jobs = await broker.submitted(3)
    await broker.redis.set(key("job", "odd"), "a string")  # on which its script fails
    odd = job(id="odd")
    cancelled = asyncio.create_task(broker.clients.cancel(jobs[0]))
    await asyncio.sleep(0)
    cancelled.cancel()  # before it was sent
    calls = [broker.clients.cancel(made) for made in (jobs[1], odd, jobs[2])]
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(each, ResponseError) for each in ended] == [False, True, False]
    assert ended[0] is ended[2] is True
    assert [(await broker.stored(made)).status for made in jobs] == [Status.QUEUED] + 2 * [Status.CANCELLED]


async def test_what_clients_want_reaches_the_worker(broker: Broker) -> None:
    made, _ = await broker.leased()
    other, _ = await broker.leased(job(priority=Priority.BACKGROUND))
    (idle,) = await broker.submitted(1)
    wanted = [Message("read", made.id, 4000), Message("read", made.id, 5000)]
    wanted += [Message("suspend", other.id), Message("cancel", made.id)]
    async with broker.listening("w") as heard:
        assert await broker.clients.acknowledge(made, 4000) == "w"
        assert not await broker.clients.acknowledge(idle, 0)  # nobody runs it
        assert await broker.clients.report_read(made, 5000, "w")
        assert not await broker.clients.report_read(made, 5000, "another")
        await broker.clients.suspend(other)
        await broker.clients.cancel(idle)  # no worker has it
        await broker.clients.cancel(made)
        while len(heard) < len(wanted):
            await asyncio.sleep(0.01)
    assert [message for _, message in heard] == wanted
    assert (await broker.renewed(made, 1)).read == 4000
    assert (await broker.stored(made)).status.terminal


async def test_a_worker_hears_its_clients_whenever_its_connection_broke(broker: Broker) -> None:
    async with asyncio.timeout(60):
        async with broker.listening("w") as heard:
            for number in range(40):
                with suppress(*UNAVAILABLE):
                    await broker.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                while not await broker.clients.report_read(job(), number, "w"):
                    await asyncio.sleep(0.005)
                while not heard or heard[-1][1].value != number:
                    await asyncio.sleep(0.005)
        while await broker.redis.pubsub_shardchannels():  # type: ignore[no-untyped-call]
            await asyncio.sleep(0.01)


async def test_no_counter_is_reserved_twice(broker: Broker) -> None:
    assert await broker.clients.seeds_reserved() == 0
    firsts = await asyncio.gather(*(broker.clients.reserve_seeds(3) for _ in range(20)))
    assert sorted(firsts) == list(range(0, 60, 3))
    assert await broker.clients.seeds_reserved() == 60
