"""``POST /v1/audio/likelihood``: the exact likelihood of a recording under a model (WaveNet, equation 1)."""

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
from ancestral.service.jobs.schemas import Described
from ancestral.service.speech.requests import likelihood_job
from ancestral.service.speech.schemas import MAX_INPUT_CHARACTERS, LikelihoodResult


class LikelihoodForm(Described):
    """The fields of the form."""

    model_config = ConfigDict(extra="forbid")

    file: UploadFile
    """A WAV, FLAC, Ogg or MP3 file."""
    model: str = Field(min_length=1, max_length=256, examples=["wavenet-babble"])
    """The id of a model that `/v1/models` lists."""
    voice: str = Field(min_length=1, max_length=256, examples=["joe"])
    """One of `/v1/audio/voices`."""
    text: str | None = Field(default=None, min_length=1, max_length=MAX_INPUT_CHARACTERS)
    """The text of the recording. Required by models that speak text, rejected by others."""


router = APIRouter(prefix="/v1/audio", tags=["speech"], route_class=FormRoute)


@router.post(
    "/likelihood",
    summary="Score a recording",
    response_model=LikelihoodResult,
    responses=ACCEPTED | documented(400, 401, 404, 408, 413, 415, 422, 429, 500, 503),
)
async def score_recording(
    form: Annotated[LikelihoodForm, Form(media_type="multipart/form-data")], context: ContextDep
) -> Response:
    """The likelihood of a recording under a model, with the speaker ``voice`` and, if it is speech, its ``text``.

    The recording is resampled to the model's rate, brought to the level of the recordings that models learn from, and
    quantised to 256 levels; it is these symbols that are scored. For a model with pre-emphasis they are the recording's
    own. For a model on an excitation (``shaping: linear_prediction`` in its ``config.json``) they are the residual of a
    filter that follows from the text: a flat signal that fills all levels, 6 to 7 bits per sample where the other kind
    has 4 to 5. Compare bits of models of one kind only.
    """
    data = await form.file.read()
    fields, service = (form.model, form.voice, form.text), context.service
    job_spec = await asyncio.to_thread(likelihood_job, service.catalog, service.settings, *fields, data)
    return await figures(context, job_spec)
