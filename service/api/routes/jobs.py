"""``/v1/jobs``: list, describe, cancel and delete jobs, and watch their events. Each caller sees only their own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, format_sse_event

from ancestral.errors import NotFound
from ancestral.service.api.deps import CallerDep, Service
from ancestral.service.api.http.auth import check_again
from ancestral.service.api.http.openapi import documented, event_stream
from ancestral.service.api.responses import describe_job
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.job import Job, QueuePosition, Status
from ancestral.service.broker.messages import JobExpired
from ancestral.service.errors import Conflict, ResponseAborted, Unauthorized, envelope
from ancestral.service.jobs.events import event
from ancestral.service.jobs.schemas import (
    EVENT_ID,
    JOB_EXAMPLE,
    JOB_ID,
    DeletedJob,
    JobEvent,
    JobList,
    JobObject,
    JobsQuery,
)
from ancestral.service.jobs.state import AppState

KEEP_ALIVE_SECONDS = 10.0
"""A stream of events sends a comment when it has been silent for so long."""
_ENDS = {f"job.{status}" for status in Status if status.terminal}

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


async def own_job(
    job_id: Annotated[str, Path(pattern=JOB_ID, examples=[JOB_EXAMPLE["id"]])],
    service: Service,
    caller: CallerDep,
) -> Job:
    """Dependency of every route about one job.

    Raises:
        NotFound: the caller has no such job.
    """
    job = await service.broker.job(job_id)
    if job is None or job.owner != caller.name:
        raise _not_found("job_id")
    return job


OwnJob = Annotated[Job, Depends(own_job)]


def _not_found(param: str) -> NotFound:
    return NotFound(f"{param}: no such job", param=param, code="job_not_found")


@router.get("", summary="List your jobs", responses=documented(400, 401, 404, 503))
async def list_jobs(query: Annotated[JobsQuery, Query()], service: Service, caller: CallerDep) -> JobList:
    """Your jobs, newest first. For the next page, give the last one's id as ``after``."""
    try:
        jobs, more = await service.broker.jobs(caller.name, query.after, query.limit)
    except JobExpired as error:
        raise _not_found("after") from error
    data = [await _describe(service, job) for job in jobs]
    return JobList.of(data, more)


@router.get("/{job_id}", summary="Get a job", responses=documented(400, 401, 404, 503))
async def get_job(job: OwnJob, service: Service) -> JobObject:
    """The state of a job."""
    return await _describe(service, job)


@router.post("/{job_id}/cancel", summary="Cancel a job", responses=documented(400, 401, 404, 409, 503))
async def cancel_job(job: OwnJob, service: Service) -> JobObject:
    """End a job before it is complete; its output so far is dropped. A job that has ended already is refused (409)."""
    if not await service.broker.cancel(job):
        raise Conflict("The job has ended already.", code="job_ended")
    cancelled = await service.broker.job(job.id)
    if cancelled is None:
        raise _not_found("job_id")
    return await _describe(service, cancelled)


@router.delete("/{job_id}", summary="Delete a job", responses=documented(400, 401, 404, 503))
async def delete_job(job: OwnJob, service: Service) -> DeletedJob:
    """Delete a job and its output. A job that has not ended is cancelled."""
    await service.broker.delete(job)
    return DeletedJob(id=job.id)


async def _describe(service: AppState, job: Job) -> JobObject:
    return describe_job(job, await service.broker.position(job))


_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`job.queued`, `job.in_progress`, `job.progress`, and at the end `job.completed`, `job.failed` "
        "or `job.cancelled`, each with the job as it was when the event happened.",
        "content": {"text/event-stream": event_stream(JobEvent)},
    },
    204: {"description": "The job has ended, and no event came after `Last-Event-ID`."},
}


@router.get(
    "/{job_id}/events",
    summary="Stream the events of a job",
    response_class=Response,
    responses=_EVENTS | documented(400, 401, 404, 503),
)
async def watch_job(
    job: OwnJob,
    service: Service,
    request: Request,
    last_event_id: Annotated[
        str,
        Header(pattern=EVENT_ID, description="The id of the last event that was received; the stream begins after it."),
    ] = "0-0",
) -> Response:
    """The events of a job, past and to come, as server-sent events; the stream ends with the job."""
    if job.status.terminal and not await service.broker.events(job.id, last_event_id, block_ms=1):
        return Response(status_code=204)  # which keeps a browser from connecting again
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return EventSourceResponse(_events(service, request, job.id, last_event_id), headers=headers)


async def _events(service: AppState, request: Request, job_id: str, last: str) -> AsyncIterator[bytes]:
    sent = time.monotonic()
    try:
        while True:
            found = await service.broker.events(job_id, last)
            check_again(request)
            job = await service.broker.job(job_id)
            if job is None:
                yield event(envelope(_not_found("job_id")))
                raise ResponseAborted("the job was deleted")
            standing = await service.broker.position(job)
            for last, fields in found:
                kind, past = fields["type"], job.at(fields)
                # Place and estimate are not recorded: only the latest event can have them.
                is_latest = last == found[-1][0] and past.status is job.status
                view = describe_job(past, standing if is_latest else QueuePosition(None, None))
                data = JobEvent.model_validate({"type": kind, "job": view}).model_dump_json()
                yield format_sse_event(data_str=data, event=kind, id=last)
                if kind in _ENDS:
                    return
            if found:
                sent = time.monotonic()
            elif time.monotonic() - sent >= KEEP_ALIVE_SECONDS:
                sent = time.monotonic()
                yield format_sse_event(comment="keep-alive")
    except Unauthorized as error:
        raise ResponseAborted("the API key was revoked") from error
    except UNAVAILABLE as error:  # the client reconnects with the id of the last event
        raise ResponseAborted("Redis is unavailable") from error
