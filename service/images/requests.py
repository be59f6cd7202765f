"""Requests for pictures, checked and resolved into jobs. Everything that can be refused is refused here.

Seeds, labels and the labels that seeds draw are resolved here and nowhere else: the payload carries them.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral.models.conditioning import draw_labels
from ancestral.models.spec import STYLE
from ancestral.service.catalog.catalog import Catalog
from ancestral.service.catalog.models import ANY, ImageModel
from ancestral.service.catalog.seeds import draw_seed, part_seed
from ancestral.service.errors import InvalidRequest
from ancestral.service.images.payloads import (
    CompletionPayload,
    ImageLikelihoodPayload,
    ImagePayload,
    InterpolationPayload,
    Label,
    Labels,
)
from ancestral.service.images.schemas import (
    BaseImageRequest,
    CompletionRequest,
    ImageRequest,
    InterpolationRequest,
    PictureRequest,
)
from ancestral.service.images.source_schemas import DecodingRequest
from ancestral.service.images.tasks import COMPLETION, IMAGE, IMAGE_LIKELIHOOD, INTERPOLATION
from ancestral.service.images.uploads import MAX_SIDE, decode_picture, multiple
from ancestral.service.jobs.tasks import JobSpec
from ancestral.service.jobs.uploads import from_base64
from ancestral.service.settings import Settings

_R = TypeVar("_R", bound=PictureRequest)
_ALWAYS_BASE64: Final = "gpt-image"
"""How the names of those models of OpenAI's begin that give no URLs."""


def image_job(catalog: Catalog, settings: Settings, request: ImageRequest) -> JobSpec[ImagePayload, ImageModel]:
    """Pictures of a class, or of other attributes.

    Raises:
        NotFound: no such model.
        InvalidRequest: it cannot be served; ``param`` names the field.
    """
    model, request = catalog.image_model(request.model, "image_generation"), with_defaults(catalog, request)
    payload = image_payload(model, request)
    kept = payload.response_format == "url"
    return JobSpec(IMAGE, model, request.model_dump(by_alias=True), payload, 0.0, kept=kept)


def image_payload(model: ImageModel, request: ImageRequest) -> ImagePayload:
    """Everything that is needed to sample them; raises as :func:`image_job` does."""
    check_stream(request)
    labels = requested_labels(model, request.prompt, request.asked_class, request.style)
    shared = shared_fields(model, request, picture_seeds(request, request.n))
    resolved = [_drawn(model, labels, seed, named_style=request.style is not None) for seed in shared["seeds"]]
    return ImagePayload(
        **shared,
        prompt=request.prompt,
        asked_class=request.asked_class,
        n=request.n,
        labels=tuple(found for found, _ in resolved),
        requested=labels,
        revised_prompts=tuple(told for _, told in resolved),
    )


def completion_job(
    catalog: Catalog, settings: Settings, request: CompletionRequest
) -> JobSpec[CompletionPayload, ImageModel]:
    """The rest of a picture. Takes a moment, as the picture is decoded; raises as :func:`image_job` does."""
    model, request = catalog.image_model(request.model, "image_completion"), with_defaults(catalog, request)
    check_stream(request)
    labels = requested_labels(model, request.prompt, request.asked_class, request.style)
    rows, distance = _kept_rows(request, model)
    payload = CompletionPayload(
        **shared_fields(model, request, picture_seeds(request, request.n)),
        prompt=request.prompt,
        asked_class=request.asked_class,
        n=request.n,
        labels=(labels,) * request.n,  # what is below may be anything
        requested=labels,
        revised_prompts=(None,) * request.n,
        rows=len(rows),
        palette_distance=distance,
        row_symbols=model.spec.width * model.spec.channels,
        prompt_sha256=hashlib.sha256(rows.tobytes()).hexdigest(),
    )
    body, kept = request.model_dump(by_alias=True), payload.response_format == "url"
    return JobSpec(COMPLETION, model, body, payload, 0.0, rows.tobytes(), kept)


def interpolation_job(
    catalog: Catalog, settings: Settings, request: InterpolationRequest
) -> JobSpec[InterpolationPayload, ImageModel]:
    """One picture for every step from one list of names, or vector, to another; raises as :func:`image_job` does."""
    model, request = catalog.image_model(request.model, "image_interpolation"), with_defaults(catalog, request)
    if not _subjects(model) and model.spec.encoder is None:
        message = f"model: {model.entry.id} has no classes to go between"
        raise InvalidRequest(message, param="model", code="model_not_capable")
    begin = _end(model, request.begin, request.style, "from")
    end = _end(model, request.end, request.style, "to")
    seed = draw_seed() if request.seed is None else request.seed
    payload = InterpolationPayload(
        **shared_fields(model, request, (seed,) * request.steps),
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
    name = body["class"] if _subjects(model) or body["class"] != ANY else None
    labels = requested_labels(model, None, name, body["style"])
    symbols, distance = decode_picture(file, model.spec, "file")
    white_bits = (model.spec.levels - 1).bit_length()
    payload = ImageLikelihoodPayload(labels=labels, map=body["map"], white_bits=white_bits, palette_distance=distance)
    return JobSpec(IMAGE_LIKELIHOOD, model, body, payload, 0.0, symbols.tobytes())


def requested_labels(model: ImageModel, prompt: str | None, asked_class: str | None, style: str | None) -> Labels:
    """The labels that a request names.

    Raises:
        InvalidRequest: the model has no such value or style; or it has attributes, and none was named.
    """
    if prompt is not None and asked_class is not None:
        raise InvalidRequest("class: given together with prompt, which says the same", param="class", code="conflict")
    param, names = ("class", asked_class) if asked_class is not None else ("prompt", prompt)
    if names is None and _subjects(model):
        message = "prompt: required; names that /v1/images/classes lists, separated by commas, or any"
        raise InvalidRequest(message, param="prompt", code="missing_parameter")
    return _labels(model, {} if names is None else model.labels(names, param), style)


def _subjects(model: ImageModel) -> bool:
    """Whether the model has another attribute than the style."""
    return any(name != STYLE for name in model.spec.named)


def _labels(model: ImageModel, found: Mapping[str, int], style: str | None) -> tuple[int | None, ...]:
    """Labels by attribute, and the style of the field of that name, in the order of the attributes."""
    of_field = model.style(style)
    if None not in (of_field, found.get(STYLE)) and of_field != found[STYLE]:
        raise InvalidRequest("style: another one than the prompt names", param="style", code="conflict")
    named = dict(found) if of_field is None else {**found, STYLE: of_field}
    return tuple(named.get(name) for name in model.spec.named)


def _drawn(model: ImageModel, labels: Labels, seed: int, *, named_style: bool) -> tuple[Labels, str | None]:
    """The labels of one picture and, where its seed has drawn some, the prompt that names them.

    Args:
        model: of the request.
        labels: that were requested.
        seed: of the picture.
        named_style: whether the request has the field ``style``; then the prompt need not name it.
    """
    indices = [label for label in labels if not isinstance(label, tuple)]
    resolved = draw_labels(model.spec, model.label_rows, indices, seed)
    if resolved == indices:
        return labels, None
    return tuple(resolved), model.names(resolved, style=not named_style)


def _end(model: ImageModel, end: str | list[float], style: str | None, param: str) -> Labels:
    """The labels of one end; a vector stands for the first attribute that is not the style, or for a picture."""
    if model.spec.encoder is not None:
        model.style(style)  # it has none
        if isinstance(end, str):
            message = f"{param}: {model.entry.id} goes between vectors of pictures, which /v1/images/encodings gives"
            raise InvalidRequest(message, param=param, code="invalid_embedding")
    if isinstance(end, str):
        return _labels(model, model.labels(end, param), style)
    if len(end) != model.spec.condition_channels:
        message = f"{param}: a vector of {model.entry.id} has {model.spec.condition_channels} numbers, not {len(end)}"
        raise InvalidRequest(message, param=param, code="invalid_embedding")
    if model.spec.encoder is not None:
        return (tuple(end),)
    labels: list[Label] = [*_labels(model, {}, style)]
    labels[next(index for index, name in enumerate(model.spec.named) if name != STYLE)] = tuple(end)
    return tuple(labels)


def _frozen(end: str | list[float]) -> str | tuple[float, ...]:
    return end if isinstance(end, str) else tuple(end)


def picture_seeds(request: PictureRequest, count: int) -> tuple[int, ...]:
    """A seed for every picture; the first one has the request's own."""
    seed = draw_seed() if request.seed is None else request.seed
    return tuple(part_seed(seed, index) for index in range(count))


def check_stream(request: ImageRequest | DecodingRequest) -> None:
    """Raise :class:`InvalidRequest` if partial pictures are wanted without a stream."""
    if request.partial_images and not request.stream:
        message = "partial_images: only a stream shows unfinished pictures"
        raise InvalidRequest(message, param="partial_images", code="needs_stream")


def shared_fields(model: ImageModel, request: PictureRequest, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The fields of every :class:`PicturesPayload`.

    Raises:
        InvalidRequest: one cannot be what the request says.
    """
    streams = isinstance(request, ImageRequest | DecodingRequest) and request.stream
    style, guidance = None, 1.0
    if isinstance(request, BaseImageRequest):
        style, guidance = request.style, _guidance(model, request.guidance)
    if streams and request.response_format == "url":
        message = "response_format: a stream has b64_json alone"
        raise InvalidRequest(message, param="response_format", code="conflict")
    scale, padded = scale_of(model, request.size, pad=request.fit == "pad")
    return {
        "seed": seeds[0],
        "seeds": seeds,
        "temperature": model.entry.temperature if request.temperature is None else request.temperature,
        "guidance": guidance,
        "style": style,
        "size": request.size if padded else f"{model.spec.width * scale}x{model.spec.height * scale}",
        "scale": scale,
        "fit": "pad" if padded else None,
        "response_format": request.response_format or ("b64_json" if streams else "url"),
        "output_format": request.output_format,
        "background": _background(model, request),
        "token": secrets.token_urlsafe(16),
    }


def _background(model: ImageModel, request: PictureRequest) -> str:
    """``opaque`` or ``transparent``."""
    able = model.spec.transparent and request.output_format != "jpeg"
    if request.background == "transparent" and not able:
        what = f"{model.entry.id} has no transparent colour" if not model.spec.transparent else "jpeg has none"
        message = f"background: transparent is not possible, because {what}"
        raise InvalidRequest(
            message, param="background", code="model_not_capable" if not model.spec.transparent else "conflict"
        )
    return "transparent" if able and request.background != "opaque" else "opaque"


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


def _guidance(model: ImageModel, guidance: float | None) -> float:
    if not _subjects(model):
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


def _kept_rows(request: CompletionRequest, model: ImageModel) -> tuple[NDArray[np.uint8], float | None]:
    """The symbols of the rows that are kept, ``[rows, W, C]``, and how far the picture was from the palette."""
    spec, rows = model.spec, request.rows
    if rows is not None and rows > spec.height:
        message = f"rows: a picture of {model.entry.id} has {spec.height}"
        raise InvalidRequest(message, param="rows", code="invalid_value")
    symbols, distance = decode_picture(file_of(request.image), spec, "image")
    return np.ascontiguousarray(symbols[: spec.height // 2 if rows is None else rows]), distance


def file_of(text: str) -> bytes:
    """The file in the field ``image``: base64, or a ``data:`` URL.

    Raises:
        InvalidRequest: it is neither.
    """
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise InvalidRequest("image: a data: URL must be base64", param="image", code="invalid_base64")
    return from_base64(text, "image")
