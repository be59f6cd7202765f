"""The routes under ``/v1/images``: generation, completion, interpolation, and the list of classes."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from ancestral.catalog.models import ImageModel
from ancestral.models.spec import STYLE
from ancestral.service.api.deps import ContextDep, RequestContext, Service, base_url
from ancestral.service.api.http.json_route import JsonRoute
from ancestral.service.api.http.openapi import documented, event_stream
from ancestral.service.api.responses import ACCEPTED, accepted, headers_of_samples
from ancestral.service.api.sample_headers import sample_headers
from ancestral.service.api.streamed_response import EVENTS, StreamedResponse
from ancestral.service.broker.job import Priority
from ancestral.service.images.payloads import PicturesPayload
from ancestral.service.images.requests import completion_job, image_job, interpolation_job
from ancestral.service.images.schemas import (
    ClassesQuery,
    ClassList,
    ClassObject,
    CompletionRequest,
    ImageCompleted,
    ImagePartial,
    ImageRequest,
    ImagesObject,
    InterpolationRequest,
)
from ancestral.service.images.source_schemas import DecodingRequest
from ancestral.service.images.stream import ImageReader, as_events, images_object, signed_files
from ancestral.service.jobs.tasks import JobSpec

router = APIRouter(prefix="/v1/images", tags=["images"], route_class=JsonRoute)

PICTURES: dict[str, Any] = {"description": "The pictures.", "headers": headers_of_samples("pictures")}
GROWING = PICTURES | {"content": {"text/event-stream": event_stream(ImagePartial, ImageCompleted)}}
ERRORS = documented(400, 401, 404, 408, 413, 415, 422, 429, 500, 503)


@router.post(
    "/generations",
    summary="Generate pictures of a class",
    response_model=ImagesObject,
    response_model_exclude_none=True,
    responses={200: GROWING} | ACCEPTED | ERRORS,
)
async def create_image(body: ImageRequest, context: ContextDep) -> Response:
    """Sample ``n`` pictures of what the prompt names, row by row; the same ``seed`` gives the same pictures."""
    job_spec = image_job(context.service.catalog, context.service.settings, body)
    return await draw_pictures(context, job_spec, body)


@router.post(
    "/completions",
    summary="Complete a picture",
    response_model=ImagesObject,
    response_model_exclude_none=True,
    responses={200: GROWING} | ACCEPTED | ERRORS,
)
async def complete_image(body: CompletionRequest, context: ContextDep) -> Response:
    """Keep the first ``rows`` rows of ``image`` unchanged and sample the rest, ``n`` times."""
    service = context.service
    job_spec = await asyncio.to_thread(completion_job, service.catalog, service.settings, body)
    return await draw_pictures(context, job_spec, body)


@router.post(
    "/interpolations",
    summary="Interpolate between two prompts or pictures",
    response_model=ImagesObject,
    response_model_exclude_none=True,
    responses={200: PICTURES} | ACCEPTED | ERRORS,
)
async def interpolate_images(body: InterpolationRequest, context: ContextDep) -> Response:
    """One picture per step, from one seed, interpolating from ``from`` to ``to``."""
    job_spec = interpolation_job(context.service.catalog, context.service.settings, body)
    return await draw_pictures(context, job_spec, None)


@router.get(
    "/classes",
    summary="List what can be asked for: the values of all attributes",
    response_model=ClassList,
    response_model_exclude_none=True,
    responses=documented(400, 401, 404),
)
async def list_classes(request: Request, query: Annotated[ClassesQuery, Query()], service: Service) -> ClassList:
    """The values of all attributes of every image model, attribute by attribute."""
    models = service.catalog.image_models
    if query.model is not None:
        wanted = service.catalog.model(query.model)
        models = [model for model in models if model is wanted]
    found = [entry for model in models for entry in _classes(model, base_url(request))]
    if not query.embeddings:
        found = [entry.model_copy(update={"embedding": None}) for entry in found]
    return ClassList(data=found)


def _classes(model: ImageModel, root: str) -> list[ClassObject]:
    found, first, spec = [], 0, model.spec
    starts = {}
    for attribute, names in spec.attributes:
        starts[attribute] = first
        first += len(names) + 1
    subject = next((attribute for attribute in spec.named if attribute != STYLE), STYLE)
    for attribute, names in spec.attributes:
        start = starts[attribute]
        parent, belongs = model.parents.get(attribute, (subject, {}))
        for index, name in enumerate(names):
            # On the wire a subclass is called a kind.
            label = "kind" if attribute == "subclass" else attribute
            query = urlencode({"model": model.entry.id, "class": name})
            fields: dict[str, Any] = {
                "id": name, "object": label, "model": model.entry.id,
            }  # fmt: skip
            if model.entry.preview(f"{name}.png").is_file():
                fields["thumbnail_url"] = f"{root}v1/images/classes/thumbnail?{query}"
            if index in belongs:
                fields["class"] = spec.named[parent][belongs[index]]
            vector = model.embedding[start + index]
            if attribute not in (subject, STYLE):
                # In the place of a value of the first attribute, relative to the vector for nothing of this one.
                general = model.embedding[starts[subject] + belongs.get(index, len(spec.named[subject]))]
                terms = zip(general, vector, model.embedding[start + len(names)], strict=True)
                vector = tuple(one + special - none for one, special, none in terms)
            found.append(ClassObject.model_validate(fields | {"embedding": list(vector)}))
    return found


async def draw_pictures(
    context: RequestContext,
    job_spec: JobSpec[PicturesPayload, ImageModel],
    request: ImageRequest | DecodingRequest | None,
) -> Response:
    """Submit a job, and answer with its pictures, with events while they grow, or with the job.

    Args:
        context: of the request.
        job_spec: the checked request.
        request: of a route that can stream.
    """
    job, service = await context.submit(job_spec), context.service
    if job.priority is Priority.BATCH:
        return await accepted(service, job)
    reader = ImageReader(service.broker, job, job_spec.task.parse(job), job_spec.model)
    if request is not None and request.stream:
        return StreamedResponse(context, reader, as_events(service, reader, request.partial_images), EVENTS)
    await context.while_connected(reader.read_all(), job)
    signed = await signed_files(service, reader)
    answer = await asyncio.to_thread(images_object, reader, base_url(context.request), signed)
    return JSONResponse(
        answer.model_dump(exclude_none=True), headers=sample_headers(job, reader.payload, reader.engine)
    )
