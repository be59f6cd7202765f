"""``POST /v1/audio/speech`` and ``GET /v1/audio/voices``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from service import codecs
from service.api.bodies import JsonRoute, documented
from service.api.state import ReadyService, Service
from service.errors import InvalidRequest
from service.schemas import SpeechRequest, VoiceList, VoiceObject
from service.streaming import SpeechResponse, encoded
from service.synthesis import draw_seed

router = APIRouter(prefix="/v1/audio", tags=["speech"], route_class=JsonRoute)

_SOUND: dict[str, Any] = {
    "description": "The sound, sent as it is sampled.",
    "content": {
        **{media: {"schema": {"type": "string", "format": "binary"}} for media in codecs.MEDIA_TYPES.values()},
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": 'data: {"type": "speech.audio.delta", "audio": "UklGRv////9XQVZF…"}\n\n'
            'data: {"type": "speech.audio.done", "usage": {"input_tokens": 33, '
            '"output_tokens": 38880, "total_tokens": 38913}}\n\n',
        },
    },
    "headers": {
        "x-seed": {"description": "Send it as `seed` to get the same bytes again.", "schema": {"type": "string"}},
        "x-model-sha256": {"description": "Of the weights that were sampled.", "schema": {"type": "string"}},
        "x-engine": {"description": "What sampled them.", "schema": {"type": "string"}},
    },
}


@router.post(
    "/speech",
    summary="Speak a text",
    response_class=Response,
    responses={200: _SOUND, **documented(400, 404, 413, 415, 429, 500, 503)},
)
async def create_speech(request: SpeechRequest, service: ReadyService) -> Response:
    """Speak ``input`` with ``voice``. The body streams while it is sampled; the same ``seed`` gives the same bytes."""
    form = request.response_format
    if form not in codecs.MEDIA_TYPES:
        made = ", ".join(codecs.MEDIA_TYPES)
        raise InvalidRequest(
            f"response_format: this version does not make {form} yet; it makes {made}",
            param="response_format",
            code="unsupported_format",
        )
    seed = draw_seed() if request.seed is None else request.seed
    synthesizer, stage = service.synthesizer, service.stage
    utterance = await stage.run(
        lambda: synthesizer.prepare(
            request.model,
            request.voice_id,
            request.input,
            seed,
            temperature=request.temperature,
            speed=request.speed,
        )
    )
    source = encoded(synthesizer, utterance, form, request.sample_rate)
    media_type = codecs.MEDIA_TYPES[form]
    return SpeechResponse(stage, source, utterance, media_type, events=request.stream_format == "sse")


@router.get("/voices", summary="List the voices")
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
        for model in service.synthesizer.models.values()
        for voice in model.entry.voices
    ]
    return VoiceList(voices=voices, data=voices)
