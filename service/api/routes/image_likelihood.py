"""``POST /v1/images/likelihood``: how likely a model takes a picture to be, exactly (1601.06759, equation 1)."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, UploadFile
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.deps import ContextDep
from service.api.http.json_route import FormRoute
from service.api.http.openapi import documented
from service.api.responses import ACCEPTED
from service.api.results import figures
from service.broker.job import Kind
from service.images.requests import asked_labels
from service.images.schemas import ImageLikelihood
from service.images.stream import likelihood
from service.images.uploads import decode_picture
from service.jobs.state import State
from service.jobs.submit import JobSpec

router = APIRouter(prefix="/v1/images", tags=["images"], route_class=FormRoute)


class ImageLikelihoodForm(BaseModel):
    """The fields of the form."""

    model_config = ConfigDict(extra="forbid")

    file: UploadFile = Field(description="A PNG, WebP or JPEG file of the model's size or a whole multiple of it.")
    model: str = Field(min_length=1, max_length=256, description="The id of a model that `/v1/models` lists.")
    asked_class: str = Field(
        default="any", alias="class", min_length=1, max_length=256, description="What it shows; `any` tells nothing."
    )
    style: str | None = Field(default=None, min_length=1, max_length=256, description="Who drew it.")
    map: bool = Field(default=False, description="Answer with a picture of how likely each pixel was, too.")


def _order(service: State, form: ImageLikelihoodForm, data: bytes) -> JobSpec:
    model = service.catalog.image_model(form.model, "image_likelihood")
    asked = form.asked_class if model.spec.classes or form.asked_class != "any" else None
    labels = asked_labels(model, None, asked, form.style)
    symbols = decode_picture(data, model.spec, "file")
    body = form.model_dump(exclude={"file"}, by_alias=True)
    white = {2: 1, 256: 8}[model.spec.levels]
    return JobSpec(
        Kind.IMAGE_LIKELIHOOD, model, body, body | {"labels": labels, "bits_of_white": white}, 0.0, symbols.tobytes()
    )


@router.post(
    "/likelihood",
    summary="Score a picture",
    response_model=ImageLikelihood,
    response_model_exclude_none=True,
    responses=ACCEPTED | documented(400, 401, 404, 413, 415, 422, 429, 500, 503),
)
async def score_picture(
    form: Annotated[ImageLikelihoodForm, Form(media_type="multipart/form-data")], context: ContextDep
) -> Response:
    """The probability of a picture under a model, of what the picture becomes at the model's size and levels."""
    data = await form.file.read()
    job_spec = await asyncio.to_thread(_order, context.service, form, data)
    return await figures(context, job_spec, likelihood)
