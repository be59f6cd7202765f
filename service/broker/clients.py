"""What an API process may do: submit, list, read, suspend, cancel and delete jobs."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from itertools import takewhile
from typing import Final

from ancestral.service.broker.artifacts import ArtifactStore
from ancestral.service.broker.batches import BatchStore
from ancestral.service.broker.connection import PATIENCE_SECONDS, UNAVAILABLE, Connection, retry_while_unavailable
from ancestral.service.broker.job import Job, QueuePosition, Status, shard_of
from ancestral.service.broker.job_list import list_jobs
from ancestral.service.broker.keys import LIFE_SECONDS, PARKED_SECONDS, Keys, key
from ancestral.service.broker.messages import Ended, Entry, JobExpired, parse_entry
from ancestral.service.broker.queue_scripts import RESUME, SUBMIT, SUSPEND
from ancestral.service.broker.queues import Queues
from ancestral.service.broker.rate_limits import RequestWindow
from ancestral.service.broker.records import decoded, end_job, parse_reply, read_jobs
from ancestral.service.broker.scripts import ACKNOWLEDGE
from ancestral.service.broker.seed_counter import SeedCounter
from ancestral.service.broker.sessions import StoredSession
from ancestral.service.errors import NotReady, Overloaded, Unprocessable

BLOCK_MS: Final = 2000
"""Longest time that a read waits for something to arrive."""
IDEMPOTENCY_SECONDS: Final = 86400
"""Time for which an idempotency key finds the job of its first request."""
_TOMBSTONE_SECONDS: Final = 60
_SUBMISSIONS: Final = 3
"""Attempts to put a job into a shard of several: others may have taken the room there, while there is room in all."""


class Clients:
    """The operations of an API process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.queues = Queues(connection)
        self.artifacts = ArtifactStore(connection)
        self.batches = BatchStore(connection)
        self.request_window = RequestWindow(connection)
        self.seed_counter = SeedCounter(connection)

    async def ping(self) -> None:
        """Raise one of :data:`UNAVAILABLE` if Redis does not reply."""
        async with asyncio.timeout(2):
            await self._connection.call(key("workers"), lambda redis: redis.ping())

    # Admission

    async def submit(
        self,
        job: Job,
        *,
        queue: int,
        upload: bytes | None = None,
        ingredient: bytes | None = None,
        bound: tuple[str, str] | None = None,
    ) -> Job:
        """Put a job into its queue, or find the one that an idempotency key is bound to.

        Args:
            job: a new one.
            queue: how many jobs may wait in its shard when every slot there is taken.
            upload: symbols that belong to it.
            ingredient: the C2PA manifest of the file that they came in.
            bound: the owner's idempotency key and the fingerprint of the request.

        Returns:
            The job as it is stored. Another one if an earlier request had the same key, and its job has not come to
            nothing; if that one's output has expired, this job has its payload, and so the same output.

        Raises:
            Overloaded: it was not accepted.
            Unprocessable: the key belongs to another request.
            NotReady: there is no worker any more, and no room for jobs that wait for one; or too few replicas have the
                job, which is cancelled.
        """
        key, fingerprint = bound or ("", "")
        keys = Keys.for_job(job)
        stored = await self._store_files({keys["input"]: upload, keys["ingredient"]: ingredient})
        submit = {
            "bound": f"{keys['idempotency']}:{job.owner}:{key}",
            "fingerprint": fingerprint,
            "bound_seconds": IDEMPOTENCY_SECONDS,
            "id": job.id,
            "life": LIFE_SECONDS,
            "limit": await self.queues.limit(job),
            "owner": job.owner,
            "record": [item for pair in job.fields().items() for item in pair],
        }
        for _ in range(_SUBMISSIONS):
            room = await self.queues.room(job.priority, keys.shard, queue)
            (answer, fields), replicated = await self._connection.run_replicated(SUBMIT, keys, room=room, **submit)
            if answer != b"full" or self.queues.shards == 1 or not await self.queues.has_room(job.priority, queue):
                break
        if answer == b"accepted":
            self.queues.submitted(job.priority)
        found = None if answer != b"accepted" else parse_reply(fields)
        if stored and (found is None or found.id != job.id):
            await self._connection.commands(keys["input"], ["DEL", *stored])
        if found is None:
            raise await self._refusal(job, answer)
        if not replicated:
            await self.cancel(found)
            raise NotReady("Too few replicas of Redis have the job.", retry_after=1)
        return found

    async def _store_files(self, files: Mapping[str, bytes | None]) -> list[str]:
        """Store what there is of a job's files, and return their keys."""
        stored = {name: data for name, data in files.items() if data is not None}
        for name, data in stored.items():
            await self._connection.commands(name, ["SET", name, data, "EX", LIFE_SECONDS])
        return list(stored)

    async def _refusal(self, job: Job, answer: bytes) -> Unprocessable | NotReady | Overloaded:
        """The error for a job that was not accepted: the key is ``reused``, its owner ``limited``, or the queue
        ``full``. It says when room is likely, from the measured pace."""
        if answer == b"reused":
            message = "Idempotency-Key: was used for another request"
            return Unprocessable(message, param="Idempotency-Key", code="idempotency_key_reused")
        shard = shard_of(job.id)
        pace = await self.queues.pace(job.priority, shard) or 1.0
        if answer != b"full":
            message = f"This caller has {job.limit} unfinished jobs, as many as it may have."
            return Overloaded(message, retry_after=min(300, math.ceil(pace)), code="too_many_streams")
        # Whoever asked for a worker before may have been told of those of half a second ago.
        if not any(info.ready for info in await self.queues.workers()):
            return NotReady("No worker is running.")
        waiting, _ = await self.queues.depths_of(job.priority, shard)
        seconds = min(300, math.ceil(pace * (waiting + 1)))
        message = "The server is sampling as many requests as it can, and its queue is full."
        return Overloaded(message, retry_after=seconds)

    # One job

    async def job(self, job_id: str) -> Job | None:
        """The record of a job, or None."""
        return (await read_jobs(self._connection, [job_id]))[0]

    async def jobs(self, owner: str, after: str | None, limit: int) -> tuple[list[Job], bool]:
        """An owner's jobs, newest first, and whether there are more.

        Args:
            owner: the name of a key.
            after: the id of the last one seen.
            limit: the largest number of jobs to return.

        Raises:
            JobExpired: there is no job ``after``.
        """
        return await list_jobs(self._connection, owner, after, limit)

    async def position(self, job: Job) -> QueuePosition:
        """The position of a job in its queue, and when it is likely to end."""
        if job.status is Status.IN_PROGRESS:
            if not (job.samples_total and job.samples_done and job.started_at):
                return QueuePosition()
            seconds, microseconds = await self._connection.call(Keys(job.id)["job"], lambda redis: redis.time())
            spent = seconds + microseconds / 1e6 - job.started_at
            left = job.samples_total - job.samples_done
            return QueuePosition(eta=max(0.0, spent * left / job.samples_done))
        rank = None
        if job.status is Status.QUEUED:
            waiting = Keys.for_job(job)["waiting"]
            (rank,) = await self._connection.commands(waiting, ["ZRANK", waiting, job.id])
        if rank is None:
            return QueuePosition()
        shard = shard_of(job.id)
        pace, slots = await self.queues.pace(job.priority, shard), await self.queues.slots(job.priority, shard)
        return QueuePosition(int(rank), pace * (int(rank) + slots) if pace is not None else None)

    async def timings(self, job: Job, sentences: int) -> list[str]:
        """What :meth:`Lease.store` has stored of the timings of the job's first sentences, up to a gap."""
        names = [f"timings:{sentence}" for sentence in range(sentences)]
        record = Keys(job.id)["job"]
        (found,) = await self._connection.commands(record, ["HMGET", record, *names])
        return [text.decode() for text in takewhile(lambda text: text is not None, found)]

    async def ingredient(self, job_id: str) -> bytes | None:
        """The C2PA manifest of what was uploaded with a job; None if it had none."""
        name = Keys(job_id)["ingredient"]
        (found,) = await self._connection.commands(name, ["GET", name])
        return None if found is None else bytes(found)

    async def cancel(self, job: Job) -> bool:
        """End a job and notify the worker that runs it. False if it had ended before."""
        return await end_job(self._connection, job, Status.CANCELLED)

    async def delete(self, job: Job) -> None:
        """Delete a job; it is cancelled first if it has not ended."""
        await self.cancel(job)
        keys = Keys.for_job(job)
        await self._connection.commands(
            keys["job"],
            ["DEL", *keys.data_keys(), keys["content"]],
            # A record without a kind counts as absent. It is kept for a while: a worker may be about to write a field,
            # which would create a record that never expires.
            ["HDEL", keys["job"], "kind"],
            ["EXPIRE", keys["job"], _TOMBSTONE_SECONDS],
            ["ZREM", keys["jobs"], job.id],
        )

    async def suspend(self, job: Job) -> None:
        """The client disconnected: suspend the job. Its slot is freed, its state is kept."""
        args = {"id": job.id, "retention": job.retention, "record_retention": job.record_retention}
        await self._connection.run(SUSPEND, Keys.for_job(job), **args)

    async def resume(self, job: Job, *, queue: float) -> None:
        """A client reconnected, or has read what it had: put a suspended job back into its queue. No effect on any
        other job, or while the client has enough to read.

        Args:
            job: suspended, or about to be.
            queue: how many jobs may wait in its shard when every slot there is taken; infinity for any number.

        Raises:
            Overloaded: it stays suspended.
            NotReady: it stays suspended, and no worker is running.
        """
        room = await self.queues.room(job.priority, shard_of(job.id), queue)
        args = {"id": job.id, "room": room, "life": LIFE_SECONDS}
        args |= {"owner": job.owner, "limit": await self.queues.limit(job)}
        if (answer := await self._connection.run(RESUME, Keys.for_job(job), **args)) != b"resumed":
            raise await self._refusal(job, answer)

    async def acknowledge(self, job: Job, position: int) -> str:
        """Record that a client has read ``position`` symbols of a paced job; 0 if nothing more, but it still listens.
        Waits while Redis is unavailable.

        Returns:
            The id of the worker that runs the job, which has been told; '' if none does.
        """

        async def acknowledge() -> str:
            args = {"id": job.id, "position": position, "parked_seconds": PARKED_SECONDS}
            needs_more, worker = await self._connection.run(ACKNOWLEDGE, Keys(job.id), **args)
            if needs_more:
                with suppress(Overloaded):  # the client has other jobs; asked again when it has read more
                    await self.resume(job, queue=math.inf)
            return str(worker.decode())

        return await retry_while_unavailable(acknowledge, PATIENCE_SECONDS)

    async def report_read(self, job: Job, position: int, worker: str) -> bool:
        """Tell the worker that runs a paced job what a client has read, without recording it: :meth:`acknowledge` for
        most of the time, at a quarter of its cost. False if nobody is told: the worker has gone, or Redis has."""
        channel = key("control", worker, shard=shard_of(job.id))
        try:
            (heard,) = await self._connection.commands(channel, ["SPUBLISH", channel, f"read {job.id} {position}"])
            return bool(heard)
        except UNAVAILABLE:
            return False

    # Streams

    async def entries(self, job_id: str, idle: Callable[[], Awaitable[None]] | None = None) -> AsyncIterator[Entry]:
        """The entries of a job's stream as they arrive, until the end mark. Waits while Redis is unavailable.

        Args:
            job_id: of a job.
            idle: called whenever nothing has come for :data:`BLOCK_MS`.

        Raises:
            JobExpired: the job has expired.
        """
        last, stream = b"0", Keys(job_id)["stream"]

        async def read() -> list[tuple[bytes, Mapping[bytes, bytes]]]:
            reply = await self._connection.call(
                stream, lambda redis: redis.xread({stream: last}, count=64, block=BLOCK_MS)
            )
            return list(reply[0][1]) if reply else await self._end_without_stream(job_id)

        while True:
            if not (found := await retry_while_unavailable(read, PATIENCE_SECONDS)) and idle is not None:
                await idle()
            for name, fields in found:
                last, entry = name, parse_entry(fields)
                yield entry
                if isinstance(entry, Ended):
                    return

    async def _end_without_stream(self, job_id: str) -> list[tuple[bytes, Mapping[bytes, bytes]]]:
        """The end mark of a job that ended before it began, and so has no stream; nothing if more may come.

        Raises:
            JobExpired: the job has expired, or its stream has.
        """
        keys = Keys(job_id)
        (status, started, error), exists = await self._connection.commands(
            keys["job"], ["HMGET", keys["job"], "status", "started_at", "error"], ["EXISTS", keys["stream"]]
        )
        ended = status is not None and Status(json.loads(status)).terminal
        if status is None or (ended and started is not None and not exists):
            raise JobExpired(job_id)
        end = {b"k": b"end", b"status": json.loads(status).encode(), b"error": error or b""}
        return [(b"", end)] if ended and not exists else []

    async def events(self, job_id: str, last: str, block_ms: int = BLOCK_MS) -> list[tuple[str, dict[str, str]]]:
        """Ids and fields of a job's events after ``last`` (``0``: all); waits up to ``block_ms`` for the first."""
        name = Keys(job_id)["events"]
        reply = await self._connection.call(name, lambda redis: redis.xread({name: last}, block=block_ms))
        return [(name.decode(), decoded(fields)) for name, fields in (reply[0][1] if reply else [])]

    def session(self, session_id: str | None, seconds: int) -> StoredSession:
        """A websocket session, as one connection holds it; see :class:`StoredSession`."""
        return StoredSession(self._connection, session_id, seconds)
