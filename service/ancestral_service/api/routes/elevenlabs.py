"""ElevenLabs' routes over HTTP: ``POST /v1/text-to-speech/{voice_id}`` and what belongs to it, ``GET /v1/voices``."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from ancestral import formats
from ancestral.catalog.descriptions import SpeechModel
from ancestral.catalog.voices import voice_named
from ancestral.errors import AncestralError, NotFound
from ancestral.requests import Described, SpeechRequest
from ancestral.speech.utterance import Utterance
from ancestral_service.api.deps import CallerDep, ContextDep, RequestContext, Service, base_url
from ancestral_service.api.http.body_route import BodyRoute, binary
from ancestral_service.api.responses import (
    ACCEPTED,
    HEADERS_OF_SOUND,
    StreamedResponse,
    accepted,
    headers_of,
    open_sound,
    read_whole,
    stream_audio,
)
from ancestral_service.broker.job import Priority
from ancestral_service.jobs.planning import speech_job_in_thread
from ancestral_service.jobs.plans import JobSpec
from ancestral_service.speech.audio_reader import Sound, timed
from ancestral_service.speech.elevenlabs.requests import (
    VoiceSegments,
    dialogue_as_speech,
    renamed,
    speech_request,
    with_timestamps,
)
from ancestral_service.speech.elevenlabs.schemas import (
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
from ancestral_service.speech.schemas import voices_of
from ancestral_service.telemetry.metrics import Transport
from ancestral_service.ws import FRAME_BYTES

router = APIRouter(prefix="/v1", tags=["elevenlabs"], route_class=BodyRoute)

_JSON_LINES: Final = "application/x-ndjson"
_FORMATS: Final = ("mp3", "wav", "opus", "pcm", "ulaw_8000", "alaw_8000")
_SOUND: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The audio, sent while it is sampled.",
        "content": binary(*(formats.MEDIA_TYPES[form] for form in _FORMATS)),
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


class _Asked(NamedTuple):
    """What was asked for, and checked."""

    context: RequestContext
    request: SpeechRequest
    job_spec: JobSpec[Utterance, SpeechModel]
    segments: VoiceSegments | None
    """Of a dialogue."""


async def _dialogue(body: TextToDialogue, query: _Parameters, context: ContextDep) -> _Asked:
    try:
        voice_id, spoken = dialogue_as_speech(context.service.catalog, body)
    except AncestralError as error:
        raise renamed(error) from None
    return await _text(voice_id, spoken, query, context)


async def _text(voice_id: _VoiceId, body: TextToSpeech, query: _Parameters, context: ContextDep) -> _Asked:
    service = context.service
    try:
        request = speech_request(service.catalog, voice_id, body, query)
        job_spec = await speech_job_in_thread(service, request)
    except AncestralError as error:
        raise renamed(error, body.text_field) from None
    segments = VoiceSegments(body, job_spec.plan) if isinstance(body, DialogueText) else None
    return _Asked(context, request, job_spec, segments)


def _add_routes(path: str, what: str, checked: Callable[..., Awaitable[_Asked]], timed_model: type[Described]) -> None:
    """The four routes of a kind of text: ``/stream`` changes the answer only of the one that has times."""
    asked = Depends(checked)
    sound: dict[str, Any] = {"response_class": Response, "responses": _SOUND | ACCEPTED}

    @router.post(f"{path}/stream", summary=f"Speak {what}, streaming", **sound)
    @router.post(path, summary=f"Speak {what}", **sound)
    async def speak(asked: _Asked = asked) -> Response:
        """``POST /v1/audio/speech`` with ElevenLabs' names. The audio streams, with ``/stream`` or without."""
        return await stream_audio(asked.context, asked.job_spec, asked.request)

    summary = f"Speak {what}, with the times of characters"

    @router.post(f"{path}/with-timestamps", summary=summary, response_model=timed_model, responses=_TIMED | ACCEPTED)
    async def speak_with_timestamps(asked: _Asked = asked) -> Response:
        """All of the audio at once. The characters of a word share its time evenly."""
        return await _timed(asked, streams=False)

    summary = f"Speak {what}, streaming, with the times of characters"
    lines: dict[str, Any] = {"response_class": Response, "responses": _LINES | ACCEPTED}

    @router.post(f"{path}/stream/with-timestamps", summary=summary, **lines)
    async def stream_with_timestamps(asked: _Asked = asked) -> Response:
        """The audio and the times of its characters, while it is sampled."""
        return await _timed(asked, streams=True)


_add_routes("/text-to-speech/{voice_id}", "a text in ElevenLabs' shape", _text, AudioWithTimestamps)
_add_routes("/text-to-dialogue", "a dialogue in ElevenLabs' shape", _dialogue, DialogueWithTimestamps)


@router.get("/voices", summary="List the voices in ElevenLabs' shape")
async def list_elevenlabs_voices(request: Request, service: Service) -> ElevenLabsVoices:
    """Every voice that speaks text."""
    return ElevenLabsVoices(voices=_voices(request, service))


@router.get("/voices/{voice_id}", summary="Get a voice in ElevenLabs' shape")
async def get_elevenlabs_voice(voice_id: _VoiceId, request: Request, service: Service) -> ElevenLabsVoice:
    """The voice of this id or alias, in any case."""
    voices = {voice.voice_id: voice for voice in _voices(request, service)}
    if (voice := voice_named(voice_id, voices, service.catalog.aliases.voices)) is None:
        raise NotFound("voice_id: no such voice; `/v1/voices` lists them", param="voice_id", code="voice_not_found")
    return voice


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
    language, gender = voice.labels["language"].lower(), voice.labels["gender"].lower()
    shown = " ".join((voice.name, voice.description, language, gender)).casefold()
    return (
        (query.search or "").casefold() in shown
        and (query.gender or gender).lower() == gender
        and (query.language or language).lower() in (language, language.partition("-")[0])
    )


async def _timed(asked: _Asked, *, streams: bool) -> Response:
    """The sound with the times of its characters: in lines while it is sampled (``streams``), or all of it at once."""
    context = asked.context
    job = await context.submit(asked.job_spec)
    if job.priority is Priority.BACKGROUND:
        return await accepted(context.service, job)
    sound = open_sound(context, job, asked.job_spec, Transport.HTTP if streams else None, times=True)
    if streams:
        return StreamedResponse(context, sound.reader, _json_lines(sound, asked.segments), _JSON_LINES)
    audio, sentences = await context.while_connected(read_whole(sound), job)
    answer = with_timestamps(base64.b64encode(audio).decode(), sentences, sound.sample_rate, asked.segments)
    return JSONResponse(answer.model_dump(), headers=headers_of(sound))


async def _json_lines(sound: Sound, segments: VoiceSegments | None) -> AsyncGenerator[bytes, None]:
    """JSON in short lines: some HTTP clients accept no more than 128 kB."""
    async for piece, sentences in timed(sound):
        for start in range(0, len(piece), FRAME_BYTES):
            audio = base64.b64encode(piece[start : start + FRAME_BYTES]).decode()
            chunk = with_timestamps(audio, [] if start else sentences, sound.sample_rate, segments)
            yield chunk.model_dump_json().encode() + b"\n"
