"""``GET /v1/jobs/{id}/manifest`` and ``POST /v1/verify``: what a job's sound depends on, and making it once more."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from service import __version__
from service.api.deps import ContextDep
from service.api.http.json_route import JsonRoute
from service.api.http.openapi import documented
from service.api.responses import ACCEPTED, accepted
from service.api.results import completed
from service.api.routes.generations import generation_job
from service.api.routes.jobs import OwnJob
from service.api.state import Service
from service.broker.job import Kind
from service.catalog.models import ImageModel, Model
from service.errors import Conflict, InvalidRequest
from service.images.requests import image_job, interpolation_job
from service.images.schemas import CompletionRequest, ImageRequest, InterpolationRequest
from service.jobs.artifacts import Artifacts
from service.jobs.schemas import Manifest, Output, Verification
from service.jobs.state import State
from service.jobs.submit import JobSpec, wants_job
from service.jobs.validation import from_validation
from service.speech.requests import speech_job
from service.speech.schemas import GenerationRequest, SpeechRequest

router = APIRouter(prefix="/v1", tags=["jobs"], route_class=JsonRoute)

_Request = SpeechRequest | GenerationRequest | ImageRequest | CompletionRequest | InterpolationRequest
_REQUESTS: dict[Kind, type[_Request]] = {
    Kind.SPEECH: SpeechRequest,
    Kind.GENERATION: GenerationRequest,
    Kind.IMAGE: ImageRequest,
    Kind.COMPLETION: CompletionRequest,
    Kind.INTERPOLATION: InterpolationRequest,
}
_TRAVEL = {"stream_format", "stream", "partial_images"}
"""Fields of requests that change how the bytes travel alone."""


_LINKED: dict[int | str, dict[str, Any]] = {
    200: {"links": {"verify": {"operationRef": "#/paths/~1v1~1verify/post", "requestBody": "$response.body"}}}
}


@router.get(
    "/jobs/{job_id}/manifest",
    summary="What a job depends on",
    responses=_LINKED | documented(400, 401, 404, 409, 503),
)
async def get_manifest(job: OwnJob, service: Service) -> Manifest:
    """All that a job's sound or pictures depend on, and their SHA-256. A likelihood has none: nothing was sampled."""
    schema = _REQUESTS.get(job.kind)
    if schema is None:
        raise Conflict("Nothing was sampled for this job.", code="no_manifest")
    card = await Artifacts(service.broker, service.catalog).info(job)
    fields = {field.alias or name for name, field in schema.model_fields.items()} - _TRAVEL
    request = {name: value for name, value in job.request.items() if name in fields and value is not None}
    return Manifest(
        job=job.id,
        created_at=int(job.created_at),
        model=job.model,
        model_sha256=job.sha256,
        engine=job.engine or "",
        seed=job.request["seed"],
        request=request,
        prompt_sha256=job.request.get("prompt_sha256"),
        output=Output(**dataclasses.asdict(card)),
        version=__version__,
    )


@router.post(
    "/verify",
    summary="Make a job's sound once more",
    response_model=Verification,
    responses=ACCEPTED | documented(400, 401, 404, 409, 413, 415, 422, 429, 500, 503),
)
async def verify(manifest: Manifest, context: ContextDep) -> Response:
    """Run what a manifest says as a job of its own, and compare.

    With ``Prefer: respond-async`` the answer is that job; its own manifest is what to compare then. The manifest of a
    continuation needs its recording put back, as ``request.prompt_audio``.
    """
    service = context.service
    job_spec = await asyncio.to_thread(_order, service, manifest)
    job = await dataclasses.replace(context, prefer="respond-async").submit(job_spec)
    if wants_job(context.prefer):
        return await accepted(service, job)
    ended = await completed(context, job)
    card, expected = await Artifacts(service.broker, service.catalog).info(ended), manifest.output
    verification = Verification(
        equal=card.sha256 == expected.sha256,
        symbols_equal=card.symbols_sha256 == expected.symbols_sha256,
        expected_sha256=expected.sha256,
        actual_sha256=card.sha256,
        model_sha256=ended.sha256,
        engine=ended.engine or "",
        job=ended.id,
    )
    return JSONResponse(verification.model_dump(), headers={"x-job-id": ended.id})


def _order(service: State, manifest: Manifest) -> JobSpec:
    """What the manifest says is to be done, checked like a new request."""
    model = service.catalog.model(manifest.model)
    schema = _schema(model, manifest)
    try:
        request = schema.model_validate(manifest.request)
    except ValidationError as error:
        first = error.errors()[0]
        raise from_validation([{**first, "loc": ("request", *first["loc"])}]) from None
    for name in ("model", "seed"):
        if getattr(request, name) != getattr(manifest, name):
            raise InvalidRequest(f"{name}: differs from request.{name}", param=name, code="inconsistent_manifest")
    if model.sha256 != manifest.model_sha256:
        message = f"model_sha256: the weights of {manifest.model} are others here"
        raise Conflict(message, code="model_changed")
    job_spec = _ordered(service, request)
    if job_spec.request.get("prompt_sha256") != manifest.prompt_sha256:
        _refuse_prompt(manifest)
    return dataclasses.replace(job_spec, body=manifest.model_dump())


def _refuse_prompt(manifest: Manifest) -> None:
    param = f"request.{_upload(manifest)}"
    if manifest.prompt_sha256 is not None and _upload(manifest) not in manifest.request:
        raise _missing(manifest)
    raise InvalidRequest(f"{param}: it is not that of the manifest", param=param, code="prompt_differs")


def _upload(manifest: Manifest) -> str:
    return "image" if "rows" in manifest.request else "prompt_audio"


def _missing(manifest: Manifest) -> InvalidRequest:
    param = f"request.{_upload(manifest)}"
    message = f"{param}: what was continued is not in the manifest; put it back"
    return InvalidRequest(message, param=param, code="missing_parameter")


def _schema(model: Model, manifest: Manifest) -> type[_Request]:
    """What kind of request a manifest's is."""
    if not isinstance(model, ImageModel):
        return _REQUESTS[Kind.SPEECH if "speech" in model.entry.capabilities else Kind.GENERATION]
    if "from" in manifest.request:
        return InterpolationRequest
    if "rows" not in manifest.request:
        return ImageRequest
    if "image" not in manifest.request:
        raise _missing(manifest)
    return CompletionRequest


def _ordered(service: State, request: _Request) -> JobSpec:
    if isinstance(request, SpeechRequest):
        return speech_job(service.catalog, request)[0]
    if isinstance(request, GenerationRequest):
        return generation_job(service, request)
    if isinstance(request, InterpolationRequest):
        return interpolation_job(service.catalog, request)
    return image_job(service.catalog, request)
