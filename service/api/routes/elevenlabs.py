"""ElevenLabs' routes over HTTP: ``POST /v1/text-to-speech/{voice_id}`` and what belongs to it, ``GET /v1/voices``."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from ancestral import codecs
from ancestral.catalog.models import SpeechModel
from ancestral.errors import AncestralError, NotFound
from ancestral.requests import SpeechRequest
from ancestral.service.api.deps import (
    ACCEPTED,
    HEADERS_OF_SOUND,
    CallerDep,
    ContextDep,
    RequestContext,
    Service,
    Sound,
    StreamedResponse,
    accepted,
    base_url,
    headers_of,
    open_sound,
    read_whole,
    stream_audio,
)
from ancestral.service.api.http.body_route import BodyRoute, binary
from ancestral.service.broker.job import Priority
from ancestral.service.jobs.planning import prepared
from ancestral.service.jobs.plans import JobSpec
from ancestral.service.speech.elevenlabs.requests import (
    VoiceSegments,
    dialogue_as_speech,
    renamed,
    speech_request,
    with_timestamps,
)
from ancestral.service.speech.elevenlabs.schemas import (
    AudioWithTimestamps,
    DialogueText,
    DialogueWithTimestamps,
    ElevenLabsSubscription,
    ElevenLabsUser,
    ElevenLabsVoice,
    ElevenLabsVoicePage,
    ElevenLabsVoices,
    SpeechQuery,
    TextToDialogue,
    TextToSpeech,
    VoicesQuery,
)
from ancestral.service.speech.schemas import voices_of
from ancestral.service.speech.timestamps import timed
from ancestral.service.telemetry.metrics import Transport
from ancestral.service.ws import FRAME_BYTES
from ancestral.speech.utterance import Utterance

router = APIRouter(prefix="/v1", tags=["elevenlabs"], route_class=BodyRoute)

_JSON_LINES: Final = "application/x-ndjson"
_FORMATS: Final = ("mp3", "opus", "pcm", "ulaw_8000", "alaw_8000")
_SOUND: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The audio, sent while it is sampled.",
        "content": binary(*(codecs.MEDIA_TYPES[form] for form in _FORMATS)),
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
    return await _whole(voice_id, body, query, context)


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
    return await _lines(voice_id, body, query, context)


@router.post(
    "/text-to-dialogue",
    summary="Speak a dialogue, in ElevenLabs' shape",
    response_class=Response,
    responses=_SOUND | ACCEPTED,
)
async def converse(body: TextToDialogue, query: _Parameters, context: ContextDep) -> Response:
    """Speak what several voices of one model say, one after the other. The audio streams."""
    return await _speak(*dialogue_as_speech(context.service.catalog, body), query, context)


@router.post(
    "/text-to-dialogue/stream",
    summary="Speak a dialogue, streaming, in ElevenLabs' shape",
    response_class=Response,
    responses=_SOUND | ACCEPTED,
)
async def converse_streaming(body: TextToDialogue, query: _Parameters, context: ContextDep) -> Response:
    """The same as the route without ``/stream``: the audio streams on either."""
    return await _speak(*dialogue_as_speech(context.service.catalog, body), query, context)


@router.post(
    "/text-to-dialogue/with-timestamps",
    summary="Speak a dialogue, with the times of its characters and voices",
    response_model=DialogueWithTimestamps,
    responses=_TIMED | ACCEPTED,
)
async def converse_with_timestamps(body: TextToDialogue, query: _Parameters, context: ContextDep) -> Response:
    """All of the audio at once, and when which voice says which characters."""
    return await _whole(*dialogue_as_speech(context.service.catalog, body), query, context)


@router.post(
    "/text-to-dialogue/stream/with-timestamps",
    summary="Speak a dialogue, streaming, with the times of its characters and voices",
    response_class=Response,
    responses=_LINES | ACCEPTED,
)
async def stream_dialogue_with_timestamps(body: TextToDialogue, query: _Parameters, context: ContextDep) -> Response:
    """The audio, the times of its characters and of its voices, while it is sampled."""
    return await _lines(*dialogue_as_speech(context.service.catalog, body), query, context)


@router.get("/voices", summary="List the voices in ElevenLabs' shape")
async def list_elevenlabs_voices(request: Request, service: Service) -> ElevenLabsVoices:
    """Every voice that speaks text."""
    return ElevenLabsVoices(voices=_voices(request, service))


@router.get("/voices/{voice_id}", summary="Get a voice in ElevenLabs' shape")
async def get_elevenlabs_voice(voice_id: _VoiceId, request: Request, service: Service) -> ElevenLabsVoice:
    """The voice of this id or alias."""
    found = service.catalog.aliases.voices.get(voice_id, voice_id)
    for voice in _voices(request, service):
        if voice.voice_id == found:
            return voice
    raise NotFound("voice_id: no such voice; `/v1/voices` lists them", param="voice_id", code="voice_not_found")


@router.get("/user", summary="Get the caller in ElevenLabs' shape")
async def get_elevenlabs_user(caller: CallerDep) -> ElevenLabsUser:
    """Clients ask whether their key is known."""
    return ElevenLabsUser(user_id=caller.name)


@router.get("/user/subscription", summary="Get the caller's limits in ElevenLabs' shape")
async def get_elevenlabs_subscription(caller: CallerDep) -> ElevenLabsSubscription:
    """There is no plan to subscribe to; only a request has a limit."""
    return ElevenLabsSubscription()


search_router = APIRouter(prefix="/v2", tags=["elevenlabs"])


@search_router.get("/voices", summary="Search the voices in ElevenLabs' shape")
async def search_elevenlabs_voices(
    query: Annotated[VoicesQuery, Query()], request: Request, service: Service
) -> ElevenLabsVoicePage:
    """Page by page, in the order of ``/v1/voices``."""
    found = [voice for voice in _voices(request, service) if _matches(voice, query)]
    start = int(query.next_page_token or 0)
    end = start + query.page_size
    return ElevenLabsVoicePage(
        voices=found[start:end],
        has_more=end < len(found),
        total_count=len(found) if query.include_total_count else 0,
        next_page_token=str(end) if end < len(found) else None,
    )


def _voices(request: Request, service: Service) -> list[ElevenLabsVoice]:
    voices = voices_of(service.catalog, base_url(request))
    return [
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


def _matches(voice: ElevenLabsVoice, query: VoicesQuery) -> bool:
    language, gender = voice.labels["language"], voice.labels["gender"]
    shown = " ".join((voice.name, voice.description, language, gender)).casefold()
    return (
        (query.search or "").casefold() in shown
        and query.gender in (None, gender)
        and query.language in (None, language, language.partition("-")[0])
    )


async def _speak(voice_id: str, body: TextToSpeech, query: SpeechQuery, context: RequestContext) -> Response:
    checked = await _checked(voice_id, body, query, context)
    return await stream_audio(context, checked.job_spec, checked.request)


async def _whole(voice_id: str, body: TextToSpeech, query: SpeechQuery, context: RequestContext) -> Response:
    checked = await _checked(voice_id, body, query, context)
    job = await context.submit(checked.job_spec)
    if job.priority is Priority.BATCH:
        return await accepted(context.service, job)
    sound = open_sound(context, job, checked.job_spec, None, times=True)
    audio, sentences = await read_whole(context, sound)
    answer = with_timestamps(base64.b64encode(audio).decode(), sentences, sound.sample_rate, checked.segments)
    return JSONResponse(answer.model_dump(), headers=headers_of(sound))


async def _lines(voice_id: str, body: TextToSpeech, query: SpeechQuery, context: RequestContext) -> Response:
    checked = await _checked(voice_id, body, query, context)
    job = await context.submit(checked.job_spec)
    if job.priority is Priority.BATCH:
        return await accepted(context.service, job)
    sound = open_sound(context, job, checked.job_spec, Transport.HTTP, times=True)
    return StreamedResponse(context, sound.reader, _json_lines(sound, checked.segments), _JSON_LINES)


class _Checked(NamedTuple):
    request: SpeechRequest
    job_spec: JobSpec[Utterance, SpeechModel]
    segments: VoiceSegments | None
    """Of a dialogue."""


async def _checked(voice_id: str, body: TextToSpeech, query: SpeechQuery, context: RequestContext) -> _Checked:
    service = context.service
    try:
        request = speech_request(service.catalog, voice_id, body, query)
        job_spec = await prepared(service, request)
    except AncestralError as error:
        raise renamed(error, body.text_field) from None
    return _Checked(request, job_spec, VoiceSegments(body, job_spec.plan) if isinstance(body, DialogueText) else None)


async def _json_lines(sound: Sound, segments: VoiceSegments | None) -> AsyncGenerator[bytes, None]:
    """JSON in short lines: some HTTP clients accept no more than 128 kB."""
    async for piece, sentences in timed(sound.source, sound.reader, sound.timeline):
        for start in range(0, len(piece), FRAME_BYTES):
            audio = base64.b64encode(piece[start : start + FRAME_BYTES]).decode()
            chunk = with_timestamps(audio, [] if start else sentences, sound.sample_rate, segments)
            yield chunk.model_dump_json().encode() + b"\n"
