"""Requests for sound, checked and resolved into jobs. Everything that can be refused is refused here.

The text front-end runs here and nowhere else: the payload carries phonemes.
"""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ancestral import codecs
from ancestral.catalog.catalog import Catalog
from ancestral.catalog.models import SpeechModel
from ancestral.catalog.seeds import seed_or_drawn
from ancestral.codecs.decoding import decode_upload
from ancestral.errors import InvalidRequest
from ancestral.models.audio.mu_law import Deemphasis, encode_wave, mu_law_decode
from ancestral.models.spec import SpeechSpec
from ancestral.service.jobs.signing import kept_manifest
from ancestral.service.jobs.state import AppState
from ancestral.service.jobs.tasks import JobSpec
from ancestral.service.jobs.validation import from_base64
from ancestral.service.settings import Settings
from ancestral.service.speech.payloads import GenerationPayload, Sentences, SpeechLikelihoodPayload, SpeechPayload
from ancestral.service.speech.schemas import AudioRequest, GenerationRequest, SpeechRequest
from ancestral.service.speech.tasks import GENERATION, LIKELIHOOD, SPEECH
from ancestral.speech.decoder import recording_bytes
from ancestral.speech.utterance import read_text, utterance

SHORT_TEXT_CHARACTERS = 1000
"""The front-end takes about 20 ms for so many."""


async def prepared(state: AppState, request: SpeechRequest) -> JobSpec[SpeechPayload, SpeechModel]:
    """:func:`speech_job`, off the event loop; raises as it does.

    Long texts take turns. The front-end is Python: several at once would not be done sooner, and keep the event loop
    and the short texts of others from running.
    """
    work = partial(speech_job, state.catalog, state.settings, request)
    if len(request.input) <= SHORT_TEXT_CHARACTERS:
        return await asyncio.to_thread(work)
    async with state.long_texts:
        return await asyncio.to_thread(work)


def speech_job(catalog: Catalog, settings: Settings, request: SpeechRequest) -> JobSpec[SpeechPayload, SpeechModel]:
    """A text to speak. Takes milliseconds, as the text becomes phonemes: call it off the event loop.

    Raises:
        NotFound: no such model.
        InvalidRequest: it cannot be served; ``param`` names the field.
    """
    if request.instructions:
        message = "instructions: no model here is steered by a description; use speed, pitch, intonation, another voice"
        raise InvalidRequest(message, param="instructions", code="unsupported_parameter")
    if request.timestamps and request.stream_format == "audio":
        message = "timestamps: there is no place for them in audio; use stream_format sse or json"
        raise InvalidRequest(message, param="timestamps", code="conflict")
    model, voice = catalog.model_and_voice(request.model, request.voice_id)
    _check_rate(model, request)
    said = utterance(
        catalog,
        model,
        voice,
        request.input,
        seed=request.seed,
        pronunciations=request.pronunciations,
        input_format=request.input_format,
        language=request.language,
        temperature=request.temperature,
        speed=request.speed,
        pitch=request.pitch,
        intonation=request.intonation,
        voices=request.voices,
    )
    _check_length(settings, said.seconds, "input")
    payload = SpeechPayload(**vars(said), response_format=request.response_format, sample_rate=request.sample_rate)
    return JobSpec(SPEECH, model, request.model_dump(), payload, payload.seconds)


def generation_job(
    catalog: Catalog, settings: Settings, request: GenerationRequest
) -> JobSpec[GenerationPayload, SpeechModel]:
    """Sound without text. Takes a moment if there is a recording to decode; raises as :func:`speech_job` does."""
    model, voice = catalog.model_and_voice(request.model, request.voice_id, "generation")
    spec, prompt, manifest = model.spec, None, None
    _check_rate(model, request)
    _check_length(settings, request.duration, "duration")
    if request.prompt_audio is not None:
        model.require("continuation")
        file = from_base64(request.prompt_audio, "prompt_audio")
        prompt = _recording(file, spec, settings.max_upload_seconds)
        manifest = kept_manifest(settings, file, "prompt_audio")
    payload = GenerationPayload(
        seed=seed_or_drawn(request.seed),
        temperature=model.entry.temperature if request.temperature is None else request.temperature,
        prompt_sha256=None if prompt is None else hashlib.sha256(prompt.data).hexdigest(),
        voice=voice.id,
        response_format=request.response_format,
        sample_rate=request.sample_rate,
        sampling=voice.sampling,
        deemphasis_state=0.0 if prompt is None else _deemphasis_state(prompt, spec),
        duration=request.duration,
        samples=max(1, round(request.duration * spec.sample_rate)),
    )
    upload = None if prompt is None else prompt.tobytes()
    return JobSpec(GENERATION, model, request.model_dump(), payload, request.duration, upload, ingredient=manifest)


def likelihood_job(
    catalog: Catalog, settings: Settings, model_id: str, voice_id: str, text: str | None, file: bytes
) -> JobSpec[SpeechLikelihoodPayload, SpeechModel]:
    """A recording to score. Takes a moment, as it is decoded; raises as :func:`speech_job` does."""
    model, voice = catalog.model_and_voice(model_id, voice_id, "likelihood")
    sentences: Sentences = ()
    if "speech" in model.capabilities:
        if text is None:
            raise InvalidRequest("text: required by a model that speaks text", param="text", code="missing_parameter")
        _, spoken = read_text(text, catalog.pronunciations, "text", voice.language)
        sentences = tuple(spoken)
    elif text is not None:
        raise InvalidRequest("text: not supported by this model", param="text", code="unknown_parameter")
    spec = model.spec
    wave = decode_upload(file, sample_rate=spec.sample_rate, max_seconds=settings.max_upload_seconds, param="file")
    body = {"model": model_id, "voice": voice_id, "text": text}
    payload = SpeechLikelihoodPayload(voice=voice.id, sentences=sentences)
    upload = recording_bytes(wave, spec)
    return JobSpec(LIKELIHOOD, model, body, payload, len(wave) / spec.sample_rate, upload)


def _check_length(settings: Settings, seconds: float, param: str) -> None:
    if seconds > settings.max_sound_seconds:
        message = f"{param}: about {seconds:.0f} s of sound; this server makes {settings.max_sound_seconds} s at a time"
        raise InvalidRequest(message, param=param, code="too_much_sound")


def _check_rate(model: SpeechModel, request: AudioRequest) -> None:
    form = request.response_format
    codecs.check_rate(form, codecs.rate_of(form, model.sound_rate, request.sample_rate))


def _recording(file: bytes, spec: SpeechSpec, max_seconds: float) -> NDArray[np.uint8]:
    param = "prompt_audio"
    wave = decode_upload(file, sample_rate=spec.sample_rate, max_seconds=max_seconds, param=param)
    return encode_wave(wave, spec.preemphasis, spec.gain)


def _deemphasis_state(symbols: NDArray[np.uint8], spec: SpeechSpec) -> float:
    """The state of the de-emphasis filter after a recording, so that its continuation does not begin with a step."""
    filtering = Deemphasis(spec.preemphasis, spec.gain)
    filtering(mu_law_decode(symbols))
    return filtering.memory
