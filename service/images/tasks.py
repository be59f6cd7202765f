"""The tasks of pictures; :mod:`ancestral.service.jobs.tasks` is the registry."""

from __future__ import annotations

from typing import Final, TypeVar

from ancestral.service.images.payloads import (
    CompletionPayload,
    EditPayload,
    EncodingPayload,
    ImageLikelihoodPayload,
    ImagePayload,
    InterpolationPayload,
    PicturesPayload,
    ReconstructionPayload,
)
from ancestral.service.images.schemas import CompletionRequest, EditRequest, ImageRequest, InterpolationRequest
from ancestral.service.images.source_schemas import ReconstructionRequest
from ancestral.service.jobs.schemas import StrictRequest
from ancestral.service.jobs.tasks import ManifestRule, Task

_P = TypeVar("_P", bound=PicturesPayload)
_STREAMED: Final = frozenset({"stream", "partial_images"})
_TRANSPORT: Final = _STREAMED | {"asked_class", "moderation", "quality", "user"}
"""Fields that no manifest repeats: of delivery, ``class``, which the payload has as the prompt, and OpenAI's that
change nothing."""


def _drawing(
    kind: str,
    payload: type[_P],
    schema: type[StrictRequest],
    build: str,
    transport_fields: frozenset[str],
    *,
    capability: str | None = None,
    upload: bool = False,
) -> Task[_P]:
    """A task that makes pictures; ``build`` is a function of this package, ``upload`` whether it is sent an image."""
    rule = ManifestRule(
        capability or f"image_{kind}",
        schema,
        f"ancestral.service.images.{build}",
        upload="image" if upload else None,
        transport_fields=transport_fields,
    )
    attempt = f"ancestral.service.images.attempts:{'UploadAttempt' if upload else 'ImageAttempt'}"
    encoder = "ancestral.service.images.stream:ImageEncoder"
    return Task(kind=kind, payload=payload, attempt=attempt, encoder=encoder, manifest=rule)


IMAGE: Final = _drawing(
    "image", ImagePayload, ImageRequest, "requests:image_job", _TRANSPORT, capability="image_generation"
)
COMPLETION: Final = _drawing(
    "completion", CompletionPayload, CompletionRequest, "requests:completion_job", _TRANSPORT, upload=True
)
EDIT: Final = _drawing(
    "edit", EditPayload, EditRequest, "requests:edit_job", _TRANSPORT | {"input_fidelity"}, upload=True
)
RECONSTRUCTION: Final = _drawing(
    "reconstruction",
    ReconstructionPayload,
    ReconstructionRequest,
    "requests:reconstruction_job",
    _STREAMED,
    upload=True,
)
PORTRAIT: Final = _drawing(
    "portrait", ReconstructionPayload, ReconstructionRequest, "requests:portrait_job", _STREAMED, upload=True
)
INTERPOLATION: Final = _drawing(
    "interpolation", InterpolationPayload, InterpolationRequest, "requests:interpolation_job", frozenset()
)
IMAGE_LIKELIHOOD: Final = Task(
    kind="image_likelihood",
    payload=ImageLikelihoodPayload,
    attempt="ancestral.service.images.attempts:ImageScoringAttempt",
    report="ancestral.service.images.stream:likelihood",
)
ENCODING: Final = Task(
    kind="encoding",
    payload=EncodingPayload,
    attempt="ancestral.service.images.attempts:EncodingAttempt",
    report="ancestral.service.images.stream:encoding",
)
TASKS: Final = (IMAGE, COMPLETION, EDIT, RECONSTRUCTION, PORTRAIT, INTERPOLATION, IMAGE_LIKELIHOOD, ENCODING)
