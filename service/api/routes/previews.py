"""What a model sounds and looks like: ``GET /v1/audio/voices/{id}/preview``, ``GET /v1/images/classes/thumbnail``."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from ancestral import codecs
from ancestral.errors import NotFound
from ancestral.service.api.deps import CallerDep, Service
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.previews import PREVIEW_SEED, preview_file
from ancestral.service.images.requests import image_job
from ancestral.service.images.schemas import ImageRequest
from ancestral.service.speech.requests import generation_job, speech_job
from ancestral.service.speech.schemas import GenerationRequest, SpeechRequest
from ancestral.service.speech.voices import voices_of

router = APIRouter(prefix="/v1")

_PREVIEW_SECONDS: Final = 3.0
_ModelId = Annotated[str | None, Query(min_length=1, max_length=256, description="The id of a model.")]


def _file(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": description, "content": content}, 304: {"description": "You have it already."}}


@router.get(
    "/audio/voices/{voice_id}/preview",
    summary="Hear a voice",
    tags=["speech"],
    response_class=Response,
    responses=_file("audio/mpeg", "An MP3 file.") | documented(400, 401, 404, 429, 500, 503),
)
async def preview_voice(
    voice_id: Annotated[str, Path(examples=["joe"])],
    request: Request,
    service: Service,
    caller: CallerDep,
    model: _ModelId = None,
) -> Response:
    """A sentence of a voice, or, of a model without text, a few seconds. Sampled once, from a fixed seed, then kept."""
    known = service.catalog.aliases.voices.get(voice_id, voice_id)
    voice = next((voice for voice in voices_of(service.catalog) if voice.id == known), None)
    if voice is None:
        raise NotFound("voice_id: no such voice", param="voice_id", code="voice_not_found")
    found = service.catalog.model(voice.model if model is None else model)
    fields: dict[str, Any] = {
        "model": found.entry.id, "voice": voice.id, "response_format": "mp3", "seed": PREVIEW_SEED,
    }  # fmt: skip
    catalog, settings = service.catalog, service.settings
    if "generation" in found.capabilities:
        generation = generation_job(catalog, settings, GenerationRequest(**fields, duration=_PREVIEW_SECONDS))
        return await preview_file(request, service, caller, generation, codecs.MEDIA_TYPES["mp3"])
    speech = speech_job(catalog, settings, SpeechRequest(**fields, input=f"Hello, this is {voice.name}."))
    return await preview_file(request, service, caller, speech, codecs.MEDIA_TYPES["mp3"])


@router.get(
    "/images/classes/thumbnail",
    summary="See a class",
    tags=["images"],
    response_class=Response,
    responses=_file("image/png", "A PNG file.") | documented(400, 401, 404, 429, 500, 503),
)
async def show_class(
    request: Request,
    service: Service,
    caller: CallerDep,
    model: Annotated[str, Query(min_length=1, max_length=256, description="The id of a model.")],
    name: Annotated[str, Query(alias="class", min_length=1, max_length=256, description="Names as in a prompt.")],
) -> Response:
    """A picture of a class or subclass, of the model's own size. Sampled once, from a fixed seed, then kept."""
    fields = {"model": model, "class": name, "seed": PREVIEW_SEED, "response_format": "b64_json"}
    body = ImageRequest.model_validate(fields)
    job_spec = image_job(service.catalog, service.settings, body)
    return await preview_file(request, service, caller, job_spec, "image/png")
