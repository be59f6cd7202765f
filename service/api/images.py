"""The routes under ``/v1/images``: pictures of a class, the rest of a picture, what lies between two classes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from service.api.bodies import JsonRoute, documented, event_stream
from service.api.delivery import ACCEPTED, IdempotencyKey, Prefer, accepted
from service.api.state import Counted, Service, State
from service.auth import Caller
from service.catalogue import PictureModel
from service.images.answers import Watching, as_events, images_object
from service.images.orders import image_order, interpolation_order
from service.images.schemas import (
    ClassList,
    ClassObject,
    CompletionRequest,
    ImageRequest,
    ImagesObject,
    InterpolationRequest,
)
from service.intake import Order, accept
from service.jobs import Lane
from service.streaming import EVENTS, StreamedResponse, while_listened_to

router = APIRouter(prefix="/v1/images", tags=["images"], route_class=JsonRoute)

_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["type", "b64_json", "created_at", "size", "quality", "background", "output_format", "index", "seed"],
    "properties": {
        "type": {"enum": ["image_generation.partial_image", "image_generation.completed"]},
        "b64_json": {"type": "string", "contentEncoding": "base64"},
        "partial_image_index": {"type": "integer", "minimum": 0},
        "index": {"type": "integer", "minimum": 0, "description": "Which of several pictures it is."},
        "seed": {"type": "integer", "minimum": 0},
    },
}
_EXAMPLE = {
    "type": "image_generation.partial_image", "b64_json": "iVBORw0KGgo=", "created_at": 1700000000, "size": "28x28",
    "quality": "auto", "background": "opaque", "output_format": "png", "index": 0, "seed": 7, "partial_image_index": 0,
}  # fmt: skip
_HEADERS = {
    name: {"description": description, "required": True, "schema": {"type": "string"}}
    for name, description in {
        "x-seed": "Send it as `seed` to get the same pictures again.",
        "x-model-sha256": "Of the weights that were sampled.",
        "x-engine": "What sampled them.",
        "x-job-id": "The job that was made of the request.",
    }.items()
}
_PICTURES: dict[str, Any] = {"description": "The pictures.", "headers": _HEADERS}
_GROWING = _PICTURES | {"content": {"text/event-stream": event_stream(_EVENT, partial=_EXAMPLE)}}
_ERRORS = documented(400, 401, 404, 413, 415, 422, 429, 500, 503)


@router.post(
    "/generations",
    summary="Draw pictures of a class",
    response_model=ImagesObject,
    response_model_exclude_none=True,
    responses={200: _GROWING} | ACCEPTED | _ERRORS,
)
async def create_image(
    body: ImageRequest,
    request: Request,
    service: Service,
    caller: Counted,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Draw ``n`` pictures of a class, row by row; the same ``seed`` gives the same pictures."""
    order = image_order(service.catalogue, body)
    return await _draw(service, caller, order, request, streams=body.stream, prefer=prefer, key=idempotency_key)


@router.post(
    "/completions",
    summary="Draw the rest of a picture",
    response_model=ImagesObject,
    response_model_exclude_none=True,
    responses={200: _GROWING} | ACCEPTED | _ERRORS,
)
async def complete_image(
    body: CompletionRequest,
    request: Request,
    service: Service,
    caller: Counted,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Keep the first ``rows`` of ``image`` as they are, and draw what is below, ``n`` times."""
    order = await asyncio.to_thread(image_order, service.catalogue, body)
    return await _draw(service, caller, order, request, streams=body.stream, prefer=prefer, key=idempotency_key)


@router.post(
    "/interpolations",
    summary="Go from one class to another",
    response_model=ImagesObject,
    response_model_exclude_none=True,
    responses={200: _PICTURES} | ACCEPTED | _ERRORS,
)
async def interpolate_images(
    body: InterpolationRequest,
    request: Request,
    service: Service,
    caller: Counted,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """One picture a step, all from one seed, each asked for something a little nearer to ``to``."""
    order = interpolation_order(service.catalogue, body)
    return await _draw(service, caller, order, request, streams=False, prefer=prefer, key=idempotency_key)


@router.get("/classes", summary="List what pictures can be asked for", responses=documented(401))
async def list_classes(service: Service) -> ClassList:
    """Every class and every style of every model that draws."""
    return ClassList(data=[found for model in service.catalogue.picture_models for found in _classes(model)])


def _classes(model: PictureModel) -> list[ClassObject]:
    found, spec, first = [], model.spec, 0
    for kind, names in (("class", spec.classes), ("style", spec.styles)):
        for index, name in enumerate(names, first):
            vector = list(model.embedding[index])
            found.append(ClassObject.model_validate(
                {"id": name, "object": kind, "model": model.entry.id, "embedding": vector}
            ))  # fmt: skip
        first += len(names) + 1 if names else 0
    return found


async def _draw(
    service: State,
    caller: Caller,
    order: Order,
    request: Request,
    *,
    streams: bool,
    prefer: str | None,
    key: str | None,
) -> Response:
    """Have an order drawn, and answer with the pictures, with events as they grow, or with the job that it became."""
    job = await accept(service, caller, order, prefer=prefer, key=key)
    if job.lane is Lane.BATCH:
        return await accepted(service, job)
    assert isinstance(order.model, PictureModel)
    broker, keep = service.broker, key is not None
    watching = Watching(broker, job, order.model)
    if streams:
        stall = service.settings.stall_seconds
        return StreamedResponse(broker, watching, as_events(watching), EVENTS, stall_seconds=stall, keep=keep)
    await while_listened_to(watching.to_the_end(), request.receive, broker, job, keep=keep)
    answer = await asyncio.to_thread(images_object, watching, str(request.base_url))
    return JSONResponse(answer.model_dump(exclude_none=True), headers=_headers(watching))


def _headers(watching: Watching) -> Mapping[str, str]:
    job, begun = watching.job, watching.begun
    engine = {} if begun is None else {"x-engine": begun.engine}
    own = {"x-seed": str(job.request["seed"]), "x-model-sha256": job.sha256, "x-job-id": job.id}
    return own | engine
