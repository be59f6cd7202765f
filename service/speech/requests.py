"""Requests for sound, checked and resolved into jobs. Everything that can be refused is refused here.

The text front-end runs here and nowhere else: the payload carries phonemes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.features import normalize_level
from ancestral.models.audio.mu_law import Deemphasis, encode_wave, mu_law_decode
from ancestral.models.audio.pcm import to_int16
from ancestral.models.spec import SpeechSpec
from ancestral.models.text import (
    InputFormat,
    PronunciationError,
    Pronunciations,
    Script,
    Sentence,
    UnsupportedText,
    parse_text,
    phonemize,
)
from ancestral.service.catalog.catalog import Catalog
from ancestral.service.catalog.models import SpeechModel
from ancestral.service.catalog.seeds import draw_seed
from ancestral.service.errors import InvalidRequest
from ancestral.service.jobs.tasks import JobSpec
from ancestral.service.jobs.uploads import from_base64
from ancestral.service.settings import Settings
from ancestral.service.speech import codecs
from ancestral.service.speech.payloads import GenerationPayload, Sentences, SpeechLikelihoodPayload, SpeechPayload
from ancestral.service.speech.schemas import AudioRequest, GenerationRequest, SpeechRequest
from ancestral.service.speech.tasks import GENERATION, LIKELIHOOD, SPEECH
from ancestral.service.speech.uploads import decode_upload


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
    payload = prepare(
        catalog,
        request.model,
        request.voice_id,
        request.input,
        draw_seed() if request.seed is None else request.seed,
        input_format=request.input_format,
        pronunciations=request.pronunciations,
        temperature=request.temperature,
        speed=request.speed,
        pitch=request.pitch,
        intonation=request.intonation,
        response_format=request.response_format,
        sample_rate=request.sample_rate,
    )
    model = catalog.speech_model(request.model, "speech")
    _check_rate(model, request)
    return JobSpec(SPEECH, model, request.model_dump(), payload, payload.seconds)


def prepare(
    catalog: Catalog,
    model_id: str,
    voice_id: str,
    text: str,
    seed: int,
    *,
    input_format: InputFormat = "text",
    pronunciations: Mapping[str, str] | None = None,
    temperature: float | None = None,
    speed: float = 1.0,
    pitch: float = 0.0,
    intonation: float = 1.0,
    response_format: str = "wav",
    sample_rate: int | None = None,
) -> SpeechPayload:
    """Everything that a model needs to speak a text. Without a temperature, the model's own is taken.

    Raises:
        NotFound: no such model.
        InvalidRequest: a model that does not speak text or whose pitch cannot be changed, no such voice, phonemes that
            are none, or a text that cannot be spoken.
    """
    model = catalog.speech_model(model_id, "speech")
    voice = catalog.voice(model, voice_id)
    check_pitch(model, pitch, intonation)
    lexicon = catalog.pronunciations | read_pronunciations(pronunciations or {})
    script, spoken = read_text(text, input_format, lexicon, "input")
    sentences = tuple(spoken)
    if not model.pitch_control and any(control.semitones for sentence in sentences for control in sentence.controls):
        message = f"input: <prosody pitch>: the pitch of {model.entry.id} cannot be changed"
        raise InvalidRequest(message, param="input", code="unsupported_parameter")
    return SpeechPayload(
        seed=seed,
        temperature=model.entry.temperature if temperature is None else temperature,
        voice=voice.id,
        response_format=response_format,
        sample_rate=sample_rate,
        sampling=voice.sampling,
        input=text,
        plain_input=None if script.written == text else script.written,
        input_format=input_format,
        pronunciations=tuple(lexicon.only(script.entries).items()),
        speed=speed,
        pitch=pitch,
        intonation=intonation,
        sentences=sentences,
    )


def read_pronunciations(entries: Mapping[str, str]) -> Pronunciations:
    """The lexicon of a request.

    Raises:
        InvalidRequest: an entry cannot be used; the message names it.
    """
    try:
        return Pronunciations(entries)
    except PronunciationError as error:
        message = f"pronunciations: {error}"
        raise InvalidRequest(message, param="pronunciations", code="unsupported_phonemes") from error


def read_text(
    text: str, input_format: InputFormat, lexicon: Pronunciations, param: str
) -> tuple[Script, list[Sentence]]:
    """What the front-end makes of a text.

    Raises:
        InvalidRequest: the text cannot be spoken; ``param`` is the field that it came in.
    """
    try:
        script = parse_text(text, input_format, lexicon)
        return script, phonemize(script)
    except UnsupportedText as error:
        raise InvalidRequest(f"{param}: {error}", param=param, code="unsupported_text") from error


def generation_job(
    catalog: Catalog, settings: Settings, request: GenerationRequest
) -> JobSpec[GenerationPayload, SpeechModel]:
    """Sound without text. Takes a moment if there is a recording to decode; raises as :func:`speech_job` does."""
    model = catalog.speech_model(request.model, "generation")
    voice = catalog.voice(model, request.voice_id)
    spec, prompt = model.spec, None
    _check_rate(model, request)
    if request.prompt_audio is not None:
        model.require("continuation")
        prompt = _recording(request.prompt_audio, spec, settings.max_upload_seconds)
    payload = GenerationPayload(
        seed=draw_seed() if request.seed is None else request.seed,
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
    return JobSpec(GENERATION, model, request.model_dump(), payload, request.duration, upload)


def likelihood_job(
    catalog: Catalog, settings: Settings, model_id: str, voice_id: str, text: str | None, file: bytes
) -> JobSpec[SpeechLikelihoodPayload, SpeechModel]:
    """A recording to score. Takes a moment, as it is decoded; raises as :func:`speech_job` does."""
    model = catalog.speech_model(model_id, "likelihood")
    voice = catalog.voice(model, voice_id)
    sentences: Sentences = ()
    if "speech" in model.capabilities:
        if text is None:
            raise InvalidRequest("text: required by a model that speaks text", param="text", code="missing_parameter")
        _, spoken = read_text(text, "text", catalog.pronunciations, "text")
        sentences = tuple(spoken)
    elif text is not None:
        raise InvalidRequest("text: this model knows nothing of text", param="text", code="unknown_parameter")
    spec = model.spec
    wave = decode_upload(file, sample_rate=spec.sample_rate, max_seconds=settings.max_upload_seconds, param="file")
    wave = normalize_level(wave, spec.sample_rate)  # models only know sound at the level of their corpora
    body = {"model": model_id, "voice": voice_id, "text": text}
    payload = SpeechLikelihoodPayload(voice=voice.id, sentences=sentences)
    if spec.shaping == "linear_prediction":  # its symbols depend on the frames, which the worker makes
        upload = to_int16(wave).tobytes()
    else:
        upload = encode_wave(wave, spec.preemphasis, spec.gain).tobytes()
    return JobSpec(LIKELIHOOD, model, body, payload, len(wave) / spec.sample_rate, upload)


def check_pitch(model: SpeechModel, pitch: float, intonation: float) -> None:
    """Raise InvalidRequest if the pitch is to be changed and the model cannot."""
    for param, changed in (("pitch", pitch != 0.0), ("intonation", intonation != 1.0)):
        if changed and not model.pitch_control:
            message = f"{param}: the pitch of {model.entry.id} cannot be changed"
            raise InvalidRequest(message, param=param, code="unsupported_parameter")


def _check_rate(model: SpeechModel, request: AudioRequest) -> None:
    form = request.response_format
    codecs.check_rate(form, codecs.rate_of(form, model.spec.sample_rate, request.sample_rate))


def _recording(text: str, spec: SpeechSpec, max_seconds: float) -> NDArray[np.uint8]:
    param = "prompt_audio"
    wave = decode_upload(from_base64(text, param), sample_rate=spec.sample_rate, max_seconds=max_seconds, param=param)
    return encode_wave(wave, spec.preemphasis, spec.gain)


def _deemphasis_state(symbols: NDArray[np.uint8], spec: SpeechSpec) -> float:
    """The state of the de-emphasis filter after a recording, so that its continuation does not begin with a step."""
    filtering = Deemphasis(spec.preemphasis, spec.gain)
    filtering(mu_law_decode(symbols))
    return filtering.memory
