"""Answers of routes that wait for a job to end; the job is cancelled or suspended if the client disconnects."""

from __future__ import annotations

from fastapi.responses import JSONResponse, Response

from ancestral.catalog.models import Model
from ancestral.errors import NotFound
from ancestral.service.api.deps import RequestContext
from ancestral.service.api.responses import accepted
from ancestral.service.api.sample_headers import sample_headers
from ancestral.service.api.streamed_response import while_connected
from ancestral.service.broker import Clients
from ancestral.service.broker.job import Job, Priority
from ancestral.service.jobs.payload import Payload
from ancestral.service.jobs.stream import check_end
from ancestral.service.jobs.tasks import JobSpec


async def figures(context: RequestContext, job_spec: JobSpec[Payload, Model]) -> Response:
    """Submit a job that gives figures, and answer with them, or with the job if it takes long.

    Args:
        context: of the request.
        job_spec: the checked request.

    Raises:
        ClientDisconnected: the client disconnected before the answer.
        ServiceError: it was not accepted, or failed.
    """
    job = await context.submit(job_spec)
    if job.priority is Priority.BATCH:
        return await accepted(context.service, job)
    ended = await completed(context, job)
    headers = sample_headers(ended, job_spec.payload) | {"x-engine": ended.engine or ""}
    return JSONResponse(job_spec.task.figures(ended), headers=headers)


async def completed(context: RequestContext, job: Job) -> Job:
    """Wait until a job has completed.

    Args:
        context: of the request that waits.
        job: submitted.

    Raises:
        ClientDisconnected: the client disconnected.
        ServiceError: the job failed, was cancelled or is gone.
    """
    broker = context.service.broker
    ended = await while_connected(_end(broker, job), context.request.receive, broker, job, keep=context.keep)
    check_end(ended.status, ended.error)
    return ended


async def _end(broker: Clients, job: Job) -> Job:
    last = "0-0"
    while True:
        now = await broker.job(job.id)
        if now is None:
            raise NotFound("The job is gone.", code="job_not_found")
        if now.status.terminal:
            return now
        if news := await broker.events(job.id, last):
            last = news[-1][0]
