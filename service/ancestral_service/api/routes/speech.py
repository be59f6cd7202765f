"""``POST /v1/audio/speech``."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, UploadFile
from fastapi.responses import Response
from pydantic import Field

from ancestral import formats
from ancestral.errors import InvalidRequest
from ancestral.requests import MAX_INPUT_CHARACTERS, GenerationRequest, SpeechRequest
from ancestral.speech.utterance import Phonemized, phonemized, read_text
from ancestral_service.api.deps import ContextDep, Service, base_url
from ancestral_service.api.http.body_route import MULTIPART, BodyRoute, FormFields, binary
from ancestral_service.api.http.openapi import event_stream
from ancestral_service.api.responses import ACCEPTED, HEADERS_OF_SOUND, figures, stream_audio
from ancestral_service.api.routes.models import SpeechModelList, describe_model
from ancestral_service.jobs.planning import generation_job, recording_job, speech_job_in_thread
from ancestral_service.speech import schemas

router = APIRouter(prefix="/v1/audio", tags=["speech"], route_class=BodyRoute)

SOUND: dict[str, Any] = {
    "model": schemas.SpeechObject,
    "description": "The audio, sent while it is sampled; JSON with `stream_format` `json`.",
    "content": {
        **binary(*formats.MEDIA_TYPES.values()),
        "text/event-stream": event_stream(
            schemas.SpeechAudioTimestamps, schemas.SpeechAudioDelta, schemas.SpeechAudioDone
        ),
    },
    "headers": HEADERS_OF_SOUND,
}


@router.post("/speech", summary="Speak a text", response_class=Response, responses=ACCEPTED | {200: SOUND})
async def create_speech(request: SpeechRequest, context: ContextDep) -> Response:
    """Speak ``input`` with ``voice``. The body streams while it is sampled; the same ``seed`` gives the same bytes."""
    settings = context.service.settings
    defaults = {"input_format": settings.input_format, "lead_in": settings.lead_in, "tail": settings.tail}
    unset = defaults.keys() - request.model_fields_set
    completed = request.model_copy(update={name: defaults[name] for name in unset})
    job_spec = await speech_job_in_thread(context.service, completed)
    # An idempotency key is bound to what the client sent, whatever the deployment's defaults are by then.
    return await stream_audio(context, replace(job_spec, body=request.model_dump(exclude=unset)), completed)


# ``GET /v1/audio/voices`` and ``GET /v1/audio/models``: what a text can be spoken with.


@router.get("/voices", summary="List the voices")
async def list_voices(
    request: Request, query: Annotated[schemas.VoicesQuery, Query()], service: Service
) -> schemas.VoiceList:
    """Every voice once, with the models that have it."""
    voices = schemas.voices_of(service.catalog, base_url(request))
    if query.model is not None:
        model = service.catalog.model(query.model).entry.id
        voices = [voice for voice in voices if model in voice.models]
    if query.language is not None:
        wanted = query.language.lower()
        voices = [voice for voice in voices if f"{voice.language.lower()}-".startswith(f"{wanted}-")]
    if query.gender is not None:
        voices = [voice for voice in voices if voice.gender.lower() == query.gender.lower()]
    return schemas.VoiceList(voices=voices, data=voices)


@router.get("/models", summary="List the models that speak", response_model_exclude_none=True)
async def list_speech_models(service: Service) -> SpeechModelList:
    """The models of `/v1/models` that speak text, for clients that offer them in a menu."""
    speaking = [model for model in service.catalog.speech_models if "speech" in model.capabilities]
    models = [describe_model(service.catalog, model) for model in speaking]
    return SpeechModelList(models=models, data=models)


# ``GET /v1/audio/phonemize``: how a text is read, without a model.


@router.get("/phonemize", summary="See how a text is read")
async def phonemize(query: Annotated[schemas.PhonemizeQuery, Query()], service: Service) -> Phonemized:
    """The sentences, words, phonemes and pauses that the front-end makes of a text, with the deployment's lexicon."""
    param, text = ("text", query.text) if query.input is None else ("input", query.input)
    if text is None:
        raise InvalidRequest("text: required", param="text", code="missing_parameter")
    if None not in (query.text, query.input):
        raise InvalidRequest("input: another name of text; give one of both", param="input", code="conflict")
    voice = None if query.voice is None else service.catalog.model_and_voice(None, query.voice)[1]
    spoken = voice.language if voice else query.language or "en"

    def read() -> Phonemized:
        lexicon, form, language = service.catalog.pronunciations, query.input_format, query.language or spoken
        script, sentences = read_text(text, lexicon, param, spoken, input_format=form, language=language)
        return phonemized(script, sentences, text)

    return await asyncio.to_thread(read)


# ``POST /v1/audio/generations``: sound without text, from silence or after a recording (WaveNet, section 3.1).


@router.post(
    "/generations",
    summary="Generate audio without text, or continue a recording",
    response_class=Response,
    responses=ACCEPTED | {200: SOUND},
)
async def create_generation(request: GenerationRequest, context: ContextDep) -> Response:
    """Generate ``duration`` seconds with ``voice``, from silence or from the end of ``prompt_audio``.

    The body is the new sound alone; put behind the recording, it continues it without a step. A request for much sound
    is answered 202 with a job.
    """
    service = context.service
    job_spec = await asyncio.to_thread(generation_job, service.catalog, service.settings, request)
    return await stream_audio(context, job_spec, request)


# ``POST /v1/audio/likelihood``: the exact likelihood of a recording under a model (WaveNet, equation 1).


class LikelihoodForm(FormFields):
    """The fields of the form."""

    file: UploadFile
    """A WAV, FLAC, Ogg or MP3 file."""
    model: str = Field(min_length=1, max_length=256, examples=["wavenet-babble"])
    """The id of a model that `/v1/models` lists."""
    voice: str = Field(min_length=1, max_length=256, examples=["joe"])
    """One of `/v1/audio/voices`."""
    text: str | None = Field(default=None, min_length=1, max_length=MAX_INPUT_CHARACTERS)
    """The text of the recording. Required by models that speak text, rejected by others."""


@router.post("/likelihood", summary="Score a recording", response_model=schemas.LikelihoodResult, responses=ACCEPTED)
async def score_recording(form: Annotated[LikelihoodForm, MULTIPART], context: ContextDep) -> Response:
    """The likelihood of a recording under a model, with the speaker ``voice`` and, if it is speech, its ``text``.

    The recording is resampled to the model's rate, brought to the level of the recordings that models learn from, and
    quantised to 256 levels; it is these symbols that are scored. For a model with pre-emphasis they are the recording's
    own. For a model on an excitation (``shaping: linear_prediction`` in its ``config.json``) they are the residual of a
    filter that follows from the text: a flat signal that fills all levels, 6 to 7 bits per sample where the other kind
    has 4 to 5. Compare bits of models of one kind only.
    """
    data = await form.file.read()
    body, service = form.model_dump(exclude={"file"}), context.service
    job_spec = await asyncio.to_thread(recording_job, service.catalog, service.settings, body, data)
    return await figures(context, job_spec)
