"""The queue: SAQ's, one a lane, carrying ids. What is added to it is how an orphan is found.

SAQ's own sweep takes any job that is on its way from the queue to a worker for an orphan, and waits up to five seconds
for the dead worker of each; twenty orphans would wait for minutes.
"""

from __future__ import annotations

from typing import Any, Final

import saq
from saq.job import Status
from saq.queue.redis import RedisQueue

HEARTBEAT_SECONDS: Final = 5
"""A job in hand that shows no sign of life for so long is an orphan."""
SWEEP_SECONDS: Final = 1
_SWEEPER_SECONDS: Final = 10
_ENDLESS: Final = 1_000_000


class Queue(RedisQueue):
    """One lane."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._suspects: set[str] = set()

    async def put(self, job_id: str, turn: int) -> None:
        """Append a job; no effect if this turn of it is in the queue or in hand already."""
        job = saq.Job(
            function="perform",
            kwargs={"job_id": job_id},
            key=f"{job_id}.{turn}",
            timeout=0,
            heartbeat=HEARTBEAT_SECONDS,
            retries=_ENDLESS,
            ttl=HEARTBEAT_SECONDS,
        )
        await self.enqueue(job)

    async def holds(self, job_id: str, turn: int) -> bool:
        """Whether this turn of a job is in the queue or in hand."""
        return await self.redis.zscore(self._incomplete, self.job_id(f"{job_id}.{turn}")) is not None

    async def orphans(self) -> list[saq.Job]:
        """Jobs whose worker is dead. One process at a time is told of them; it has a few seconds to deal with them."""
        if not await self.redis.set(self.namespace("sweeper"), 1, nx=True, ex=_SWEEPER_SECONDS):
            return []
        found, suspects = [], set()
        redis: Any = self.redis  # whose types say that a reply may have come already
        for job_id in await redis.lrange(self._active, 0, -1):
            job = await self._get_job_by_id(job_id)
            if job is None:
                await redis.lrem(self._active, 0, job_id)
            elif job.stuck:
                found.append(job)
            elif job.status is not Status.ACTIVE:  # taken from the queue, perhaps by a worker that died the same moment
                if job.key in self._suspects:
                    found.append(job)
                suspects.add(job.key)
        self._suspects = suspects
        await self.redis.delete(self.namespace("sweeper"))
        return found

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:
        """Nothing: see :meth:`orphans`."""
        return []


class LaneWorker(saq.Worker[Any]):
    """SAQ's worker on one lane. Signals are not its business."""

    SIGNALS: Final = []  # type: ignore[misc]  # SAQ's are not final

    def __init__(self, queue: Queue, perform: Any, slots: int, grace_seconds: float) -> None:
        never = _ENDLESS
        super().__init__(
            queue,
            [("perform", perform)],
            concurrency=slots,
            timers={"schedule": never, "worker_info": never, "sweep": never, "abort": never},
            dequeue_timeout=HEARTBEAT_SECONDS,
            cancellation_hard_deadline_s=grace_seconds,
        )
