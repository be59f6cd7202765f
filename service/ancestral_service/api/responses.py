"""The answers to requests: sound while it is sampled, figures when they are known, or a job with the output to come."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from ancestral.catalog.descriptions import Model, Plan, SpeechModel
from ancestral.errors import AncestralError, NotFound
from ancestral.formats import MEDIA_TYPES, rate_of
from ancestral.images.drawing import Drawing
from ancestral.provenance.c2pa import EMBEDDED, MANIFEST_TYPE
from ancestral.requests import GenerationRequest, SpeechRequest, Timestamps
from ancestral.speech.timestamps import SentenceTimes, times_of
from ancestral.speech.utterance import RecordingScore, SoundPlan, Utterance
from ancestral_service.api.deps import RequestContext
from ancestral_service.api.http.auth import check_again
from ancestral_service.broker.connection import UNAVAILABLE
from ancestral_service.broker.job import Job, Priority, QueuePosition
from ancestral_service.errors import ClientDisconnected, ResponseAborted, Unauthorized, envelope
from ancestral_service.jobs.admission import wants_job
from ancestral_service.jobs.artifacts import figures_of
from ancestral_service.jobs.job_reader import JobReader, check_end, event, job_end
from ancestral_service.jobs.plans import JobSpec, Sampled
from ancestral_service.jobs.schemas import JobObject
from ancestral_service.jobs.state import AppState
from ancestral_service.speech.audio_reader import AudioReader, Sound, as_events, encoded, timed, usage_of
from ancestral_service.speech.schemas import SpeechObject
from ancestral_service.speech.timeline import Timeline
from ancestral_service.telemetry.metrics import Playback, Transport, track_playback

log = logging.getLogger(__name__)

# Their headers say what an output was made from, and the name of its file (RFC 6266 and RFC 8187).

_UNSAFE: Final = re.compile(r"[^\w.+-]+")
"""Everything but letters and digits of any script, ``_``, ``.``, ``+`` and ``-``: no separators, quotes or controls."""
_PART_CHARACTERS: Final = 60
_MOST_SKIPPED: Final = 20
_SKIPPED_BYTES: Final = 2048
"""Of their header; nginx takes 4096 of all headers together, aiohttp 8190 of one."""


def sample_headers(job: Job, plan: Plan, engine: str | None) -> dict[str, str]:
    """What an output was made from: ids even where the request had aliases, and the seed even where it was drawn.

    Args:
        job: that made it.
        plan: of the job.
        engine: that sampled it; None if that is not known yet.
    """
    headers = {"x-job-id": job.id, "x-model": job.model, "x-model-sha256": job.sha256}
    if engine is not None:
        headers["x-engine"] = engine
    if isinstance(plan, Sampled):
        headers["x-seed"] = str(plan.seed)
    if isinstance(plan, SoundPlan | RecordingScore):
        headers["x-voice"] = quote(plan.voice, safe="+() ")
    if isinstance(plan, Utterance) and (words := plan.skipped):
        named = [quote(word[:_PART_CHARACTERS]) for word in words[:_MOST_SKIPPED]]
        while len(", ".join(named)) > _SKIPPED_BYTES:
            named.pop()
        headers["x-skipped"] = ", ".join(named)
    return headers


def manifest_link(service: AppState, job: Job, media_type: str) -> dict[str, str]:
    """The header that names the C2PA manifest of a file, if there is one and it is not inside."""
    if service.signer is None or media_type in EMBEDDED:
        return {}
    return {"link": f'</v1/jobs/{job.id}/manifest.c2pa>; rel="c2pa-manifest"; type="{MANIFEST_TYPE}"'}


def disposition(job: Job, plan: Plan, index: int | None = None) -> dict[str, str]:
    """The header that names the file of a job; none for a job that gives figures.

    Args:
        job: whose file is sent.
        plan: of the job.
        index: of one picture of several; None is the whole output, a ZIP archive if there are several pictures.
    """
    if isinstance(plan, SoundPlan):
        name = _name(job.model, plan.voice, plan.seed, plan.response_format.partition("_")[0])
    elif isinstance(plan, Drawing):
        whole = index is None and plan.file_count > 1
        seed, form = plan.seed_of(index or 0), "zip" if whole else plan.output_format
        name = _name(job.model, plan.prompt, seed, form)
    else:
        return {}
    return {"content-disposition": _header(name)}


def _name(model: str, subject: str | None, seed: int, form: str) -> str:
    parts = [model, *([] if subject is None else [subject]), str(seed)]
    return "-".join(filter(None, map(_safe, parts))) + f".{form}"


def _safe(text: str) -> str:
    """A part of a name that is safe in every file system: it has no separator, and no dot at its ends."""
    return _UNSAFE.sub("_", text.strip()[:_PART_CHARACTERS]).strip("._-")


def _header(name: str) -> str:
    """``inline``, so that a browser still shows a picture. ``filename*`` only where ASCII is not enough."""
    plain = re.sub(r"[^!-~]", "_", name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'inline; filename="{plain}"{extended}'


EVENTS = "text/event-stream; charset=utf-8"


class StreamedResponse(Response):
    """A response whose body is sampled while it is sent.

    A failure before the first byte is an ordinary error response. After it the connection is aborted, so that an
    incomplete body never looks complete.
    """

    def __init__(
        self, context: RequestContext, reader: JobReader, source: AsyncIterator[bytes], media_type: str
    ) -> None:
        """Args:
        context: of the request.
        reader: of the job.
        source: the body; it drives the reader.
        media_type: of the body.
        """
        self.status_code = 200
        self.background = None
        self._context = context
        self._reader = reader
        self._source = source
        self._events = media_type == EVENTS
        self.init_headers(
            {
                "content-type": media_type,
                "cache-control": "no-store",
                "x-accel-buffering": "no",
                **sample_headers(reader.job, reader.plan, None),
                **self._headers_of_file(media_type),
            }
        )

    def _headers_of_file(self, media_type: str) -> dict[str, str]:
        if media_type not in MEDIA_TYPES.values():  # events, or lines of JSON
            return {}
        job, headers = self._reader.job, disposition(self._reader.job, self._reader.plan)
        # What has no manifest inside is, byte for byte, the file that the manifest is of.
        return headers | manifest_link(self._context.service, job, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until the client disconnects."""
        job, heartbeat = self._reader.job, asyncio.create_task(self._heartbeat())
        try:
            await self._context.while_connected(self._send_all(send), job)
        except ClientDisconnected:
            log.info("client disconnected", extra={"job": job.id})
        finally:
            heartbeat.cancel()

    async def _heartbeat(self) -> None:
        """Tell the worker that the client is still connected: this process alone decides when a client has stalled."""
        while self._reader.job.paced:
            await asyncio.sleep(self._context.service.settings.stall_seconds / 3)
            with suppress(*UNAVAILABLE):
                await self._context.service.broker.acknowledge(self._reader.job, 0)

    async def _send_all(self, send: Send) -> None:
        piece = await anext(self._source, None)
        if self._reader.engine is not None:
            self.headers["x-engine"] = self._reader.engine
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        while piece is not None:
            await send(_body(piece))
            piece = await self._next_or_abort(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next_or_abort(self, send: Send) -> bytes | None:
        try:
            return await anext(self._source, None)
        except (
            AncestralError
        ) as error:  # a client of server-sent events gets the error before the connection is aborted
            if self._events:
                await send(_body(event(envelope(error))))
            raise ResponseAborted(error.message) from error


def _body(piece: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": piece, "more_body": True}


KEEP_ALIVE_SECONDS: Final = 10.0
"""A stream of progress sends a comment when it has been silent for so long."""


def progress_response(request: Request, events: AsyncIterator[bytes]) -> Response:
    """Server-sent events of a job.

    Args:
        request: whose key must stay valid.
        events: to send; an empty one at least every few seconds. NotFound is sent, too, and aborts the response.
    """
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return EventSourceResponse(_kept_alive(request, events), headers=headers)


async def _kept_alive(request: Request, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    sent = time.monotonic()
    try:
        async for data in events:
            check_again(request)
            if data or time.monotonic() - sent >= KEEP_ALIVE_SECONDS:
                sent = time.monotonic()
                yield data or format_sse_event(comment="keep-alive")
    except NotFound as error:
        yield event(envelope(error))
        raise ResponseAborted("the job was deleted") from error
    except Unauthorized as error:
        raise ResponseAborted("the API key was revoked") from error
    except UNAVAILABLE as error:  # the client reconnects with the id of the last event
        raise ResponseAborted("Redis is unavailable") from error


def _described(texts: Mapping[str, str], **more: bool) -> dict[str, Any]:
    return {name: {"description": text, **more, "schema": {"type": "string"}} for name, text in texts.items()}


def headers_of_samples(what: str, **others: str) -> dict[str, Any]:
    """The headers of a response with sampled output, for OpenAPI; ``what`` names the output."""
    texts = {
        "x-seed": f"Send it as `seed` to get the same {what} again.",
        "x-model": "The id of the model, also if the request had an alias.",
        "x-model-sha256": "SHA-256 of the model's weights.",
        "x-engine": "The sampling engine.",
        "x-job-id": "The id of the job.",
    }
    return _described({**texts, **others}, required=True)


HEADERS_OF_SOUND: dict[str, Any] = {
    **headers_of_samples("bytes", **{"x-voice": "The id of the voice, also if the request had an alias."}),
    **_described(
        {
            "x-skipped": "The first words of the text in other scripts, which are not said; percent-encoded.",
            "content-disposition": "The name of the file: model, voice and seed. Not with events, or lines of JSON.",
        }
    ),
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


def open_sound(
    context: RequestContext,
    job: Job,
    job_spec: JobSpec[SoundPlan, SpeechModel],
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
    service, plan, model = context.service, job_spec.plan_of(job), job_spec.model
    model_rate, form = model.spec.sample_rate, plan.response_format
    rate = rate_of(form, model.sound_rate, plan.sample_rate)
    reader = AudioReader(service.broker, job, plan, model)
    source = encoded(reader, form, rate)
    if transport is not None:
        playback = Playback(service.metrics.listener(transport, job.model), context.request.state.asked_at)
        source = track_playback(source, playback, lambda: reader.samples / model_rate)
    timeline = None
    if times and isinstance(plan, Utterance):
        timeline = Timeline(service.broker, job, plan, model_rate, rate)
    return Sound(reader, source, rate, service, MEDIA_TYPES[form], timeline)


async def stream_audio(
    context: RequestContext, job_spec: JobSpec[SoundPlan, SpeechModel], request: SpeechRequest | GenerationRequest
) -> Response:
    """Submit a job, and answer with its sound while it is sampled, or with the job if that takes long.

    Args:
        context: of the request.
        job_spec: the checked request.
        request: says in which form the sound is sent.

    Raises:
        ServiceError: as :func:`ancestral_service.jobs.admission.submit_job` does.
    """
    job = await context.submit(job_spec)
    if job.priority is Priority.BACKGROUND:
        return await accepted(context.service, job)
    timestamps = request.timestamps if isinstance(request, SpeechRequest) else []
    transport = {"audio": Transport.HTTP, "sse": Transport.SSE}.get(request.stream_format)
    sound = open_sound(context, job, job_spec, transport, times=bool(timestamps))
    if transport is Transport.HTTP:
        return StreamedResponse(context, sound.reader, sound.source, sound.media_type)
    if transport is Transport.SSE:
        return StreamedResponse(context, sound.reader, as_events(sound, timestamps), EVENTS)
    answer = await context.while_connected(speech_object(sound, timestamps), job)
    return JSONResponse(answer.model_dump(exclude_none=True), headers=headers_of(sound))


async def speech_object(sound: Sound, timestamps: Timestamps) -> SpeechObject:
    """All of a sound as one object, with the times that were requested; raises as :func:`read_whole` does."""
    audio, sentences = await read_whole(sound)
    return SpeechObject(
        audio=base64.b64encode(audio).decode(),
        audio_format=sound.media_type,
        sample_rate=sound.sample_rate,
        seed=sound.reader.plan.seed,
        **times_of(sentences, timestamps),
        usage=usage_of(sound.reader),
    )


async def read_whole(sound: Sound) -> tuple[bytes, list[SentenceTimes]]:
    """All of a sound: the bytes of its stream or, if files are signed, its signed file; and the times of all sentences.

    Raises:
        ServiceError: the job failed, or is gone.
    """
    audio, sentences = bytearray(), list[SentenceTimes]()
    async for piece, new in timed(sound):
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
    return sample_headers(job, reader.plan, reader.engine) | manifest_link(sound.service, job, sound.media_type)


async def accepted(service: AppState, job: Job) -> Response:
    """202, with the job."""
    view = describe_job(job, await service.broker.position(job))
    return JSONResponse(view.model_dump(), 202, {"location": f"/v1/jobs/{job.id}", "x-job-id": job.id})


_TIMES: Final = ("created_at", "started_at", "completed_at", "expires_at")


def describe_job(job: Job, standing: QueuePosition) -> JobObject:
    times = {name: None if (time := getattr(job, name)) is None else int(time) for name in _TIMES}
    seconds, error = standing.eta, None if job.error is None else vars(job.error)
    own = {"progress": round(job.progress, 4), "queue_position": standing.position, "error": error}
    estimate = {"eta_seconds": None if seconds is None else round(seconds, 1)}
    return JobObject.model_validate(vars(job) | times | own | estimate)


async def figures(context: RequestContext, job_spec: JobSpec[Plan, Model], *, background: bool = False) -> Response:
    """Submit a job that gives figures, and answer with them, or with the job if it takes long.

    Args:
        context: of the request.
        job_spec: the checked request.
        background: the job takes no slot from speech, and is answered with its figures however long it takes.

    Raises:
        ClientDisconnected: the client disconnected before the answer.
        ServiceError: it was not accepted, or failed.
    """
    job = await (replace(context, prefer="respond-async") if background else context).submit(job_spec)
    if wants_job(context.prefer) or (job.priority is Priority.BACKGROUND and not background):
        return await accepted(context.service, job)
    ended = await completed(context, job)
    found = figures_of(ended, job_spec.plan_of(ended))
    return JSONResponse(found, headers=sample_headers(ended, job_spec.plan, ended.engine))


async def completed(context: RequestContext, job: Job) -> Job:
    """Wait until a job has completed.

    Args:
        context: of the request that waits.
        job: submitted.

    Raises:
        ClientDisconnected: the client disconnected.
        ServiceError: the job failed, was cancelled or is gone.
    """
    ended = await context.while_connected(job_end(context.service.broker, job), job)
    check_end(ended.status, ended.error)
    return ended
