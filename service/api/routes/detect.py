"""``POST /v1/detect``: whether a file was made here, with the evidence."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, UploadFile
from fastapi.responses import Response
from pydantic import ConfigDict, Field

from ancestral.detection.query import MAX_SEARCH
from ancestral.service.api.deps import ContextDep
from ancestral.service.api.http.json_route import FormRoute
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.responses import ACCEPTED, figures
from ancestral.service.detection.requests import detection_job
from ancestral.service.detection.schemas import Detection
from ancestral.service.jobs.schemas import Described, RequestSeed
from ancestral.service.speech.schemas import MAX_INPUT_CHARACTERS

router = APIRouter(prefix="/v1", tags=["jobs"], route_class=FormRoute)


class DetectionForm(Described):
    """The fields of the form."""

    model_config = ConfigDict(extra="forbid")

    file: UploadFile
    """A PNG, WebP, JPEG, WAV, FLAC, Ogg or MP3 file."""
    model: str | None = Field(default=None, min_length=1, max_length=256, examples=["pixelcnn-sprites"])
    """The model that may have made it; by default those that make such files."""
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
    response_model=Detection,
    response_model_exclude_none=True,
    responses=ACCEPTED | documented(400, 401, 404, 408, 413, 415, 422, 429, 500, 503),
)
async def detect(
    form: Annotated[DetectionForm, Form(media_type="multipart/form-data")], context: ContextDep
) -> Response:
    """Say whether a picture or a recording was made here: by its signature, by sampling its recipe again, by the noise
    of its seed in its symbols, and by its likelihood.

    Each part has its evidence, or says why it could not be tried; docs/provenance.md has what survives which changes.
    """
    data, service = await form.file.read(), context.service
    keyed = service.settings.provenance_key is not None
    newest = await service.broker.seed_counter.reserved() if keyed else 0
    fields = form.model_dump(exclude={"file"})
    job_spec = await asyncio.to_thread(detection_job, service.catalog, service.settings, fields, data, newest)
    return await figures(context, job_spec)
