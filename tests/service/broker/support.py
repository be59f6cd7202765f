"""What the tests of the broker share."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from ancestral_service.broker.clients import Clients
from ancestral_service.broker.connection import UNAVAILABLE, Connection
from ancestral_service.broker.job import Job, Priority, Signals, WorkerInfo, key
from ancestral_service.broker.workers import Lease, Message, Workers
from ancestral_service.settings import Settings
from ancestral_service.telemetry.logging import Tracing
from ancestral_service.telemetry.metrics import WorkerMetrics
from ancestral_service.worker import Worker
from tests.service.redis_servers import RealRedis

WORKER = WorkerInfo(ready=True, engines={"tiny": "native"}, models={"tiny": "aa"}, slots={"interactive": 2, "batch": 1})
MODELS = {"tiny": ("aa", "native", "01")}
"""What that worker can run."""


class Broker:
    """An API process and a worker, on one connection. Unless a test says otherwise, jobs are in the first shard."""

    redis: Redis
    """The server that has this shard."""

    def __init__(self, url: str) -> None:
        self.connection = Connection(url)
        self.clients = Clients(self.connection)
        self.workers = Workers(self.connection)
        self.workers.alive_seconds = 60  # it announces itself once, however long a test takes

    def lease(self, made: Job, attempt: int = 1) -> Lease:
        """What an attempt at a job has, whether or not the lease is still its own."""
        return Lease(self.connection, made, attempt)

    async def claimed(
        self, priority: Priority = Priority.INTERACTIVE, worker: str = "w", lease: float = 60.0, **options: bool
    ) -> Lease | None:
        """What a worker gets that claims a job."""
        return await self.workers.claim(priority, worker, MODELS, lease=lease, **options)

    async def begun(self, made: Job, **options: Any) -> int:
        """The number of the attempt at this job, which is to be the one that is claimed."""
        claim = await self.claimed(made.priority, **options)
        assert claim.job.id == made.id
        return claim.attempt

    async def leased(self, made: Job | None = None) -> tuple[Job, Lease]:
        """A new job and the lease of the worker that has claimed it."""
        made = made or job()
        await self.clients.submit(made, queue=9)
        return made, self.lease(made, await self.begun(made))

    async def stored(self, made: Job) -> Job:
        """The job as it is on record."""
        found = await self.clients.job(made.id)
        assert found is not None
        return found

    async def expired(self, made: Job) -> None:
        """Let a job's lease have expired, while somebody was looking."""
        await self.workers.reclaim(made.priority)
        await self.redis.zadd(key("running", made.priority), {made.id: 1.0}, xx=True)

    async def submitted(self, count: int, **changes: Any) -> list[Job]:
        """So many new jobs, in the order of their arrival."""
        jobs = [job(**changes) for _ in range(count)]
        for made in jobs:
            await self.clients.submit(made, queue=99)
        return jobs

    async def renewed(self, made: Job, attempt: int, **options: Any) -> Signals | None:
        """What a worker learns when it renews the lease of a job."""
        return (await self.workers.renew([self.lease(made, attempt)], **options))[0]

    async def idle(self) -> list[str]:
        """The workers that are woken for an interactive job, in that order."""
        return [name.decode() for name in await self.redis.zrange(key("idle", "interactive"), 0, -1)]

    @asynccontextmanager
    async def listening(self, *names: str) -> AsyncIterator[list[tuple[str, Message]]]:
        """What these workers hear, each with its name, from when Redis knows that they listen; whatever breaks."""
        heard: list[tuple[str, Message]] = []

        async def listen(name: str) -> None:
            while True:
                with suppress(*UNAVAILABLE):
                    async for message in self.workers.messages(name):
                        heard.append((name, message))  # noqa: PERF401 - it never ends
                await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(listen(name)) for name in names]
        while len(await self.redis.pubsub_shardchannels()) < len(names):  # type: ignore[no-untyped-call]
            await asyncio.sleep(0.01)
        yield heard
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Close every connection."""
        await self.connection.close()


@asynccontextmanager
async def on_empty(valkey: RealRedis) -> AsyncIterator[Broker]:
    """A broker on an empty Redis, with one worker there."""
    broker = Broker(valkey.url)
    try:
        broker.redis = await broker.connection.client(key("workers"))
        await broker.redis.flushall()
        for node in valkey.masters():
            node.client.flushall()
        await broker.workers.announce("w", WORKER, [0])
        yield broker
    finally:
        await broker.close()


def run(valkey: RealRedis, act: Callable[[Broker], Awaitable[Any]]) -> Any:
    """Do something with a broker on an empty Redis, with one worker there."""

    async def task() -> Any:
        async with on_empty(valkey) as broker:
            return await act(broker)

    return asyncio.run(task())


def job(**changes: Any) -> Job:
    """A new one, of somebody who listens."""
    made = Job("speech", Priority.INTERACTIVE, "tiny", "aa", "me", '{"seed":1,"input":"Hé."}')
    return dataclasses.replace(made, **changes)


def without_models(workers: Any, **settings: Any) -> Worker:
    """A worker process that can run no job."""
    models: Any = SimpleNamespace(samplers={}, left_out={}, models={})
    return Worker(Settings(redis_url="redis://", **settings), models, workers, WorkerMetrics(), Tracing())


async def fails(error: Any, call: Awaitable[Any], match: str | None = None) -> None:
    with pytest.raises(error, match=match):
        await call


claimed, submitted = Broker.claimed, Broker.submitted
