"""Requests for pictures as jobs. Everything that can be refused is refused here.

Seeds and labels are resolved here (ancestral/images/drawing.py) and nowhere else: the payload carries them.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.models import ANY, ImageModel
from ancestral.errors import InvalidRequest
from ancestral.images.decoding import decode_masked, decode_picture
from ancestral.images.drawing import (
    ClassDrawing,
    Drawing,
    DrawOptions,
    class_drawing,
    completion,
    edit,
    has_classes,
    interpolation,
    reconstruction,
    requested_labels,
    sheet_drawing,
)
from ancestral.images.sheet import laid_out
from ancestral.models.entries import EDIT_CAPABILITY
from ancestral.service.images.payloads import (
    CompletionPayload,
    EditPayload,
    EncodingPayload,
    ImageLikelihoodPayload,
    ImagePayload,
    InterpolationPayload,
    ReconstructionPayload,
)
from ancestral.service.images.schemas import (
    MAX_PICTURES,
    BaseImageRequest,
    CompletionRequest,
    EditRequest,
    ImageRequest,
    InterpolationRequest,
    PictureRequest,
)
from ancestral.service.images.source_schemas import DecodingRequest, ReconstructionRequest
from ancestral.service.images.tasks import (
    COMPLETION,
    EDIT,
    ENCODING,
    IMAGE,
    IMAGE_LIKELIHOOD,
    INTERPOLATION,
    PORTRAIT,
    RECONSTRUCTION,
)
from ancestral.service.jobs.signing import kept_manifest
from ancestral.service.jobs.tasks import JobSpec, Task
from ancestral.service.jobs.validation import from_base64
from ancestral.service.settings import Settings

_R = TypeVar("_R", bound=PictureRequest)
_MAX_SHEET_SIDE: Final = 4096
_ALWAYS_BASE64: Final = "gpt-image"
"""How the names of those models of OpenAI's begin that give no URLs."""


def image_job(catalog: Catalog, settings: Settings, request: ImageRequest) -> JobSpec[ImagePayload, ImageModel]:
    """Pictures of a class, or of other attributes.

    Raises:
        NotFound: no such model.
        InvalidRequest: it cannot be served; ``param`` names the field.
    """
    model, request = catalog.image_model(request.model, "image_generation"), with_defaults(catalog, request)
    prompt, param = _prompt(request)
    if request.sheet is None:
        drawing = class_drawing(model, prompt, request.n, options_of(request), param)
    else:
        drawing = _sheet(model, request.sheet, prompt, request, param)
    payload = ImagePayload(**vars(drawing), **delivery(request, drawing), n=request.n)
    kept = payload.response_format == "url"
    return JobSpec(IMAGE, model, request.model_dump(by_alias=True), payload, 0.0, kept=kept)


def _sheet(model: ImageModel, name: str, prompt: str | None, request: ImageRequest, param: str) -> ClassDrawing:
    """A sheet that the model lays out."""
    for field, given in (("n", request.n != 1), ("stream", request.stream)):
        if given:
            raise InvalidRequest(f"{field}: a sheet is one file", param=field, code="conflict")
    drawing = sheet_drawing(model, name, prompt, replace(options_of(request), pad=False), param)
    width, height = laid_out(drawing, model, model.entry.sheets[name]).size
    if max(width, height) > _MAX_SHEET_SIDE:
        message = f"size: a sheet of {width}x{height} pixels; at most {_MAX_SHEET_SIDE} each way"
        raise InvalidRequest(message, param="size", code="invalid_size")
    return drawing


def completion_job(
    catalog: Catalog, settings: Settings, request: CompletionRequest
) -> JobSpec[CompletionPayload, ImageModel]:
    """The rest of a picture. Takes a moment, as the picture is decoded; raises as :func:`image_job` does."""
    model, request = catalog.image_model(request.model, "image_completion"), with_defaults(catalog, request)
    prompt, param = _prompt(request)
    _refuse_sheet(request)
    file = file_of(request.image)
    rows, palette_error = _kept_rows(file, request.rows, model)
    drawing = completion(model, rows, palette_error, prompt, request.n, options_of(request), param)
    payload = CompletionPayload(**vars(drawing), **delivery(request, drawing), n=request.n)
    body, kept = request.model_dump(by_alias=True), payload.response_format == "url"
    manifest = kept_manifest(settings, file, "image")
    return JobSpec(COMPLETION, model, body, payload, 0.0, rows.tobytes(), kept, manifest)


def edit_job(catalog: Catalog, settings: Settings, request: EditRequest) -> JobSpec[EditPayload, ImageModel]:
    """A region of a picture, drawn anew. Takes a moment, as files are decoded; raises as :func:`image_job` does."""
    _refuse_sheet(request)
    model, request = catalog.image_model(request.model, EDIT_CAPABILITY), with_defaults(catalog, request)
    prompt, param = _prompt(request)
    file = file_of(request.image)
    masked = decode_masked(file, file_of(request.mask, "mask"), model.spec)
    drawing = edit(model, masked, prompt, request.n, options_of(request), param)
    payload = EditPayload(**vars(drawing), **delivery(request, drawing), n=request.n)
    body, kept = request.model_dump(by_alias=True), payload.response_format == "url"
    manifest = kept_manifest(settings, file, "image")
    return JobSpec(EDIT, model, body, payload, 0.0, masked.data.tobytes(), kept, manifest)


def _refuse_sheet(request: ImageRequest) -> None:
    if request.sheet is not None:
        raise InvalidRequest("sheet: nothing of a sheet can be given", param="sheet", code="conflict")


def interpolation_job(
    catalog: Catalog, settings: Settings, request: InterpolationRequest
) -> JobSpec[InterpolationPayload, ImageModel]:
    """One picture for every step from one list of names, or vector, to another; raises as :func:`image_job` does."""
    model, request = catalog.image_model(request.model, "image_interpolation"), with_defaults(catalog, request)
    drawing = interpolation(model, request.begin, request.end, request.steps, options_of(request))
    payload = InterpolationPayload(**vars(drawing), **delivery(request, drawing))
    kept = payload.response_format == "url"
    return JobSpec(INTERPOLATION, model, request.model_dump(by_alias=True), payload, 0.0, kept=kept)


def likelihood_job(
    catalog: Catalog, settings: Settings, body: dict[str, Any], file: bytes
) -> JobSpec[ImageLikelihoodPayload, ImageModel]:
    """A picture to score. Takes a moment, as it is decoded; raises as :func:`image_job` does.

    Args:
        catalog: of all models.
        settings: of the service.
        body: the fields ``model``, ``class``, ``style`` and ``map`` of the form.
        file: the picture.
    """
    model = catalog.image_model(body["model"], "image_likelihood")
    name = body["class"] if has_classes(model) or body["class"] != ANY else None
    labels = requested_labels(model, name, body["style"], "class")
    symbols, palette_error = decode_picture(file, model.spec, "file")
    white_bits = (model.spec.levels - 1).bit_length()
    payload = ImageLikelihoodPayload(labels=labels, map=body["map"], white_bits=white_bits, palette_error=palette_error)
    return JobSpec(IMAGE_LIKELIHOOD, model, body, payload, 0.0, symbols.tobytes())


def options_of(request: PictureRequest) -> DrawOptions:
    """The fields that every drawing has."""
    labelled = request if isinstance(request, BaseImageRequest) else None
    return DrawOptions(
        seed=request.seed,
        temperature=request.temperature,
        guidance=None if labelled is None else labelled.guidance,
        style=None if labelled is None else labelled.style,
        size=request.size,
        pad=request.fit == "pad",
        output_format=request.output_format,
        background=request.background,
        palette=request.palette,
        best_of=request.best_of if isinstance(request, ImageRequest) else 1,
    )


def delivery(request: PictureRequest, drawing: Drawing) -> dict[str, Any]:
    """The fields that a payload has besides those of the drawing.

    Raises:
        InvalidRequest: fields of the request exclude each other.
    """
    if drawing.count > MAX_PICTURES and drawing.best_of > 1:
        message = f"best_of: {drawing.count} pictures would be sampled; n times best_of is at most {MAX_PICTURES}"
        raise InvalidRequest(message, param="best_of", code="invalid_value")
    streams = isinstance(request, ImageRequest | DecodingRequest) and request.stream
    if isinstance(request, ImageRequest | DecodingRequest) and request.partial_images and not streams:
        message = "partial_images: only a stream shows unfinished pictures"
        raise InvalidRequest(message, param="partial_images", code="needs_stream")
    if isinstance(request, ImageRequest) and request.partial_images and request.best_of > 1:
        message = "best_of: which picture is the best is known only at the end, so none can be shown unfinished"
        raise InvalidRequest(message, param="best_of", code="conflict")
    if streams and request.response_format == "url":
        message = "response_format: a stream has b64_json alone"
        raise InvalidRequest(message, param="response_format", code="conflict")
    response_format = request.response_format or ("b64_json" if streams else "url")
    return {"seed": drawing.seeds[0], "response_format": response_format, "token": secrets.token_urlsafe(16)}


def _prompt(request: ImageRequest) -> tuple[str | None, str]:
    """What is to be drawn, and the field that says so.

    Raises:
        InvalidRequest: two fields do.
    """
    if request.prompt is not None and request.asked_class is not None:
        raise InvalidRequest("class: given together with prompt, which says the same", param="class", code="conflict")
    return (request.prompt, "prompt") if request.asked_class is None else (request.asked_class, "class")


def with_defaults(catalog: Catalog, request: _R) -> _R:
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
    if rows is not None and rows > spec.height:
        message = f"rows: a picture of {model.entry.id} has {spec.height}"
        raise InvalidRequest(message, param="rows", code="invalid_value")
    symbols, distance = decode_picture(file, spec, "image")
    return np.ascontiguousarray(symbols[: spec.height // 2 if rows is None else rows]), distance


def file_of(text: str, param: str = "image") -> bytes:
    """The file in a field: base64, or a ``data:`` URL.

    Raises:
        InvalidRequest: it is neither.
    """
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise InvalidRequest(f"{param}: a data: URL must be base64", param=param, code="invalid_base64")
    return from_base64(text, param)


# Requests that send a picture to draw from, or for its vector, checked and resolved into jobs.


def reconstruction_job(
    catalog: Catalog, settings: Settings, request: ReconstructionRequest
) -> JobSpec[ReconstructionPayload, ImageModel]:
    """Pictures of what an uploaded one shows. Takes a moment, as the picture is decoded.

    Raises:
        NotFound: no such model.
        InvalidRequest: it cannot be served; ``param`` names the field.
    """
    model = catalog.image_model(request.model, "image_reconstruction")
    return _job(RECONSTRUCTION, model, catalog, settings, request)


def portrait_job(
    catalog: Catalog, settings: Settings, request: ReconstructionRequest
) -> JobSpec[ReconstructionPayload, ImageModel]:
    """New pictures of the person on an uploaded one; as :func:`reconstruction_job`."""
    return _job(PORTRAIT, catalog.image_model(request.model, "image_portrait"), catalog, settings, request)


def encoding_job(
    catalog: Catalog, settings: Settings, body: dict[str, Any], file: bytes
) -> JobSpec[EncodingPayload, ImageModel]:
    """The vector of an uploaded picture; raises as :func:`reconstruction_job` does.

    Args:
        catalog: of all models.
        settings: of the service.
        body: the field ``model`` of the form.
        file: the picture.
    """
    model = catalog.image_model(body["model"], "image_encoding")
    symbols, palette_error = decode_picture(file, model.spec, "image")
    return JobSpec(ENCODING, model, body, EncodingPayload(palette_error=palette_error), 0.0, symbols.tobytes())


def _job(
    task: Task[ReconstructionPayload],
    model: ImageModel,
    catalog: Catalog,
    settings: Settings,
    request: ReconstructionRequest,
) -> JobSpec[ReconstructionPayload, ImageModel]:
    request = with_defaults(catalog, request)
    file = file_of(request.image)
    symbols, palette_error = decode_picture(file, model.spec, "image")
    manifest = kept_manifest(settings, file, "image")
    drawing = reconstruction(model, symbols, palette_error, request.n, options_of(request))
    payload = ReconstructionPayload(**vars(drawing), **delivery(request, drawing), n=request.n)
    kept = payload.response_format == "url"
    return JobSpec(task, model, request.model_dump(by_alias=True), payload, 0.0, symbols.tobytes(), kept, manifest)
