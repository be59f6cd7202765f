"""``GET /v1/audio/voices`` and ``GET /v1/audio/models``: what a text can be spoken with."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from ancestral.service.api.deps import Service, base_url
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.routes.models import describe_model
from ancestral.service.api.schemas import SpeechModelList
from ancestral.service.speech.schemas import VoiceList, VoicesQuery
from ancestral.service.speech.voices import voices_of

router = APIRouter(prefix="/v1/audio", tags=["speech"])


@router.get("/voices", summary="List the voices", responses=documented(400, 401, 404))
async def list_voices(request: Request, query: Annotated[VoicesQuery, Query()], service: Service) -> VoiceList:
    """Every voice once, with the models that have it."""
    voices = voices_of(service.catalog, base_url(request))
    if query.model is not None:
        model = service.catalog.model(query.model).entry.id
        voices = [voice for voice in voices if model in voice.models]
    if query.language is not None:
        wanted = query.language.lower()
        voices = [voice for voice in voices if f"{voice.language.lower()}-".startswith(f"{wanted}-")]
    if query.gender is not None:
        voices = [voice for voice in voices if voice.gender.lower() == query.gender.lower()]
    return VoiceList(voices=voices, data=voices)


@router.get(
    "/models",
    summary="List the models that speak",
    response_model_exclude_none=True,
    responses=documented(400, 401),
)
async def list_speech_models(service: Service) -> SpeechModelList:
    """The models of `/v1/models` that speak text, for clients that offer them in a menu."""
    speaking = [model for model in service.catalog.speech_models if "speech" in model.capabilities]
    models = [describe_model(service.catalog, model) for model in speaking]
    return SpeechModelList(models=models, data=models)
