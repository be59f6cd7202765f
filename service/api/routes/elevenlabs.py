"""ElevenLabs' routes over HTTP: ``POST /v1/text-to-speech/{voice_id}`` and what belongs to it, ``GET /v1/voices``."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from ancestral import codecs
from ancestral.catalog.models import SpeechModel
from ancestral.errors import AncestralError
from ancestral.requests import SpeechRequest
from ancestral.service.api.deps import ContextDep, RequestContext, Service, base_url
from ancestral.service.api.http.json_route import JsonRoute
from ancestral.service.api.responses import (
    ACCEPTED,
    HEADERS_OF_SOUND,
    Sound,
    StreamedResponse,
    accepted,
    headers_of,
    open_sound,
    read_whole,
    stream_audio,
)
from ancestral.service.broker.job import Job, Priority
from ancestral.service.jobs.planning import prepared
from ancestral.service.jobs.plans import JobSpec
from ancestral.service.speech.elevenlabs.requests import renamed, speech_request, with_timestamps
from ancestral.service.speech.elevenlabs.schemas import (
    AudioWithTimestamps,
    ElevenLabsVoice,
    ElevenLabsVoices,
    SpeechQuery,
    TextToSpeech,
)
from ancestral.service.speech.schemas import voices_of
from ancestral.service.speech.stream import timed
from ancestral.service.telemetry.metrics import Transport
from ancestral.service.ws.bounded_websocket import FRAME_BYTES
from ancestral.speech.utterance import Utterance

router = APIRouter(prefix="/v1", tags=["elevenlabs"], route_class=JsonRoute)

_JSON_LINES: Final = "application/x-ndjson"
_FORMATS: Final = ("mp3", "opus", "pcm", "ulaw_8000", "alaw_8000")
_SOUND: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The audio, sent while it is sampled.",
        "content": {codecs.MEDIA_TYPES[form]: {"schema": {"type": "string", "format": "binary"}} for form in _FORMATS},
        "headers": HEADERS_OF_SOUND,
    }
}
_TIMED: dict[int | str, dict[str, Any]] = {
    200: {"description": "All of the audio, and when its characters are spoken.", "headers": HEADERS_OF_SOUND}
}
_LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "JSON objects, one a line, while the audio is sampled. Times are those of the whole audio; "
        "they come with the first audio of each sentence.",
        "content": {_JSON_LINES: {"schema": {"type": "string"}}},
        "headers": HEADERS_OF_SOUND,
    }
}
_VoiceId = Annotated[str, Path(max_length=256, description="One of `/v1/voices`, or an alias.", examples=["joe"])]
_Parameters = Annotated[SpeechQuery, Query()]


@router.post(
    "/text-to-speech/{voice_id}",
    summary="Speak a text, in ElevenLabs' shape",
    response_class=Response,
    responses=_SOUND | ACCEPTED,
)
async def convert(voice_id: _VoiceId, body: TextToSpeech, query: _Parameters, context: ContextDep) -> Response:
    """Speak ``text``; the same as ``POST /v1/audio/speech`` with ElevenLabs' names. The audio streams."""
    return await _speak(voice_id, body, query, context)


@router.post(
    "/text-to-speech/{voice_id}/stream",
    summary="Speak a text, streaming, in ElevenLabs' shape",
    response_class=Response,
    responses=_SOUND | ACCEPTED,
)
async def convert_streaming(
    voice_id: _VoiceId, body: TextToSpeech, query: _Parameters, context: ContextDep
) -> Response:
    """Speak ``text``, as the route without ``/stream`` does: the audio streams on either."""
    return await _speak(voice_id, body, query, context)


@router.post(
    "/text-to-speech/{voice_id}/with-timestamps",
    summary="Speak a text, with the times of its characters",
    response_model=AudioWithTimestamps,
    responses=_TIMED | ACCEPTED,
)
async def convert_with_timestamps(
    voice_id: _VoiceId, body: TextToSpeech, query: _Parameters, context: ContextDep
) -> Response:
    """All of the audio at once. The characters of a word share its time evenly."""
    job, job_spec = await _submitted(voice_id, body, query, context)
    if job.priority is Priority.BATCH:
        return await accepted(context.service, job)
    sound = open_sound(context, job, job_spec, None, times=True)
    audio, sentences = await read_whole(context, sound)
    answer = with_timestamps(base64.b64encode(audio).decode(), sentences, sound.sample_rate)
    return JSONResponse(answer.model_dump(), headers=headers_of(sound))


@router.post(
    "/text-to-speech/{voice_id}/stream/with-timestamps",
    summary="Speak a text, streaming, with the times of its characters",
    response_class=Response,
    responses=_LINES | ACCEPTED,
)
async def stream_with_timestamps(
    voice_id: _VoiceId, body: TextToSpeech, query: _Parameters, context: ContextDep
) -> Response:
    """The audio and the times of its characters, while it is sampled."""
    job, job_spec = await _submitted(voice_id, body, query, context)
    if job.priority is Priority.BATCH:
        return await accepted(context.service, job)
    sound = open_sound(context, job, job_spec, Transport.HTTP, times=True)
    return StreamedResponse(context, sound.reader, _json_lines(sound), _JSON_LINES)


@router.get("/voices", summary="List the voices in ElevenLabs' shape")
async def list_elevenlabs_voices(request: Request, service: Service) -> ElevenLabsVoices:
    """Every voice that speaks text."""
    voices = voices_of(service.catalog, base_url(request))
    return ElevenLabsVoices(
        voices=[
            ElevenLabsVoice(
                voice_id=voice.id,
                name=voice.name,
                labels={"language": voice.language, "gender": voice.gender},
                description=voice.description,
                preview_url=voice.preview_url,
            )
            for voice in voices
            if "speech" in voice.capabilities
        ]
    )


async def _speak(voice_id: str, body: TextToSpeech, query: SpeechQuery, context: RequestContext) -> Response:
    request, job_spec = await _checked(voice_id, body, query, context)
    return await stream_audio(context, job_spec, request)


async def _submitted(
    voice_id: str, body: TextToSpeech, query: SpeechQuery, context: RequestContext
) -> tuple[Job, JobSpec[Utterance, SpeechModel]]:
    _, job_spec = await _checked(voice_id, body, query, context)
    return await context.submit(job_spec), job_spec


async def _checked(
    voice_id: str, body: TextToSpeech, query: SpeechQuery, context: RequestContext
) -> tuple[SpeechRequest, JobSpec[Utterance, SpeechModel]]:
    service = context.service
    try:
        request = speech_request(service.catalog, voice_id, body, query)
        return request, await prepared(service, request)
    except AncestralError as error:
        raise renamed(error) from None


async def _json_lines(sound: Sound) -> AsyncGenerator[bytes, None]:
    """JSON in short lines: some HTTP clients accept no more than 128 kB."""
    async for piece, sentences in timed(sound.source, sound.reader, sound.timeline):
        for start in range(0, len(piece), FRAME_BYTES):
            audio = base64.b64encode(piece[start : start + FRAME_BYTES]).decode()
            chunk = with_timestamps(audio, [] if start else sentences, sound.sample_rate)
            yield chunk.model_dump_json().encode() + b"\n"
