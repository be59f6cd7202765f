"""The routes under ``/v1/images`` that take a picture to draw from: reconstructions, portraits, and its vector."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Form, UploadFile
from fastapi.responses import Response
from pydantic import ConfigDict, Field

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.models import ImageModel
from ancestral.service.api.deps import ContextDep, RequestContext
from ancestral.service.api.http.json_route import FormRoute
from ancestral.service.api.http.openapi import event_stream
from ancestral.service.api.responses import ACCEPTED, figures
from ancestral.service.api.routes.images import ERRORS, GROWING, PICTURES, draw_pictures
from ancestral.service.images.payloads import PicturesPayload
from ancestral.service.images.requests import edit_job
from ancestral.service.images.schemas import (
    PALETTE_NAME,
    PROMPT_OF_EDIT,
    EditCompleted,
    EditPartial,
    EditRequest,
    ImageRequest,
    ImagesObject,
)
from ancestral.service.images.source_requests import encoding_job, portrait_job, reconstruction_job
from ancestral.service.images.source_schemas import DecodingRequest, EncodingList, ReconstructionRequest
from ancestral.service.jobs.schemas import NO_EFFECT, Described
from ancestral.service.jobs.tasks import JobSpec
from ancestral.service.settings import Settings

router = APIRouter(prefix="/v1/images", tags=["images"], route_class=FormRoute)

_R = TypeVar("_R", EditRequest, ReconstructionRequest)
EDITED = PICTURES | {"content": {"text/event-stream": event_stream(EditPartial, EditCompleted)}}
_FILE = "A PNG, WebP or JPEG file of the model's size or a whole multiple of it."
_MODEL = "The id of a model that `/v1/models` lists."
_EXAMPLE = "pixelcnn-autoencoder-digits"


def _without_null(schema: dict[str, Any]) -> None:
    """A field of a form is there or not: it cannot be null."""
    for field in schema["properties"].values():
        kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            del field["anyOf"]
            field |= kinds[0] | field


class ReconstructionForm(DecodingRequest):
    """The fields of the form, which are text."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True, json_schema_extra=_without_null)

    image: UploadFile = Field(description=_FILE)
    model: str = Field(min_length=1, max_length=256, description=_MODEL, examples=[_EXAMPLE, "pixelcnn-portraits"])
    palette: str | None = Field(default=None, min_length=1, max_length=64, description=PALETTE_NAME)

    async def request(self) -> ReconstructionRequest:
        """The request with the file as text. The form's fields have been validated; the file has not."""
        fields: dict[str, Any] = self.model_dump(exclude={"image"})
        return ReconstructionRequest.model_construct(**fields, image=base64.b64encode(await self.image.read()).decode())


class EditForm(ImageRequest):
    """The fields of the form, which are text."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True, json_schema_extra=_without_null)

    image: UploadFile = Field(description=_FILE)
    mask: UploadFile
    """A PNG or WebP file of such a size: transparent where the picture is drawn anew. All else is kept."""
    model: str = Field(min_length=1, max_length=256, description=_MODEL, examples=["pixelcnn-sprites"])
    prompt: str | None = Field(
        default=None, min_length=1, max_length=4096, description=PROMPT_OF_EDIT, examples=["axe"]
    )
    palette: str | None = Field(default=None, min_length=1, max_length=64, description=PALETTE_NAME)
    input_fidelity: Literal["high", "low"] | None = Field(default=None, description=NO_EFFECT)

    async def request(self) -> EditRequest:
        """The request with the files as text. The form's fields have been validated; the files have not."""
        fields: dict[str, Any] = self.model_dump(exclude={"image", "mask"})
        image, mask = [base64.b64encode(await file.read()).decode() for file in (self.image, self.mask)]
        return EditRequest.model_construct(**fields, image=image, mask=mask)


class EncodingForm(Described):
    """The fields of the form."""

    model_config = ConfigDict(extra="forbid")

    image: UploadFile = Field(description=_FILE)
    model: str = Field(min_length=1, max_length=256, description=_MODEL, examples=[_EXAMPLE])


@router.post(
    "/edits",
    summary="Edit a picture",
    response_model=ImagesObject,
    response_model_exclude_none=True,
    responses={200: EDITED} | ACCEPTED | ERRORS,
)
async def edit_image(
    form: Annotated[EditForm, Form(media_type="multipart/form-data")], context: ContextDep
) -> Response:
    """Draw ``image`` anew where ``mask`` is transparent, ``n`` times, and keep every other pixel as it is."""
    return await _draw_from(await form.request(), context, edit_job)


@router.post(
    "/reconstructions",
    summary="Draw again what a picture shows",
    response_model=ImagesObject,
    response_model_exclude_none=True,
    responses={200: GROWING} | ACCEPTED | ERRORS,
)
async def reconstruct_image(
    form: Annotated[ReconstructionForm, Form(media_type="multipart/form-data")], context: ContextDep
) -> Response:
    """Sample ``n`` pictures from the vector of ``image``: what the model has kept of it, each time drawn anew."""
    return await _draw_from(await form.request(), context, reconstruction_job)


@router.post(
    "/portraits",
    summary="Draw portraits of a person",
    response_model=ImagesObject,
    response_model_exclude_none=True,
    responses={200: GROWING} | ACCEPTED | ERRORS,
)
async def draw_portraits(
    form: Annotated[ReconstructionForm, Form(media_type="multipart/form-data")], context: ContextDep
) -> Response:
    """Sample ``n`` new pictures of the person on ``image``, who need not be among those that the model has seen."""
    return await _draw_from(await form.request(), context, portrait_job)


@router.post(
    "/encodings",
    summary="Get the vector of a picture",
    response_model=EncodingList,
    response_model_exclude_none=True,
    responses=ACCEPTED | ERRORS,
)
async def encode_image(
    form: Annotated[EncodingForm, Form(media_type="multipart/form-data")], context: ContextDep
) -> Response:
    """The vector that a model draws from; interpolations take two of them, and so go from one picture to another."""
    data, service = await form.image.read(), context.service
    body = form.model_dump(exclude={"image"})
    return await figures(context, await asyncio.to_thread(encoding_job, service.catalog, service.settings, body, data))


async def _draw_from(
    request: _R,
    context: RequestContext,
    job_of: Callable[[Catalog, Settings, _R], JobSpec[PicturesPayload, ImageModel]],
) -> Response:
    service = context.service
    job_spec = await asyncio.to_thread(job_of, service.catalog, service.settings, request)
    return await draw_pictures(context, job_spec, request)
