"""What a worker may do: announce itself, claim jobs, and reclaim those of dead workers.

The queue has two priorities, each a sorted set of waiting jobs and one of leased jobs. A worker claims the job that has
waited longest, renews its :class:`Lease` while it runs the job, and releases it if it stops before the end. Any worker
finds the expired leases of dead workers and puts those jobs back at their old places. All of it happens in Lua scripts
(queue_scripts.py): a job is in exactly one of the two sets, or suspended, or has ended, and no crash leaves anything to
repair.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

from ancestral.service.broker.connection import UNAVAILABLE, Connection, execute, with_timeout
from ancestral.service.broker.control import Control
from ancestral.service.broker.job import MAX_DEATHS, Failure, Job, Priority, Status
from ancestral.service.broker.keys import LIFE_SECONDS, SHARED, Keys, key
from ancestral.service.broker.lease import Lease
from ancestral.service.broker.messages import WorkerInfo
from ancestral.service.broker.queue_scripts import CLAIM, EXPIRED
from ancestral.service.broker.records import LEASE_SECONDS, decoded, end_job, read_jobs, release_job
from ancestral.service.broker.scripts import ANNOUNCE

ALIVE_SECONDS: Final = 6
"""A worker that has not announced itself for so long counts as dead."""
RECLAIM_SECONDS: Final = 1.0
"""Between two checks for expired leases, by every worker."""
UNCHECKED_SECONDS: Final = 2.0
"""If no worker has checked for so long, Redis was unavailable and leases could not be renewed. Together with the
interval of renewals, 1.5 s, less than a lease."""
UNCHECKED_COUNTS: Final = 0.5
"""The seconds of that time that count for leases, however long it was."""
WAIT_SECONDS: Final = 1.0
"""For which a worker waits to be woken before it tries to claim a job all the same."""
_REFUSALS: Final = {
    "model_changed": "The model was replaced after the job had been accepted.",
    # Listeners have symbols of another engine or precision, which this one cannot continue bit for bit.
    "engine_changed": "The engine was replaced while the job was being sampled.",
}


@dataclass(frozen=True)
class Orphan:
    """A job whose worker died."""

    job: Job
    worker: str


class Workers:
    """The operations of a worker."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._redis = connection.redis
        self._unanswered: dict[Priority, str] = {}
        self.control = Control(connection.redis)
        """Messages of clients about jobs that this worker runs."""

    async def close(self) -> None:
        """Stop listening to clients."""
        with suppress(*UNAVAILABLE):
            await self.control.close()

    async def announce(self, info: WorkerInfo) -> None:
        """Announce that a worker is alive, and its capabilities."""
        described = json.dumps(asdict(info))
        await self._connection.run(ANNOUNCE, worker=info.id, info=described, alive_seconds=ALIVE_SECONDS)

    async def leave(self, worker: str) -> None:
        """Withdraw a worker that is ending."""
        async with self._redis.pipeline() as pipe:
            pipe.zrem(SHARED["workers"], worker)
            pipe.hdel(SHARED["worker_info"], worker)
            await execute(pipe)

    async def wait_for_job(self, priority: Priority) -> None:
        """Return once a job may be waiting, at the latest after :data:`WAIT_SECONDS`.

        Redis wakes the worker that has waited longest, so jobs are spread over all of them. May be cancelled.
        """
        await with_timeout(self._redis.blpop([Keys(priority=priority)["wake"]], timeout=WAIT_SECONDS))

    async def claim(
        self, priority: Priority, worker: str, models: Mapping[str, tuple[str, str]], *, lease: float = LEASE_SECONDS
    ) -> Lease | None:
        """Lease the job that has waited longest and begin an attempt at it.

        Not to be cancelled: a job could be leased to a worker that does not know of it. For the same reason a claim
        whose reply got lost is repeated by the next call. One call at a time for each priority.

        Args:
            priority: of the queue.
            worker: its id.
            models: SHA-256 of the weights and name of the engine, by the id of the model.
            lease: seconds.

        Returns:
            None if there is nothing to do at the moment.
        """
        (other,) = set(Priority) - {priority}
        while True:
            repeated = priority in self._unanswered
            reply = await self._connection.run(
                CLAIM,
                Keys(priority=priority),
                other_running=Keys(priority=other)["running"],
                **{f"{kind}_prefix": key(kind, "") for kind in ("job", "events", "stream")},
                worker=worker,
                claim=self._unanswered.setdefault(priority, secrets.token_hex(8)),
                repeated=int(repeated),
                started_at=time.time(),
                lease=lease,
                life=LIFE_SECONDS,
                alone_from=MAX_DEATHS - 1,
                models=json.dumps(models),
            )
            del self._unanswered[priority]
            if reply is None:
                return None
            attempt, refusal, fields = reply
            job = Job.parse(decoded(dict(zip(fields[::2], fields[1::2], strict=True))))
            if not refusal:
                return Lease(self._connection, job, attempt)
            failure = Failure(_REFUSALS[refusal.decode()], refusal.decode())
            await end_job(self._connection, job, Status.FAILED, attempt=attempt, error=failure)

    async def reclaim(self, priority: Priority, *, lease: float = LEASE_SECONDS) -> list[Orphan]:
        """Put jobs whose lease has expired back at their old places. A job fails whose workers died too often.

        Returns:
            Those that this call has put back or ended.
        """
        orphans: list[Orphan] = []
        checks = {"lease": lease, "unchecked": UNCHECKED_SECONDS, "counted": UNCHECKED_COUNTS}
        expired = await self._connection.run(EXPIRED, Keys(priority=priority), job_prefix=key("job", ""), **checks)
        for job_id, attempt, worker in expired:
            (job,) = await read_jobs(self._connection, [job_id.decode()])
            if job is None:
                continue
            if released := await release_job(self._connection, job, attempt, max_deaths=MAX_DEATHS):
                orphans.append(Orphan(job, worker.decode()))
            if released < 0:
                message = f"{MAX_DEATHS} workers in a row died while they ran this job; it was given up."
                failure = Failure(message, "worker_lost")
                await end_job(self._connection, job, Status.FAILED, attempt=attempt, error=failure)
        return orphans
