"""Jobs as clients see them: put into a priority, listed, read while they are sampled, cancelled, forgotten."""

from __future__ import annotations

import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

from service.broker.connection import (
    BLOCK_MS,
    LIFE_SECONDS,
    PATIENCE_SECONDS,
    PREFIX,
    UNAVAILABLE,
    patiently,
    replied,
    sent,
)
from service.broker.control import channel
from service.broker.job import Job, Priority, Standing, Status
from service.broker.messages import Ended, Entry, Gone, QueueFull, TooMany, parsed
from service.broker.records import Records, all_else, text

_GRAVE_SECONDS: Final = 60


class Clients(Records):
    """What an API process does."""

    async def submit(self, job: Job, *, queue: int, limit: int = 0, upload: bytes | None = None) -> None:
        """Put a job into its priority.

        Args:
            job: a new one.
            queue: how many may wait in the priority when every slot is taken.
            limit: how many unfinished jobs its owner may have; 0 for any number.
            upload: symbols that belong to it.

        Raises:
            QueueFull: it has not been accepted.
            TooMany: nor was it now, because of the limit.
        """
        if upload is not None:
            await replied(self.redis.set(f"{PREFIX}input:{job.id}", upload, ex=LIFE_SECONDS))
        keys = [f"job:{job.id}", f"waiting:{job.priority}", f"running:{job.priority}", f"jobs:{job.owner}", "counter"]
        record = [item for pair in job.fields().items() for item in pair]
        room = await self._slots(job.priority) + queue
        args = [job.id, room, job.created_at, LIFE_SECONDS, limit, *record]
        admitted = await self.run("ADMIT", [*keys, f"events:{job.id}", f"busy:{job.owner}"], args)
        if admitted < 1:
            await replied(self.redis.delete(f"{PREFIX}input:{job.id}"))
            raise (TooMany if admitted else QueueFull)(await self.retry_after(job.priority))
        with suppress(*UNAVAILABLE):  # it has been accepted: now it is a stray
            await self._put(job, 0)

    async def depths(self, priority: Priority) -> tuple[int, int]:
        """Jobs that wait in a priority, and jobs that run."""
        async with self.redis.pipeline() as pipe:
            pipe.zcard(f"{PREFIX}waiting:{priority}")
            pipe.zcard(f"{PREFIX}running:{priority}")
            waiting, running = await sent(pipe)
        return int(waiting), int(running)

    async def retry_after(self, priority: Priority) -> int:
        """Seconds until a place in a full priority is likely to be free."""
        pace = await self._pace(priority)
        return max(1, min(300, math.ceil(pace or 1.0)))

    async def _pace(self, priority: Priority) -> float | None:
        """Seconds between two jobs that end, when every slot is taken; None before any has."""
        durations = [float(value) for value in await replied(self.redis.lrange(f"{PREFIX}durations:{priority}", 0, -1))]
        slots = await self._slots(priority)
        return sum(durations) / len(durations) / slots if durations and slots else None

    async def jobs(self, owner: str, after: str | None, limit: int) -> tuple[list[Job], bool]:
        """An owner's jobs, newest first, and whether there are more.

        Args:
            owner: the name of a key.
            after: the id of the last one seen.
            limit: at most so many.

        Raises:
            Gone: there is no job ``after``.
        """
        index, first = f"{PREFIX}jobs:{owner}", 0
        if after is not None:
            rank = await replied(self.redis.zrevrank(index, after))
            if rank is None:
                raise Gone(after)
            first = int(rank) + 1
        found: list[Job] = []
        while len(found) <= limit:
            ids = [name.decode() for name in await replied(self.redis.zrevrange(index, first, first + limit))]
            records = await self._records(ids)
            found += [job for job in records if job is not None]
            first += len(records) - records.count(None)
            if gone := [job_id for job_id, job in zip(ids, records, strict=True) if job is None]:
                await replied(self.redis.zrem(index, *gone))
            if len(ids) <= limit:
                break
        return found[:limit], len(found) > limit

    async def standing(self, job: Job) -> Standing:
        """Where a job stands in its priority."""
        if job.status.terminal:
            return Standing(None, None)
        if job.status is Status.IN_PROGRESS:
            spent = time.time() - (job.started_at or time.time())
            left = (job.samples_total or 0) - job.samples_done
            return Standing(None, spent * left / job.samples_done if job.samples_total and job.samples_done else None)
        rank = await replied(self.redis.zrank(f"{PREFIX}waiting:{job.priority}", job.id))
        if rank is None:
            return Standing(None, None)
        pace, slots = await self._pace(job.priority), await self._slots(job.priority)
        return Standing(int(rank), pace * (int(rank) + slots) if pace is not None else None)

    async def delete(self, job: Job) -> None:
        """Forget a job, which is cancelled first if it has not ended."""
        await self.cancel(job)
        keys = [f"{PREFIX}{part}:{job.id}" for part in ("stream", "events", "snapshot", "input", "content")]
        async with self.redis.pipeline() as pipe:
            pipe.delete(*keys)
            # Without its kind a record is none. It stays a while: a worker may be about to write into it once more, and
            # would make one that never expires.
            pipe.hdel(f"{PREFIX}job:{job.id}", "kind")
            pipe.expire(f"{PREFIX}job:{job.id}", _GRAVE_SECONDS)
            pipe.zrem(f"{PREFIX}jobs:{job.owner}", job.id)
            await sent(pipe)

    async def cancel(self, job: Job) -> bool:
        """End a job that nobody wants; the worker that has it in hand is told. False if it had ended."""
        ended = await self.end(job, Status.CANCELLED)
        await replied(self.redis.publish(channel(job.id), "cancel"))
        return ended

    async def ask_park(self, job: Job) -> None:
        """Nobody listens for now: free the slot, keep the state."""
        keys = [f"job:{job.id}", f"waiting:{job.priority}", f"running:{job.priority}", f"busy:{job.owner}"]
        if await self.run("ASK_PARK", keys + all_else(job), [job.id, job.retention]):
            await replied(self.redis.publish(channel(job.id), "park"))

    async def unpark(self, job: Job, *, queue: int) -> None:
        """Somebody listens again; no effect on a job that is not parked.

        Raises:
            QueueFull: it stays parked.
        """
        keys = [f"job:{job.id}", f"waiting:{job.priority}", f"running:{job.priority}", "counter", f"busy:{job.owner}"]
        args = [job.id, await self._slots(job.priority) + queue, time.time(), LIFE_SECONDS]
        turn = await self.run("UNPARK", keys + all_else(job), args)
        if turn < 0:
            raise QueueFull(await self.retry_after(job.priority))
        if turn:
            await self._put(job, turn)

    async def idempotent(self, owner: str, key: str, fingerprint: str, job_id: str, seconds: int) -> tuple[str, str]:
        """The job that an owner's idempotency key stands for, and the fingerprint of its request: ours, if new."""
        name = f"{PREFIX}idempotency:{owner}:{key}"
        own = json.dumps([job_id, fingerprint])
        if await replied(self.redis.set(name, own, nx=True, ex=seconds)):
            return job_id, fingerprint
        found = await replied(self.redis.get(name))
        earlier, print_ = json.loads(found) if found else (job_id, fingerprint)
        return earlier, print_

    async def forget_idempotent(self, owner: str, key: str) -> None:
        """The job of an idempotency key came to nothing: the next request with it starts anew."""
        await replied(self.redis.delete(f"{PREFIX}idempotency:{owner}:{key}"))

    async def entries(self, job_id: str, idle: Callable[[], Awaitable[None]] | None = None) -> AsyncIterator[Entry]:
        """What a job has given and gives, from the beginning to its end mark. Redis may be away for a while.

        Args:
            job_id: of a job.
            idle: called whenever nothing has come for a while.

        Raises:
            Gone: it is no longer kept.
        """
        last, key = b"0", f"{PREFIX}stream:{job_id}"

        async def read() -> list[tuple[bytes, Mapping[bytes, bytes]]]:
            reply = await replied(self.redis.xread({key: last}, count=64, block=BLOCK_MS))
            if not reply and await self._silent(job_id):
                raise Gone(job_id)
            return list(reply[0][1]) if reply else []

        while True:
            if not (found := await patiently(read, PATIENCE_SECONDS)) and idle is not None:
                await idle()
            for name, fields in found:
                last, entry = name, parsed(fields)
                yield entry
                if isinstance(entry, Ended):
                    return

    async def _silent(self, job_id: str) -> bool:
        """Whether nothing more can come of a job: it is gone, or it ended and its stream is gone."""
        async with self.redis.pipeline() as pipe:
            pipe.hget(f"{PREFIX}job:{job_id}", "status")
            pipe.exists(f"{PREFIX}stream:{job_id}")
            status, there = await sent(pipe)
        return status is None or (not there and Status(json.loads(status)).terminal)

    async def acknowledge(self, job: Job, position: int) -> None:
        """Somebody has read so many symbols of a paced job. Redis may be away for a while: the sampler waits for it."""
        args = ["read", position, channel(job.id), f"read {position}"]
        await patiently(lambda: self.run("NOTE", [f"job:{job.id}"], args), PATIENCE_SECONDS)

    async def attend(self, job: Job) -> None:
        """Somebody still listens to a paced job, though nothing more has been read of it."""
        await replied(self.redis.publish(channel(job.id), "read 0"))

    async def events(self, job_id: str, last: str, block_ms: int = BLOCK_MS) -> list[tuple[str, dict[str, str]]]:
        """What happened to a job after the event ``last`` (``0``: all), waiting a while for it: ids and fields."""
        reply = await replied(self.redis.xread({f"{PREFIX}events:{job_id}": last}, block=block_ms))
        return [(name.decode(), text(fields)) for name, fields in (reply[0][1] if reply else [])]
