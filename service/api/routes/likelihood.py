"""``POST /v1/audio/likelihood``: how likely a model takes a recording to be, exactly (WaveNet, equation 1)."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, UploadFile
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from models.audio.features import normalize_level
from models.audio.mu_law import encode_wave
from service.api.deps import ContextDep
from service.api.http.json_route import FormRoute
from service.api.http.openapi import documented
from service.api.responses import ACCEPTED
from service.api.results import figures
from service.broker.job import Kind
from service.errors import InvalidRequest
from service.jobs.state import State
from service.jobs.submit import JobSpec
from service.speech.schemas import MAX_INPUT_CHARACTERS, LikelihoodResult
from service.speech.uploads import decode_upload
from service.speech.utterance import read_text


class LikelihoodForm(BaseModel):
    """The fields of the form."""

    model_config = ConfigDict(extra="forbid")

    file: UploadFile = Field(description="A WAV, FLAC, Ogg or MP3 file.")
    model: str = Field(min_length=1, max_length=256, description="The id of a model that `/v1/models` lists.")
    voice: str = Field(min_length=1, max_length=256, description="One of `/v1/audio/voices`.")
    text: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_INPUT_CHARACTERS,
        description="What is said in the recording. Required by models that speak text, refused by others.",
    )


router = APIRouter(prefix="/v1/audio", tags=["speech"], route_class=FormRoute)


def _order(service: State, form: LikelihoodForm, data: bytes) -> JobSpec:
    model = service.catalog.speech_model(form.model, "likelihood")
    model.voice(form.voice)
    if "speech" in model.entry.capabilities:
        if form.text is None:
            raise InvalidRequest("text: required by a model that speaks text", param="text", code="missing_parameter")
        read_text(form.text, "text")
    elif form.text is not None:
        raise InvalidRequest("text: this model knows nothing of text", param="text", code="unknown_parameter")
    spec = model.spec
    longest = service.settings.max_upload_seconds
    wave = decode_upload(data, sample_rate=spec.sample_rate, max_seconds=longest, param="file")
    wave = normalize_level(wave, spec.sample_rate)  # a model knows sound at the level of its corpora alone
    body = form.model_dump(exclude={"file"})
    upload = encode_wave(wave, spec.preemphasis, spec.gain).tobytes()
    return JobSpec(Kind.LIKELIHOOD, model, body, body, len(wave) / spec.sample_rate, upload)


@router.post(
    "/likelihood",
    summary="Score a recording",
    response_model=LikelihoodResult,
    responses=ACCEPTED | documented(400, 401, 404, 413, 415, 422, 429, 500, 503),
)
async def score_recording(
    form: Annotated[LikelihoodForm, Form(media_type="multipart/form-data")], context: ContextDep
) -> Response:
    """The probability of a recording under a model, with ``voice`` as the speaker and ``text`` as what is said.

    The recording is resampled to the model's rate, brought to the level of the recordings that models learn from, and
    quantised to 256 levels; it is these symbols that are scored.
    """
    data = await form.file.read()
    job_spec = await asyncio.to_thread(_order, context.service, form, data)
    return await figures(context, job_spec, lambda job: job.result)
