"""The only door to Redis: jobs and their lanes, the symbols on their way to readers, snapshots, who is alive.

    ancestral:job:ID        hash: the record (service/jobs.py), and attempt, turn, read, wanted, parked, deaths
    ancestral:stream:ID     stream: what was sampled, in order; ends with a mark
    ancestral:events:ID     stream: what happened to the job
    ancestral:snapshot:ID   the sampler's state after some of the symbols; ancestral:input:ID what was uploaded
    ancestral:content:ID    what came of it, as a file (service/contents.py)
    ancestral:waiting:LANE  sorted set by order of arrival; ancestral:running:LANE by start
    ancestral:control:ID    channel: to the worker that has the job in hand

The queue itself is SAQ's (service/lanes.py); it carries ids. Nothing is pickled: records are JSON, symbols raw bytes.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from redis import asyncio as redis
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from service import scripts
from service.jobs import Failure, Job, Lane, Standing, Status, encode_field
from service.lanes import Queue

PREFIX: Final = "ancestral:"
UNAVAILABLE: Final = (exceptions.ConnectionError, exceptions.TimeoutError, TimeoutError)
"""What a call raises while Redis cannot be reached."""

LIFE_SECONDS: Final = 2 * 86400
"""Keys of a job that never ends are dropped after this long."""
ALIVE_SECONDS: Final = 6
"""A worker that has not announced itself for so long is taken for dead."""
BLOCK_MS: Final = 2000
REPLY_SECONDS: Final = 10
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
    engine: str
    models: Mapping[str, str]
    """SHA-256 of the sampled weights, by id."""
    slots: Mapping[str, int]
    """By lane."""
    problem: str | None = None
    cancel_seconds: Sequence[float] = ()
    """How long the last cancelled streams still held their slots."""


class LaneFull(Exception):
    """No room for another job; ``retry_after`` seconds from the measured pace."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("the lane is full")
        self.retry_after = retry_after


class TooMany(LaneFull):
    """The owner has as many unfinished jobs as allowed."""


class Gone(LookupError):
    """The job, or its sound, is no longer kept."""


async def _await(value: Awaitable[_T] | _T) -> _T:
    """The reply, within a while. (redis-py types its commands as perhaps awaitable; ours are.)"""
    async with asyncio.timeout(REPLY_SECONDS):
        return await cast("Awaitable[_T]", value)


async def _sent(pipe: redis.client.Pipeline) -> list[Any]:
    """The replies to everything in a pipeline."""
    async with asyncio.timeout(REPLY_SECONDS):
        return await pipe.execute()


def _text(record: Mapping[bytes, bytes]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in record.items()}


class Broker:
    """A connection to Redis, and every operation on it. One per process and event loop."""

    def __init__(self, url: str) -> None:
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
        return await _await(self._scripts[script](keys=[PREFIX + key for key in keys], args=list(args)))

    # Workers

    async def announce(self, card: WorkerCard) -> None:
        """Say that a worker lives."""
        own = {"models": dict(card.models), "slots": dict(card.slots), "cancel_seconds": list(card.cancel_seconds)}
        text = json.dumps(vars(card) | own)
        await self.run("ANNOUNCE", ["workers", "cards"], [card.id, text, ALIVE_SECONDS])

    async def leave(self, worker: str) -> None:
        """A worker goes, and says so."""
        await _await(self.redis.zrem(PREFIX + "workers", worker))

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
        await self.queues[job.lane].put(job.id, 0)

    async def depths(self, lane: Lane) -> tuple[int, int]:
        """Jobs that wait in a lane, and jobs that run."""
        async with self.redis.pipeline() as pipe:
            pipe.zcard(f"{PREFIX}waiting:{lane}")
            pipe.zcard(f"{PREFIX}running:{lane}")
            waiting, running = await _sent(pipe)
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
        record = _text(await _await(self.redis.hgetall(f"{PREFIX}job:{job_id}")))
        return Job.parse(record) if "kind" in record else None

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
            for job_id in ids:
                if job := await self.job(job_id):
                    found.append(job)
                    first += 1
                else:
                    await _await(self.redis.zrem(index, job_id))
            if len(ids) <= limit:
                break
        return found[:limit], len(found) > limit

    async def standing(self, job: Job) -> Standing:
        """Where a job stands in its lane."""
        if job.status.terminal:
            return Standing(None, None)
        pace, slots = await self._pace(job.lane), await self._slots(job.lane)
        if job.status is Status.IN_PROGRESS:
            spent = time.time() - (job.started_at or time.time())
            left = (job.samples_total or 0) - job.samples_done
            return Standing(None, spent * left / job.samples_done if job.samples_total and job.samples_done else None)
        rank = await _await(self.redis.zrank(f"{PREFIX}waiting:{job.lane}", job.id))
        if rank is None:
            return Standing(None, None)
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
            await _sent(pipe)

    async def cancel(self, job: Job) -> bool:
        """End a job that nobody wants; the worker that has it in hand is told. False if it had ended."""
        ended = await self.end(job, Status.CANCELLED)
        await _await(self.redis.publish(f"{PREFIX}control:{job.id}", "cancel"))
        return ended

    async def ask_park(self, job: Job) -> None:
        """Nobody listens for now: free the slot, keep the state."""
        keys = [f"job:{job.id}", f"waiting:{job.lane}", f"running:{job.lane}", f"busy:{job.owner}"]
        if await self.run("ASK_PARK", keys, [job.id, job.retention]):
            await _await(self.redis.publish(f"{PREFIX}control:{job.id}", "park"))

    async def unpark(self, job: Job, *, queue: int) -> None:
        """Somebody listens again; no effect on a job that is not parked.

        Raises:
            LaneFull: it stays parked.
        """
        lanes = [f"waiting:{job.lane}", f"running:{job.lane}"]
        args = [job.id, await self._slots(job.lane) + queue, time.time(), LIFE_SECONDS]
        turn = await self.run("UNPARK", [f"job:{job.id}", *lanes, "counter", f"busy:{job.owner}"], args)
        if turn < 0:
            raise LaneFull(await self.retry_after(job.lane))
        if turn:
            await self.queues[job.lane].put(job.id, turn)

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

    async def entries(self, job_id: str, patience: float = 60.0) -> AsyncIterator[Entry]:
        """What a job has given and gives, from the beginning to its end mark.

        Args:
            job_id: of a job.
            patience: seconds for which Redis may be away.

        Raises:
            Gone: it is no longer kept.
        """
        last, away = b"0", 0.0
        key = f"{PREFIX}stream:{job_id}"
        while True:
            try:
                reply = await _await(self.redis.xread({key: last}, count=64, block=BLOCK_MS))
                if not reply and await self._silent(job_id):
                    raise Gone(job_id)
            except UNAVAILABLE:
                if away and time.monotonic() - away > patience:
                    raise
                away = away or time.monotonic()
                await asyncio.sleep(0.1)
                continue
            away = 0.0
            for name, fields in reply[0][1] if reply else []:
                last, entry = name, _entry(fields)
                yield entry
                if isinstance(entry, Ended):
                    return

    async def _silent(self, job_id: str) -> bool:
        """Whether nothing more can come of a job: it is gone, or it ended and its stream is gone."""
        async with self.redis.pipeline() as pipe:
            pipe.hget(f"{PREFIX}job:{job_id}", "status")
            pipe.exists(f"{PREFIX}stream:{job_id}")
            status, there = await _sent(pipe)
        return status is None or (not there and Status(json.loads(status)).terminal)

    async def acknowledge(self, job: Job, position: int) -> None:
        """Somebody has read so many symbols of a paced job."""
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.hset(f"{PREFIX}job:{job.id}", "read", str(position))
            pipe.publish(f"{PREFIX}control:{job.id}", f"read {position}")
            await _sent(pipe)

    async def events(self, job_id: str, last: str, block_ms: int = BLOCK_MS) -> list[tuple[str, dict[str, str]]]:
        """What happened to a job after the event ``last`` (``0``: all), waiting a while for it: ids and fields."""
        reply = await _await(self.redis.xread({f"{PREFIX}events:{job_id}": last}, block=block_ms))
        return [(name.decode(), _text(fields)) for name, fields in (reply[0][1] if reply else [])]

    # Jobs, as workers see them

    async def begin(self, job: Job, engine: str) -> int:
        """Take a job in hand: the attempt's number, or 0 if there is nothing to do."""
        keys = [f"job:{job.id}", f"waiting:{job.lane}", f"running:{job.lane}", f"events:{job.id}"]
        attempt = int(await self.run("BEGIN", keys, [job.id, time.time(), encode_field(engine)]))
        if attempt:
            key = f"{PREFIX}stream:{job.id}"
            fields: dict[Any, Any] = {"k": "begin", "attempt": attempt, "engine": engine, "sha256": job.sha256}
            async with self.redis.pipeline() as pipe:
                pipe.xadd(key, fields)
                pipe.expire(key, LIFE_SECONDS)
                await _sent(pipe)
        return attempt

    async def publish(self, job: Job, pieces: Sequence[Piece], snapshot: Snapshot | None, *, event: bool) -> None:
        """Hand on what was sampled, in one round trip.

        Args:
            job: in hand.
            pieces: in order; perhaps none.
            snapshot: of the state after them or after some of them.
            event: whether those who watch the job are told how far it is.
        """
        async with self.redis.pipeline(transaction=False) as pipe:
            for piece in pieces:
                fields: dict[Any, Any] = {"k": "piece", "i": piece.index, "p": piece.start, "s": piece.symbols}
                pipe.xadd(f"{PREFIX}stream:{job.id}", fields, nomkstream=True)
            if snapshot is not None:
                value = json.dumps([snapshot.index, snapshot.position]).encode() + b"\n" + snapshot.state
                pipe.set(f"{PREFIX}snapshot:{job.id}", value, ex=LIFE_SECONDS)
            if pieces:
                done = pieces[-1].start + len(pieces[-1].symbols)
                pipe.hset(f"{PREFIX}job:{job.id}", "samples_done", str(done))
            if pieces and event:
                pipe.xadd(f"{PREFIX}events:{job.id}", {"type": "job.progress", "samples_done": done}, nomkstream=True)
            await _sent(pipe)

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
        await _await(self.redis.hset(f"{PREFIX}job:{job.id}", "samples_total", str(samples)))

    async def resume_point(self, job: Job) -> tuple[int, Snapshot | None]:
        """Where an earlier attempt got to: symbols published, and the snapshot to go on from, if it is of use."""
        published = 0
        for _, fields in await _await(self.redis.xrevrange(f"{PREFIX}stream:{job.id}", count=100)):
            if fields[b"k"] == b"piece":
                published = int(fields[b"p"]) + len(fields[b"s"])
                break
        value = await _await(self.redis.get(f"{PREFIX}snapshot:{job.id}"))
        if value is None:
            return published, None
        head, _, state = value.partition(b"\n")
        index, position = json.loads(head)
        # Symbols that Redis lost in a crash would leave a hole before the snapshot: then all is made again.
        return published, Snapshot(index, position, state) if position <= published else None

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

    async def let_go(self, job: Job, attempt: int) -> None:
        """Leave a job to the next worker or, if that was wanted, aside until it is asked for again."""
        keys = [f"job:{job.id}", f"running:{job.lane}", f"waiting:{job.lane}", f"busy:{job.owner}"]
        if turn := await self.run("LET_GO", keys, [job.id, attempt, job.retention]):
            await self.queues[job.lane].put(job.id, turn)

    async def strays(self, lane: Lane) -> list[tuple[str, int]]:
        """Jobs that wait in a lane and are in no queue, because whoever put them there died in between: with turns."""
        found = []
        for name in await _await(self.redis.zrange(f"{PREFIX}waiting:{lane}", 0, -1)):
            job_id = name.decode()
            turn = int(await _await(self.redis.hget(f"{PREFIX}job:{job_id}", "turn")) or 0)
            if not await self.queues[lane].holds(job_id, turn):
                found.append((job_id, turn))
        return found

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
        parts = ("job", "stream", "events", "snapshot", "input")
        keys = [f"{part}:{job.id}" for part in parts] + [f"{part}:{job.lane}" for part in ("waiting", "running")]
        args = [
            job.id,
            "" if attempt is None else attempt,
            status.value,
            time.time(),
            job.retention,
            "" if error is None else encode_field(error),
            "" if result is None else encode_field(result),
        ]
        return bool(await self.run("END", [*keys, f"durations:{job.lane}", f"busy:{job.owner}"], args))

    async def death(self, job: Job) -> int:
        """A worker died with the job in hand: how many in a row, since it last got any further."""
        value = await _await(self.redis.get(f"{PREFIX}snapshot:{job.id}"))
        position = json.loads(value.partition(b"\n")[0])[1] if value else 0
        return int(await self.run("DEATH", [f"job:{job.id}"], [position]))


def _entry(fields: Mapping[bytes, bytes]) -> Entry:
    kind = fields[b"k"]
    if kind == b"piece":
        return Piece(int(fields[b"i"]), int(fields[b"p"]), fields[b"s"])
    if kind == b"begin":
        return Begin(int(fields[b"attempt"]), fields[b"engine"].decode(), fields[b"sha256"].decode())
    error = Failure(**json.loads(fields[b"error"])) if fields[b"error"] else None
    return Ended(Status(fields[b"status"].decode()), error)
