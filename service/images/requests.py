"""Requests for pictures, checked and resolved into jobs. Everything that can be refused is refused here.

Seeds, labels and the subclasses that seeds draw are resolved here and nowhere else: the payload carries them.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.conditioning import draw_subclass
from service.catalog.catalog import Catalog
from service.catalog.models import ImageModel
from service.catalog.seeds import draw_seed, part_seed
from service.errors import InvalidRequest
from service.images.payloads import (
    CompletionPayload,
    ImageLikelihoodPayload,
    ImagePayload,
    InterpolationPayload,
    Label,
    Labels,
)
from service.images.schemas import BaseImageRequest, CompletionRequest, ImageRequest, InterpolationRequest
from service.images.tasks import COMPLETION, IMAGE, IMAGE_LIKELIHOOD, INTERPOLATION
from service.images.uploads import MAX_SIDE, decode_picture, multiple
from service.jobs.submit import JobSpec
from service.jobs.uploads import from_base64
from service.settings import Settings

_R = TypeVar("_R", bound=BaseImageRequest)


def image_job(catalog: Catalog, settings: Settings, request: ImageRequest) -> JobSpec[ImagePayload, ImageModel]:
    """Pictures of a class.

    Raises:
        NotFound: no such model.
        InvalidRequest: it cannot be served; ``param`` names the field.
    """
    model, request = catalog.image_model(request.model, "image_generation"), _with_fit(catalog, request)
    payload = image_payload(model, request)
    kept = payload.response_format == "url"
    return JobSpec(IMAGE, model, request.model_dump(by_alias=True), payload, 0.0, kept=kept)


def image_payload(model: ImageModel, request: ImageRequest) -> ImagePayload:
    """Everything that is needed to sample pictures of a class; raises as :func:`image_job` does."""
    _check_stream(request)
    labels = requested_labels(model, request.prompt, request.asked_class, request.style)
    shared = _shared(model, request, _seeds(request, request.n))
    resolved = [_with_subclass(model, labels, seed) for seed in shared["seeds"]]
    return ImagePayload(
        **shared,
        prompt=request.prompt,
        asked_class=request.asked_class,
        n=request.n,
        labels=tuple(found for found, _ in resolved),
        subclasses=tuple(subclass for _, subclass in resolved),
    )


def completion_job(
    catalog: Catalog, settings: Settings, request: CompletionRequest
) -> JobSpec[CompletionPayload, ImageModel]:
    """The rest of a picture. Takes a moment, as the picture is decoded; raises as :func:`image_job` does."""
    model, request = catalog.image_model(request.model, "image_completion"), _with_fit(catalog, request)
    _check_stream(request)
    labels = requested_labels(model, request.prompt, request.asked_class, request.style)
    rows = _kept_rows(request, model)
    payload = CompletionPayload(
        **_shared(model, request, _seeds(request, request.n)),
        prompt=request.prompt,
        asked_class=request.asked_class,
        n=request.n,
        labels=(labels,) * request.n,  # what is below may be of any subclass
        subclasses=(None,) * request.n,
        rows=len(rows),
        row_symbols=model.spec.width * model.spec.channels,
        prompt_sha256=hashlib.sha256(rows.tobytes()).hexdigest(),
    )
    body, kept = request.model_dump(by_alias=True), payload.response_format == "url"
    return JobSpec(COMPLETION, model, body, payload, 0.0, rows.tobytes(), kept)


def interpolation_job(
    catalog: Catalog, settings: Settings, request: InterpolationRequest
) -> JobSpec[InterpolationPayload, ImageModel]:
    """One picture for every step from one class to another; raises as :func:`image_job` does."""
    model, request = catalog.image_model(request.model, "image_interpolation"), _with_fit(catalog, request)
    if not model.spec.classes:
        message = f"model: {model.entry.id} has no classes to go between"
        raise InvalidRequest(message, param="model", code="model_not_capable")
    ends = [_end(model, end, param) for end, param in ((request.begin, "from"), (request.end, "to"))]
    style = model.style(request.style)
    begin, end = (_labels(model, label, style, subclass) for label, subclass in ends)
    seed = draw_seed() if request.seed is None else request.seed
    payload = InterpolationPayload(
        **_shared(model, request, (seed,) * request.steps),
        begin=_frozen(request.begin),
        end=_frozen(request.end),
        steps=request.steps,
        ends=(begin, end),
    )
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
    name = body["class"] if model.spec.classes or body["class"] != "any" else None
    labels = requested_labels(model, None, name, body["style"])
    symbols = decode_picture(file, model.spec, "file")
    white_bits = {2: 1, 256: 8}[model.spec.levels]
    payload = ImageLikelihoodPayload(labels=labels, map=body["map"], white_bits=white_bits)
    return JobSpec(IMAGE_LIKELIHOOD, model, body, payload, 0.0, symbols.tobytes())


def requested_labels(model: ImageModel, prompt: str | None, asked_class: str | None, style: str | None) -> Labels:
    """The labels that a request names.

    Raises:
        InvalidRequest: the model has no such class, subclass or style; or it has classes, and none was named.
    """
    if prompt is not None and asked_class is not None:
        raise InvalidRequest("class: given together with prompt, which says the same", param="class", code="conflict")
    param, name = ("class", asked_class) if asked_class is not None else ("prompt", prompt)
    if model.spec.classes and name is None:
        message = "prompt: required; a class that /v1/images/classes lists, or any"
        raise InvalidRequest(message, param="prompt", code="missing_parameter")
    label, subclass = model.subject(name, param)
    return _labels(model, label, model.style(style), subclass)


def _labels(model: ImageModel, label: Label, style: Label, subclass: Label) -> Labels:
    """The labels of the conditions that the model has."""
    labels = {"class": label, "style": style, "subclass": subclass}
    return tuple(labels[condition] for condition in model.spec.named)


def _with_subclass(model: ImageModel, labels: Labels, seed: int) -> tuple[Labels, str | None]:
    """The labels of one picture and, where a class was requested and the model has subclasses of it, the one drawn."""
    spec = model.spec
    indices = [label for label in labels if not isinstance(label, tuple)]
    resolved = tuple(draw_subclass(spec, indices, seed))
    if not spec.subclasses or resolved == labels:
        return resolved, None
    subclass = resolved[-1]
    assert subclass is not None
    return resolved, spec.subclasses[subclass]


def _end(model: ImageModel, end: str | list[float], param: str) -> tuple[Label, Label]:
    """A class, or a vector in its place, and a subclass."""
    if isinstance(end, str):
        return model.subject(end, param)
    if len(end) != model.spec.condition_channels:
        message = f"{param}: a vector of {model.entry.id} has {model.spec.condition_channels} numbers, not {len(end)}"
        raise InvalidRequest(message, param=param, code="invalid_embedding")
    return tuple(end), None


def _frozen(end: str | list[float]) -> str | tuple[float, ...]:
    return end if isinstance(end, str) else tuple(end)


def _seeds(request: BaseImageRequest, count: int) -> tuple[int, ...]:
    """A seed for every picture; the first one has the request's own."""
    seed = draw_seed() if request.seed is None else request.seed
    return tuple(part_seed(seed, index) for index in range(count))


def _check_stream(request: ImageRequest) -> None:
    if request.partial_images and not request.stream:
        message = "partial_images: only a stream shows unfinished pictures"
        raise InvalidRequest(message, param="partial_images", code="needs_stream")


def _shared(model: ImageModel, request: BaseImageRequest, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The fields of every :class:`PicturesPayload`."""
    streams = isinstance(request, ImageRequest) and request.stream
    if streams and request.response_format == "url":
        message = "response_format: a stream has b64_json alone"
        raise InvalidRequest(message, param="response_format", code="conflict")
    scale, padded = scale_of(model, request.size, pad=request.fit == "pad")
    return {
        "seed": seeds[0],
        "seeds": seeds,
        "temperature": model.entry.temperature if request.temperature is None else request.temperature,
        "guidance": _guidance(model, request.guidance),
        "style": request.style,
        "size": request.size if padded else f"{model.spec.width * scale}x{model.spec.height * scale}",
        "scale": scale,
        "fit": "pad" if padded else None,
        "response_format": request.response_format or ("b64_json" if streams else "url"),
        "output_format": request.output_format,
        "token": secrets.token_urlsafe(16),
    }


def _with_fit(catalog: Catalog, request: _R) -> _R:
    """The request with its default of ``fit``: clients of another service cannot know the sizes of ours."""
    pad = request.fit is None and request.model in catalog.aliases.models
    return request.model_copy(update={"fit": "pad"}) if pad else request


def _guidance(model: ImageModel, guidance: float | None) -> float:
    if not model.spec.classes:
        if guidance not in (None, 1.0):
            message = f"guidance: {model.entry.id} has no classes to tell apart"
            raise InvalidRequest(message, param="guidance", code="model_not_capable")
        return 1.0
    return model.entry.guidance if guidance is None else guidance


def scale_of(model: ImageModel, size: str | None, *, pad: bool) -> tuple[int, bool]:
    """The side of the square, in pixels, that a pixel of the model becomes, and whether the file is padded.

    Args:
        model: draws the picture.
        size: of the file, as requested.
        pad: whether the picture may be smaller than the file.

    Raises:
        InvalidRequest: the size is too large, or too small, or it is not a multiple of the model's and is not padded.
    """
    if size in (None, "auto"):
        return 1, False
    assert size is not None
    width, height = map(int, size.split("x"))
    spec = model.spec
    scale = multiple(spec, width, height)
    largest = min(width // spec.width, height // spec.height)
    if pad and scale is None and largest and max(width, height) <= MAX_SIDE:
        return largest, True
    if scale is None or max(width, height) > MAX_SIDE:
        near = max(1, min(round(width / spec.width), MAX_SIDE // max(spec.width, spec.height)))
        message = (
            f"size: {model.entry.id} draws {model.size}; a multiple of it up to {MAX_SIDE} is made with larger pixels, "
            f"like {near * spec.width}x{near * spec.height}"
        )
        raise InvalidRequest(message, param="size", code="invalid_size")
    return scale, False


def _kept_rows(request: CompletionRequest, model: ImageModel) -> NDArray[np.uint8]:
    """The symbols of the rows that are kept, ``[rows, W, C]``."""
    spec, rows = model.spec, request.rows
    if rows is not None and rows > spec.height:
        message = f"rows: a picture of {model.entry.id} has {spec.height}"
        raise InvalidRequest(message, param="rows", code="invalid_value")
    symbols = decode_picture(_bytes(request.image), spec, "image")
    return np.ascontiguousarray(symbols[: spec.height // 2 if rows is None else rows])


def _bytes(text: str) -> bytes:
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise InvalidRequest("image: a data: URL must be base64", param="image", code="invalid_base64")
    return from_base64(text, "image")
