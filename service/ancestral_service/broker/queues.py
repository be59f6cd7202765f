"""The queues of all shards, as API processes see them: their workers, how full they are, where a new job goes; and the
records of jobs, as API processes and workers both read and end them.
"""

from __future__ import annotations

import asyncio
import math
import random
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

from ancestral_service.broker.connection import Connection
from ancestral_service.broker.job import (
    LIFE_SECONDS,
    Failure,
    Job,
    Keys,
    Priority,
    Status,
    SymbolsLost,
    WorkerInfo,
    encode_field,
    new_job_id,
    shard_for,
)
from ancestral_service.broker.queue_scripts import END
from ancestral_service.broker.scripts import UNFINISHED

_WORKERS_SECONDS: Final = 0.5
"""How old a list of workers may be."""
_DEPTHS_SECONDS: Final = 0.1
"""How old the number of jobs in all shards may be: when they are full, each refusal needs it."""


class Queues:
    """Args:
    connection: to Redis.
    max_wait_seconds: for which an interactive job may be expected to wait for a slot.
    """

    def __init__(self, connection: Connection, max_wait_seconds: float = math.inf) -> None:
        self._connection = connection
        self._max_wait_seconds = max_wait_seconds
        self._paces: dict[int, tuple[float, float | None]] = {}
        self.shards = connection.shards
        """Number of queues."""
        self._rosters: tuple[float, list[list[WorkerInfo]]] = (-math.inf, [])
        self._counting = asyncio.Lock()
        self._counts = dict.fromkeys(Priority, 0)
        self._counted_at = dict.fromkeys(Priority, -math.inf)

    async def _workers_of_shards(self) -> list[list[WorkerInfo]]:
        """The kinds of workers that are alive, of every shard, with their slots there; as of at most half a second
        ago."""
        read_at, rosters = self._rosters
        if time.monotonic() - read_at > _WORKERS_SECONDS:
            names = [Keys(in_shard=shard)["capacity"] for shard in range(self.shards)]
            found = await asyncio.gather(*(self._connection.command("HGETALL", name) for name in names))
            rosters = [[WorkerInfo.decode(*each) for each in capacity.items()] for capacity in found]
            self._rosters = (time.monotonic(), rosters)
        return rosters

    async def workers(self) -> list[WorkerInfo]:
        """The kinds of workers that are alive, as of at most half a second ago."""
        merged: dict[str, WorkerInfo] = {}
        for info in chain.from_iterable(await self._workers_of_shards()):
            _, kind = info.encode().split("\n")
            merged[kind] = merged[kind] + info if kind in merged else info
        return list(merged.values())

    async def slots(self, priority: Priority, shard: int) -> int:
        """The slots of a shard's workers that are ready."""
        rosters = await self._workers_of_shards()
        workers = rosters[shard] if shard < len(rosters) else []
        return sum(info.slots[priority] for info in workers if info.ready)

    async def room(self, priority: Priority, shard: int, queue: float) -> float:
        """How many jobs a shard may have, waiting or running (:meth:`_room_of`); and one more than it has if that is
        full, but not all shards are."""
        room = await self._room_of(priority, shard, queue)
        if self.shards == 1 or (depth := sum(await self.depths_of(priority, shard))) < room:
            return room
        return depth + 1 if await self.has_room(priority, queue) else room

    async def has_room(self, priority: Priority, queue: float) -> bool:
        """Whether a job more fits into all shards together: as of a moment ago, but for those that this process has
        submitted since."""
        async with self._counting:
            if time.monotonic() - self._counted_at[priority] > _DEPTHS_SECONDS:
                self._counts[priority] = sum(await self.depths(priority))
                self._counted_at[priority] = time.monotonic()
        rosters = await self._workers_of_shards()
        served = [number for number, workers in enumerate(rosters) if any(info.ready for info in workers)]
        rooms = [await self._room_of(priority, number, queue) for number in served]
        return self._counts[priority] < sum(rooms)

    async def _room_of(self, priority: Priority, shard: int, queue: float) -> float:
        """How many jobs the workers of a shard have slots for, and how many of ``queue`` may wait besides: none that
        would wait too long, by the pace of half a second ago."""
        slots = await self.slots(priority, shard)
        if priority is Priority.BACKGROUND or math.isinf(queue):
            return slots + queue
        read_at, pace = self._paces.get(shard, (-math.inf, None))
        if time.monotonic() - read_at > _WORKERS_SECONDS:
            pace = await self.pace(priority, shard)
            self._paces[shard] = time.monotonic(), pace
        return slots + (min(queue, self._max_wait_seconds // pace) if pace else queue)

    def submitted(self, priority: Priority) -> None:
        """Note that this process has submitted a job."""
        self._counts[priority] += 1

    async def depths(self, priority: Priority) -> tuple[int, int]:
        """How many jobs of a priority wait, and how many run."""
        depths = await asyncio.gather(*(self.depths_of(priority, shard) for shard in range(self.shards)))
        waiting, running = map(sum, zip(*depths, strict=True))
        return waiting, running

    async def depths_of(self, priority: Priority, shard: int) -> tuple[int, int]:
        """How many jobs of a priority wait in a shard, and how many run."""
        keys = Keys(priority=priority, in_shard=shard)
        waiting, running = await self._connection.commands(["ZCARD", keys["waiting"]], ["ZCARD", keys["running"]])
        return int(waiting), int(running)

    async def unfinished(self) -> tuple[int, int]:
        """The number of unfinished jobs of all owners together, and the largest number of any owner."""
        shards = [Keys(in_shard=shard) for shard in range(self.shards)]
        counted = await asyncio.gather(*(self._connection.run(UNFINISHED, keys, life=LIFE_SECONDS) for keys in shards))
        owners: Counter[bytes] = Counter()
        for counts in counted:
            for owner, count in zip(counts[::2], counts[1::2], strict=True):
                owners[owner] += count
        return owners.total(), max(owners.values(), default=0)

    async def pace(self, priority: Priority, shard: int) -> float | None:
        """Seconds between the ends of two jobs of a shard while every slot is taken; None before any job has ended."""
        found = await self._connection.command("LRANGE", Keys(priority=priority, in_shard=shard)["durations"], 0, -1)
        slots = await self.slots(priority, shard)
        return sum(map(float, found)) / len(found) / slots if found and slots else None

    async def place(
        self, priority: Priority, owner: str, idempotency_key: str | None, models: Mapping[str, str]
    ) -> str:
        """The id of a new job: in the shard with more room of two that are drawn at random from those whose workers
        have its model, or of all these if the two are full. Equal idempotency keys of an owner have the same shard.

        Args:
            priority: of the job.
            owner: of the job.
            idempotency_key: that it is to be bound to.
            models: SHA-256 of the weights that it needs, by the id of the model.
        """
        if idempotency_key is not None:
            return new_job_id(shard_for(f"{owner}:{idempotency_key}", self.shards))
        if self.shards == 1:
            return new_job_id()
        able = [
            shard
            for shard, workers in enumerate(await self._workers_of_shards())
            if any(info.ready and models.items() <= info.models.items() for info in workers)
        ]
        if not able:
            return new_job_id(secrets.randbelow(self.shards))
        random.shuffle(able)
        rooms = await self._free(priority, able[:2])
        if max(rooms) <= 0 and await self.has_room(priority, 0):
            rooms = await self._free(priority, able)
        return new_job_id(able[rooms.index(max(rooms))])

    async def _free(self, priority: Priority, shards: Sequence[int]) -> list[int]:
        """How many jobs more fit into the slots of shards; negative where some wait."""
        depths = await asyncio.gather(*(self.depths_of(priority, shard) for shard in shards))
        return [await self.slots(priority, shard) - sum(depth) for shard, depth in zip(shards, depths, strict=True)]

    async def limit(self, job: Job) -> int:
        """How many unfinished jobs the owner of a job may have in its shard: those in others count, too. 0: any number,
        -1: none."""
        if not job.limit or self.shards == 1:
            return job.limit
        others = [Keys(owner=job.owner, in_shard=shard)["unfinished"] for shard in range(self.shards)]
        others.remove(Keys.for_job(job)["unfinished"])
        since = time.time() - LIFE_SECONDS
        counts = await asyncio.gather(*(self._connection.command("ZCOUNT", n, since, "+inf") for n in others))
        return job.limit - sum(counts) or -1


async def read_jobs(connection: Connection, ids: Sequence[str]) -> list[Job | None]:
    """The records of jobs; None for each that does not exist."""
    by_shard: dict[int, list[str]] = {}
    for job_id in ids:
        by_shard.setdefault(Keys(job_id).shard, []).append(job_id)

    async def read(group: Sequence[str]) -> list[Mapping[bytes, bytes]]:
        return await connection.commands(*(["HGETALL", Keys(job_id)["job"]] for job_id in group))

    found = chain.from_iterable(await asyncio.gather(*map(read, by_shard.values())))
    records = dict(zip(chain.from_iterable(by_shard.values()), map(decoded, found), strict=True))
    return [Job.parse(records[job_id]) if "kind" in records[job_id] else None for job_id in ids]


def parse_reply(fields: Sequence[bytes]) -> Job:
    """The record that a script has returned: names and values in turn."""
    return Job.parse(decoded(dict(zip(fields[::2], fields[1::2], strict=True))))


async def end_job(
    connection: Connection,
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
        connection: to Redis.
        job: that may have ended already.
        status: in which it ends.
        attempt: that must be the current one; None for any, and the worker that runs the job is told.
        error: why it failed.
        result: its result, besides symbols.
        symbols: how many must have been published.

    Returns:
        False if it had ended before, or another attempt is current. True if the same attempt has ended it: the reply
        may have got lost.

    Raises:
        SymbolsLost: symbols are missing because Redis was killed; they have to be sampled again.
    """
    ended = await connection.run(
        END,
        Keys.for_job(job),
        id=job.id,
        attempt="" if attempt is None else attempt,
        ending=secrets.token_hex(8) if attempt is None else f"{attempt} {status.value}",
        status=status.value,
        retention=job.retention,
        record_retention=job.record_retention,
        error="" if error is None else encode_field(error),
        result="" if result is None else encode_field(result),
        symbols="" if symbols is None else symbols,
    )
    if ended < 0:
        raise SymbolsLost(job.id)
    if ended:
        connection.hooks.ended(job, status)
    return bool(ended)


def decoded(record: Mapping[bytes, bytes]) -> dict[str, str]:
    """Fields of a hash or of a stream's entry as text."""
    return {key.decode(): value.decode() for key, value in record.items()}
