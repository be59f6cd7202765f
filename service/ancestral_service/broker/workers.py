"""What a worker may do: announce itself, claim and run jobs, and reclaim those of dead workers.

The queue has two priorities, each a sorted set of waiting jobs and one of leased jobs. A worker claims the job that has
waited longest, renews its :class:`Lease` while it runs the job, and releases it if it stops before the end. Any worker
finds the expired leases of dead workers and puts those jobs back at their old places. All of it happens in Lua scripts
(queue_scripts.py): a job is in exactly one of the two sets, or suspended, or has ended, and no crash leaves anything to
repair.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from redis import asyncio as redis
from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from ancestral_service.broker.connection import UNAVAILABLE, Connection, cancel_all, retry_while_unavailable
from ancestral_service.broker.job import (
    LIFE_SECONDS,
    MAX_DEATHS,
    PARKED_SECONDS,
    Failure,
    Job,
    JobExpired,
    Keys,
    Piece,
    Priority,
    ResumePoint,
    Signals,
    Snapshot,
    StaleAttempt,
    Status,
    SymbolsLost,
    WorkerInfo,
    key,
    shard_for,
    shard_of,
)
from ancestral_service.broker.queue_scripts import CLAIM, EXPIRED, RELEASE, RENEW
from ancestral_service.broker.queues import end_job, parse_reply, read_jobs
from ancestral_service.broker.scripts import ANNOUNCE, ENROL, PREVIEW, PUBLISH, SET_FIELDS, Script

# Messages to a worker, over a channel of its own: what clients want of the jobs that it runs, and that a job waits.
#
# The channels are sharded (``SSUBSCRIBE``), so that in a cluster only the shard of the job has to do with a message.


_CHECK_SECONDS: Final = 1.0
"""Interval at which is checked whether other servers have the channels now."""
_AGAIN_SECONDS: Final = 0.2
"""Time after which a server is listened to again whose connection broke."""


@dataclass(frozen=True)
class Message:
    verb: str
    """``cancel`` | ``suspend`` | ``read``, with the id of a job; ``wake``, with a priority."""
    subject: str
    value: int = 0
    """The symbols read; the shard in which a job waits."""


async def _keep_listening(server: redis.Redis, names: Sequence[str], heard: asyncio.Queue[Message]) -> None:
    """Put messages from one server into a queue, for ever: while it is away, the others are heard."""
    while True:
        with suppress(*UNAVAILABLE):
            await _listen(server, names, heard)
        await asyncio.sleep(_AGAIN_SECONDS)


async def _listen(server: redis.Redis, names: Sequence[str], heard: asyncio.Queue[Message]) -> None:
    """Put messages from one server into a queue, until its connection breaks."""
    pool = server.connection_pool
    connection: AbstractConnection = await pool.get_connection()
    try:
        for name in names:  # one command could not have channels of several shards
            await connection.send_command("SSUBSCRIBE", name)
        while True:
            kind, _, data = await connection.read_response()
            if kind == b"smessage":
                verb, subject, *value = data.decode().split(" ")
                heard.put_nowait(Message(verb, subject, *map(int, value)))
            elif kind != b"ssubscribe":
                raise exceptions.ConnectionError("a channel has moved to another server")
    finally:
        await connection.disconnect(nowait=True)
        await pool.release(connection)


ALIVE_SECONDS: Final = 6
"""A worker that has not announced itself for so long counts as dead."""
LEASE_SECONDS: Final = 5.0
"""A job whose lease has not been renewed for so long is given to another worker."""
_RENEWAL_SECONDS: Final = LEASE_SECONDS / 2
"""Time for which a renewal may take."""
RECLAIM_SECONDS: Final = 1.0
"""Interval at which every worker checks for expired leases."""
UNCHECKED_SECONDS: Final = 2.0
"""Time without a check by any worker, after which Redis counts as having been unavailable, so that leases could not be
renewed. Together with the interval of renewals, 1.5 s, less than a lease."""
UNCHECKED_COUNTS: Final = 0.5
"""The seconds of that time that count for leases, however long it was."""
_REFUSALS: Final = {
    "model_changed": "The model was replaced after the job had been accepted.",
    # Listeners have symbols of another engine, precision or rounding, which this one cannot continue bit for bit.
    "engine_changed": "The engine was replaced, or rounds otherwise on another processor, while the job was sampled.",
}


class Lease:
    """The lease of a job, for one attempt at it (:meth:`Workers.renew` extends it). While Redis is unavailable, all
    methods but :meth:`clear_deaths` and :meth:`try_to_store` wait.

    Args:
        connection: to Redis.
        job: claimed.
        attempt: the number of the attempt. What an earlier attempt does has no effect.
    """

    def __init__(self, connection: Connection, job: Job, attempt: int) -> None:
        self.job = job
        self.attempt = attempt
        self.suspect = job.deaths >= MAX_DEATHS - 1
        """Whether the job is given up if this worker, too, dies before there is progress."""
        self.published = 0
        """Symbols that this attempt knows to be in the job's stream."""
        self.renewed_at = time.monotonic()
        """When Redis last answered to a renewal."""
        self._total: int | None = None
        self._unsaved: dict[str, Any] = {}
        self._connection = connection
        self._keys = Keys.for_job(job)

    async def _run(self, script: Script, **args: Any) -> Any:
        return await retry_while_unavailable(lambda: self._connection.run(script, self._keys, **args))

    async def release(self, parked: int = -1) -> None:
        """Put the job back at its old place or, if its client wanted that, suspend it; or ``parked``, until its client
        has read so many symbols. No effect without the lease."""
        await retry_while_unavailable(lambda: _release(self._connection, self.job, self.attempt, parked=parked))

    async def end(self, status: Status, **details: Any) -> bool:
        """End the job, if the attempt still has it; see :func:`ancestral_service.broker.queues.end_job`."""
        end = partial(end_job, self._connection, self.job, status, attempt=self.attempt, **details)
        return await retry_while_unavailable(end)

    async def resume_point(self) -> ResumePoint:
        """The point that an earlier attempt got to."""
        reads = ["HMGET", self._keys["job"], "samples_done", "read"], ["GET", self._keys["snapshot"]]
        (done, read), value = await retry_while_unavailable(lambda: self._connection.commands(*reads))
        published, snapshot = int(done or 0), None
        if value is not None:
            head, _, state = value.partition(b"\n")
            index, position = json.loads(head)
            # If Redis lost symbols in a crash, a snapshot after them would leave a hole: all are sampled again.
            snapshot = Snapshot(index, position, state) if position <= published else None
        return ResumePoint(published, int(read or 0), snapshot)

    async def upload(self) -> bytes:
        """What was submitted with the job.

        Raises:
            JobExpired: it has expired.
        """
        value = await retry_while_unavailable(lambda: self._connection.command("GET", self._keys["input"]))
        if value is None:
            raise JobExpired(self.job.id)
        return bytes(value)

    async def publish(self, pieces: Sequence[Piece], snapshot: Snapshot | None, *, event: bool) -> None:
        """Append samples to the job's stream and store a snapshot, in one round trip.

        Args:
            pieces: in order; may be empty.
            snapshot: of the sampler's state after all or some of them.
            event: whether to add a progress event.

        Raises:
            StaleAttempt: the attempt is not the current one, or the job has ended.
            SymbolsLost: symbols before these are missing; they have to be sampled again.
        """
        state, saved = b"", dict(self._unsaved)
        if snapshot is not None:
            state = json.dumps([snapshot.index, snapshot.position]).encode() + b"\n" + snapshot.state
        items = _flat(saved)
        args = {"attempt": self.attempt, "event": int(event), "state": state, "life": LIFE_SECONDS, "noted": len(items)}
        for piece in pieces:
            items += ["pcm" if piece.pcm else "piece", piece.index, piece.start, piece.data]
        published = await self._run(PUBLISH, **args, items=items)
        if published < 1:
            raise SymbolsLost(self.job.id) if published else StaleAttempt(self.job.id)
        if published > 1:
            self.suspect = False
        if pieces:
            self.published = pieces[-1].start + len(pieces[-1])
        self._saved(saved)

    async def preview(self, data: bytes) -> None:
        """Append a preview to the job's stream, unless the attempt is not the current one."""
        await self._run(PREVIEW, attempt=self.attempt, data=data)

    def note(self, *, total: int | None = None, timings: Mapping[int, str] | None = None) -> None:
        """What is known of the output before it is sampled. It is stored with the symbols that are published next, or
        by :meth:`store`.

        Args:
            total: how many symbols the job will have.
            timings: when the phonemes of sentences will be said, by their number.
        """
        if total is not None and total != self._total:
            self._total = self._unsaved["samples_total"] = total
        self._unsaved |= {f"timings:{sentence}": text for sentence, text in (timings or {}).items()}

    async def store(self) -> None:
        """Store what has been noted and is not stored yet."""
        await retry_while_unavailable(self.try_to_store)

    async def try_to_store(self) -> None:
        """Store what has been noted and is not stored yet; raises one of :data:`UNAVAILABLE`."""
        if saved := dict(self._unsaved):
            await self._connection.run(SET_FIELDS, self._keys, fields=_flat(saved))
            self._saved(saved)

    def _saved(self, fields: Mapping[str, Any]) -> None:
        self._unsaved = {name: value for name, value in self._unsaved.items() if fields.get(name) != value}

    async def clear_deaths(self) -> None:
        """Reset the count of workers that died while they ran the job: it was not the cause."""
        await self._connection.command("HDEL", self._keys["job"], "deaths")
        self.suspect = False


@dataclass(frozen=True)
class Orphan:
    """A job whose worker died."""

    job: Job
    worker: str


class Workers:
    """The operations of a worker."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.shards = connection.shards
        """Number of queues."""
        self.alive_seconds = ALIVE_SECONDS
        self._unanswered: dict[tuple[Priority, int], str] = {}
        self._idle_in: dict[Priority, set[int]] = {priority: set() for priority in Priority}
        """Shards that may wake this worker."""

    async def messages(self, worker: str) -> AsyncIterator[Message]:
        """What is sent to a worker from now on.

        Raises:
            Exception: one of :data:`UNAVAILABLE`; it may be called again.
        """
        servers = await self._servers(worker)
        heard: asyncio.Queue[Message] = asyncio.Queue()
        listening = [asyncio.create_task(_keep_listening(server, names, heard)) for server, names in servers.items()]
        checked_at = time.monotonic()
        try:
            while True:
                message = None
                with suppress(TimeoutError):
                    async with asyncio.timeout(_CHECK_SECONDS):
                        message = await heard.get()
                if message is not None:
                    yield message
                if time.monotonic() - checked_at >= _CHECK_SECONDS:
                    checked_at = time.monotonic()
                    if await self._servers(worker) != servers:
                        raise exceptions.ConnectionError("a channel has moved to another server")
                    for task in filter(asyncio.Task.done, listening):
                        task.result()  # raises what it should not have
        finally:
            await cancel_all(*listening)

    async def _servers(self, worker: str) -> dict[redis.Redis, list[str]]:
        """The channels, by the server that has them."""
        servers: dict[redis.Redis, list[str]] = {}
        for shard in range(self._connection.shards):
            name = key("control", worker, shard=shard)
            servers.setdefault(await self._connection.client(name), []).append(name)
        return servers

    async def enrol(self, worker: str) -> list[int]:
        """Enter a worker into the list of all, for ``alive_seconds``. The shards that it is to serve: at least two
        where there are as many, and each of them is served by two workers if there are two."""
        if self.shards == 1:
            return [0]
        rank, count = await self._connection.run(ENROL, worker=worker, alive_seconds=self.alive_seconds)
        each = min(self.shards, max(2, -(-2 * self.shards // count)))
        return sorted({(rank * each + i) % self.shards for i in range(each)})

    async def announce(self, worker: str, info: WorkerInfo, shards: Sequence[int]) -> None:
        """Announce that a worker is alive, and its capabilities, in the shards that it serves. Each counts a part of
        its slots, and one of them the worker; the shards with one more than others differ from worker to worker."""
        first = shard_for(worker, len(shards))
        descriptions = [
            replace(
                info,
                slots={name: _share(slots, number, len(shards)) for name, slots in info.slots.items()},
                workers=_share(1, number, len(shards)),
            )
            for number in ((first + each) % len(shards) for each in range(len(shards)))
        ]
        announced = zip(shards, descriptions, strict=True)
        await asyncio.gather(*(self._announce(worker, shard, info.encode()) for shard, info in announced))

    async def _announce(self, worker: str, shard: int, info: str) -> None:
        args = {"worker": worker, "info": info, "alive_seconds": self.alive_seconds}
        await self._connection.run(ANNOUNCE, Keys(in_shard=shard), **args)

    async def leave(self, worker: str, shards: Sequence[int]) -> None:
        """Withdraw a worker that is ending from the shards that it served."""
        await asyncio.gather(*(self._announce(worker, shard, "") for shard in shards))
        if self.shards > 1:
            await self._connection.commands(["ZREM", key("enrolled"), worker], ["ZREM", key("enrolled_until"), worker])

    async def not_idle(self, worker: str, *priorities: Priority) -> None:
        """No shard is to wake this worker for a job of these priorities."""
        names = [Keys(priority=each, in_shard=shard)["idle"] for each in priorities for shard in self._idle_in[each]]
        for priority in priorities:
            self._idle_in[priority].clear()
        await asyncio.gather(*(self._connection.command("ZREM", name, worker) for name in names))

    async def claim(
        self,
        priority: Priority,
        worker: str,
        models: Mapping[str, tuple[str, str, str]],
        *,
        shard: int = 0,
        last: bool = False,
        suspect_held: bool = False,
        lease: float = LEASE_SECONDS,
    ) -> Lease | None:
        """Lease the job of a shard that has waited longest and begin an attempt at it. A worker that finds nothing is
        sent ``wake`` when a job comes, if it is the one that has been idle the longest.

        Not to be cancelled: a job could be leased to a worker that does not know of it. For the same reason a claim
        whose reply got lost is repeated by the next call. One call at a time for each priority.

        Args:
            priority: of the queue.
            worker: its id.
            models: SHA-256 of the weights, name of the engine and probe of its arithmetic
                (:meth:`ancestral.catalog.descriptions.Sampler.warm`), by the id of the model.
            shard: of the queue.
            last: whether this takes the worker's last free slot.
            suspect_held: whether the worker has a lease that is :attr:`Lease.suspect`, in whatever shard. It gets no
                second one: both jobs would be given up if it died, and one may be innocent.
            lease: seconds.

        Returns:
            None if there is nothing to do at the moment.
        """
        queue = priority, shard
        while True:
            reply = await self._connection.run(
                CLAIM,
                Keys(priority=priority, in_shard=shard),
                claimed=key("claimed", priority, worker, shard=shard),
                worker=worker,
                claim=self._unanswered.setdefault(queue, secrets.token_hex(8)),
                full=int(last),
                lease=lease,
                life=LIFE_SECONDS,
                fewer_deaths=MAX_DEATHS - suspect_held,
                models=json.dumps(models),
            )
            del self._unanswered[queue]
            if reply is None:
                self._idle_in[priority].add(shard)
                return None
            attempt, refusal, fields = reply
            job = parse_reply(fields)
            if not refusal:
                if last:
                    self._idle_in[priority].discard(shard)
                    with suppress(*UNAVAILABLE):  # it is woken in vain, then
                        await self.not_idle(worker, priority)
                return Lease(self._connection, job, attempt)
            failure = Failure(_REFUSALS[refusal.decode()], refusal.decode())
            await end_job(self._connection, job, Status.FAILED, attempt=attempt, error=failure)

    async def renew(
        self, leases: Sequence[Lease], *, seconds: float = LEASE_SECONDS
    ) -> list[Signals | Exception | None]:
        """Renew leases, each if its attempt still has it. What its worker has to know of each; None if the job is gone,
        one of :data:`UNAVAILABLE` if its server has not answered: the other servers of a cluster do not wait for it."""
        queues: dict[tuple[Priority, int], list[Lease]] = {}
        for lease in leases:
            queues.setdefault((lease.job.priority, shard_of(lease.job.id)), []).append(lease)

        async def renew(queue: tuple[Priority, int], held: Sequence[Lease]) -> list[tuple[str, Any]]:
            published, keys = [lease.published for lease in held], Keys(priority=queue[0], in_shard=queue[1])
            jobs = [Keys(lease.job.id)["job"] for lease in held]
            attempts = [value for lease in held for value in (lease.job.id, lease.attempt)]
            try:
                async with asyncio.timeout(_RENEWAL_SECONDS):
                    signals = await self._connection.run(RENEW, keys, lease=seconds, jobs=jobs, held=attempts)
            except UNAVAILABLE as error:
                if isinstance(error, TimeoutError):  # to the connection its call was cancelled
                    self._connection.hooks.unanswered()
                return [(lease.job.id, error) for lease in held]
            for lease in held:
                lease.renewed_at = time.monotonic()
            return [
                (lease.job.id, _signals(known, reply))
                for lease, known, reply in zip(held, published, signals, strict=True)
            ]

        renewed = await asyncio.gather(*(renew(*queue) for queue in queues.items()))
        found = dict(pair for each in renewed for pair in each)
        return [found[lease.job.id] for lease in leases]

    async def reclaim(
        self, priority: Priority, *, shard: int = 0, lease: float = LEASE_SECONDS, dead: str = "", but: str = ""
    ) -> list[Orphan]:
        """Put jobs of a shard whose lease has expired back at their old places. A job fails whose workers died too
        often.

        Args:
            priority: of the queue.
            shard: of the queue.
            lease: seconds.
            dead: what the ids of workers begin with that are known to be dead: their leases expire at once.
            but: the id of the worker that is not, although it begins like that.

        Returns:
            Those that this call has put back or ended.
        """
        orphans: list[Orphan] = []
        checks = {"lease": lease, "unchecked": UNCHECKED_SECONDS, "counted": UNCHECKED_COUNTS, "dead": dead, "but": but}
        expired = await self._connection.run(EXPIRED, Keys(priority=priority, in_shard=shard), **checks)
        for job_id, attempt, worker in expired:
            (job,) = await read_jobs(self._connection, [job_id.decode()])
            if job is None:
                continue
            if released := await _release(self._connection, job, attempt, max_deaths=MAX_DEATHS):
                orphans.append(Orphan(job, worker.decode()))
            if released < 0:
                message = f"{MAX_DEATHS} workers in a row died while they ran this job; it was given up."
                failure = Failure(message, "worker_lost")
                await end_job(self._connection, job, Status.FAILED, attempt=attempt, error=failure)
        return orphans


def _flat(fields: Mapping[str, Any]) -> list[Any]:
    """Names and values in turn."""
    return [item for pair in fields.items() for item in pair]


def _signals(published: int, reply: Sequence[Any]) -> Signals | None:
    """What RENEW has found of a job of which ``published`` symbols had been in Redis."""
    attempt, status, read, wanted, done, queued = reply
    if status is None:
        return None
    suspend, lost = wanted is not None, int(done or 0) < published
    return Signals(int(attempt or 0), Status(json.loads(status)), int(read or 0), suspend, lost, queued)


def _share(slots: int, number: int, of: int) -> int:
    """A part of so many equal ones, as far as they can be equal."""
    return slots // of + (number < slots % of)


async def _release(connection: Connection, job: Job, attempt: int, *, max_deaths: int = 0, parked: int = -1) -> int:
    """Put a leased job back or suspend it; see ``RELEASE``."""
    args = {"id": job.id, "attempt": attempt, "max_deaths": max_deaths, "grace": LEASE_SECONDS, "parked": parked}
    least = PARKED_SECONDS if parked >= 0 else 0
    kept = {"retention": max(job.retention, least), "record_retention": max(job.record_retention, least)}
    return int(await connection.run(RELEASE, Keys.for_job(job), **args, **kept))
