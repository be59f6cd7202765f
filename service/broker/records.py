"""What clients and workers both ask of Redis: who is alive, what a job is, that it has ended."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from service.broker.connection import PREFIX, REPLY_SECONDS, BrokerHooks, Connection, sent
from service.broker.job import (
    Failure,
    Job,
    Priority,
    Status,
    encode_field,
)
from service.broker.messages import Lost, WorkerInfo


class Records(Connection):
    """Workers and jobs, as they are on record."""

    def __init__(self, url: str, hooks: BrokerHooks | None = None) -> None:
        super().__init__(url, hooks)
        self._roster: tuple[float, list[WorkerInfo]] = (-math.inf, [])

    async def roster(self, max_age: float = 0.5) -> list[WorkerInfo]:
        """The workers that live, as they were at most ``max_age`` seconds ago."""
        read_at, cards = self._roster
        if time.monotonic() - read_at > max_age:
            found = await self.run("ROSTER", ["workers", "cards"], [])
            cards = [WorkerInfo(**json.loads(card)) for card in found]
            self._roster = (time.monotonic(), cards)
        return cards

    async def _slots(self, priority: Priority) -> int:
        return sum(card.slots[priority] for card in await self.roster() if card.ready)

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

    async def _put(self, job: Job, turn: int) -> None:
        """Put a turn of a job into its queue. If Redis does not answer in time, it is a stray, or there after all."""
        async with asyncio.timeout(REPLY_SECONDS):
            await self.queues[job.priority].put(job.id, turn)

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
            job: that may have ended.
            status: in which it ends.
            attempt: that must have it in hand; else whoever has it.
            error: why it failed.
            result: what came of it, besides symbols.
            symbols: how many must have been handed on.

        Returns:
            Whether it did: not if it had ended or is another's by now.

        Raises:
            Lost: symbols are missing, because Redis was killed; they have to be made again.
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
        ended = int(await self.run("END", [*keys, f"durations:{job.priority}", f"busy:{job.owner}"], args))
        if ended < 0:
            raise Lost(job.id)
        if ended:
            self._hooks.ended(job, status)
        return bool(ended)


def text(record: Mapping[bytes, bytes]) -> dict[str, str]:
    """Fields of a hash or an entry as text."""
    return {key.decode(): value.decode() for key, value in record.items()}


def all_else(job: Job) -> list[str]:
    """The keys of a job besides its record."""
    return [f"{part}:{job.id}" for part in ("stream", "events", "snapshot", "input")]
