"""How a job's sound reaches the one who asked: at once, as it is sampled, or later, through ``/v1/jobs``."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse, Response

from service.api.deps import RequestContext
from service.broker.job import Job, Priority, Standing
from service.catalog.models import SpeechModel
from service.jobs.schemas import JobError, JobObject
from service.jobs.state import State
from service.jobs.stream import EVENTS, StreamedResponse
from service.jobs.submit import JobSpec
from service.speech import codecs
from service.speech.schemas import AudioRequest
from service.speech.stream import AudioReader, as_events, encoded
from service.telemetry.metrics import Transport
from service.telemetry.playback import Playback, track_playback


def headers_of_samples(what: str) -> dict[str, Any]:
    """What an answer with something that was sampled says in its headers; ``what`` comes again from the same seed."""
    return {
        name: {"description": description, "required": True, "schema": {"type": "string"}}
        for name, description in {
            "x-seed": f"Send it as `seed` to get the same {what} again.",
            "x-model-sha256": "Of the weights that were sampled.",
            "x-engine": "What sampled them.",
            "x-job-id": "The job that was made of the request.",
        }.items()
    }


def _link(method: str, path: str = "") -> dict[str, Any]:
    operation = f"#/paths/~1v1~1jobs~1{{job_id}}{path}/{method}"
    return {"operationRef": operation, "parameters": {"job_id": "$response.body#/id"}}


ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "model": JobObject,
        "description": "A job, to be fetched later: asked for with `Prefer: respond-async`, or because it takes long.",
        "headers": {"Location": {"description": "Of the job.", "required": True, "schema": {"type": "string"}}},
        "links": {
            "job": _link("get"),
            "events": _link("get", "~1events"),
            "content": _link("get", "~1content"),
            "manifest": _link("get", "~1manifest"),
            "cancel": _link("post", "~1cancel"),
            "delete": _link("delete"),
        },
    }
}


async def deliver(context: RequestContext, job_spec: JobSpec, request: AudioRequest) -> Response:
    """Have a job sampled, and answer with the sound as it comes, or with the job that it has become.

    Args:
        context: who asks, and how.
        job_spec: what was made of the request.
        request: says in which form the sound goes.

    Raises:
        ServiceError: as :func:`service.jobs.submit.submit_job` does.
    """
    job, service = await context.submit(job_spec), context.service
    if job.priority is Priority.BATCH:
        return await accepted(service, job)
    assert isinstance(job_spec.model, SpeechModel)
    spec, form = job_spec.model.spec, request.response_format
    reader = AudioReader(service.broker, job, spec)
    source, media_type = encoded(reader, spec.sample_rate, form, request.sample_rate), codecs.MEDIA_TYPES[form]
    road = Transport.SSE if request.stream_format == "sse" else Transport.HTTP
    playback = Playback(service.metrics.listener(road, job.model), context.request.state.asked_at)
    source = track_playback(source, playback, lambda: reader.samples / spec.sample_rate)
    if road is Transport.SSE:
        source, media_type = as_events(source, reader), EVENTS
    stall = service.settings.stall_seconds
    return StreamedResponse(service.broker, reader, source, media_type, stall_seconds=stall, keep=context.keep)


async def accepted(service: State, job: Job) -> Response:
    """202, with the job."""
    view = describe_job(job, await service.broker.standing(job))
    return JSONResponse(view.model_dump(), 202, {"location": f"/v1/jobs/{job.id}", "x-job-id": job.id})


def describe_job(job: Job, standing: Standing) -> JobObject:
    """A job as clients see it."""
    error = None if job.error is None else JobError(**vars(job.error))
    return JobObject(
        id=job.id,
        model=job.model,
        status=job.status,
        progress=round(job.progress, 4),
        created_at=int(job.created_at),
        started_at=None if job.started_at is None else int(job.started_at),
        completed_at=None if job.completed_at is None else int(job.completed_at),
        expires_at=None if job.expires_at is None else int(job.expires_at),
        queue_position=standing.position,
        eta_seconds=None if standing.eta is None else round(standing.eta, 1),
        samples_done=job.samples_done,
        samples_total=job.samples_total,
        error=error,
    )
