"""``POST /v1/audio/speech``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from ancestral import codecs
from ancestral.service.api.deps import ContextDep
from ancestral.service.api.http.json_route import JsonRoute
from ancestral.service.api.http.openapi import documented, event_stream
from ancestral.service.api.responses import ACCEPTED, HEADERS_OF_SOUND, stream_audio
from ancestral.service.speech.requests import prepared
from ancestral.service.speech.schemas import (
    SpeechAudioDelta,
    SpeechAudioDone,
    SpeechAudioTimestamps,
    SpeechObject,
    SpeechRequest,
)

router = APIRouter(prefix="/v1/audio", tags=["speech"], route_class=JsonRoute)

SOUND: dict[str, Any] = {
    "model": SpeechObject,
    "description": "The audio, sent while it is sampled; JSON with `stream_format` `json`.",
    "content": {
        **{media: {"schema": {"type": "string", "format": "binary"}} for media in codecs.MEDIA_TYPES.values()},
        "text/event-stream": event_stream(SpeechAudioTimestamps, SpeechAudioDelta, SpeechAudioDone),
    },
    "headers": HEADERS_OF_SOUND,
}


@router.post(
    "/speech",
    summary="Speak a text",
    response_class=Response,
    responses={200: SOUND} | ACCEPTED | documented(400, 401, 404, 408, 413, 415, 422, 429, 500, 503),
)
async def create_speech(request: SpeechRequest, context: ContextDep) -> Response:
    """Speak ``input`` with ``voice``. The body streams while it is sampled; the same ``seed`` gives the same bytes."""
    return await stream_audio(context, await prepared(context.service, request), request)
