"""What a worker may do with a job while it has the lease."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from ancestral.service.broker.connection import Connection, execute, retry_while_unavailable, with_timeout
from ancestral.service.broker.job import Job, Status
from ancestral.service.broker.keys import LIFE_SECONDS, Keys
from ancestral.service.broker.messages import (
    JobExpired,
    Piece,
    ResumePoint,
    Signals,
    Snapshot,
    StaleAttempt,
    SymbolsLost,
)
from ancestral.service.broker.queue_scripts import RENEW
from ancestral.service.broker.records import LEASE_SECONDS, end_job, release_job
from ancestral.service.broker.script import Script
from ancestral.service.broker.scripts import PREVIEW, PUBLISH, SET_FIELD


class Lease:
    """The lease of a job, for one attempt at it. All methods but :meth:`renew` wait while Redis is unavailable.

    Args:
        connection: to Redis.
        job: claimed.
        attempt: the number of the attempt. What an earlier attempt does has no effect.
    """

    def __init__(self, connection: Connection, job: Job, attempt: int) -> None:
        self.job = job
        self.attempt = attempt
        self._connection = connection
        self._redis = connection.redis
        self._keys = Keys.for_job(job)

    async def _run(self, script: Script, **args: Any) -> Any:
        return await retry_while_unavailable(lambda: self._connection.run(script, self._keys, **args))

    async def renew(self, *, seconds: float = LEASE_SECONDS) -> Signals | None:
        """Renew the lease, if the attempt still has it. What its worker has to know; None if the job is gone.

        Raises:
            Exception: one of :data:`UNAVAILABLE`.
        """
        args = {"id": self.job.id, "attempt": self.attempt, "lease": seconds}
        current, status, read, wanted = await self._connection.run(RENEW, self._keys, **args)
        if status is None:
            return None
        return Signals(int(current or 0), Status(json.loads(status)), int(read or 0), wanted is not None)

    async def release(self) -> None:
        """Put the job back at its old place or, if its client wanted that, suspend it. No effect without the lease."""
        await retry_while_unavailable(lambda: release_job(self._connection, self.job, self.attempt))

    async def end(self, status: Status, **details: Any) -> bool:
        """End the job, if the attempt still has it; see :func:`ancestral.service.broker.records.end_job`."""
        end = partial(end_job, self._connection, self.job, status, attempt=self.attempt, **details)
        return await retry_while_unavailable(end)

    async def resume_point(self) -> ResumePoint:
        """Where an earlier attempt got to."""
        (done, read), value = await retry_while_unavailable(self._progress)
        published, snapshot = int(done or 0), None
        if value is not None:
            head, _, state = value.partition(b"\n")
            index, position = json.loads(head)
            # If Redis lost symbols in a crash, a snapshot after them would leave a hole: all are sampled again.
            snapshot = Snapshot(index, position, state) if position <= published else None
        return ResumePoint(published, int(read or 0), snapshot)

    async def _progress(self) -> list[Any]:
        async with self._redis.pipeline() as pipe:
            pipe.hmget(self._keys["job"], ["samples_done", "read"])
            pipe.get(self._keys["snapshot"])
            return await execute(pipe)

    async def upload(self) -> bytes:
        """What was submitted with the job.

        Raises:
            JobExpired: it has expired.
        """
        value = await retry_while_unavailable(lambda: with_timeout(self._redis.get(self._keys["input"])))
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
        state, fields = b"", list[Any]()
        if snapshot is not None:
            state = json.dumps([snapshot.index, snapshot.position]).encode() + b"\n" + snapshot.state
        for piece in pieces:
            fields += ["pcm" if piece.pcm else "piece", piece.index, piece.start, piece.data]
        args = {"attempt": self.attempt, "event": int(event), "state": state, "life": LIFE_SECONDS}
        published = await self._run(PUBLISH, **args, pieces=fields)
        if published < 1:
            raise SymbolsLost(self.job.id) if published else StaleAttempt(self.job.id)

    async def preview(self, data: bytes) -> None:
        """Append a preview to the job's stream, unless the attempt is not the current one."""
        await self._run(PREVIEW, attempt=self.attempt, data=data)

    async def set_total(self, samples: int) -> None:
        """Store how many symbols the job will have."""
        await self._run(SET_FIELD, field="samples_total", value=samples, message="")

    async def store_timings(self, sentence: int, text: str) -> None:
        """Store when the phonemes of a sentence will be said."""
        await self._run(SET_FIELD, field=f"timings:{sentence}", value=text, message="")

    async def clear_deaths(self) -> None:
        """Reset the count of workers that died while they ran the job: it was not the cause."""
        await retry_while_unavailable(lambda: with_timeout(self._redis.hdel(self._keys["job"], "deaths")))
