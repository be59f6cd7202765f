"""The only door to Redis: jobs and their lanes, the symbols on their way to readers, snapshots, who is alive.

    ancestral:job:ID        hash: the record (service/jobs.py), and attempt, turn, read, wanted, parked
    ancestral:stream:ID     stream: what was sampled, in order; ends with a mark
    ancestral:events:ID     stream: what happened to the job
    ancestral:snapshot:ID   the sampler's state after some of the symbols; ancestral:input:ID what was uploaded
    ancestral:content:ID    what came of it, as a file (service/contents.py)
    ancestral:waiting:LANE  sorted set by order of arrival; ancestral:running:LANE by start
    ancestral:control:ID    channel: to the worker that has the job in hand

The queue itself is SAQ's (service/lanes.py); it carries ids. Nothing is pickled: records are JSON, symbols raw bytes.

Two numbers tell the living from the dead. Each time a job is put into the queue is a turn; what becomes of an earlier
one does not matter any more. Each time it is begun is an attempt; of an earlier one nothing is taken.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from redis import asyncio as redis
from redis import exceptions
from redis.asyncio.connection import DefaultParser
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from service import scripts
from service.jobs import MAX_DEATHS, Failure, Job, Lane, Standing, Status, encode_field
from service.lanes import Queue


class Unwritable(exceptions.ResponseError):
    """Redis keeps nothing of what it is given: its disk is full, or too few replicas are there."""


# redis-py has no classes of its own for these; whoever uses it in this process, SAQ too, gets ours.
DefaultParser.EXCEPTION_CLASSES.update(MISCONF=Unwritable, NOREPLICAS=Unwritable)

PREFIX: Final = "ancestral:"
UNAVAILABLE: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    Unwritable,
    exceptions.NoScriptError,
)
"""What a call raises while Redis cannot be reached or takes nothing, because it is full or not the first of several, or
has been started again in the instant between the loading of a script and its use."""

LIFE_SECONDS: Final = 2 * 86400
"""Keys of a job that never ends are dropped after this long."""
ALIVE_SECONDS: Final = 6
"""A worker that has not announced itself for so long is taken for dead."""
BLOCK_MS: Final = 2000
REPLY_SECONDS: Final = 10
PATIENCE_SECONDS: Final = 120.0
"""For which Redis may be away while somebody listens."""
_GRAVE_SECONDS: Final = 60

_T = TypeVar("_T")


@dataclass(frozen=True)
class Begin:
    """An attempt at a job starts, or takes over."""

    attempt: int
    engine: str
    sha256: str


@dataclass(frozen=True)
class Piece:
    """Symbols ``start`` … of the job, all of its stream (its sentence) number ``index``."""

    index: int
    start: int
    symbols: bytes


@dataclass(frozen=True)
class Ended:
    """The last entry."""

    status: Status
    error: Failure | None


Entry = Begin | Piece | Ended


@dataclass(frozen=True)
class Snapshot:
    """A sampler's state: of stream ``index``, after ``position`` symbols of the whole job."""

    index: int
    position: int
    state: bytes


@dataclass(frozen=True)
class Resume:
    """Where an attempt goes on."""

    published: int
    """Symbols that readers have been given."""
    read: int
    """Symbols that have been read."""
    snapshot: Snapshot | None
    """To go on from, if there is one that is of use."""


@dataclass(frozen=True)
class Signals:
    """What a worker has to know of a job in hand, whether or not a message got lost."""

    attempt: int
    status: Status
    read: int
    park: bool


@dataclass(frozen=True)
class WorkerCard:
    """What a worker says of itself."""

    id: str
    ready: bool
    engines: Mapping[str, str]
    """What really samples each model, by id."""
    models: Mapping[str, str]
    """SHA-256 of the sampled weights, by id."""
    slots: Mapping[str, int]
    """By lane."""
    problem: str | None = None


class Witness:
    """Told of what passes the door, so that it can be counted; this one does not care."""

    def replied(self, operation: str, seconds: float) -> None:
        """Redis has answered a script."""

    def unanswered(self) -> None:
        """Redis has not, or could not."""

    def ended(self, job: Job, status: Status) -> None:
        """This process has ended a job."""


class LaneFull(Exception):
    """No room for another job; ``retry_after`` seconds from the measured pace."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("the lane is full")
        self.retry_after = retry_after


class TooMany(LaneFull):
    """The owner has as many unfinished jobs as allowed."""


class Gone(LookupError):
    """The job, or its sound, is no longer kept."""


class Overtaken(Exception):
    """The job is in other hands by now, or has ended."""


class Lost(Exception):
    """Redis has forgotten symbols that it had taken: it was killed, or restored."""


async def _await(value: Awaitable[_T] | _T) -> _T:
    """The reply, within a while. (redis-py types its commands as perhaps awaitable; ours are.)"""
    async with asyncio.timeout(REPLY_SECONDS):
        return await cast("Awaitable[_T]", value)


async def sent(pipe: redis.client.Pipeline) -> list[Any]:
    """The replies to everything in a pipeline."""
    async with asyncio.timeout(REPLY_SECONDS):
        return await pipe.execute()


def _text(record: Mapping[bytes, bytes]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in record.items()}


class Broker:
    """A connection to Redis, and every operation on it. One per process and event loop."""

    def __init__(self, url: str, witness: Witness | None = None) -> None:
        self._witness = witness or Witness()
        retry = Retry(ExponentialBackoff(cap=0.5, base=0.02), 4)
        # No socket_timeout: with one, redis-py 7 sends through asyncio.wait_for, which in Python 3.11 can lose the
        # cancellation of its task (a client that left kept its slot). Replies are waited for in `_await`.
        options = {} if url.startswith("unix:") else {"socket_keepalive": True}
        self.redis = redis.Redis.from_url(url, retry=retry, socket_connect_timeout=5, **options)
        self.queues = {lane: Queue(self.redis, name=lane.value) for lane in Lane}
        self._scripts = {
            name: self.redis.register_script(text) for name, text in vars(scripts).items() if name.isupper()
        }
        self._control = self.redis.pubsub()
        self._subscribing = asyncio.Lock()
        self._roster: tuple[float, list[WorkerCard]] = (-math.inf, [])

    async def close(self) -> None:
        """Close every connection."""
        with suppress(*UNAVAILABLE):
            await self._control.aclose()  # type: ignore[no-untyped-call]
        await self.redis.aclose(close_connection_pool=True)

    async def ping(self) -> None:
        """Raise one of :data:`UNAVAILABLE` if Redis does not answer."""
        async with asyncio.timeout(2):
            await _await(self.redis.ping())

    async def run(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run one of service/scripts.py; keys without the prefix."""
        begun = time.perf_counter()
        try:
            reply = await _await(self._scripts[script](keys=[PREFIX + key for key in keys], args=list(args)))
        except UNAVAILABLE:
            self._witness.unanswered()
            raise
        self._witness.replied(script, time.perf_counter() - begun)
        return reply

    async def info(self) -> tuple[Mapping[str, Any], int]:
        """What Redis says of itself, and how many keys it holds."""
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.info()
            pipe.dbsize()
            figures, keys = await sent(pipe)
        return figures, int(keys)

    # Workers

    async def announce(self, card: WorkerCard) -> None:
        """Say that a worker lives."""
        text = json.dumps(vars(card) | {"models": dict(card.models), "slots": dict(card.slots)})
        await self.run("ANNOUNCE", ["workers", "cards"], [card.id, text, ALIVE_SECONDS])

    async def leave(self, worker: str) -> None:
        """A worker goes, and says so."""
        async with self.redis.pipeline() as pipe:
            pipe.zrem(PREFIX + "workers", worker)
            pipe.hdel(PREFIX + "cards", worker)
            await sent(pipe)

    async def roster(self, max_age: float = 0.5) -> list[WorkerCard]:
        """The workers that live, as they were at most ``max_age`` seconds ago."""
        read_at, cards = self._roster
        if time.monotonic() - read_at > max_age:
            found = await self.run("ROSTER", ["workers", "cards"], [])
            cards = [WorkerCard(**json.loads(text)) for text in found]
            self._roster = (time.monotonic(), cards)
        return cards

    async def _slots(self, lane: Lane) -> int:
        return sum(card.slots[lane] for card in await self.roster() if card.ready)

    # Jobs, as clients see them

    async def submit(self, job: Job, *, queue: int, limit: int = 0, upload: bytes | None = None) -> None:
        """Put a job into its lane.

        Args:
            job: a new one.
            queue: how many may wait in the lane when every slot is taken.
            limit: how many unfinished jobs its owner may have; 0 for any number.
            upload: symbols that belong to it.

        Raises:
            LaneFull: it has not been accepted.
            TooMany: nor was it now, because of the limit.
        """
        if upload is not None:
            await _await(self.redis.set(f"{PREFIX}input:{job.id}", upload, ex=LIFE_SECONDS))
        keys = [f"job:{job.id}", f"waiting:{job.lane}", f"running:{job.lane}", f"jobs:{job.owner}", "counter"]
        record = [item for pair in job.fields().items() for item in pair]
        room = await self._slots(job.lane) + queue
        args = [job.id, room, job.created_at, LIFE_SECONDS, limit, *record]
        admitted = await self.run("ADMIT", [*keys, f"events:{job.id}", f"busy:{job.owner}"], args)
        if admitted < 1:
            await _await(self.redis.delete(f"{PREFIX}input:{job.id}"))
            raise (TooMany if admitted else LaneFull)(await self.retry_after(job.lane))
        with suppress(*UNAVAILABLE):  # it has been accepted: now it is a stray
            await self._put(job, 0)

    async def _put(self, job: Job, turn: int) -> None:
        """Put a turn of a job into its queue. If Redis does not answer in time, it is a stray, or there after all."""
        async with asyncio.timeout(REPLY_SECONDS):
            await self.queues[job.lane].put(job.id, turn)

    async def depths(self, lane: Lane) -> tuple[int, int]:
        """Jobs that wait in a lane, and jobs that run."""
        async with self.redis.pipeline() as pipe:
            pipe.zcard(f"{PREFIX}waiting:{lane}")
            pipe.zcard(f"{PREFIX}running:{lane}")
            waiting, running = await sent(pipe)
        return int(waiting), int(running)

    async def retry_after(self, lane: Lane) -> int:
        """Seconds until a place in a full lane is likely to be free."""
        pace = await self._pace(lane)
        return max(1, min(300, math.ceil(pace or 1.0)))

    async def _pace(self, lane: Lane) -> float | None:
        """Seconds between two jobs that end, when every slot is taken; None before any has."""
        durations = [float(value) for value in await _await(self.redis.lrange(f"{PREFIX}durations:{lane}", 0, -1))]
        slots = await self._slots(lane)
        return sum(durations) / len(durations) / slots if durations and slots else None

    async def job(self, job_id: str) -> Job | None:
        """The record of a job, or None."""
        (record,) = await self._records([job_id])
        return record

    async def _records(self, ids: Sequence[str]) -> list[Job | None]:
        async with self.redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hgetall(f"{PREFIX}job:{job_id}")
            records = [_text(record) for record in await sent(pipe)]
        return [Job.parse(record) if "kind" in record else None for record in records]

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
            rank = await _await(self.redis.zrevrank(index, after))
            if rank is None:
                raise Gone(after)
            first = int(rank) + 1
        found: list[Job] = []
        while len(found) <= limit:
            ids = [name.decode() for name in await _await(self.redis.zrevrange(index, first, first + limit))]
            records = await self._records(ids)
            found += [job for job in records if job is not None]
            first += len(records) - records.count(None)
            if gone := [job_id for job_id, job in zip(ids, records, strict=True) if job is None]:
                await _await(self.redis.zrem(index, *gone))
            if len(ids) <= limit:
                break
        return found[:limit], len(found) > limit

    async def standing(self, job: Job) -> Standing:
        """Where a job stands in its lane."""
        if job.status.terminal:
            return Standing(None, None)
        if job.status is Status.IN_PROGRESS:
            spent = time.time() - (job.started_at or time.time())
            left = (job.samples_total or 0) - job.samples_done
            return Standing(None, spent * left / job.samples_done if job.samples_total and job.samples_done else None)
        rank = await _await(self.redis.zrank(f"{PREFIX}waiting:{job.lane}", job.id))
        if rank is None:
            return Standing(None, None)
        pace, slots = await self._pace(job.lane), await self._slots(job.lane)
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
        await _await(self.redis.publish(f"{PREFIX}control:{job.id}", "cancel"))
        return ended

    async def ask_park(self, job: Job) -> None:
        """Nobody listens for now: free the slot, keep the state."""
        keys = [f"job:{job.id}", f"waiting:{job.lane}", f"running:{job.lane}", f"busy:{job.owner}"]
        if await self.run("ASK_PARK", keys + _all_else(job), [job.id, job.retention]):
            await _await(self.redis.publish(f"{PREFIX}control:{job.id}", "park"))

    async def unpark(self, job: Job, *, queue: int) -> None:
        """Somebody listens again; no effect on a job that is not parked.

        Raises:
            LaneFull: it stays parked.
        """
        keys = [f"job:{job.id}", f"waiting:{job.lane}", f"running:{job.lane}", "counter", f"busy:{job.owner}"]
        args = [job.id, await self._slots(job.lane) + queue, time.time(), LIFE_SECONDS]
        turn = await self.run("UNPARK", keys + _all_else(job), args)
        if turn < 0:
            raise LaneFull(await self.retry_after(job.lane))
        if turn:
            await self._put(job, turn)

    async def idempotent(self, owner: str, key: str, fingerprint: str, job_id: str, seconds: int) -> tuple[str, str]:
        """The job that an owner's idempotency key stands for, and the fingerprint of its request: ours, if new."""
        name = f"{PREFIX}idempotency:{owner}:{key}"
        own = json.dumps([job_id, fingerprint])
        if await _await(self.redis.set(name, own, nx=True, ex=seconds)):
            return job_id, fingerprint
        found = await _await(self.redis.get(name))
        earlier, print_ = json.loads(found) if found else (job_id, fingerprint)
        return earlier, print_

    async def forget_idempotent(self, owner: str, key: str) -> None:
        """The job of an idempotency key came to nothing: the next request with it starts anew."""
        await _await(self.redis.delete(f"{PREFIX}idempotency:{owner}:{key}"))

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
            reply = await _await(self.redis.xread({key: last}, count=64, block=BLOCK_MS))
            if not reply and await self._silent(job_id):
                raise Gone(job_id)
            return list(reply[0][1]) if reply else []

        while True:
            if not (found := await patiently(read, PATIENCE_SECONDS)) and idle is not None:
                await idle()
            for name, fields in found:
                last, entry = name, _entry(fields)
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
        args = ["read", position, f"{PREFIX}control:{job.id}", f"read {position}"]
        await patiently(lambda: self.run("NOTE", [f"job:{job.id}"], args), PATIENCE_SECONDS)

    async def attend(self, job: Job) -> None:
        """Somebody still listens to a paced job, though nothing more has been read of it."""
        await _await(self.redis.publish(f"{PREFIX}control:{job.id}", "read 0"))

    async def events(self, job_id: str, last: str, block_ms: int = BLOCK_MS) -> list[tuple[str, dict[str, str]]]:
        """What happened to a job after the event ``last`` (``0``: all), waiting a while for it: ids and fields."""
        reply = await _await(self.redis.xread({f"{PREFIX}events:{job_id}": last}, block=block_ms))
        return [(name.decode(), _text(fields)) for name, fields in (reply[0][1] if reply else [])]

    # Jobs, as workers see them

    async def begin(self, job: Job, turn: int, engine: str) -> int:
        """Take a job in hand: the attempt's number, or 0 if there is nothing to do."""
        parts = [f"waiting:{job.lane}", f"running:{job.lane}", f"events:{job.id}", f"stream:{job.id}"]
        args = [job.id, time.time(), engine, turn, job.sha256, LIFE_SECONDS]
        return int(await self.run("BEGIN", [f"job:{job.id}", *parts], args))

    async def publish(
        self, job: Job, attempt: int, pieces: Sequence[Piece], snapshot: Snapshot | None, *, event: bool
    ) -> None:
        """Hand on what was sampled, in one round trip.

        Args:
            job: in hand.
            attempt: whose symbols they are.
            pieces: in order; perhaps none.
            snapshot: of the state after them or after some of them.
            event: whether those who watch the job are told how far it is.

        Raises:
            Overtaken: nothing is wanted of this attempt any more.
            Lost: symbols before these are missing; they have to be made again.
        """
        state = b""
        if snapshot is not None:
            state = json.dumps([snapshot.index, snapshot.position]).encode() + b"\n" + snapshot.state
        args: list[Any] = [attempt, int(event), state, LIFE_SECONDS]
        for piece in pieces:
            args += [piece.index, piece.start, piece.symbols]
        keys = [f"{part}:{job.id}" for part in ("job", "stream", "events", "snapshot")]
        taken = await self.run("PUBLISH", keys, args)
        if taken < 1:
            raise Lost(job.id) if taken else Overtaken(job.id)

    @asynccontextmanager
    async def controlled(self, job_id: str) -> AsyncIterator[None]:
        """Listen, within :meth:`control`, to what clients want of a job."""
        channel = f"{PREFIX}control:{job_id}"
        with suppress(*UNAVAILABLE):
            await self._subscribe(channel)
        try:
            yield
        finally:
            with suppress(*UNAVAILABLE):
                await self._control.unsubscribe(channel)

    async def _subscribe(self, channel: str) -> None:
        async with self._subscribing:  # or two first ones would open two connections, and one be lost
            await self._control.subscribe(channel)

    async def control(self) -> AsyncIterator[tuple[str, str, int]]:
        """What clients want of the jobs listened to: job, ``cancel`` | ``park`` | ``read``, and what was read."""
        await self._subscribe(f"{PREFIX}control:")  # so that there is always a channel to wait on
        async for message in self._control.listen():
            if message["type"] == "message":
                verb, _, value = message["data"].decode().partition(" ")
                yield message["channel"].decode().rpartition(":")[2], verb, int(value or 0)

    async def set_total(self, job: Job, samples: int) -> None:
        """How many symbols the job will have."""
        await self.run("NOTE", [f"job:{job.id}"], ["samples_total", samples])

    async def absolve(self, job: Job) -> None:
        """The workers that died with the job in hand did not die of it."""
        await _await(self.redis.hdel(f"{PREFIX}job:{job.id}", "deaths"))

    async def resume_point(self, job: Job) -> Resume:
        """Where an earlier attempt got to."""
        async with self.redis.pipeline() as pipe:
            pipe.hmget(f"{PREFIX}job:{job.id}", ["samples_done", "read"])
            pipe.get(f"{PREFIX}snapshot:{job.id}")
            (done, read), value = await sent(pipe)
        published, snapshot = int(done or 0), None
        if value is not None:
            head, _, state = value.partition(b"\n")
            index, position = json.loads(head)
            # Symbols that Redis lost in a crash would leave a hole before the snapshot: then all is made again.
            snapshot = Snapshot(index, position, state) if position <= published else None
        return Resume(published, int(read or 0), snapshot)

    async def upload(self, job: Job) -> bytes:
        """What came with the job."""
        value = await _await(self.redis.get(f"{PREFIX}input:{job.id}"))
        if value is None:
            raise Gone(job.id)
        return bytes(value)

    async def signals(self, job: Job) -> Signals | None:
        """What a worker has to know of a job in hand; None if it is gone."""
        names = ["attempt", "status", "read", "wanted"]
        attempt, status, read, wanted = await _await(self.redis.hmget(f"{PREFIX}job:{job.id}", names))
        if status is None:
            return None
        return Signals(int(attempt or 0), Status(json.loads(status)), int(read or 0), wanted is not None)

    async def let_go(self, job: Job, turn: int, *, died: bool = False) -> None:
        """Leave a job to the next worker or, if that was wanted, aside until it is asked for again.

        Args:
            job: in hand.
            turn: that is over. No effect if it is not the last one.
            died: its worker has died. If that happens too often, the job has failed.
        """
        keys = [f"job:{job.id}", f"running:{job.lane}", f"waiting:{job.lane}", f"busy:{job.owner}"]
        args = [job.id, turn, job.retention, MAX_DEATHS if died else 0]
        following = int(await self.run("LET_GO", keys + _all_else(job), args))
        if following > 0:
            await self._put(job, following)
        elif following < 0:
            message = f"{-following} workers in a row died with this job in hand; it was given up."
            await self.end(job, Status.FAILED, error=Failure(message, "worker_lost"))

    async def strays(self, lane: Lane) -> list[tuple[str, int]]:
        """Jobs of a lane that are in no queue, because whoever was to put them there died in between: with turns."""
        queue = self.queues[lane]
        keys = [f"{PREFIX}waiting:{lane}", f"{PREFIX}running:{lane}", queue.incomplete]
        found: Any = await _await(self._scripts["STRAYS"](keys=keys, args=[f"{PREFIX}job:", queue.job_id("")]))
        return [(job_id.decode(), int(turn)) for job_id, turn in found]

    async def end(
        self,
        job: Job,
        status: Status,
        *,
        attempt: int | None = None,
        error: Failure | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> bool:
        """End a job, whoever has it (or only if ``attempt`` has it). False if it had ended or is another's by now."""
        keys = [f"job:{job.id}", *_all_else(job), f"waiting:{job.lane}", f"running:{job.lane}"]
        args = [
            job.id,
            "" if attempt is None else attempt,
            status.value,
            time.time(),
            job.retention,
            "" if error is None else encode_field(error),
            "" if result is None else encode_field(result),
        ]
        ended = bool(await self.run("END", [*keys, f"durations:{job.lane}", f"busy:{job.owner}"], args))
        if ended:
            self._witness.ended(job, status)
        return ended


async def patiently(work: Callable[[], Awaitable[_T]], seconds: float = math.inf) -> _T:
    """Do it, once Redis is there.

    Args:
        work: may be begun any number of times.
        seconds: for which Redis may be away.

    Raises:
        Exception: one of :data:`UNAVAILABLE`, if it stays away for longer.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return await work()
        except UNAVAILABLE:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(0.1)


def _all_else(job: Job) -> list[str]:
    """The keys of a job besides its record."""
    return [f"{part}:{job.id}" for part in ("stream", "events", "snapshot", "input")]


def _entry(fields: Mapping[bytes, bytes]) -> Entry:
    kind = fields[b"k"]
    if kind == b"piece":
        return Piece(int(fields[b"i"]), int(fields[b"p"]), fields[b"s"])
    if kind == b"begin":
        return Begin(int(fields[b"attempt"]), fields[b"engine"].decode(), fields[b"sha256"].decode())
    error = Failure(**json.loads(fields[b"error"])) if fields[b"error"] else None
    return Ended(Status(fields[b"status"].decode()), error)
