"""``POST /v1/audio/speech`` and ``GET /v1/audio/voices``."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from service.api.deps import ContextDep
from service.api.http.json_route import JsonRoute
from service.api.http.openapi import documented, event_stream
from service.api.responses import ACCEPTED, headers_of_samples, stream_audio
from service.api.state import Service
from service.speech import codecs
from service.speech.requests import speech_job
from service.speech.schemas import SpeechRequest, VoiceList, VoiceObject

router = APIRouter(prefix="/v1/audio", tags=["speech"], route_class=JsonRoute)

_COUNTS = {"input_tokens": 33, "output_tokens": 38880, "total_tokens": 38913}
_DELTA = {
    "type": "object",
    "required": ["type", "audio"],
    "properties": {
        "type": {"const": "speech.audio.delta"},
        "audio": {"type": "string", "contentEncoding": "base64"},
    },
}
_DONE = {
    "type": "object",
    "required": ["type", "usage"],
    "properties": {
        "type": {"const": "speech.audio.done"},
        "usage": {
            "type": "object",
            "required": list(_COUNTS),
            "properties": {name: {"type": "integer", "minimum": 0} for name in _COUNTS},
        },
    },
}
SOUND: dict[str, Any] = {
    "description": "The sound, sent as it is sampled.",
    "content": {
        **{media: {"schema": {"type": "string", "format": "binary"}} for media in codecs.MEDIA_TYPES.values()},
        "text/event-stream": event_stream(
            _DELTA,
            _DONE,
            delta={"type": "speech.audio.delta", "audio": "UklGRv////9XQVZF"},
            done={"type": "speech.audio.done", "usage": _COUNTS},
        ),
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


@router.get("/voices", summary="List the voices", responses=documented(401))
async def list_voices(service: Service) -> VoiceList:
    """Every voice of every model."""
    voices = [
        VoiceObject(
            id=voice.id,
            name=voice.name,
            language=voice.language,
            gender=voice.gender,
            model=model.entry.id,
            description=voice.description,
        )
        for model in service.catalog.models.values()
        for voice in model.entry.voices
    ]
    return VoiceList(voices=voices, data=voices)
