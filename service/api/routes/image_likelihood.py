"""``POST /v1/images/likelihood``: the exact likelihood of a picture under a model (1601.06759, equation 1)."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, UploadFile
from fastapi.responses import Response
from pydantic import ConfigDict, Field

from ancestral.service.api.deps import ContextDep
from ancestral.service.api.http.json_route import FormRoute
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.responses import ACCEPTED, figures
from ancestral.service.images.requests import likelihood_job
from ancestral.service.images.schemas import ImageLikelihood
from ancestral.service.jobs.schemas import Described

router = APIRouter(prefix="/v1/images", tags=["images"], route_class=FormRoute)


class ImageLikelihoodForm(Described):
    """The fields of the form."""

    model_config = ConfigDict(extra="forbid")

    file: UploadFile
    """A PNG, WebP or JPEG file of the model's size or a whole multiple of it."""
    model: str = Field(min_length=1, max_length=256, examples=["pixelcnn-digits"])
    """The id of a model that `/v1/models` lists."""
    asked_class: str = Field(default="any", alias="class", min_length=1, max_length=256, examples=["7"])
    """The class; `any`: unconditional."""
    style: str | None = Field(default=None, min_length=1, max_length=256)
    """The style of the picture."""
    map: bool = False
    """Also return a picture that shows how likely each pixel was."""


@router.post(
    "/likelihood",
    summary="Score a picture",
    response_model=ImageLikelihood,
    response_model_exclude_none=True,
    responses=ACCEPTED | documented(400, 401, 404, 408, 413, 415, 422, 429, 500, 503),
)
async def score_picture(
    form: Annotated[ImageLikelihoodForm, Form(media_type="multipart/form-data")], context: ContextDep
) -> Response:
    """The likelihood of a picture under a model, after conversion to the model's size and levels."""
    data = await form.file.read()
    body, service = form.model_dump(exclude={"file"}, by_alias=True), context.service
    job_spec = await asyncio.to_thread(likelihood_job, service.catalog, service.settings, body, data)
    return await figures(context, job_spec)
