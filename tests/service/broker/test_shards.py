"""Jobs in many shards of a real cluster: they are placed, found, counted, limited and run as in one."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from ancestral_service.broker.clients import Clients
from ancestral_service.broker.connection import CLUSTER_SHARDS, UNAVAILABLE, Connection
from ancestral_service.broker.job import SHARED, Job, Keys, Piece, Priority, Status, new_job_id, shard_of, tag
from ancestral_service.broker.workers import LEASE_SECONDS, Lease, Workers
from ancestral_service.errors import NotReady, Overloaded
from ancestral_service.telemetry.metrics import ApiMetrics
from tests.service.broker.support import MODELS, WORKER, Broker, fails, job, without_models
from tests.service.redis_servers import RealRedis, cluster

EVERYWHERE = range(CLUSTER_SHARDS)

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def valkey() -> Iterator[RealRedis]:
    """Three masters, each with a replica."""
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder), replicas=1) as running:
        yield running


async def placed(broker: Broker, key: str | None = None, **changes: Any) -> Job:
    """A job in the shard that is chosen for it."""
    job_id = await broker.clients.queues.place(Priority.INTERACTIVE, "me", key, {"tiny": "aa"})
    return job(id=job_id, **changes)


async def claimed_anywhere(broker: Broker) -> list[str]:
    """The ids of all jobs that a worker finds, in any shard."""
    found = []
    for shard in EVERYWHERE:
        while lease := await broker.workers.claim(Priority.INTERACTIVE, "w", MODELS, shard=shard):
            found.append(lease.job.id)
    return found


def test_tags_differ_and_spread_over_the_slots() -> None:
    assert len({tag(shard) for shard in range(256)}) == 256


async def test_jobs_are_placed_where_there_is_room_and_a_worker_with_their_model(broker: Broker) -> None:
    able = [1, 5, 9, 30]
    await broker.workers.leave("w", [0])
    info = dataclasses.replace(WORKER, slots={"interactive": 16, "batch": 4})
    await broker.workers.announce("w", info, able)
    # Its slots would be room, too: four shards would have five, and one of them now and then five jobs.
    other = dataclasses.replace(info, models={"tiny": "bb"}, slots={"interactive": 0, "batch": 0})
    await broker.workers.announce("x", other, EVERYWHERE)
    jobs = [await broker.clients.submit(await placed(broker), queue=0) for _ in range(12)]
    counts = Counter(shard_of(made.id) for made in jobs)
    assert set(counts) <= set(able)
    assert max(counts.values()) <= 4
    (merged,) = [found for found in await broker.clients.queues.workers() if found.models == info.models]
    assert merged == info


async def test_an_owner_sees_the_jobs_of_all_shards_newest_first(broker: Broker) -> None:
    jobs = [await broker.clients.submit(job(id=new_job_id(7 * n % 32)), queue=9) for n in range(11)]
    await broker.clients.delete(jobs[4])
    wanted = [made.id for made in reversed(jobs) if made is not jobs[4]]
    seen, more = list[str](), True
    while more:
        page, more = await broker.clients.jobs("me", seen[-1] if seen else None, 3)
        seen += [made.id for made in page]
    assert seen == wanted
    assert await broker.clients.queues.depths(Priority.INTERACTIVE) == (10, 0)
    assert await broker.clients.queues.unfinished() == (10, 10)


async def test_a_limit_counts_the_jobs_of_all_shards(broker: Broker) -> None:
    first = await broker.clients.submit(job(id=new_job_id(3), limit=2), queue=9)
    await broker.clients.submit(job(id=new_job_id(4), limit=2), queue=9)
    for shard in (3, 4, 5):
        await fails(Overloaded, broker.clients.submit(job(id=new_job_id(shard), limit=2), queue=9), "unfinished")
    await broker.clients.cancel(first)
    await broker.clients.submit(job(id=new_job_id(5), limit=2), queue=9)


@pytest.mark.parametrize("keyed", [False, True])
async def test_a_request_is_accepted_while_any_shard_has_room(broker: Broker, keyed: bool) -> None:
    """Twenty slots lie in twenty of the 32 shards."""
    await broker.workers.leave("w", [0])
    info = dataclasses.replace(WORKER, slots={"interactive": 20, "batch": 4})
    await broker.workers.announce("w", info, EVERYWHERE)

    async def submit(number: int) -> Job:
        made = await placed(broker, f"k{number}" if keyed else None)
        return await broker.clients.submit(made, queue=0)

    jobs = [await submit(number) for number in range(20)]
    await fails(Overloaded, submit(20), "full")
    assert sorted(await claimed_anywhere(broker)) == sorted(made.id for made in jobs)
    await broker.clients.cancel(jobs[0])
    await asyncio.sleep(0.2)
    assert await submit(21)


async def test_there_are_as_many_shards_as_the_processes_are_told(valkey: RealRedis, broker: Broker) -> None:
    few = Connection(valkey.url, shards=2)
    try:
        clients, workers = Clients(few), Workers(few)
        homes = await workers.enrol("x")
        await workers.announce("x", WORKER, homes)
        placed = [await clients.queues.place(Priority.INTERACTIVE, "me", f"k{n}", {"tiny": "aa"}) for n in range(20)]
        assert {*homes} == {shard_of(job_id) for job_id in placed} == {0, 1}
    finally:
        await few.close()


async def test_equal_idempotency_keys_meet(broker: Broker) -> None:
    again = [await placed(broker, "k") for _ in range(3)]
    stored = [await broker.clients.submit(made, queue=9, bound=("k", "f")) for made in again]
    assert {made.id for made in stored} == {again[0].id}
    assert len({shard_of((await placed(broker, f"k{n}")).id) for n in range(50)}) > 10


@pytest.mark.parametrize("count", [1, 2, 3, 5, 40, 100])
async def test_workers_share_the_shards(broker: Broker, count: int) -> None:
    names = [f"w{n}" for n in range(count)]
    for _ in range(2):
        homes = [await broker.workers.enrol(name) for name in names]
    served = Counter(shard for each in homes for shard in each)
    assert set(served) == set(EVERYWHERE)
    assert min(served.values()) >= min(2, count)
    assert max(map(len, homes)) - min(map(len, homes)) == 0
    if count >= CLUSTER_SHARDS:
        assert len(homes[0]) == 2
    for name, shards in zip(names, homes, strict=True):
        await broker.workers.leave(name, shards)
    assert await broker.workers.enrol("alone") == list(EVERYWHERE)


async def test_workers_that_died_before_the_clock_went_back_are_forgotten_in_time(broker: Broker) -> None:
    for kind in ("workers", "enrolled_until"):
        await broker.redis.zadd(SHARED[kind], {"dead": time.time() + 3600})
    await broker.workers.announce("w", WORKER, await broker.workers.enrol("w"))
    for kind in ("workers", "enrolled_until"):
        assert await broker.redis.zscore(SHARED[kind], "dead") <= time.time() + broker.workers.alive_seconds


@asynccontextmanager
async def hanging(
    valkey: RealRedis, broker: Broker, lease: float = LEASE_SECONDS
) -> AsyncIterator[tuple[list[Lease], list[bool]]]:
    """The leases of a job in every shard, and which of them are on a server that hangs until the block ends."""
    await broker.workers.announce("w", WORKER, EVERYWHERE)
    hangs, leases = valkey.masters()[-1], list[Lease]()
    its = [hangs.has(key_slot(tag(shard).encode())) for shard in EVERYWHERE]
    for shard in EVERYWHERE:
        await broker.workers.reclaim(Priority.INTERACTIVE, shard=shard)
        await broker.clients.submit(job(id=new_job_id(shard)), queue=1)
        leases.append(await broker.workers.claim(Priority.INTERACTIVE, "w", MODELS, shard=shard, lease=lease))  # type: ignore[arg-type]
    hangs.client.client_pause(60_000, all=False)
    try:
        yield leases, its
    finally:
        hangs.client.client_unpause()


async def test_a_server_that_hangs_keeps_no_other_from_renewing_leases(valkey: RealRedis, broker: Broker) -> None:
    broker.connection.hooks = counted = ApiMetrics()
    async with hanging(valkey, broker) as (leases, its), asyncio.timeout(LEASE_SECONDS):
        found = await broker.workers.renew(leases)
    assert [isinstance(each, TimeoutError) for each in found] == its
    assert [getattr(each, "attempt", None) for each in found] == [None if is_its else 1 for is_its in its]
    assert counted.registry.get_sample_value("ancestral_redis_unanswered_total") == sum(its)


async def test_a_server_that_hangs_keeps_no_other_from_giving_back_what_dead_workers_had(
    valkey: RealRedis, broker: Broker
) -> None:
    worker, stopping = without_models(broker.workers), asyncio.Event()

    async def waiting(its: list[bool]) -> list[bool]:
        shards = [shard for shard in EVERYWHERE if not its[shard]]
        return [await broker.clients.queues.depths_of(Priority.INTERACTIVE, shard) == (1, 0) for shard in shards]

    async with hanging(valkey, broker, lease=0.0) as (_, its):
        running = asyncio.create_task(worker.run(stopping))
        async with asyncio.timeout(30):
            while not all(await waiting(its)):
                await asyncio.sleep(0.1)
    stopping.set()
    await running


async def test_a_worker_that_stops_while_a_server_hangs_gives_back_what_the_others_have(
    valkey: RealRedis, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is about to end, ends; what cannot be interrupted is given back all the same."""
    monkeypatch.setattr("ancestral_service.worker.LEASE_SECONDS", 2.0)
    worker = without_models(broker.workers)
    async with hanging(valkey, broker) as (leases, its):
        await broker.workers.renew(leases)
        hung, ends, stays = leases[its.index(True)], *[lease for lease in leases if not its[shard_of(lease.job.id)]][:2]
        await broker.workers.renew([ends, stays])
        seconds = {1.0: ends, 60.0: stays, 61.0: hung}
        worker._running = {asyncio.create_task(asyncio.sleep(each)): lease for each, lease in seconds.items()}
        ending, *_ = worker._running
        await worker._release_all()
        assert not ending.cancelled()
        found = await broker.stored(stays.job)
        assert (found.status, found.deaths) == (Status.QUEUED, 0)


async def test_a_server_that_is_lost_keeps_no_other_from_being_heard(valkey: RealRedis, broker: Broker) -> None:
    masters = valkey.masters()

    def listening() -> list[set[str]]:
        return [{each["id"] for each in node.client.client_list(_type="pubsub")} for node in masters]

    async with broker.listening("x"), asyncio.timeout(30):
        while not all(before := listening()):
            await asyncio.sleep(0.05)
        masters[0].client.client_kill_filter(_type="pubsub")
        while not (after := listening())[0] - before[0]:
            await asyncio.sleep(0.05)
        assert after[1:] == before[1:]


async def test_requests_of_a_caller_and_sessions_are_anywhere(broker: Broker) -> None:
    for caller in "abcdef":
        assert [(await broker.clients.count_request(caller, 2))[0] for _ in range(3)] == [True, True, False]
        session = broker.clients.session(None, 60)
        session.owner = caller
        assert await session.save('{"a":1}')
        assert await broker.clients.session(session.id, 60).claim(caller) == '{"a":1}'


async def test_a_job_counts_as_submitted_when_a_replica_has_it(broker: Broker) -> None:
    broker.connection.replicas = 1
    broker.connection.hooks = timed = ApiMetrics()
    made = await broker.clients.submit(job(), queue=9, bound=("k", "f"))
    assert timed.registry.get_sample_value("ancestral_redis_round_trip_seconds_count", {"operation": "submit"}) == 1
    assert (await broker.clients.job(made.id)) == made
    broker.connection.replicas = 2  # than there are
    await fails(NotReady, broker.clients.submit(job(), queue=9, bound=("k", "f")), "replicas")  # and it goes on
    assert (await broker.clients.job(made.id)) == made
    lost = job()
    await fails(NotReady, broker.clients.submit(lost, queue=9), "replicas")
    found = await broker.clients.job(lost.id)
    assert found.status is Status.CANCELLED


async def test_a_slot_that_moves_takes_its_jobs_with_it(valkey: RealRedis, broker: Broker) -> None:
    """Also while the connection still believes that the old server has them."""
    jobs = [await broker.clients.submit(await placed(broker), queue=99) for _ in range(20)]
    for shard in (0, 1, 2):
        valkey.move_slot(key_slot(tag(shard).encode()))
    jobs += [await broker.clients.submit(job(id=new_job_id(shard)), queue=99) for shard in (0, 1, 2)]
    assert sorted(await claimed_anywhere(broker)) == sorted(made.id for made in jobs)


@pytest.mark.parametrize("moved", [None, "job", "waiting"])
async def test_nothing_is_half_done_while_a_slot_moves(valkey: RealRedis, broker: Broker, moved: str | None) -> None:
    """A claim fails, whether a key that it uses is not there any more, or is not there yet, as a job's stream is."""
    for priority in Priority:
        await broker.clients.submit(job(id=new_job_id(0), priority=priority), queue=9)
        assert await broker.workers.claim(priority, "w", MODELS) is not None
    made = await broker.clients.submit(job(id=new_job_id(0)), queue=9)
    await broker.redis.zadd(Keys.for_job(made)["idle"], {"x": 1.0})  # so that only the stream is not there
    with valkey.moving_slot(key_slot(tag(0).encode())) as move:
        if moved is not None:
            await asyncio.to_thread(move, Keys.for_job(made)[moved])
        await fails(UNAVAILABLE, broker.workers.claim(Priority.INTERACTIVE, "w", MODELS))
    lease = await broker.workers.claim(Priority.INTERACTIVE, "w", MODELS)
    assert (lease.job.id, lease.attempt) == (made.id, 1)
    await lease.publish([Piece(0, 0, b"abc")], None, event=True)
    assert await lease.end(Status.COMPLETED, symbols=3)
    kinds = [type(entry).__name__ async for entry in broker.clients.entries(made.id)]
    assert kinds == ["Begin", "Piece", "Ended"]
