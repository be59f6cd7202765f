"""``POST /v1/audio/speech`` and ``GET /v1/audio/voices``."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from service.api.deps import ContextDep
from service.api.http.json_route import JsonRoute
from service.api.http.openapi import documented, event_stream
from service.api.responses import ACCEPTED, headers_of_samples, stream_audio
from service.api.state import Service
from service.speech import codecs
from service.speech.requests import speech_job
from service.speech.schemas import SpeechAudioDelta, SpeechAudioDone, SpeechRequest, VoiceList, VoicesQuery
from service.speech.voices import voices_of

router = APIRouter(prefix="/v1/audio", tags=["speech"], route_class=JsonRoute)

SOUND: dict[str, Any] = {
    "description": "The audio, sent while it is sampled.",
    "content": {
        **{media: {"schema": {"type": "string", "format": "binary"}} for media in codecs.MEDIA_TYPES.values()},
        "text/event-stream": event_stream(SpeechAudioDelta, SpeechAudioDone),
    },
    "headers": headers_of_samples("bytes"),
}


@router.post(
    "/speech",
    summary="Speak a text",
    response_class=Response,
    responses={200: SOUND} | ACCEPTED | documented(400, 401, 404, 413, 415, 422, 429, 500, 503),
)
async def create_speech(request: SpeechRequest, context: ContextDep) -> Response:
    """Speak ``input`` with ``voice``. The body streams while it is sampled; the same ``seed`` gives the same bytes."""
    service = context.service
    job_spec = await asyncio.to_thread(speech_job, service.catalog, service.settings, request)
    return await stream_audio(context, job_spec, request)


@router.get("/voices", summary="List the voices", responses=documented(400, 401, 404))
async def list_voices(request: Request, query: Annotated[VoicesQuery, Query()], service: Service) -> VoiceList:
    """Every voice once, with the models that have it."""
    voices = voices_of(service.catalog.speech_models, str(request.base_url))
    if query.model is not None:
        model = service.catalog.model(query.model).entry.id
        voices = [voice for voice in voices if model in voice.models]
    if query.language is not None:
        wanted = query.language.lower()
        voices = [voice for voice in voices if f"{voice.language.lower()}-".startswith(f"{wanted}-")]
    if query.gender is not None:
        voices = [voice for voice in voices if voice.gender.lower() == query.gender.lower()]
    return VoiceList(voices=voices, data=voices)
