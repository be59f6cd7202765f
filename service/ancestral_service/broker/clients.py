"""What an API process may do: submit, list, read, suspend, cancel and delete jobs."""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from itertools import chain, takewhile
from typing import Any, Final

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis import asyncio as redis

from ancestral_service.broker.connection import PATIENCE_SECONDS, UNAVAILABLE, Connection, retry_while_unavailable
from ancestral_service.broker.files import Draft, read_pieces
from ancestral_service.broker.job import (
    DATA,
    LIFE_SECONDS,
    PARKED_SECONDS,
    Ended,
    Entry,
    Job,
    JobExpired,
    Keys,
    QueuePosition,
    Status,
    key,
    parse_entry,
    shard_for,
    shard_of,
)
from ancestral_service.broker.queue_scripts import RESUME, SUBMIT, SUSPEND
from ancestral_service.broker.queues import Queues, decoded, end_job, parse_reply, read_jobs
from ancestral_service.broker.scripts import ACKNOWLEDGE, CLAIM_SESSION, SAVE_SESSION, Script
from ancestral_service.errors import NotReady, Overloaded, Unprocessable

# Websocket sessions, stored so that a client that lost its connection can resume at any server.
#
# A session belongs to one connection at a time. A new connection claims it; the earlier one notices when it renews.

HELD_SECONDS: Final = 60
"""The least time for which the session of a server that died is kept, and the last holder of one that has ended."""


class StoredSession:
    """One session, as one connection holds it.

    Args:
        connection: to Redis.
        session_id: of one to resume; a new one if None.
        seconds: for which it is kept after its connection has ended.
    """

    def __init__(self, connection: Connection, session_id: str | None, seconds: int) -> None:
        self.id = session_id or f"session_{secrets.token_hex(16)}"
        self.owner = ""
        """The name of the caller, once it is known; no other caller may resume the session."""
        self._seconds = seconds
        self._holder = secrets.token_hex(8)
        self._connection = connection

    async def _run(self, script: Script, seconds: int, **args: str) -> Any:
        session = key("session", self.id)
        return await self._connection.run(script, session=session, holder=self._holder, seconds=seconds, **args)

    async def claim(self, owner: str) -> str | None:
        """Claim the session. Its state; None if this owner has no such session."""
        state: bytes | None = await self._run(CLAIM_SESSION, self._seconds + HELD_SECONDS, owner=owner)
        return None if state is None else state.decode()

    async def save(self, state: str) -> bool:
        """Store the session. False if another connection has claimed it."""
        return bool(await self._run(SAVE_SESSION, self._seconds + HELD_SECONDS, owner=self.owner, state=state))

    async def renew(self, state: Callable[[], str]) -> bool:
        """Extend its expiry; ``state`` is called if Redis has lost it. False if another connection has claimed it."""
        held = await self._run(SAVE_SESSION, self._seconds + HELD_SECONDS, owner="", state="")
        return await self.save(state()) if held < 0 else bool(held)

    async def release(self, state: Callable[[], str]) -> bool:
        """The connection is lost. False if another one has claimed the session."""
        held = await self.renew(state)
        await self._run(SAVE_SESSION, self._seconds, owner="", state="")
        return held

    async def end(self) -> bool:
        """End the session. False if another connection has claimed it.

        Its last holder stays for a while: without it, an earlier connection would take the session for lost, and write
        it again.
        """
        return bool(await self._run(SAVE_SESSION, HELD_SECONDS, owner="", state="-"))


# An owner's jobs, over all shards.

_Listed = tuple[float, bytes]
"""When a job was submitted, and its id."""


async def _ids_before(connection: Connection, owner: str, before: _Listed, count: int) -> list[_Listed]:
    """Times and ids of an owner's jobs, newest first, over all shards: ``count`` that come after ``before``."""

    async def of_shard(shard: int) -> list[_Listed]:
        name, start = Keys(owner=owner, in_shard=shard)["jobs"], 0
        newest = "+inf" if before[0] == math.inf else repr(before[0])
        found: list[_Listed] = []
        while len(found) < count:
            page = ["LIMIT", start, start + count]
            reply = await connection.command("ZREVRANGEBYSCORE", name, newest, "-inf", "WITHSCORES", *page)
            found += [pair for pair in zip(map(float, reply[1::2]), reply[::2], strict=True) if pair < before]
            start += len(reply) // 2
            if len(reply) // 2 < count:
                break
        return found

    shards = await asyncio.gather(*(of_shard(shard) for shard in range(connection.shards)))
    return sorted(chain.from_iterable(shards), reverse=True)[:count]


BLOCK_MS: Final = 2000
"""Longest time that a read waits for something to arrive."""
IDEMPOTENCY_SECONDS: Final = 86400
"""Time for which an idempotency key finds the job of its first request."""
_SEEDS: Final = key("seeds")
_TOMBSTONE_SECONDS: Final = 60
_UPLOAD_SECONDS: Final = 60
"""Time to live of what is uploaded, until its job is there."""
_SUBMISSIONS: Final = 3
"""Attempts to put a job into a shard of several: others may have taken the room there, while there is room in all."""


class Clients:
    """The operations of an API process; see :class:`Queues`."""

    def __init__(self, connection: Connection, max_wait_seconds: float = math.inf) -> None:
        self._connection = connection
        self.queues = Queues(connection, max_wait_seconds)
        self._windows: dict[tuple[redis.Redis, str], MovingWindowRateLimiter] = {}

    async def ping(self) -> None:
        """Raise one of :data:`UNAVAILABLE` if Redis does not reply."""
        async with asyncio.timeout(2):
            await self._connection.call(key("workers"), lambda redis: redis.ping())

    # Seeds drawn from the deployment's provenance key: one number without a time to live, which no restart sets back

    async def reserve_seeds(self, count: int) -> int:
        """Take the next ``count`` counters of seeds; the first of them."""
        return int(await self._connection.command("INCRBY", _SEEDS, count)) - count

    async def seeds_reserved(self) -> int:
        """How many counters of seeds all processes have taken."""
        return int(await self._connection.command("GET", _SEEDS) or 0)

    # Requests of callers in any sixty seconds, counted for all servers of a deployment together

    async def count_request(self, caller: str, limit: int) -> tuple[bool, float, int]:
        """Count a request in the shard of its caller's name, unless it is one too many.

        Args:
            caller: who sent it.
            limit: requests a minute.

        Returns:
            Whether it was counted, when the window ends (seconds since 1970), and how many more requests fit into it.
        """
        item, prefix = RateLimitItemPerMinute(limit), key("rate", shard=shard_for(caller, self._connection.shards))

        async def count(client: redis.Redis) -> tuple[bool, float, int]:
            window = self._window(client, prefix)
            counted = await window.hit(item, caller)
            reset, remaining = await window.get_window_stats(item, caller)
            return counted, reset, remaining

        counted: tuple[bool, float, int] = await self._connection.call(prefix, count)
        return counted

    def _window(self, client: redis.Redis, prefix: str) -> MovingWindowRateLimiter:
        if (client, prefix) not in self._windows:
            pool: Any = client.connection_pool  # `limits` says that its options are numbers and strings
            storage = RedisStorage("async+redis://", implementation="redispy", key_prefix=prefix, connection_pool=pool)
            self._windows[client, prefix] = MovingWindowRateLimiter(storage)
        return self._windows[client, prefix]

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
        idempotency_key, fingerprint = bound or ("", "")
        keys = Keys.for_job(job)
        files = {keys["input"]: upload, keys["ingredient"]: ingredient}
        stored = {name: data for name, data in files.items() if data is not None}
        if stored:
            await self._connection.commands(*(["SET", *file, "EX", _UPLOAD_SECONDS] for file in stored.items()))
        submit = {
            "bound": key("idempotency", job.owner, idempotency_key, shard=keys.shard),
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
            await self._connection.command("DEL", *stored)
        if found is None:
            raise await self._refusal(job, answer)
        if not replicated:
            if found.id == job.id:  # an earlier one goes on
                await self.cancel(found)
            raise NotReady("Too few replicas of Redis have the job.", retry_after=1)
        return found

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
        message = "The server is sampling as many requests as it can, and its queue is full or would take too long."
        return Overloaded(message, retry_after=seconds)

    # One job

    async def job(self, job_id: str) -> Job | None:
        """The record of a job, or None."""
        return (await read_jobs(self._connection, [job_id]))[0]

    async def patient_job(self, job_id: str) -> Job | None:
        """The same, for who has time: waits up to :data:`PATIENCE_SECONDS` for Redis."""
        return await retry_while_unavailable(lambda: self.job(job_id), PATIENCE_SECONDS)

    async def jobs(self, owner: str, after: str | None, limit: int) -> tuple[list[Job], bool]:
        """An owner's jobs, newest first, and whether there are more.

        Args:
            owner: the name of a key.
            after: the id of the last one seen.
            limit: the largest number of jobs to return.

        Raises:
            JobExpired: there is no job ``after``.
        """
        before: _Listed = (math.inf, b"")
        if after is not None:
            score = await self._connection.command("ZSCORE", Keys(after, owner=owner)["jobs"], after)
            if score is None:
                raise JobExpired(after)
            before = float(score), after.encode()
        found: list[Job] = []
        while len(found) <= limit:
            page = await _ids_before(self._connection, owner, before, limit + 1)
            records = await read_jobs(self._connection, [job_id.decode() for _, job_id in page])
            found += [job for job in records if job is not None]
            for (_, job_id), job in zip(page, records, strict=True):
                if job is None:  # it has expired
                    await self._connection.command("ZREM", Keys(job_id.decode(), owner=owner)["jobs"], job_id)
            if len(page) <= limit:
                break
            before = page[-1]
        return found[:limit], len(found) > limit

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
            rank = await self._connection.command("ZRANK", Keys.for_job(job)["waiting"], job.id)
        if rank is None:
            return QueuePosition()
        shard = shard_of(job.id)
        pace, slots = await self.queues.pace(job.priority, shard), await self.queues.slots(job.priority, shard)
        return QueuePosition(int(rank), pace * (int(rank) + slots) if pace is not None else None)

    async def timings(self, job: Job, sentences: int) -> list[str]:
        """The timings of the job's first sentences, up to a gap: what the worker has stored with its lease."""
        names = [f"timings:{sentence}" for sentence in range(sentences)]
        found = await self._connection.command("HMGET", Keys(job.id)["job"], *names)
        return [text.decode() for text in takewhile(lambda text: text is not None, found)]

    # Files of jobs

    async def artifact_info(self, job_id: str) -> str | None:
        """What was stored about a job's file with :meth:`Draft.keep`; None if there is no file.

        Raises:
            JobExpired: nor is there a job.
        """
        keys = Keys(job_id)
        (status, info), exists = await self._connection.commands(
            ["HMGET", keys["job"], "status", "content"], ["EXISTS", keys["content"]]
        )
        if status is None:
            raise JobExpired(job_id)
        return info.decode() if info is not None and exists else None

    def read_artifact(self, job_id: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes ``start`` to ``stop`` of a job's file; raises JobExpired if they have expired."""
        return read_pieces(self._connection, Keys(job_id)["content"], start, stop)

    def draft(self, job_id: str) -> Draft:
        """A new draft, empty, of a job's file."""
        return Draft(self._connection, job_id)

    async def ingredient(self, job_id: str) -> bytes | None:
        """The C2PA manifest of what was uploaded with a job; None if it had none."""
        found = await self._connection.command("GET", Keys(job_id)["ingredient"])
        return None if found is None else bytes(found)

    # The end of a job, and of its connection

    async def cancel(self, job: Job) -> bool:
        """End a job and notify the worker that runs it. False if it had ended before."""
        return await end_job(self._connection, job, Status.CANCELLED)

    async def delete(self, job: Job) -> None:
        """Delete a job; it is cancelled first if it has not ended."""
        await self.cancel(job)
        keys = Keys.for_job(job)
        await self._connection.commands(
            ["DEL", *(keys[kind] for kind in (*DATA, "content"))],
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

    async def acknowledge(self, job: Job, position: int, patience: float = PATIENCE_SECONDS) -> str:
        """Record that a client has read ``position`` symbols of a paced job; 0 if nothing more, but it still listens.
        Waits for ``patience`` seconds while Redis is unavailable.

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

        return await retry_while_unavailable(acknowledge, patience)

    async def report_read(self, job: Job, position: int, worker: str) -> bool:
        """Tell the worker that runs a paced job what a client has read, without recording it: :meth:`acknowledge` for
        most of the time, at a quarter of its cost. False if nobody is told: the worker has gone, or Redis has."""
        channel = key("control", worker, shard=shard_of(job.id))
        try:
            return bool(await self._connection.command("SPUBLISH", channel, f"read {job.id} {position}"))
        except UNAVAILABLE:
            return False

    # Streams

    async def entries(self, job_id: str, idle: Callable[[], Awaitable[None]] | None = None) -> AsyncIterator[Entry]:
        """The entries of a job's stream as they arrive, until the end mark. Waits while Redis is unavailable.

        Args:
            job_id: of a job.
            idle: called whenever nothing has come for :data:`BLOCK_MS`, outages of Redis included.

        Raises:
            JobExpired: the job has expired.
        """
        last, stream = b"0", Keys(job_id)["stream"]

        async def read() -> list[tuple[bytes, Mapping[bytes, bytes]]]:
            block = max(1, round(BLOCK_MS - 1000 * (time.monotonic() - since)))
            reply = await self._connection.call(
                stream, lambda redis: redis.xread({stream: last}, count=64, block=block)
            )
            return list(reply[0][1]) if reply else await self._end_without_stream(job_id)

        while True:
            since = time.monotonic()
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
            ["HMGET", keys["job"], "status", "started_at", "error"], ["EXISTS", keys["stream"]]
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
