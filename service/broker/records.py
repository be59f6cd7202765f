"""What API processes and workers both do: look up workers and jobs, end a job."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ancestral.service.broker.connection import PREFIX, BrokerHooks, Connection, sent
from ancestral.service.broker.job import Failure, Job, Priority, Status, encode_field
from ancestral.service.broker.messages import Lost, WorkerInfo


class Records(Connection):
    """The records of workers and jobs."""

    def __init__(self, url: str, hooks: BrokerHooks | None = None) -> None:
        super().__init__(url, hooks)
        self._roster: tuple[float, list[WorkerInfo]] = (-math.inf, [])

    async def roster(self, max_age: float = 0.5) -> list[WorkerInfo]:
        """The workers that are alive, as of at most ``max_age`` seconds ago."""
        read_at, workers = self._roster
        if time.monotonic() - read_at > max_age:
            found = await self.run("ROSTER", ["workers", "worker_info"], [])
            workers = [WorkerInfo(**json.loads(info)) for info in found]
            self._roster = (time.monotonic(), workers)
        return workers

    async def _slots(self, priority: Priority) -> int:
        return sum(info.slots[priority] for info in await self.roster() if info.ready)

    async def job(self, job_id: str) -> Job | None:
        """The record of a job, or None."""
        (record,) = await self._records([job_id])
        return record

    async def _records(self, ids: Sequence[str]) -> list[Job | None]:
        async with self.redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hgetall(f"{PREFIX}job:{job_id}")
            records = [text(record) for record in await sent(pipe)]
        return [Job.parse(record) if "kind" in record else None for record in records]

    async def end(
        self,
        job: Job,
        status: Status,
        *,
        attempt: int | None = None,
        error: Failure | None = None,
        result: Mapping[str, Any] | None = None,
        symbols: int | None = None,
    ) -> bool:
        """End a job.

        Args:
            job: that may have ended already.
            status: in which it ends.
            attempt: that must be the current one; None for any.
            error: why it failed.
            result: its result, if that is not symbols.
            symbols: how many must have been published.

        Returns:
            False if it had ended before, or another attempt is current.

        Raises:
            Lost: symbols are missing because Redis was killed; they have to be sampled again.
        """
        keys = [f"job:{job.id}", *all_else(job), f"waiting:{job.priority}", f"running:{job.priority}"]
        args = [
            job.id,
            "" if attempt is None else attempt,
            status.value,
            time.time(),
            job.retention,
            "" if error is None else encode_field(error),
            "" if result is None else encode_field(result),
            "" if symbols is None else symbols,
        ]
        ended = int(await self.run("END", [*keys, f"durations:{job.priority}", f"unfinished:{job.owner}"], args))
        if ended < 0:
            raise Lost(job.id)
        if ended:
            self._hooks.ended(job, status)
        return bool(ended)


def text(record: Mapping[bytes, bytes]) -> dict[str, str]:
    """Fields of a hash or of a stream's entry as text."""
    return {key.decode(): value.decode() for key, value in record.items()}


def all_else(job: Job) -> list[str]:
    """The keys of a job besides its record."""
    return [f"{part}:{job.id}" for part in ("stream", "events", "snapshot", "input")]
