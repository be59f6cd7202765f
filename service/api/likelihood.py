"""``POST /v1/audio/likelihood``: how likely a model takes a recording to be, exactly (WaveNet, equation 1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from models.quantization import encode_wave
from service.api.bodies import documented
from service.api.delivery import ACCEPTED, IdempotencyKey, Prefer, accepted
from service.api.state import Counted, Service, State
from service.api.waiting import completed
from service.auth import caller_of
from service.errors import InvalidRequest, UnsupportedMedia
from service.intake import Order, accept
from service.jobs import Kind, Lane
from service.schemas import MAX_INPUT_CHARACTERS, LikelihoodResult
from service.synthesis import read_text
from service.uploads import decode_upload

_MAX_FIELDS = 16


class FormRoute(APIRoute):
    """A route that says precisely what is wrong with a body that is no form, before anything looks into it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the check."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            await caller_of(request)  # nobody without a key gets a body read
            media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if media_type != "multipart/form-data":
                raise UnsupportedMedia("The body must be a form, sent with Content-Type: multipart/form-data.")
            try:
                form = await request.form(max_files=1, max_fields=_MAX_FIELDS)
            except HTTPException as error:
                raise InvalidRequest(f"The body is no form: {error.detail}", code="form_invalid") from error
            names = [name for name, _ in form.multi_items()]
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise InvalidRequest(f"{twice}: given twice", param=twice, code="duplicate_parameter")
            return await handle(request)

        return checked


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


def _order(service: State, form: LikelihoodForm, data: bytes) -> Order:
    model = service.catalogue.model(form.model)
    model.require("likelihood")
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
    body = form.model_dump(exclude={"file"})
    upload = encode_wave(wave, spec.preemphasis, spec.gain).tobytes()
    return Order(Kind.LIKELIHOOD, model, body, body, len(wave) / spec.sample_rate, upload)


@router.post(
    "/likelihood",
    summary="Score a recording",
    response_model=LikelihoodResult,
    responses=ACCEPTED | documented(400, 401, 404, 413, 415, 422, 429, 500, 503),
)
async def score_recording(
    form: Annotated[LikelihoodForm, Form(media_type="multipart/form-data")],
    request: Request,
    service: Service,
    caller: Counted,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The probability of a recording under a model, with ``voice`` as the speaker and ``text`` as what is said.

    The recording is resampled to the model's rate and quantised to its 256 levels; it is these symbols that are scored.
    """
    data = await form.file.read()
    order = await asyncio.to_thread(_order, service, form, data)
    job = await accept(service, caller, order, prefer=prefer, key=idempotency_key)
    if job.lane is Lane.BATCH:
        return await accepted(service, job)
    ended = await completed(request, service.broker, job, keep=idempotency_key is not None)
    headers = {"x-job-id": ended.id, "x-model-sha256": ended.sha256, "x-engine": ended.engine or ""}
    return JSONResponse(ended.result, headers=headers)
