"""The queue: SAQ's, one a priority, carrying ids. What is added to it is how an orphan is found.

SAQ's own sweep takes any job that is on its way from the queue to a worker for an orphan, waits up to five seconds for
the dead worker of each, so that twenty orphans would wait for minutes, and goes by the clocks of two machines.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any, Final

import saq
from saq.job import Status
from saq.queue.redis import RedisQueue

HEARTBEAT_SECONDS: Final = 5
"""A job in hand that shows no sign of life for so long is an orphan."""
SWEEP_SECONDS: Final = 1
_SWEEPER_SECONDS: Final = 3
"""Who sweeps and is not heard of for so long is followed by another."""
_ON_ITS_WAY_SECONDS: Final = 2
"""What a job may need from the queue to a worker."""
_ENDLESS: Final = 1_000_000


class Queue(RedisQueue):
    """One priority."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._name = secrets.token_hex(8)
        self._dequeuing = asyncio.Lock()
        self._signs: dict[tuple[str, int], float] = {}
        self._looked_at = 0.0

    @property
    def incomplete(self) -> str:
        """Key of a sorted set: what is in the queue or in hand."""
        return self._incomplete

    async def put(self, job_id: str, turn: int) -> None:
        """Append a job; no effect if this turn of it is in the queue or in hand already."""
        job = saq.Job(
            function="perform",
            kwargs={"job_id": job_id, "turn": turn},
            key=f"{job_id}.{turn}",
            timeout=0,
            heartbeat=HEARTBEAT_SECONDS,
            retries=_ENDLESS,
            ttl=HEARTBEAT_SECONDS,
        )
        await self.enqueue(job)

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> saq.Job | None:
        """Wait for a job. One at a time in a process, so that Redis gives them to those who wait in turn."""
        async with self._dequeuing:
            return await super().dequeue(timeout, poll_interval)

    async def orphans(self) -> list[saq.Job]:
        """Jobs whose worker is dead: as long as this process has been watching, it has not seen a sign of life.

        Of several processes that ask again and again, one is told.
        """
        redis: Any = self.redis  # whose types say that a reply may have come already
        sweeper, now = self.namespace("sweeper"), time.monotonic()
        if not await redis.set(sweeper, self._name, nx=True, ex=_SWEEPER_SECONDS):
            if await redis.get(sweeper) != self._name.encode():
                return []
            await redis.expire(sweeper, _SWEEPER_SECONDS)
        if now - self._looked_at > HEARTBEAT_SECONDS:
            self.look_away()
        self._looked_at = now
        found, signs = [], {}
        ids = await redis.lrange(self._active, 0, -1)
        for job_id, record in zip(ids, await redis.mget(ids) if ids else [], strict=True):
            job = self.deserialize(record)
            if job is None:
                await redis.lrem(self._active, 0, job_id)
                continue
            since = signs[job.key, job.touched] = self._signs.get((job.key, job.touched), now)
            if now - since > (HEARTBEAT_SECONDS if job.status is Status.ACTIVE else _ON_ITS_WAY_SECONDS):
                found.append(job)
        self._signs = signs
        return found

    def look_away(self) -> None:
        """Signs of life may have been missed: those who give none are given time once more."""
        self._signs.clear()

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:
        """Nothing: see :meth:`orphans`."""
        return []


class QueueWorker(saq.Worker[Any]):
    """SAQ's worker on one priority. Signals are not its business."""

    SIGNALS: Final = []  # type: ignore[misc]  # SAQ's are not final

    def __init__(self, queue: Queue, perform: Any, slots: int, grace_seconds: float, name: str) -> None:
        never = _ENDLESS
        super().__init__(
            queue,
            [("perform", perform)],
            concurrency=slots,
            timers={"schedule": never, "worker_info": never, "sweep": never, "abort": never},
            dequeue_timeout=HEARTBEAT_SECONDS,
            cancellation_hard_deadline_s=grace_seconds,
            id=name,
        )
