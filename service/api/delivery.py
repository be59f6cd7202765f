"""How a job's sound reaches the one who asked: at once, as it is sampled, or later, through ``/v1/jobs``."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse, Response

from service import codecs
from service.api.asking import Asking
from service.api.state import State
from service.catalogue import SoundModel
from service.hearing import Hearing, heard
from service.intake import Order
from service.jobs import Job, Lane, Standing
from service.metrics import Road
from service.schemas import JobError, JobObject, SoundRequest
from service.streaming import EVENTS, Listening, StreamedResponse, as_events, encoded


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


async def deliver(asking: Asking, order: Order, request: SoundRequest) -> Response:
    """Have an order sampled, and answer with the sound as it comes, or with the job that it has become.

    Args:
        asking: who asks, and how.
        order: what was made of the request.
        request: says in which form the sound goes.

    Raises:
        ServiceError: as :func:`service.intake.accept` does.
    """
    job, service = await asking.accept(order), asking.service
    if job.lane is Lane.BATCH:
        return await accepted(service, job)
    assert isinstance(order.model, SoundModel)
    spec, form = order.model.spec, request.response_format
    listening = Listening(service.broker, job, spec)
    source, media_type = encoded(listening, spec.sample_rate, form, request.sample_rate), codecs.MEDIA_TYPES[form]
    road = Road.SSE if request.stream_format == "sse" else Road.HTTP
    hearing = Hearing(service.metrics.listener(road, job.model), asking.request.state.asked_at)
    source = heard(source, hearing, lambda: listening.samples / spec.sample_rate)
    if road is Road.SSE:
        source, media_type = as_events(source, listening), EVENTS
    stall = service.settings.stall_seconds
    return StreamedResponse(service.broker, listening, source, media_type, stall_seconds=stall, keep=asking.keep)


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
