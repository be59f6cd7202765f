"""Routes that answer only when a job has ended, and end it when the client does not wait for that."""

from __future__ import annotations

from fastapi import Request

from service.broker import Broker
from service.errors import NotFound
from service.jobs import Job
from service.streaming import check_end, while_listened_to


async def completed(request: Request, broker: Broker, job: Job, *, keep: bool) -> Job:
    """The job as it is once it has completed.

    Args:
        request: whose client waits; its body has been read.
        broker: of the job.
        job: accepted.
        keep: the client may come back for it: if it leaves, the job is parked and not cancelled.

    Raises:
        ClientLeft: before that.
        ServiceError: the job failed, was cancelled or is gone.
    """
    ended = await while_listened_to(_end(broker, job), request.receive, broker, job, keep=keep)
    check_end(ended.status, ended.error)
    return ended


async def _end(broker: Broker, job: Job) -> Job:
    last = "0-0"
    while True:
        now = await broker.job(job.id)
        if now is None:
            raise NotFound("The job is gone.", code="job_not_found")
        if now.status.terminal:
            return now
        if news := await broker.events(job.id, last):
            last = news[-1][0]
