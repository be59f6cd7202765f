"""Jobs as workers see them: begun, sampled, handed on with their state, let go; and those whose worker died."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from service.broker.connection import ALIVE_SECONDS, LIFE_SECONDS, PREFIX, UNAVAILABLE, BrokerHooks, replied, sent
from service.broker.control import Control
from service.broker.job import (
    MAX_DEATHS,
    Failure,
    Job,
    Priority,
    Status,
)
from service.broker.messages import Gone, Lost, Overtaken, Piece, Resume, Signals, Snapshot, WorkerInfo
from service.broker.records import Records, all_else


class Workers(Records):
    """What a worker does."""

    def __init__(self, url: str, hooks: BrokerHooks | None = None) -> None:
        super().__init__(url, hooks)
        self.control = Control(self.redis)
        """What clients want of the jobs in hand."""

    async def close(self) -> None:
        """Close every connection."""
        with suppress(*UNAVAILABLE):
            await self.control.close()
        await super().close()

    async def announce(self, card: WorkerInfo) -> None:
        """Say that a worker lives."""
        text = json.dumps(vars(card) | {"models": dict(card.models), "slots": dict(card.slots)})
        await self.run("ANNOUNCE", ["workers", "cards"], [card.id, text, ALIVE_SECONDS])

    async def leave(self, worker: str) -> None:
        """A worker goes, and says so."""
        async with self.redis.pipeline() as pipe:
            pipe.zrem(PREFIX + "workers", worker)
            pipe.hdel(PREFIX + "cards", worker)
            await sent(pipe)

    async def begin(self, job: Job, turn: int, engine: str) -> int:
        """Take a job in hand: the attempt's number, or 0 if there is nothing to do."""
        parts = [f"waiting:{job.priority}", f"running:{job.priority}", f"events:{job.id}", f"stream:{job.id}"]
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

    async def set_total(self, job: Job, samples: int) -> None:
        """How many symbols the job will have."""
        await self.run("NOTE", [f"job:{job.id}"], ["samples_total", samples])

    async def absolve(self, job: Job) -> None:
        """The workers that died with the job in hand did not die of it."""
        await replied(self.redis.hdel(f"{PREFIX}job:{job.id}", "deaths"))

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
        value = await replied(self.redis.get(f"{PREFIX}input:{job.id}"))
        if value is None:
            raise Gone(job.id)
        return bytes(value)

    async def signals(self, job: Job) -> Signals | None:
        """What a worker has to know of a job in hand; None if it is gone."""
        names = ["attempt", "status", "read", "wanted"]
        attempt, status, read, wanted = await replied(self.redis.hmget(f"{PREFIX}job:{job.id}", names))
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
        keys = [f"job:{job.id}", f"running:{job.priority}", f"waiting:{job.priority}", f"busy:{job.owner}"]
        args = [job.id, turn, job.retention, MAX_DEATHS if died else 0]
        following = int(await self.run("LET_GO", keys + all_else(job), args))
        if following > 0:
            await self._put(job, following)
        elif following < 0:
            message = f"{-following} workers in a row died with this job in hand; it was given up."
            await self.end(job, Status.FAILED, error=Failure(message, "worker_lost"))

    async def strays(self, priority: Priority) -> list[tuple[str, int]]:
        """Jobs that are in no queue, because whoever was to put them there died in between: with turns."""
        queue = self.queues[priority]
        keys = [f"{PREFIX}waiting:{priority}", f"{PREFIX}running:{priority}", queue.incomplete]
        found: Any = await replied(self._scripts["STRAYS"](keys=keys, args=[f"{PREFIX}job:", queue.job_id("")]))
        return [(job_id.decode(), int(turn)) for job_id, turn in found]
