"""The answers to requests for sound: a stream while it is sampled, or a job to fetch it from later."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse, Response

from service.api.deps import RequestContext
from service.api.streamed_response import EVENTS, StreamedResponse
from service.broker.job import Job, Priority, Standing
from service.catalog.models import SpeechModel
from service.jobs.schemas import JobError, JobObject
from service.jobs.state import State
from service.jobs.submit import JobSpec
from service.speech import codecs
from service.speech.payloads import AudioPayload
from service.speech.schemas import AudioRequest
from service.speech.stream import AudioReader, as_events, encoded
from service.telemetry.metrics import Transport
from service.telemetry.playback import Playback, track_playback


def headers_of_samples(what: str) -> dict[str, Any]:
    """The headers of a response with sampled output, for OpenAPI; ``what`` names the output."""
    return {
        name: {"description": description, "required": True, "schema": {"type": "string"}}
        for name, description in {
            "x-seed": f"Send it as `seed` to get the same {what} again.",
            "x-model-sha256": "SHA-256 of the model's weights.",
            "x-engine": "The sampling engine.",
            "x-job-id": "The id of the job.",
        }.items()
    }


def _link(method: str, path: str = "") -> dict[str, Any]:
    operation = f"#/paths/~1v1~1jobs~1{{job_id}}{path}/{method}"
    return {"operationRef": operation, "parameters": {"job_id": "$response.body#/id"}}


ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "model": JobObject,
        "description": "A job whose result is fetched later: requested with `Prefer: respond-async`, or because the "
        "output is long.",
        "headers": {
            "Location": {"description": "The path of the job.", "required": True, "schema": {"type": "string"}}
        },
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


async def stream_audio(
    context: RequestContext, job_spec: JobSpec[AudioPayload, SpeechModel], request: AudioRequest
) -> Response:
    """Submit a job, and answer with its sound while it is sampled, or with the job if that takes long.

    Args:
        context: of the request.
        job_spec: the checked request.
        request: says in which format the sound is sent.

    Raises:
        ServiceError: as :func:`service.jobs.submit.submit_job` does.
    """
    job, service = await context.submit(job_spec), context.service
    if job.priority is Priority.BATCH:
        return await accepted(service, job)
    spec, form = job_spec.model.spec, request.response_format
    reader = AudioReader(service.broker, job, job_spec.task.parse(job), spec)
    source, media_type = encoded(reader, spec.sample_rate, form, request.sample_rate), codecs.MEDIA_TYPES[form]
    transport = Transport.SSE if request.stream_format == "sse" else Transport.HTTP
    playback = Playback(service.metrics.listener(transport, job.model), context.request.state.asked_at)
    source = track_playback(source, playback, lambda: reader.samples / spec.sample_rate)
    if transport is Transport.SSE:
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
