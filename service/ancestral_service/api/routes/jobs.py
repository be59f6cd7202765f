"""``/v1/jobs``: list, describe, cancel and delete jobs, and watch their events. Each caller sees only their own."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, UploadFile
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import Field, ValidationError

from ancestral import formats
from ancestral.catalog.descriptions import Model, Plan, SpeechModel
from ancestral.detection.query import MAX_SEARCH
from ancestral.errors import InvalidRequest, NotFound
from ancestral.images import files
from ancestral.provenance.c2pa import MANIFEST_TYPE
from ancestral.requests import MAX_INPUT_CHARACTERS, RequestSeed, StrictRequest, from_validation
from ancestral.speech.timestamps import MEDIA_TYPES, CaptionFormat, captions, times_of
from ancestral.speech.utterance import Utterance
from ancestral_service.api import deps, responses
from ancestral_service.api.http import body_route
from ancestral_service.api.http.openapi import event_stream
from ancestral_service.broker.job import Job, JobExpired, QueuePosition, Status
from ancestral_service.errors import Conflict
from ancestral_service.jobs import plans, schemas
from ancestral_service.jobs.admission import wants_job
from ancestral_service.jobs.artifacts import ZIP
from ancestral_service.jobs.job_reader import check_end
from ancestral_service.jobs.planning import detection_job, job_of
from ancestral_service.jobs.state import AppState
from ancestral_service.speech.schemas import SpeechTimes
from ancestral_service.speech.timeline import Timeline

_ENDS = {f"job.{status}" for status in Status if status.terminal}

router = APIRouter(prefix="/v1", tags=["jobs"], route_class=body_route.BodyRoute)


async def own_job(
    job_id: Annotated[str, Path(pattern=schemas.JOB_ID, examples=[schemas.JOB_EXAMPLE["id"]])],
    service: deps.Service,
    caller: deps.CallerDep,
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


@router.get("/jobs", summary="List your jobs")
async def list_jobs(
    query: Annotated[schemas.JobsQuery, Query()], service: deps.Service, caller: deps.CallerDep
) -> schemas.JobList:
    """Your jobs, newest first. For the next page, give the last one's id as ``after``."""
    try:
        jobs, more = await service.broker.jobs(caller.name, query.after, query.limit)
    except JobExpired as error:
        raise _not_found("after") from error
    data = [await _describe(service, job) for job in jobs]
    first, last = (data[0].id, data[-1].id) if data else (None, None)
    return schemas.JobList(data=data, has_more=more, first_id=first, last_id=last)


@router.get("/jobs/{job_id}", summary="Get a job")
async def get_job(job: OwnJob, service: deps.Service) -> schemas.JobObject:
    """The state of a job."""
    return await _describe(service, job)


@router.post("/jobs/{job_id}/cancel", summary="Cancel a job")
async def cancel_job(job: OwnJob, service: deps.Service) -> schemas.JobObject:
    """End a job before it is complete; its output so far is dropped. A job that has ended already is refused (409)."""
    if not await service.broker.cancel(job):
        raise Conflict("The job has ended already.", code="job_ended")
    cancelled = await service.broker.job(job.id)
    if cancelled is None:
        raise _not_found("job_id")
    return await _describe(service, cancelled)


@router.delete("/jobs/{job_id}", summary="Delete a job")
async def delete_job(job: OwnJob, service: deps.Service) -> schemas.DeletedJob:
    """Delete a job and its output. A job that has not ended is cancelled."""
    await service.broker.delete(job)
    return schemas.DeletedJob(id=job.id)


async def _describe(service: AppState, job: Job) -> schemas.JobObject:
    return responses.describe_job(job, await service.broker.position(job))


_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`job.queued`, `job.in_progress`, `job.progress`, and at the end `job.completed`, `job.failed` "
        "or `job.cancelled`, each with the job as it was when the event happened.",
        "content": {"text/event-stream": event_stream(schemas.JobEvent)},
    },
    204: {"description": "The job has ended, and no event came after `Last-Event-ID`."},
}


@router.get("/jobs/{job_id}/events", summary="Stream the events of a job", response_class=Response, responses=_EVENTS)
async def watch_job(
    job: OwnJob,
    service: deps.Service,
    request: Request,
    last_event_id: Annotated[
        str,
        Header(
            pattern=schemas.EVENT_ID,
            description="The id of the last event that was received; the stream begins after it.",
        ),
    ] = "0-0",
) -> Response:
    """The events of a job, past and to come, as server-sent events; the stream ends with the job."""
    if job.status.terminal and not await service.broker.events(job.id, last_event_id, block_ms=1):
        return Response(status_code=204)  # which keeps a browser from connecting again
    return responses.progress_response(request, _events(service, job.id, last_event_id))


async def _events(service: AppState, job_id: str, last: str) -> AsyncIterator[bytes]:
    while True:
        found = await service.broker.events(job_id, last)
        job = await service.broker.job(job_id)
        if job is None:
            raise _not_found("job_id")
        standing = await service.broker.position(job)
        for last, fields in found:
            kind, past = fields["type"], job.at(fields)
            # Place and estimate are not recorded: only the latest event can have them.
            is_latest = last == found[-1][0] and past.status is job.status
            view = responses.describe_job(past, standing if is_latest else QueuePosition(None, None))
            data = schemas.JobEvent.model_validate({"type": kind, "job": view}).model_dump_json()
            yield format_sse_event(data_str=data, event=kind, id=last)
            if kind in _ENDS:
                return
        if not found:
            yield b""


# ``GET /v1/jobs/{id}/content``: the file of a finished job, whole or a range of it (RFC 9110, section 14).

_MEDIA: dict[str, Any] = {
    **body_route.binary(*formats.MEDIA_TYPES.values(), *files.MEDIA_TYPES.values(), ZIP),
    "application/json": {"schema": {"type": "object"}},
}
_FILE = body_route.file_responses(
    "The file, in the requested format; a ZIP of several pictures, figures for a likelihood.", _MEDIA
)


@router.get("/jobs/{job_id}/content", summary="Get the output of a job", response_class=Response, responses=_FILE)
async def get_content(job: OwnJob, service: deps.Service, conditions: body_route.ConditionsDep) -> Response:
    """The file: the bytes of the stream, with a header that contains the length."""
    info = await service.artifacts.info(job)
    plan = plans.plan_of(job, Plan)
    headers = {
        **responses.sample_headers(job, plan, job.engine),
        **responses.disposition(job, plan),
        **({} if info.c2pa is None else responses.manifest_link(service, job, info.media_type)),
    }
    read = partial(service.artifacts.read, job)
    return body_route.file_response(read, info.bytes, info.sha256, info.media_type, conditions, headers)


_C2PA: dict[int | str, dict[str, Any]] = {
    200: {"description": "The manifest store.", "content": body_route.binary(MANIFEST_TYPE)}
}


@router.get(
    "/jobs/{job_id}/manifest.c2pa",
    summary="Get the C2PA manifest of a file that has none inside",
    response_class=Response,
    responses=_C2PA,
)
async def get_c2pa_manifest(job: OwnJob, service: deps.Service) -> Response:
    """The signature of a file whose format has no place for one: opus, aac, pcm, G.711."""
    info = await service.artifacts.info(job)
    if info.c2pa is None:
        where = "inside the file" if info.unsigned else "nowhere: the file is not signed"
        raise NotFound(f"The C2PA manifest is {where}.", code="no_c2pa_manifest")
    start, size = info.c2pa
    headers = {"cache-control": "private, no-cache", "content-length": str(size)}
    body = service.artifacts.read(job, start, start + size)
    return StreamingResponse(body, headers=headers, media_type=MANIFEST_TYPE)


# ``GET /v1/jobs/{id}/timestamps`` and ``/captions``: when words are said, known before they are sampled.

CaptionsQuery = Annotated[CaptionFormat, Query(alias="format", description="`vtt` is WebVTT, `srt` is SubRip.")]
_CAPTIONS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A file of captions, with the text as it was written.",
        "content": {media.partition(";")[0]: {"schema": {"type": "string"}} for media in MEDIA_TYPES.values()},
    },
    304: {"description": "The file has the given ETag."},
}


@router.get(
    "/jobs/{job_id}/timestamps", summary="Get the times of the words of a job", response_model_exclude_none=True
)
async def get_timestamps(job: OwnJob, service: deps.Service) -> SpeechTimes:
    """What a job of ``POST /v1/audio/speech`` says, and when: known sentence by sentence before it is sampled."""
    timeline, sample_rate = _timeline(service, job)
    sentences = await timeline.known()
    return SpeechTimes(
        job=job.id,
        sample_rate=sample_rate,
        text=timeline.written,
        words=[word for sentence in sentences for word in sentence.written_words],
        **times_of(sentences, ["phoneme", "viseme"]),
        complete=timeline.complete,
    )


@router.get("/jobs/{job_id}/captions", summary="Get captions for a job", response_class=Response, responses=_CAPTIONS)
async def get_captions(
    job: OwnJob, service: deps.Service, form: CaptionsQuery = "vtt", if_none_match: body_route.IfNoneMatch = None
) -> Response:
    """Captions of a job of ``POST /v1/audio/speech``; as soon as all its sentences are planned, before it ends."""
    timeline, sample_rate = _timeline(service, job)
    sentences = await timeline.known()
    if not timeline.complete:
        check_end(job.status, job.error)
        raise Conflict("Not all sentences of this job have been planned yet.", code="job_not_ready", retry=True)
    text = captions(sentences, sample_rate, form).encode()
    headers = {"cache-control": "private, no-cache", "etag": f'"{hashlib.sha256(text).hexdigest()}"'}
    unchanged = body_route.not_modified(if_none_match, headers)
    return Response(text, headers=headers, media_type=MEDIA_TYPES[form]) if unchanged is None else unchanged


def _timeline(service: AppState, job: Job) -> tuple[Timeline, int]:
    """The times of a job, and the rate at which they are counted."""
    plan = plans.plan_of(job, Plan)
    if not isinstance(plan, Utterance):
        raise Conflict("No words are said in this job.", code="no_words")
    model = service.catalog.model(job.model)
    assert isinstance(model, SpeechModel)
    return Timeline(service.broker, job, plan, model.spec.sample_rate), model.spec.sample_rate


# ``GET /v1/jobs/{id}/manifest`` and ``POST /v1/verify``: what a job's output depends on, and its verification.

_LINKED: dict[int | str, dict[str, Any]] = {
    200: {"links": {"verify": {"operationRef": "#/paths/~1v1~1verify/post", "requestBody": "$response.body"}}}
}


@router.get("/jobs/{job_id}/manifest", summary="Get the manifest of a job", responses=_LINKED)
async def get_manifest(job: OwnJob, service: deps.Service) -> schemas.Manifest:
    """Everything that a job's output depends on, and its SHA-256. A likelihood has no manifest: nothing was sampled."""
    plan = plans.plan_of(job, Plan)
    if not isinstance(plan, plans.Sampled):
        raise Conflict("Nothing was sampled for this job.", code="no_manifest")
    return plans.manifest_of(job, plan, await service.artifacts.info(job))


@router.post("/verify", summary="Verify a manifest", response_model=schemas.Verification, responses=responses.ACCEPTED)
async def verify(manifest: schemas.Manifest, context: deps.ContextDep) -> Response:
    """Run what a manifest says as a job of its own, and compare.

    With ``Prefer: respond-async`` the answer is that job; its own manifest is what to compare then. The manifest of a
    continuation needs its recording put back, as ``request.prompt_audio``.
    """
    service = context.service
    job_spec = await asyncio.to_thread(_job_of, service, manifest)
    job = await dataclasses.replace(context, prefer="respond-async").submit(job_spec)
    if wants_job(context.prefer):
        return await responses.accepted(service, job)
    ended = await responses.completed(context, job)
    info = await service.artifacts.info(ended)
    output = plans.output_of(info)
    differs = _differences(manifest, ended, output)
    verification = schemas.Verification(
        equal=not differs,
        differs=differs,
        symbols_equal=info.symbols_sha256 == manifest.output.symbols_sha256,
        expected_sha256=manifest.output.sha256,
        actual_sha256=output.sha256,
        model_sha256=ended.sha256,
        engine=ended.engine or "",
        job=ended.id,
    )
    return JSONResponse(verification.model_dump(), headers={"x-job-id": ended.id})


def _differences(manifest: schemas.Manifest, job: Job, output: schemas.Output) -> list[str]:
    """The fields of a manifest that differ from the job's. Its other fields have been checked at admission."""
    claimed, found = manifest.output.model_dump(), output.model_dump()
    differs = ["engine"] if manifest.engine != job.engine else []
    return differs + [f"output.{name}" for name, value in found.items() if claimed[name] != value]


def _job_of(service: AppState, manifest: schemas.Manifest) -> plans.JobSpec[Plan, Model]:
    """The job that a manifest describes, checked like a new request."""
    model = service.catalog.model(manifest.model)
    requested = manifest.request.get("model")
    if isinstance(requested, str) and requested != manifest.model:
        raise _inconsistent("model")  # first: the schema that the request is checked with depends on the model
    schema = plans.request_schema(model, manifest.request)
    if manifest.prompt_sha256 is not None and schema.upload is not None and schema.upload not in manifest.request:
        param = f"request.{schema.upload}"
        message = f"{param}: required; a manifest does not contain what the request uploaded: add it"
        raise InvalidRequest(message, param=param, code="missing_parameter")
    try:
        request = schema.model_validate(manifest.request)
    except ValidationError as error:
        first = error.errors()[0]
        raise from_validation([{**first, "loc": ("request", *first["loc"])}]) from None
    if getattr(request, "seed", None) != manifest.seed:
        raise _inconsistent("seed")
    if model.sha256 != manifest.model_sha256:
        message = f"model_sha256: this server has other weights of {manifest.model}"
        raise Conflict(message, param="model_sha256", code="model_changed")
    job_spec = job_of(service.catalog, service.settings, request)
    _check_prompt(schema, manifest, job_spec.plan)
    return dataclasses.replace(job_spec, body=manifest.model_dump())


def _inconsistent(name: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: differs from request.{name}", param=name, code="inconsistent_manifest")


def _check_prompt(schema: type[StrictRequest], manifest: schemas.Manifest, plan: Plan) -> None:
    assert isinstance(plan, plans.Sampled)
    if plan.prompt_sha256 != manifest.prompt_sha256:
        param = "prompt_sha256" if schema.upload is None else f"request.{schema.upload}"
        raise InvalidRequest(
            f"{param}: differs from what the manifest was made with (its prompt_sha256)",
            param=param,
            code="prompt_differs",
        )


# ``POST /v1/detect``: whether a file was made here, with the evidence.


class DetectionForm(body_route.FormFields):
    """The fields of the form."""

    file: UploadFile
    """A PNG, WebP, JPEG, WAV, FLAC, Ogg or MP3 file."""
    model: str | None = Field(default=None, min_length=1, max_length=256, examples=["pixelcnn-sprites"])
    """The model that may have made it; by default all that draw such pictures, or the first that has the voice."""
    voice: str | None = Field(default=None, min_length=1, max_length=256)
    """Of a recording."""
    text: str | None = Field(default=None, min_length=1, max_length=MAX_INPUT_CHARACTERS)
    """What is said in a recording."""
    seed: RequestSeed | None = None
    """That may have made it."""
    recipe: str | None = Field(default=None, min_length=2, max_length=65536)
    """JSON: what the file was made from, instead of the recipe in its tags; or its manifest, of
    `/v1/jobs/{id}/manifest`."""
    search: int = Field(default=1_000_000, ge=0, le=MAX_SEARCH)
    """How many of the latest seeds of the server's key are tried. The search ends after ten seconds."""


@router.post(
    "/detect",
    summary="Find out whether a file was made here",
    response_model=schemas.Detection,
    response_model_exclude_none=True,
    responses=responses.ACCEPTED,
)
async def detect(form: Annotated[DetectionForm, body_route.MULTIPART], context: deps.ContextDep) -> Response:
    """Say whether a picture or a recording was made here: by its signature, by sampling its recipe again, by the noise
    of its seed in its symbols, and by its likelihood.

    Each part has its evidence, or says why it could not be tried; docs/provenance.md has what survives which changes.
    """
    data, service = await form.file.read(), context.service
    newest = 0 if service.settings.provenance_key is None else await service.broker.seeds_reserved()
    fields = form.model_dump(exclude={"file"}) | {"seed": form.seed}  # as a number, not as JSON has large ones
    served = await service.served()
    job_spec = await asyncio.to_thread(detection_job, service, fields, data, newest, served)
    # A worker searches for one file at a time, for which others wait.
    return await responses.figures(context, job_spec, background=True)
