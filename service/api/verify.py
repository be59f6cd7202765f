"""``GET /v1/jobs/{id}/manifest`` and ``POST /v1/verify``: what a job's sound depends on, and making it once more."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from service import __version__
from service.api.asking import Asked
from service.api.bodies import JsonRoute, documented
from service.api.delivery import ACCEPTED, accepted
from service.api.generations import generation_order
from service.api.jobs import OwnJob
from service.api.state import Service, State
from service.api.waiting import completed
from service.catalogue import Model, PictureModel
from service.contents import Contents
from service.error_responses import from_validation
from service.errors import Conflict, InvalidRequest
from service.images.orders import image_order, interpolation_order
from service.images.schemas import CompletionRequest, ImageRequest, InterpolationRequest
from service.intake import Order, wants_job
from service.jobs import Kind
from service.orders import speech_order
from service.schemas import GenerationRequest, Manifest, Output, SpeechRequest, Verification

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
    card = await Contents(service.broker, service.catalogue).card(job)
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
async def verify(manifest: Manifest, asking: Asked) -> Response:
    """Run what a manifest says as a job of its own, and compare.

    With ``Prefer: respond-async`` the answer is that job; its own manifest is what to compare then. The manifest of a
    continuation needs its recording put back, as ``request.prompt_audio``.
    """
    service = asking.service
    order = await asyncio.to_thread(_order, service, manifest)
    job = await dataclasses.replace(asking, prefer="respond-async").accept(order)
    if wants_job(asking.prefer):
        return await accepted(service, job)
    ended = await completed(asking, job)
    card, expected = await Contents(service.broker, service.catalogue).card(ended), manifest.output
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


def _order(service: State, manifest: Manifest) -> Order:
    """What the manifest says is to be done, checked like a new request."""
    model = service.catalogue.model(manifest.model)
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
    order = _ordered(service, request)
    if order.request.get("prompt_sha256") != manifest.prompt_sha256:
        _refuse_prompt(manifest)
    return dataclasses.replace(order, body=manifest.model_dump())


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
    if not isinstance(model, PictureModel):
        return _REQUESTS[Kind.SPEECH if "speech" in model.entry.capabilities else Kind.GENERATION]
    if "from" in manifest.request:
        return InterpolationRequest
    if "rows" not in manifest.request:
        return ImageRequest
    if "image" not in manifest.request:
        raise _missing(manifest)
    return CompletionRequest


def _ordered(service: State, request: _Request) -> Order:
    if isinstance(request, SpeechRequest):
        return speech_order(service.catalogue, request)[0]
    if isinstance(request, GenerationRequest):
        return generation_order(service, request)
    if isinstance(request, InterpolationRequest):
        return interpolation_order(service.catalogue, request)
    return image_order(service.catalogue, request)
