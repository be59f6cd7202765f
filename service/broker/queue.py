"""The queue as workers use it: two priorities, each a sorted set of waiting jobs and one of leased jobs.

A worker claims the job that has waited longest, renews its lease while it runs the job, and releases it if it stops
before the end. Any worker finds the expired leases of dead workers and puts those jobs back at their old places. All of
it happens in Lua scripts (service/broker/queue_scripts.py): a job is in exactly one of the two sets, or parked, or has
ended, and no crash leaves anything to repair.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ancestral.service.broker.connection import LIFE_SECONDS, PREFIX, BrokerHooks, replied
from ancestral.service.broker.job import MAX_DEATHS, Failure, Job, Priority, Status
from ancestral.service.broker.messages import Signals
from ancestral.service.broker.records import Records, all_else, text

LEASE_SECONDS: Final = 5.0
"""A job whose lease has not been renewed for so long is given to another worker."""
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
class Claim:
    """A job that a worker has leased, and the number of the attempt that has begun."""

    job: Job
    attempt: int


@dataclass(frozen=True)
class Orphan:
    """A job whose worker died."""

    job: Job
    worker: str


class Queue(Records):
    """Claim, renew, release, reclaim."""

    def __init__(self, url: str, hooks: BrokerHooks | None = None) -> None:
        super().__init__(url, hooks)
        self._unanswered: dict[Priority, str] = {}

    async def wait_for_job(self, priority: Priority) -> None:
        """Return once a job may be waiting, at the latest after :data:`WAIT_SECONDS`.

        Redis wakes the worker that has waited longest, so jobs are spread over all of them. May be cancelled.
        """
        await replied(self.redis.blpop([f"{PREFIX}wake:{priority}"], timeout=WAIT_SECONDS))

    async def claim(
        self, priority: Priority, worker: str, models: Mapping[str, tuple[str, str]], *, lease: float = LEASE_SECONDS
    ) -> Claim | None:
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
        while True:
            repeated = priority in self._unanswered
            token = self._unanswered.setdefault(priority, secrets.token_hex(8))
            args: list[Any] = [PREFIX, worker, token, int(repeated), time.time(), lease, LIFE_SECONDS, MAX_DEATHS - 1]
            for name, (sha256, engine) in models.items():
                args += [json.dumps(name), json.dumps(sha256), engine]
            others = [f"running:{other}" for other in Priority if other is not priority]
            keys = [f"waiting:{priority}", f"wake:{priority}", f"running:{priority}", *others]
            reply = await self.run("CLAIM", keys, args)
            del self._unanswered[priority]
            if reply is None:
                return None
            attempt, refusal, fields = reply
            job = Job.parse(text(dict(zip(fields[::2], fields[1::2], strict=True))))
            if not refusal:
                return Claim(job, attempt)
            code = refusal.decode()
            await self.end(job, Status.FAILED, attempt=attempt, error=Failure(_REFUSALS[code], code))

    async def renew(self, job: Job, attempt: int, *, lease: float = LEASE_SECONDS) -> Signals | None:
        """Renew the lease of an attempt, if it still has it. What its worker has to know; None if the job is gone."""
        found = await self.run("RENEW", [f"job:{job.id}", f"running:{job.priority}"], [job.id, attempt, lease])
        current, status, read, wanted = found
        if status is None:
            return None
        return Signals(int(current or 0), Status(json.loads(status)), int(read or 0), wanted is not None)

    async def release(self, job: Job, attempt: int) -> None:
        """Put a job back at its old place or, if its client wanted that, park it. No effect without its lease."""
        await self._release(job, attempt, max_deaths=0)

    async def reclaim(self, priority: Priority, *, lease: float = LEASE_SECONDS) -> list[Orphan]:
        """Put jobs whose lease has expired back at their old places. A job fails whose workers died too often.

        Returns:
            Those that this call has put back or ended.
        """
        orphans, keys = [], [f"running:{priority}", f"reclaimed:{priority}"]
        args = [PREFIX, lease, UNCHECKED_SECONDS, UNCHECKED_COUNTS]
        for job_id, attempt, worker in await self.run("EXPIRED", keys, args):
            if (job := await self.job(job_id.decode())) is None:
                continue
            if released := await self._release(job, attempt, max_deaths=MAX_DEATHS):
                orphans.append(Orphan(job, worker.decode()))
            if released < 0:
                message = f"{MAX_DEATHS} workers in a row died while they ran this job; it was given up."
                await self.end(job, Status.FAILED, attempt=attempt, error=Failure(message, "worker_lost"))
        return orphans

    async def _release(self, job: Job, attempt: int, *, max_deaths: int) -> int:
        keys = [f"running:{job.priority}", f"waiting:{job.priority}", f"unfinished:{job.owner}", f"wake:{job.priority}"]
        args = [job.id, attempt, job.retention, max_deaths, LEASE_SECONDS]
        return int(await self.run("RELEASE", [f"job:{job.id}", *keys, *all_else(job)], args))
