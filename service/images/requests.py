"""Requests for pictures as orders: all that can be refused is refused here.

An accepted request holds, besides what was sent, ``seed``, ``temperature`` and ``guidance``, ``pictures`` (how many),
``labels`` (for each end of an interpolation, and one for anything else: what is asked for, a label or a vector for
every condition), ``scale`` (how large a pixel is), ``given`` (symbols of the rows that are kept) and ``token`` (what a
URL must carry).
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.broker.job import Kind
from service.catalog.catalog import Catalog
from service.catalog.models import ImageModel
from service.catalog.seeds import draw_seed
from service.errors import InvalidRequest
from service.images.schemas import BaseImageRequest, CompletionRequest, ImageRequest, InterpolationRequest
from service.images.sizes import MAX_SIDE, multiple
from service.images.uploads import decode_picture
from service.jobs.submit import JobSpec
from service.jobs.uploads import from_base64

Label = int | list[float] | None


def image_job(catalog: Catalog, request: ImageRequest) -> JobSpec:
    """Pictures of a class, or the rest of a picture.

    Raises:
        NotFound: no such model.
        InvalidRequest: it cannot be served; ``param`` says why.
    """
    completes = isinstance(request, CompletionRequest)
    model = catalog.image_model(request.model, "image_completion" if completes else "image_generation")
    if request.partial_images and not request.stream:
        message = "partial_images: only a stream shows unfinished pictures"
        raise InvalidRequest(message, param="partial_images", code="needs_stream")
    labels = asked_labels(model, request.prompt, request.asked_class, request.style)
    given = _given(request, model) if isinstance(request, CompletionRequest) else None
    own: dict[str, Any] = {"pictures": request.n, "labels": [labels]}
    if given is not None:
        own |= {"rows": len(given), "prompt_sha256": hashlib.sha256(given.tobytes()).hexdigest()}
    return _order(Kind.COMPLETION if completes else Kind.IMAGE, model, request, own, given)


def interpolation_job(catalog: Catalog, request: InterpolationRequest) -> JobSpec:
    """One picture for every step from one class to another; raises as :func:`image_job` does."""
    model = catalog.image_model(request.model, "image_interpolation")
    if not model.spec.classes:
        message = f"model: {model.entry.id} has no classes to go between"
        raise InvalidRequest(message, param="model", code="model_not_capable")
    ends = [_end(model, end, param) for end, param in ((request.begin, "from"), (request.end, "to"))]
    style = model.style(request.style)
    labels = [_labels(model, end, style, kind) for end, kind in ends]
    own = {"pictures": request.steps, "labels": labels}
    return _order(Kind.INTERPOLATION, model, request, own, None)


def asked_labels(model: ImageModel, prompt: str | None, asked_class: str | None, style: str | None) -> list[Label]:
    """What is asked for: a label, or None for none in particular, for each condition of the model.

    Raises:
        InvalidRequest: the model has no such class, kind or style; or it has classes, and none was named.
    """
    if prompt is not None and asked_class is not None:
        raise InvalidRequest("class: given together with prompt, which says the same", param="class", code="conflict")
    param, name = ("class", asked_class) if asked_class is not None else ("prompt", prompt)
    if model.spec.classes and name is None:
        message = "prompt: required; a class that /v1/images/classes lists, or any"
        raise InvalidRequest(message, param="prompt", code="missing_parameter")
    label, kind = model.subject(name, param)
    return _labels(model, label, model.style(style), kind)


def sampling_of(model: ImageModel, temperature: float | None, guidance: float | None) -> dict[str, float]:
    """``temperature`` and ``guidance``, the model's own where none are asked for.

    Raises:
        InvalidRequest: there are no classes to tell apart.
    """
    classes = bool(model.spec.classes)
    if not classes and guidance not in (None, 1.0):
        message = f"guidance: {model.entry.id} has no classes to tell apart"
        raise InvalidRequest(message, param="guidance", code="model_not_capable")
    own = model.entry.guidance if classes else 1.0
    return {
        "temperature": model.entry.temperature if temperature is None else temperature,
        "guidance": own if guidance is None else guidance,
    }


def _labels(model: ImageModel, label: Label, style: Label, kind: Label) -> list[Label]:
    """Those of the conditions that the model has."""
    told = {"class": label, "style": style, "subclass": kind}
    return [told[condition] for condition in model.spec.named]


def _end(model: ImageModel, end: str | list[float], param: str) -> tuple[Label, Label]:
    """A class, or a vector in its place, and a kind."""
    if isinstance(end, str):
        return model.subject(end, param)
    if len(end) != model.spec.condition_channels:
        message = f"{param}: a vector of {model.entry.id} has {model.spec.condition_channels} numbers, not {len(end)}"
        raise InvalidRequest(message, param=param, code="invalid_embedding")
    return end, None


def _order(
    kind: Kind, model: ImageModel, request: BaseImageRequest, own: dict[str, Any], given: NDArray[np.uint8] | None
) -> JobSpec:
    streams = isinstance(request, ImageRequest) and request.stream
    if streams and request.response_format == "url":
        message = "response_format: a stream has b64_json alone"
        raise InvalidRequest(message, param="response_format", code="conflict")
    scale = scale_of(model, request.size)
    defaults = {
        "seed": draw_seed() if request.seed is None else request.seed,
        "scale": scale,
        "size": f"{model.spec.width * scale}x{model.spec.height * scale}",
        "response_format": request.response_format or ("b64_json" if streams else "url"),
        "given": 0 if given is None else given.size,
        "token": secrets.token_urlsafe(16),
    }
    body, sampling = request.model_dump(by_alias=True), sampling_of(model, request.temperature, request.guidance)
    resolved = {name: value for name, value in body.items() if name != "image"} | sampling | defaults | own
    upload = None if given is None else given.tobytes()
    return JobSpec(kind, model, body, resolved, 0.0, upload, kept=resolved["response_format"] == "url")


def scale_of(model: ImageModel, size: str | None) -> int:
    """How many pixels each way a pixel of the model becomes.

    Raises:
        InvalidRequest: it cannot become that size.
    """
    if size in (None, "auto"):
        return 1
    assert size is not None
    width, height = map(int, size.split("x"))
    spec = model.spec
    scale = multiple(spec, width, height)
    if scale is None or max(width, height) > MAX_SIDE:
        near = max(1, min(round(width / spec.width), MAX_SIDE // max(spec.width, spec.height)))
        message = (
            f"size: {model.entry.id} draws {model.size}; a multiple of it up to {MAX_SIDE} is made with larger pixels, "
            f"like {near * spec.width}x{near * spec.height}"
        )
        raise InvalidRequest(message, param="size", code="invalid_size")
    return scale


def _given(request: CompletionRequest, model: ImageModel) -> NDArray[np.uint8]:
    """The rows that are kept, ``[rows, W, C]``."""
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
