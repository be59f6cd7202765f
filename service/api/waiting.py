"""Routes that answer only when a job has ended, and end it when the client does not wait for that."""

from __future__ import annotations

import asyncio

from fastapi import Request

from service.broker import Broker
from service.errors import BrokenOff, Conflict, NotFound
from service.jobs import Job, Status
from service.streaming import abandon, disconnected, failed


async def completed(request: Request, broker: Broker, job: Job, *, keep: bool) -> Job:
    """The job as it is once it has completed.

    Args:
        request: whose client waits; its body has been read.
        broker: of the job.
        job: accepted.
        keep: the client may come back for it: if it leaves, the job is parked and not cancelled.

    Raises:
        BrokenOff: the client left.
        ServiceError: the job failed, was cancelled or is gone.
    """
    work = asyncio.create_task(_end(broker, job))
    gone = asyncio.create_task(disconnected(request.receive))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise BrokenOff("the client left")
        ended = await work
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)
        if work.cancelled() or work.exception() is not None:
            await asyncio.shield(abandon(broker, job, keep=keep))
    if ended.status is Status.FAILED:
        raise failed(ended.error)
    if ended.status is Status.CANCELLED:
        raise Conflict("The job was cancelled.", code="job_cancelled")
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
