"""What a worker does besides claiming jobs: announce itself, publish symbols and snapshots, read uploads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ancestral.service.broker.connection import (
    ALIVE_SECONDS,
    LIFE_SECONDS,
    PREFIX,
    UNAVAILABLE,
    BrokerHooks,
    replied,
    sent,
)
from ancestral.service.broker.control import Control
from ancestral.service.broker.job import Job
from ancestral.service.broker.messages import Gone, Lost, Overtaken, Piece, Resume, Snapshot, WorkerInfo, kind_of
from ancestral.service.broker.queue import Queue


class Workers(Queue):
    """The operations of a worker."""

    def __init__(self, url: str, hooks: BrokerHooks | None = None) -> None:
        super().__init__(url, hooks)
        self.control = Control(self.redis)
        """Messages of clients about jobs that this worker runs."""

    async def close(self) -> None:
        """Close every connection."""
        with suppress(*UNAVAILABLE):
            await self.control.close()
        await super().close()

    async def announce(self, info: WorkerInfo) -> None:
        """Announce that a worker is alive, and its capabilities."""
        described = json.dumps(vars(info) | {"models": dict(info.models), "slots": dict(info.slots)})
        await self.run("ANNOUNCE", ["workers", "worker_info"], [info.id, described, ALIVE_SECONDS])

    async def leave(self, worker: str) -> None:
        """Withdraw a worker that is ending."""
        async with self.redis.pipeline() as pipe:
            pipe.zrem(PREFIX + "workers", worker)
            pipe.hdel(PREFIX + "worker_info", worker)
            await sent(pipe)

    async def publish(
        self, job: Job, attempt: int, pieces: Sequence[Piece], snapshot: Snapshot | None, *, event: bool
    ) -> None:
        """Append samples to the job's stream and store a snapshot, in one round trip.

        Args:
            job: claimed.
            attempt: that sampled them.
            pieces: in order; may be empty.
            snapshot: of the sampler's state after all or some of them.
            event: whether to add a progress event.

        Raises:
            Overtaken: the attempt is not the current one, or the job has ended.
            Lost: symbols before these are missing; they have to be sampled again.
        """
        state = b""
        if snapshot is not None:
            state = json.dumps([snapshot.index, snapshot.position]).encode() + b"\n" + snapshot.state
        args: list[Any] = [attempt, int(event), state, LIFE_SECONDS]
        for piece in pieces:
            args += [kind_of(piece), piece.index, piece.start, piece.data]
        keys = [f"{part}:{job.id}" for part in ("job", "stream", "events", "snapshot")]
        published = await self.run("PUBLISH", keys, args)
        if published < 1:
            raise Lost(job.id) if published else Overtaken(job.id)

    async def preview(self, job: Job, attempt: int, data: bytes) -> None:
        """Append a preview to the job's stream, unless the attempt is not the current one."""
        await self.run("PREVIEW", [f"job:{job.id}", f"stream:{job.id}"], [attempt, data])

    async def set_total(self, job: Job, samples: int) -> None:
        """Store how many symbols the job will have."""
        await self.run("SET_FIELD", [f"job:{job.id}"], ["samples_total", samples])

    async def annotate(self, job: Job, part: int, text: str) -> None:
        """Store what is known of part ``part`` of the job's output before it is sampled."""
        await self.run("SET_FIELD", [f"job:{job.id}"], [f"part:{part}", text])

    async def clear_deaths(self, job: Job) -> None:
        """Reset the count of workers that died while they ran the job: it was not the cause."""
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
            # If Redis lost symbols in a crash, a snapshot after them would leave a hole: all are sampled again.
            snapshot = Snapshot(index, position, state) if position <= published else None
        return Resume(published, int(read or 0), snapshot)

    async def upload(self, job: Job) -> bytes:
        """What was submitted with the job.

        Raises:
            Gone: they have expired.
        """
        value = await replied(self.redis.get(f"{PREFIX}input:{job.id}"))
        if value is None:
            raise Gone(job.id)
        return bytes(value)
