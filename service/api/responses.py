"""The answers to requests: sound while it is sampled, figures when they are known, or a job with the output to come."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from fastapi.responses import JSONResponse, Response

from ancestral import codecs
from ancestral.catalog.models import Model, SpeechModel
from ancestral.service.api.deps import RequestContext
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.sample_headers import manifest_link, sample_headers
from ancestral.service.api.streamed_response import EVENTS, StreamedResponse
from ancestral.service.broker.job import Job, Priority, QueuePosition
from ancestral.service.jobs.payload import Payload
from ancestral.service.jobs.schemas import JobError, JobObject
from ancestral.service.jobs.state import AppState
from ancestral.service.jobs.stream import check_end, job_end
from ancestral.service.jobs.tasks import JobSpec
from ancestral.service.speech.payloads import AudioPayload, SpeechPayload
from ancestral.service.speech.schemas import AudioRequest, SpeechObject, SpeechRequest, Timestamps
from ancestral.service.speech.stream import AudioReader, as_events, encoded, timed, usage_of
from ancestral.service.speech.timestamps import SentenceTimes, Timeline, times_of
from ancestral.service.telemetry.metrics import Transport
from ancestral.service.telemetry.playback import Playback, track_playback


def headers_of_samples(what: str) -> dict[str, Any]:
    """The headers of a response with sampled output, for OpenAPI; ``what`` names the output."""
    return {
        name: {"description": description, "required": True, "schema": {"type": "string"}}
        for name, description in {
            "x-seed": f"Send it as `seed` to get the same {what} again.",
            "x-model": "The id of the model, also if the request had an alias.",
            "x-model-sha256": "SHA-256 of the model's weights.",
            "x-engine": "The sampling engine.",
            "x-job-id": "The id of the job.",
        }.items()
    }


HEADERS_OF_SOUND: dict[str, Any] = {
    **headers_of_samples("bytes"),
    "x-voice": {
        "description": "The id of the voice, also if the request had an alias.",
        "required": True,
        "schema": {"type": "string"},
    },
    "x-skipped": {
        "description": "The first words of the text in other scripts, which are not said; percent-encoded.",
        "schema": {"type": "string"},
    },
    "content-disposition": {
        "description": "The name of the file: model, voice and seed. Not with server-sent events.",
        "schema": {"type": "string"},
    },
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
SAMPLED = ACCEPTED | documented(400, 401, 404, 408, 413, 415, 422, 429, 500, 503)
"""The responses of every route that samples, beside its own 200."""


@dataclass(frozen=True)
class Sound:
    """A job of sound, and its bytes while they are sampled."""

    reader: AudioReader
    source: AsyncGenerator[bytes, None]
    """Drives the reader."""
    sample_rate: int
    """Rate of the bytes, in hertz."""
    service: AppState
    """Holds the finished file."""
    media_type: str
    timeline: Timeline | None
    """None if no times were requested, or nothing is said."""


def open_sound(
    context: RequestContext,
    job: Job,
    job_spec: JobSpec[AudioPayload, SpeechModel],
    transport: Transport | None,
    *,
    times: bool,
) -> Sound:
    """The sound of a job that has been submitted.

    Args:
        context: of the request.
        job: that samples.
        job_spec: its request.
        transport: how a client plays the bytes while they arrive; None if it gets them all at the end.
        times: whether the times of words are wanted.
    """
    sound = sound_of(context.service, job, job_spec, times=times)
    if transport is None:
        return sound
    reader, model_rate = sound.reader, job_spec.model.spec.sample_rate
    playback = Playback(context.service.metrics.listener(transport, job.model), context.request.state.asked_at)
    return replace(sound, source=track_playback(sound.source, playback, lambda: reader.samples / model_rate))


def sound_of(service: AppState, job: Job, job_spec: JobSpec[AudioPayload, SpeechModel], *, times: bool) -> Sound:
    """The sound of a job to which nobody listens while it is sampled; arguments as of :func:`open_sound`."""
    payload, model_rate = job_spec.task.parse(job), job_spec.model.spec.sample_rate
    model, form = job_spec.model, payload.response_format
    rate = codecs.rate_of(form, model.sound_rate, payload.sample_rate)
    reader = AudioReader(service.broker, job, payload, model)
    source = encoded(reader, form, rate)
    timeline = None
    if times and isinstance(payload, SpeechPayload):
        timeline = Timeline(service.broker, job, payload, model_rate, rate)
    return Sound(reader, source, rate, service, codecs.MEDIA_TYPES[form], timeline)


async def stream_audio(
    context: RequestContext, job_spec: JobSpec[AudioPayload, SpeechModel], request: AudioRequest
) -> Response:
    """Submit a job, and answer with its sound while it is sampled, or with the job if that takes long.

    Args:
        context: of the request.
        job_spec: the checked request.
        request: says in which form the sound is sent.

    Raises:
        ServiceError: as :func:`ancestral.service.jobs.state.submit_job` does.
    """
    job = await context.submit(job_spec)
    if job.priority is Priority.BATCH:
        return await accepted(context.service, job)
    timestamps = request.timestamps if isinstance(request, SpeechRequest) else []
    transport = {"audio": Transport.HTTP, "sse": Transport.SSE}.get(request.stream_format)
    sound = open_sound(context, job, job_spec, transport, times=bool(timestamps))
    if transport is Transport.HTTP:
        return streamed(context, sound, sound.source, sound.media_type)
    if transport is Transport.SSE:
        events = as_events(sound.source, sound.reader, sound.sample_rate, timestamps, sound.timeline)
        return streamed(context, sound, events, EVENTS)
    answer = await context.while_connected(speech_object(sound, timestamps), job)
    return JSONResponse(answer.model_dump(exclude_none=True), headers=headers_of(sound))


async def speech_object(sound: Sound, timestamps: Timestamps) -> SpeechObject:
    """All of a sound as one object, with the times that were requested; raises as :func:`read_whole` does."""
    audio, sentences = await _read(sound)
    return SpeechObject(
        audio=base64.b64encode(audio).decode(),
        audio_format=sound.media_type,
        sample_rate=sound.sample_rate,
        seed=sound.reader.payload.seed,
        **times_of(sentences, timestamps),
        usage=usage_of(sound.reader),
    )


def streamed(context: RequestContext, sound: Sound, source: AsyncIterator[bytes], media_type: str) -> Response:
    """An answer that is sent while the sound is sampled; ``source`` is made of the sound's own."""
    return StreamedResponse(context, sound.reader, source, media_type)


async def read_whole(context: RequestContext, sound: Sound) -> tuple[bytes, list[SentenceTimes]]:
    """All bytes, and the times of all sentences.

    Raises:
        ClientDisconnected: the client disconnected before the end.
        ServiceError: the job failed, or is gone.
    """
    return await context.while_connected(_read(sound), sound.reader.job)


async def _read(sound: Sound) -> tuple[bytes, list[SentenceTimes]]:
    """All of a sound: the bytes of its stream or, if files are signed, its signed file."""
    audio, sentences = bytearray(), list[SentenceTimes]()
    async for piece, new in timed(sound.source, sound.reader, sound.timeline):
        audio.extend(piece)
        sentences.extend(new)
    if sound.service.signer is not None:
        ended = await job_end(sound.service.broker, sound.reader.job)
        (signed,) = await sound.service.artifacts.files(ended)
        return signed, sentences
    return bytes(audio), sentences


def headers_of(sound: Sound) -> dict[str, str]:
    """The headers of an answer with all of the sound."""
    job, reader = sound.reader.job, sound.reader
    return sample_headers(job, reader.payload, reader.engine) | manifest_link(sound.service, job, sound.media_type)


async def accepted(service: AppState, job: Job) -> Response:
    """202, with the job."""
    view = describe_job(job, await service.broker.position(job))
    return JSONResponse(view.model_dump(), 202, {"location": f"/v1/jobs/{job.id}", "x-job-id": job.id})


def describe_job(job: Job, standing: QueuePosition) -> JobObject:
    error = None if job.error is None else JobError(**vars(job.error))
    return JobObject(
        id=job.id,
        kind=job.kind,
        model=job.model,
        voice=job.voice,
        excerpt=job.excerpt,
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
    return JSONResponse(job_spec.task.figures(ended), headers=sample_headers(ended, job_spec.payload, ended.engine))


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
    ended = await context.while_connected(job_end(broker, job), job)
    check_end(ended.status, ended.error)
    return ended
