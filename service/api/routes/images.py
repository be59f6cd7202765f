"""The routes under ``/v1/images``: pictures of a class, the rest of a picture, what lies between two classes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from service.api.deps import ContextDep, RequestContext
from service.api.http.json_route import JsonRoute
from service.api.http.openapi import documented, event_stream
from service.api.responses import ACCEPTED, accepted, headers_of_samples
from service.api.state import Service
from service.broker.job import Priority
from service.catalog.models import ImageModel
from service.images.requests import image_job, interpolation_job
from service.images.schemas import (
    ClassList,
    ClassObject,
    CompletionRequest,
    ImageRequest,
    ImagesObject,
    InterpolationRequest,
)
from service.images.stream import ImageReader, as_events, images_object
from service.jobs.stream import EVENTS, StreamedResponse, while_listened_to
from service.jobs.submit import JobSpec

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
_PICTURES: dict[str, Any] = {"description": "The pictures.", "headers": headers_of_samples("pictures")}
_GROWING = _PICTURES | {"content": {"text/event-stream": event_stream(_EVENT, partial=_EXAMPLE)}}
_ERRORS = documented(400, 401, 404, 413, 415, 422, 429, 500, 503)


@router.post(
    "/generations",
    summary="Draw pictures of a class",
    response_model=ImagesObject,
    response_model_exclude_none=True,
    responses={200: _GROWING} | ACCEPTED | _ERRORS,
)
async def create_image(body: ImageRequest, context: ContextDep) -> Response:
    """Draw ``n`` pictures of a class, row by row; the same ``seed`` gives the same pictures."""
    job_spec = image_job(context.service.catalog, body)
    return await _draw(context, job_spec, streams=body.stream)


@router.post(
    "/completions",
    summary="Draw the rest of a picture",
    response_model=ImagesObject,
    response_model_exclude_none=True,
    responses={200: _GROWING} | ACCEPTED | _ERRORS,
)
async def complete_image(body: CompletionRequest, context: ContextDep) -> Response:
    """Keep the first ``rows`` of ``image`` as they are, and draw what is below, ``n`` times."""
    job_spec = await asyncio.to_thread(image_job, context.service.catalog, body)
    return await _draw(context, job_spec, streams=body.stream)


@router.post(
    "/interpolations",
    summary="Go from one class to another",
    response_model=ImagesObject,
    response_model_exclude_none=True,
    responses={200: _PICTURES} | ACCEPTED | _ERRORS,
)
async def interpolate_images(body: InterpolationRequest, context: ContextDep) -> Response:
    """One picture a step, all from one seed, each asked for something a little nearer to ``to``."""
    job_spec = interpolation_job(context.service.catalog, body)
    return await _draw(context, job_spec, streams=False)


@router.get(
    "/classes",
    summary="List what pictures can be asked for",
    response_model=ClassList,
    response_model_exclude_none=True,
    responses=documented(401),
)
async def list_classes(service: Service) -> ClassList:
    """Every class, every style and every kind of a class of every model that draws."""
    return ClassList(data=[found for model in service.catalog.image_models for found in _classes(model)])


def _classes(model: ImageModel) -> list[ClassObject]:
    found, spec, first = [], model.spec, 0
    for condition, names in spec.named.items():
        for index, name in enumerate(names):
            # On the wire a subclass is called a kind.
            label = "kind" if condition == "subclass" else condition
            told = {"id": name, "object": label, "model": model.entry.id}
            vector = model.embedding[first + index]
            if condition == "subclass":
                of = spec.subclass_classes[index]
                told["class"] = spec.classes[of]
                # In the place of a class, where the vector of no kind is added.
                added = zip(model.embedding[of], vector, model.embedding[-1], strict=True)
                vector = tuple(general + own - none for general, own, none in added)
            found.append(ClassObject.model_validate(told | {"embedding": list(vector)}))
        first += len(names) + 1
    return found


async def _draw(context: RequestContext, job_spec: JobSpec, *, streams: bool) -> Response:
    """Have a job drawn, and answer with the pictures, with events as they grow, or with the job that it became."""
    job, service = await context.submit(job_spec), context.service
    if job.priority is Priority.BATCH:
        return await accepted(service, job)
    assert isinstance(job_spec.model, ImageModel)
    broker, keep = service.broker, context.keep
    reader = ImageReader(broker, job, job_spec.model)
    if streams:
        stall = service.settings.stall_seconds
        return StreamedResponse(broker, reader, as_events(reader), EVENTS, stall_seconds=stall, keep=keep)
    await while_listened_to(reader.to_the_end(), context.request.receive, broker, job, keep=keep)
    answer = await asyncio.to_thread(images_object, reader, str(context.request.base_url))
    return JSONResponse(answer.model_dump(exclude_none=True), headers=_headers(reader))


def _headers(reader: ImageReader) -> Mapping[str, str]:
    job, begun = reader.job, reader.begun
    engine = {} if begun is None else {"x-engine": begun.engine}
    own = {"x-seed": str(job.request["seed"]), "x-model-sha256": job.sha256, "x-job-id": job.id}
    return own | engine
