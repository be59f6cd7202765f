"""``/v1/jobs``: what was asked for before, where it stands, and news of it. Each caller sees their own alone."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query
from fastapi.responses import Response, StreamingResponse

from service.api.http.openapi import documented, event_stream
from service.api.responses import describe_job
from service.api.state import Known, Service
from service.broker import UNAVAILABLE, Gone
from service.broker.job import Job, Status
from service.errors import BrokenOff, Conflict, NotFound, envelope
from service.jobs.schemas import (
    JOB_EXAMPLE,
    JOB_ID,
    DeletedJob,
    JobList,
    JobObject,
    JobsQuery,
)
from service.jobs.state import State

KEEP_ALIVE_SECONDS = 10.0
"""A stream of events is never silent for much longer."""
_ENDS = {f"job.{status}" for status in Status if status.terminal}
_EVENT_ID = r"^[0-9]{1,19}-[0-9]{1,19}$"

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


async def own_job(
    job_id: Annotated[str, Path(pattern=JOB_ID, examples=["job_0123456789abcdef01234567"])],
    service: Service,
    caller: Known,
) -> Job:
    """The dependency of every route about one job.

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
async def list_jobs(query: Annotated[JobsQuery, Query()], service: Service, caller: Known) -> JobList:
    """Your jobs, newest first. For the next page, give the last one's id as ``after``."""
    try:
        jobs, more = await service.broker.jobs(caller.name, query.after, query.limit)
    except Gone as error:
        raise _not_found("after") from error
    data = [await _describe(service, job) for job in jobs]
    first, last = (data[0].id, data[-1].id) if data else (None, None)
    return JobList(data=data, has_more=more, first_id=first, last_id=last)


@router.get("/{job_id}", summary="One job", responses=documented(400, 401, 404, 503))
async def get_job(job: OwnJob, service: Service) -> JobObject:
    """Where a job stands."""
    return await _describe(service, job)


@router.post("/{job_id}/cancel", summary="Cancel a job", responses=documented(400, 401, 404, 409, 503))
async def cancel_job(job: OwnJob, service: Service) -> JobObject:
    """End a job before its time; what it has made so far is not kept. One that has ended already is left as it is."""
    if not await service.broker.cancel(job):
        raise Conflict("The job has ended already.", code="job_ended")
    cancelled = await service.broker.job(job.id)
    if cancelled is None:
        raise _not_found("job_id")
    return await _describe(service, cancelled)


@router.delete("/{job_id}", summary="Delete a job", responses=documented(400, 401, 404, 503))
async def delete_job(job: OwnJob, service: Service) -> DeletedJob:
    """Forget a job and its sound. One that has not ended is cancelled."""
    await service.broker.delete(job)
    return DeletedJob(id=job.id)


async def _describe(service: State, job: Job) -> JobObject:
    return describe_job(job, await service.broker.standing(job))


_NEWS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`job.queued`, `job.in_progress`, `job.progress`, and at the end `job.completed`, `job.failed` "
        "or `job.cancelled`, each with the job as it is when the event is sent.",
        "content": {
            "text/event-stream": event_stream(
                {
                    "type": "object",
                    "required": ["type", "job"],
                    "properties": {
                        "type": {"type": "string", "pattern": r"^job\.[a-z_]+$"},
                        "job": {"$ref": "#/components/schemas/JobObject"},
                    },
                },
                completed={"type": "job.completed", "job": JOB_EXAMPLE},
            )
        },
    },
    204: {"description": "It has ended, and nothing came after `Last-Event-ID`."},
}


@router.get(
    "/{job_id}/events",
    summary="Watch a job",
    response_class=Response,
    responses=_NEWS | documented(400, 401, 404, 503),
)
async def watch_job(
    job: OwnJob,
    service: Service,
    last_event_id: Annotated[
        str, Header(pattern=_EVENT_ID, description="The id of the last event seen; those after it are sent.")
    ] = "0-0",
) -> Response:
    """What has happened to a job, and what happens, as server-sent events; the stream ends with the job."""
    if job.status.terminal and not await service.broker.events(job.id, last_event_id, block_ms=1):
        return Response(status_code=204)  # which is what keeps a browser from asking again
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_news(service, job.id, last_event_id), headers=headers, media_type="text/event-stream")


async def _news(service: State, job_id: str, last: str) -> AsyncIterator[str]:
    spoke = time.monotonic()
    try:
        while True:
            found = await service.broker.events(job_id, last)
            job = await service.broker.job(job_id)
            if job is None:
                yield f"data: {json.dumps(envelope(_not_found('job_id')))}\n\n"
                raise BrokenOff("the job was deleted")
            view = (await _describe(service, job)).model_dump(mode="json")
            for last, fields in found:
                kind = fields["type"]
                yield f"id: {last}\nevent: {kind}\ndata: {json.dumps({'type': kind, 'job': view})}\n\n"
                if kind in _ENDS:
                    return
            if found:
                spoke = time.monotonic()
            elif time.monotonic() - spoke >= KEEP_ALIVE_SECONDS:
                spoke = time.monotonic()
                yield ": still here\n\n"
    except UNAVAILABLE as error:  # the client comes back with the id of the last event
        raise BrokenOff("redis is away") from error
