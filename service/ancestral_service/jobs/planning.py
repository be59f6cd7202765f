"""Requests to plans: the one place that refuses what a client asks for, once its fields are valid.

Seeds, labels and phonemes are resolved here (ancestral/speech/utterance.py, ancestral/images/planning.py) and nowhere
else: the plan carries them. Everything here takes a moment, where a text is read or a file decoded: call it off the
event loop.

Each function raises NotFound for a model that is not there, and InvalidRequest, whose ``param`` names the field.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import secrets
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral import formats, requests
from ancestral.catalog.catalog import Catalog
from ancestral.catalog.descriptions import ImageModel, Model, Plan, SpeechModel
from ancestral.catalog.seeds import seed_or_drawn
from ancestral.codecs.decoding import decode_upload
from ancestral.detection.query import Examination
from ancestral.detection.upload import candidates, parse_recipe, read_upload, symbols_of
from ancestral.errors import InvalidRequest
from ancestral.images.decoding import decode_masked, decode_picture
from ancestral.images.drawing import MAX_SIDE, Drawing, PictureEncoding, PictureScore
from ancestral.images.files import laid_out
from ancestral.images.planning import (
    class_drawing,
    completion,
    edit,
    interpolation,
    reconstruction,
    requested_labels,
    sheet_drawing,
)
from ancestral.provenance.c2pa import ingredient_of
from ancestral.requests import MAX_PICTURES
from ancestral.speech.sampler import recording_bytes
from ancestral.speech.utterance import Generation, RecordingScore, Utterance, read_text, utterance
from ancestral_models.audio.mu_law import Deemphasis, encode_wave, mu_law_decode
from ancestral_models.spec import SpeechSpec
from ancestral_service.jobs.plans import JobSpec
from ancestral_service.jobs.state import AppState
from ancestral_service.settings import Settings

SHORT_TEXT_CHARACTERS: Final = 1000
"""The front-end takes about 20 ms for so many."""
_ALWAYS_BASE64: Final = ("gpt-image", "chatgpt-image")
"""How the names of those models of OpenAI's begin that give no URLs."""


def job_of(catalog: Catalog, settings: Settings, request: requests.StrictRequest) -> JobSpec[Plan, Model]:
    """The job that a request asks for, whichever it is."""
    match request:
        case requests.SpeechRequest():
            return speech_job(catalog, settings, request)
        case requests.GenerationRequest():
            return generation_job(catalog, settings, request)
    assert isinstance(request, requests.PictureRequest)
    return image_job(catalog, settings, request)


async def speech_job_in_thread(state: AppState, request: requests.SpeechRequest) -> JobSpec[Utterance, SpeechModel]:
    """:func:`speech_job`, off the event loop.

    Long texts take turns. The front-end is Python: several at once would not be done sooner, and keep the event loop
    and the short texts of others from running.
    """
    work = partial(speech_job, state.catalog, state.settings, request)
    if len(request.input) <= SHORT_TEXT_CHARACTERS:
        return await asyncio.to_thread(work)
    async with state.long_texts:
        return await asyncio.to_thread(work)


def speech_job(
    catalog: Catalog, settings: Settings, request: requests.SpeechRequest
) -> JobSpec[Utterance, SpeechModel]:
    """A text to speak."""
    if request.timestamps and request.stream_format == "audio":
        message = "timestamps: there is no place for them in audio; use stream_format sse or json"
        raise InvalidRequest(message, param="timestamps", code="conflict")
    model, voice = catalog.model_and_voice(request.model, request.voice_id)
    _check_rate(model, request)
    said = utterance(catalog, model, voice, request.input, request)
    seconds = said.seconds
    _check_length(settings, seconds, "input")
    plan = replace(said, response_format=request.response_format, sample_rate=request.sample_rate)
    return JobSpec(model, plan, request.model_dump(), seconds)


def generation_job(
    catalog: Catalog, settings: Settings, request: requests.GenerationRequest
) -> JobSpec[Generation, SpeechModel]:
    """Sound without text."""
    model, voice = catalog.model_and_voice(request.model, request.voice_id, "generation")
    spec, prompt, manifest = model.spec, None, None
    _check_rate(model, request)
    _check_length(settings, request.duration, "duration")
    if request.prompt_audio is not None:
        model.require("continuation")
        file = _from_base64(request.prompt_audio, "prompt_audio")
        seconds = settings.max_upload_seconds
        wave = decode_upload(file, sample_rate=spec.sample_rate, max_seconds=seconds, param="prompt_audio")
        prompt = encode_wave(wave, spec.preemphasis, spec.gain)
        manifest = _kept_manifest(settings, file, "prompt_audio")
    plan = Generation(
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
    return JobSpec(model, plan, request.model_dump(), request.duration, upload, manifest)


def _check_rate(model: SpeechModel, request: requests.AudioRequest) -> None:
    form = request.response_format
    formats.check_rate(form, formats.rate_of(form, model.sound_rate, request.sample_rate))


def _check_length(settings: Settings, seconds: float, param: str) -> None:
    if seconds > settings.max_sound_seconds:
        message = f"{param}: about {seconds:.0f} s of sound; this server makes {settings.max_sound_seconds} s at a time"
        raise InvalidRequest(message, param=param, code="too_much_sound")


def _deemphasis_state(symbols: NDArray[np.uint8], spec: SpeechSpec) -> float:
    """The state of the de-emphasis filter after a recording, so that its continuation does not begin with a step."""
    filtering = Deemphasis(spec.preemphasis, spec.gain)
    filtering(mu_law_decode(symbols))
    return filtering.memory


def recording_job(
    catalog: Catalog, settings: Settings, body: dict[str, Any], file: bytes
) -> JobSpec[RecordingScore, SpeechModel]:
    """A recording to score; ``body`` has the fields ``model``, ``voice`` and ``text`` of the form."""
    model, voice = catalog.model_and_voice(body["model"], body["voice"], "likelihood")
    text, sentences = body["text"], list[Any]()
    if "speech" in model.capabilities:
        if text is None:
            raise InvalidRequest("text: required by a model that speaks text", param="text", code="missing_parameter")
        _, sentences = read_text(text, catalog.pronunciations, "text", voice.language)
    elif text is not None:
        raise InvalidRequest("text: not supported by this model", param="text", code="unknown_parameter")
    rate = model.spec.sample_rate
    wave = decode_upload(file, sample_rate=rate, max_seconds=settings.max_upload_seconds, param="file")
    plan = RecordingScore(voice=voice.id, sentences=tuple(sentences))
    return JobSpec(model, plan, body, len(wave) / rate, recording_bytes(wave, model.spec))


# Pictures.


def image_job(catalog: Catalog, settings: Settings, request: requests.PictureRequest) -> JobSpec[Drawing, ImageModel]:
    """Pictures: of a class, of the rest or a region of a picture, between two, of what one shows."""
    model = catalog.image_model(request.model, request.capability)
    request = _with_defaults(catalog, request)
    drawing, file, upload = _drawing(model, request)
    plan = replace(drawing, **_delivery(request, drawing))
    manifest = None if file is None else _kept_manifest(settings, file, "image")
    body = request.model_dump(by_alias=True)
    # Files by their hashes, made here in a thread: of a body with an idempotency key the event loop makes JSON.
    body |= {name: hashlib.sha256(body[name].encode()).hexdigest() for name in ("image", "mask") if name in body}
    return JobSpec(model, plan, body, upload=None if upload is None else upload.tobytes(), ingredient=manifest)


def _drawing(
    model: ImageModel, request: requests.PictureRequest
) -> tuple[Drawing, bytes | None, NDArray[np.uint8] | None]:
    """What is drawn; the file that was sent with the request, and the symbols of it that are used."""
    given = {name: getattr(request, name) for name in requests.Draw.model_fields if hasattr(request, name)}
    options, spec = requests.Draw.model_construct(**given), model.spec
    if isinstance(request, requests.InterpolationRequest):
        return interpolation(model, request.begin, request.end, request.steps, options), None, None
    if isinstance(request, requests.ReconstructionRequest):
        file = _file_of(request.image)
        symbols, distance = decode_picture(file, spec, "image")
        return reconstruction(model, symbols, distance, request.n, options), file, symbols
    assert isinstance(request, requests.ImageRequest)
    prompt, param = _prompt(request)
    if not isinstance(request, requests.CompletionRequest | requests.EditRequest):
        if request.sheet is not None:
            return _sheet(model, request.sheet, prompt, request, options, param), None, None
        return class_drawing(model, prompt, request.n, options, param), None, None
    if request.sheet is not None:
        raise InvalidRequest("sheet: nothing of a sheet can be given", param="sheet", code="conflict")
    file = _file_of(request.image)
    if isinstance(request, requests.EditRequest):
        masked = decode_masked(file, _file_of(request.mask, "mask"), spec)
        return edit(model, masked, prompt, request.n, options, param), file, masked.data
    rows, distance = _kept_rows(file, request.rows, model)
    return completion(model, rows, distance, prompt, request.n, options, param), file, rows


def _sheet(
    model: ImageModel, name: str, prompt: str | None, request: requests.ImageRequest, options: requests.Draw, param: str
) -> Drawing:
    """A sheet that the model lays out."""
    for field, given in (("n", request.n != 1), ("stream", request.stream)):
        if given:
            raise InvalidRequest(f"{field}: a sheet is one file", param=field, code="conflict")
    drawing = sheet_drawing(model, name, prompt, options.model_copy(update={"fit": None}), param)
    width, height = laid_out(drawing, model, model.entry.sheets[name]).size
    if max(width, height) > MAX_SIDE:
        message = f"size: a sheet of {width}x{height} pixels; at most {MAX_SIDE} each way"
        raise InvalidRequest(message, param="size", code="invalid_size")
    return drawing


def _delivery(request: requests.PictureRequest, drawing: Drawing) -> dict[str, Any]:
    """How the pictures are handed over; raises InvalidRequest if fields of the request exclude each other."""
    if drawing.count > MAX_PICTURES and drawing.best_of > 1:
        message = f"best_of: {drawing.count} pictures would be sampled; n times best_of is at most {MAX_PICTURES}"
        raise InvalidRequest(message, param="best_of", code="invalid_value")
    streams = isinstance(request, requests.Growing) and request.stream
    if isinstance(request, requests.Growing) and request.partial_images and not streams:
        message = "partial_images: only a stream shows unfinished pictures"
        raise InvalidRequest(message, param="partial_images", code="needs_stream")
    if isinstance(request, requests.ImageRequest) and request.partial_images and request.best_of > 1:
        message = "best_of: which picture is the best is known only at the end, so none can be shown unfinished"
        raise InvalidRequest(message, param="best_of", code="conflict")
    if streams and request.response_format == "url":
        message = "response_format: a stream has b64_json alone"
        raise InvalidRequest(message, param="response_format", code="conflict")
    response_format = request.response_format or ("b64_json" if streams else "url")
    return {"response_format": response_format, "token": secrets.token_urlsafe(16)}


def _prompt(request: requests.ImageRequest) -> tuple[str | None, str]:
    """What is to be drawn, and the field that says so; raises InvalidRequest if two do."""
    if request.prompt is not None and request.asked_class is not None:
        raise InvalidRequest("class: given together with prompt, which says the same", param="class", code="conflict")
    return (request.prompt, "prompt") if request.asked_class is None else (request.asked_class, "class")


def _with_defaults(catalog: Catalog, request: requests.PictureRequest) -> requests.PictureRequest:
    """The request with the defaults of other services, for a model named by an alias.

    Their clients cannot know the sizes of ours; and OpenAI's GPT Image models answer with base64, without being asked.
    """
    if request.model not in catalog.aliases.models:
        return request
    update: dict[str, str] = {}
    if request.fit is None:
        update["fit"] = "pad"
    if request.response_format is None and request.model.startswith(_ALWAYS_BASE64):
        update["response_format"] = "b64_json"
    return request.model_copy(update=update)


def _kept_rows(file: bytes, rows: int | None, model: ImageModel) -> tuple[NDArray[np.uint8], float | None]:
    """The symbols of the rows that are kept, ``[rows, W, C]``, and how far the picture was from the palette."""
    spec = model.spec
    if rows is not None and rows >= spec.height:
        message = f"rows: nothing is to be drawn: a picture of {model.entry.id} has {spec.height}"
        raise InvalidRequest(message, param="rows", code="invalid_value")
    symbols, distance = decode_picture(file, spec, "image")
    return np.ascontiguousarray(symbols[: spec.height // 2 if rows is None else rows]), distance


def picture_job(catalog: Catalog, body: dict[str, Any], file: bytes) -> JobSpec[PictureScore, ImageModel]:
    """A picture to score; ``body`` has the fields ``model``, ``class``, ``style`` and ``map`` of the form."""
    model = catalog.image_model(body["model"], "image_likelihood")
    labels = requested_labels(model, body["class"], body["style"], "class")
    symbols, distance = decode_picture(file, model.spec, "file")
    white_bits = (model.spec.levels - 1).bit_length()
    plan = PictureScore(labels=labels, map=body["map"], white_bits=white_bits, palette_error=distance)
    return JobSpec(model, plan, body, upload=symbols.tobytes())


def encoding_job(catalog: Catalog, body: dict[str, Any], file: bytes) -> JobSpec[PictureEncoding, ImageModel]:
    """The vector of a picture; ``body`` has the field ``model`` of the form."""
    model = catalog.image_model(body["model"], "image_encoding")
    symbols, distance = decode_picture(file, model.spec, "image")
    return JobSpec(model, PictureEncoding(palette_error=distance), body, upload=symbols.tobytes())


# Files.


def detection_job(
    state: AppState, body: dict[str, Any], file: bytes, newest: int, served: set[str]
) -> JobSpec[Examination, Model]:
    """A file to examine, whose signature is checked here.

    Args:
        state: of the service, whose signer's signatures are this server's own.
        body: the fields of the form, without the file.
        file: the upload.
        newest: the counters of the provenance key that have been used lie below this.
        served: ids of the models that a picture is examined with; if none draws its size, with one that does.
    """
    given = None if body["recipe"] is None else parse_recipe(body["recipe"])
    catalog, upload = state.catalog, read_upload(file, state.signer)
    recipe = upload.recipe if given is None else given
    ids = candidates(catalog, body["model"], recipe, body["voice"], picture=upload.is_picture)
    seconds = 0.0
    if upload.is_picture:
        seen = symbols_of(file, catalog, ids)
        seen = [each for each in seen if each[0].entry.id in served] or seen[:1]
        ids, data = [model.entry.id for model, _ in seen], b"".join(symbols.tobytes() for _, symbols in seen)
    else:
        rate = catalog.speech_model(ids[0], "likelihood").spec.sample_rate
        wave = decode_upload(file, sample_rate=rate, max_seconds=state.settings.max_upload_seconds, param="file")
        data, seconds = wave.astype("<f4").tobytes(), len(wave) / rate
    plan = Examination(
        models=tuple(ids),
        sound=not upload.is_picture,
        signature=json.dumps(upload.signature),
        recipe=None if recipe is None else json.dumps(recipe),
        newest=newest,
        **{name: body[name] for name in ("seed", "voice", "text", "search")},
    )
    body = {**body, "file": hashlib.sha256(file).hexdigest()}  # signature and recipe are not in its symbols
    return JobSpec(catalog.models[ids[0]], plan, body, seconds, data)


def _file_of(text: str, param: str = "image") -> bytes:
    """The file in a field: base64, or a ``data:`` URL."""
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise InvalidRequest(f"{param}: a data: URL must be base64", param=param, code="invalid_base64")
    return _from_base64(text, param)


def _from_base64(text: str, param: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{param}: it is not base64", param=param, code="invalid_base64") from error


def _kept_manifest(settings: Settings, file: bytes, param: str) -> bytes | None:
    """The C2PA manifest of an upload, for the manifests of what is made from it; None if files are not signed."""
    return None if settings.signing_cert is None else ingredient_of(file, param)
