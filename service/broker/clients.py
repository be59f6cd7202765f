"""What an API process does: submit, list, read, park, cancel and delete jobs."""

from __future__ import annotations

import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from itertools import takewhile
from typing import Final

from ancestral.service.broker.connection import (
    BLOCK_MS,
    LIFE_SECONDS,
    PATIENCE_SECONDS,
    PREFIX,
    patiently,
    replied,
    sent,
)
from ancestral.service.broker.control import channel
from ancestral.service.broker.job import Job, Priority, Standing, Status
from ancestral.service.broker.messages import Ended, Entry, Gone, QueueFull, TooMany, parsed
from ancestral.service.broker.records import Records, all_else, text

_TOMBSTONE_SECONDS: Final = 60


class Clients(Records):
    """The operations of an API process."""

    async def submit(self, job: Job, *, queue: int, limit: int = 0, upload: bytes | None = None) -> None:
        """Put a job into its queue.

        Args:
            job: a new one.
            queue: how many jobs may wait when every slot is taken.
            limit: how many unfinished jobs the owner may have; 0 for any number.
            upload: symbols that belong to it.

        Raises:
            QueueFull: it was not accepted.
            TooMany: it was not accepted, because of the limit.
        """
        if upload is not None:
            await replied(self.redis.set(f"{PREFIX}input:{job.id}", upload, ex=LIFE_SECONDS))
        keys = [f"job:{job.id}", f"waiting:{job.priority}", f"running:{job.priority}", f"jobs:{job.owner}", "counter"]
        keys += [f"events:{job.id}", f"unfinished:{job.owner}", "owners", f"wake:{job.priority}"]
        record = [item for pair in job.fields().items() for item in pair]
        room = await self._slots(job.priority) + queue
        args = [job.id, room, job.created_at, LIFE_SECONDS, limit, job.owner, *record]
        accepted = await self.run("SUBMIT", keys, args)
        if accepted < 1:
            await replied(self.redis.delete(f"{PREFIX}input:{job.id}"))
            raise (TooMany if accepted else QueueFull)(await self.retry_after(job.priority))

    async def depths(self, priority: Priority) -> tuple[int, int]:
        """How many jobs of a priority wait, and how many run."""
        async with self.redis.pipeline() as pipe:
            pipe.zcard(f"{PREFIX}waiting:{priority}")
            pipe.zcard(f"{PREFIX}running:{priority}")
            waiting, running = await sent(pipe)
        return int(waiting), int(running)

    async def unfinished(self) -> tuple[int, int]:
        """The number of unfinished jobs of all owners together, and the largest number of any owner."""
        total, most = await self.run("UNFINISHED", ["owners"], [PREFIX, time.time() - LIFE_SECONDS])
        return int(total), int(most)

    async def retry_after(self, priority: Priority) -> int:
        """Seconds until a full queue is likely to have room."""
        pace = await self._pace(priority)
        return max(1, min(300, math.ceil(pace or 1.0)))

    async def _pace(self, priority: Priority) -> float | None:
        """Seconds between the ends of two jobs while every slot is taken; None before any job has ended."""
        durations = [float(value) for value in await replied(self.redis.lrange(f"{PREFIX}durations:{priority}", 0, -1))]
        slots = await self._slots(priority)
        return sum(durations) / len(durations) / slots if durations and slots else None

    async def jobs(self, owner: str, after: str | None, limit: int) -> tuple[list[Job], bool]:
        """An owner's jobs, newest first, and whether there are more.

        Args:
            owner: the name of a key.
            after: the id of the last one seen.
            limit: the largest number of jobs to return.

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
        """The position of a job in its queue, and when it is likely to end."""
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

    async def annotations(self, job: Job, parts: int) -> list[str]:
        """What workers have stored with :meth:`Workers.annotate` of the job's first ``parts`` parts, up to a gap."""
        names = [f"part:{part}" for part in range(parts)]
        found = await replied(self.redis.hmget(f"{PREFIX}job:{job.id}", names))
        return [text.decode() for text in takewhile(lambda text: text is not None, found)]

    async def delete(self, job: Job) -> None:
        """Delete a job; it is cancelled first if it has not ended."""
        await self.cancel(job)
        keys = [f"{PREFIX}{part}:{job.id}" for part in ("stream", "events", "snapshot", "input", "content")]
        async with self.redis.pipeline() as pipe:
            pipe.delete(*keys)
            # A record without a kind counts as absent. It is kept for a while: a worker may be about to write a field,
            # which would create a record that never expires.
            pipe.hdel(f"{PREFIX}job:{job.id}", "kind")
            pipe.expire(f"{PREFIX}job:{job.id}", _TOMBSTONE_SECONDS)
            pipe.zrem(f"{PREFIX}jobs:{job.owner}", job.id)
            await sent(pipe)

    async def cancel(self, job: Job) -> bool:
        """End a job and notify the worker that runs it. False if it had ended before."""
        ended = await self.end(job, Status.CANCELLED)
        await replied(self.redis.publish(channel(job.id), "cancel"))
        return ended

    async def ask_park(self, job: Job) -> None:
        """The client disconnected: park the job. Its slot is freed, its state is kept."""
        keys = [f"job:{job.id}", f"waiting:{job.priority}", f"unfinished:{job.owner}"]
        if await self.run("PARK", keys + all_else(job), [job.id, job.retention]):
            await replied(self.redis.publish(channel(job.id), "park"))

    async def unpark(self, job: Job, *, queue: float) -> None:
        """A client reconnected: unpark the job, back into its queue. No effect on a job that is not parked.

        Args:
            job: parked, or about to be.
            queue: how many jobs may wait when every slot is taken; infinity for any number.

        Raises:
            QueueFull: it stays parked.
        """
        keys = [f"job:{job.id}", f"waiting:{job.priority}", f"running:{job.priority}", "counter"]
        keys += [f"unfinished:{job.owner}", "owners", f"wake:{job.priority}"]
        args = [job.id, await self._slots(job.priority) + queue, time.time(), LIFE_SECONDS, job.owner]
        if not await self.run("UNPARK", keys + all_else(job), args):
            raise QueueFull(await self.retry_after(job.priority))

    async def idempotent(self, owner: str, key: str, fingerprint: str, job_id: str, seconds: int) -> tuple[str, str]:
        """The job of an owner's idempotency key and the fingerprint of its request: those given, if the key is new."""
        name = f"{PREFIX}idempotency:{owner}:{key}"
        own = json.dumps([job_id, fingerprint])
        if await replied(self.redis.set(name, own, nx=True, ex=seconds)):
            return job_id, fingerprint
        found = await replied(self.redis.get(name))
        earlier, print_ = json.loads(found) if found else (job_id, fingerprint)
        return earlier, print_

    async def forget_idempotent(self, owner: str, key: str) -> None:
        """Release an idempotency key whose job failed: the next request with it makes a new one."""
        await replied(self.redis.delete(f"{PREFIX}idempotency:{owner}:{key}"))

    async def entries(self, job_id: str, idle: Callable[[], Awaitable[None]] | None = None) -> AsyncIterator[Entry]:
        """The entries of a job's stream as they arrive, until the end mark. Waits while Redis is unavailable.

        Args:
            job_id: of a job.
            idle: called whenever nothing has come for :data:`BLOCK_MS`.

        Raises:
            Gone: the job has expired.
        """
        last, key = b"0", f"{PREFIX}stream:{job_id}"

        async def read() -> list[tuple[bytes, Mapping[bytes, bytes]]]:
            reply = await replied(self.redis.xread({key: last}, count=64, block=BLOCK_MS))
            if not reply and await self._exhausted(job_id):
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

    async def _exhausted(self, job_id: str) -> bool:
        """Whether no more entries can come: the job has expired, or it has ended and its stream has expired."""
        async with self.redis.pipeline() as pipe:
            pipe.hget(f"{PREFIX}job:{job_id}", "status")
            pipe.exists(f"{PREFIX}stream:{job_id}")
            status, exists = await sent(pipe)
        return status is None or (not exists and Status(json.loads(status)).terminal)

    async def acknowledge(self, job: Job, position: int) -> None:
        """Record that a client has read ``position`` symbols of a paced job. Waits while Redis is unavailable."""
        args = ["read", position, channel(job.id), f"read {position}"]
        await patiently(lambda: self.run("SET_FIELD", [f"job:{job.id}"], args), PATIENCE_SECONDS)

    async def attend(self, job: Job) -> None:
        """A client still listens to a paced job, though it has read nothing more."""
        await replied(self.redis.publish(channel(job.id), "read 0"))

    async def events(self, job_id: str, last: str, block_ms: int = BLOCK_MS) -> list[tuple[str, dict[str, str]]]:
        """Ids and fields of a job's events after ``last`` (``0``: all); waits up to ``block_ms`` for the first."""
        reply = await replied(self.redis.xread({f"{PREFIX}events:{job_id}": last}, block=block_ms))
        return [(name.decode(), text(fields)) for name, fields in (reply[0][1] if reply else [])]
