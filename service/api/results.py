"""Routes that answer only when a job has ended, and end it when the client does not wait for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi.responses import JSONResponse, Response

from service.api.deps import RequestContext
from service.api.responses import accepted
from service.broker import Broker
from service.broker.job import Job, Priority
from service.errors import NotFound
from service.jobs.stream import check_end, while_listened_to
from service.jobs.submit import JobSpec


async def figures(
    context: RequestContext, job_spec: JobSpec, told: Callable[[Job], Mapping[str, Any] | None]
) -> Response:
    """Have a job done that gives figures, and answer with them, or with the job that it has become.

    Args:
        context: who asks, and how.
        job_spec: what was made of the request.
        told: what the client is told of the finished job.

    Raises:
        ClientLeft: before the answer.
        ServiceError: it was not accepted, or failed.
    """
    job = await context.submit(job_spec)
    if job.priority is Priority.BATCH:
        return await accepted(context.service, job)
    ended = await completed(context, job)
    headers = {"x-job-id": ended.id, "x-model-sha256": ended.sha256, "x-engine": ended.engine or ""}
    return JSONResponse(told(ended), headers=headers)


async def completed(context: RequestContext, job: Job) -> Job:
    """A job as it is once it has completed.

    Args:
        context: who waits for it.
        job: accepted.

    Raises:
        ClientLeft: before that.
        ServiceError: the job failed, was cancelled or is gone.
    """
    broker = context.service.broker
    ended = await while_listened_to(_end(broker, job), context.request.receive, broker, job, keep=context.keep)
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
