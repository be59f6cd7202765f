"""The tasks of pictures; :mod:`service.jobs.tasks` is the registry."""

from __future__ import annotations

from typing import Final

from service.images.payloads import (
    CompletionPayload,
    EncodingPayload,
    ImageLikelihoodPayload,
    ImagePayload,
    InterpolationPayload,
    ReconstructionPayload,
)
from service.images.schemas import CompletionRequest, ImageRequest, InterpolationRequest
from service.images.source_schemas import ReconstructionRequest
from service.jobs.tasks import ManifestRule, Task

_ATTEMPT: Final = "service.images.attempts:ImageAttempt"
_UPLOAD_ATTEMPT: Final = "service.images.attempts:UploadAttempt"
_ENCODER: Final = "service.images.artifact:ImageEncoder"
_STREAMED: Final = frozenset({"stream", "partial_images"})
_TRANSPORT: Final = _STREAMED | {"moderation", "quality", "user"}
"""Also the fields of OpenAI's that change nothing where they are accepted."""

IMAGE: Final = Task(
    kind="image",
    payload=ImagePayload,
    attempt=_ATTEMPT,
    encoder=_ENCODER,
    manifest=ManifestRule(
        "image_generation", ImageRequest, "service.images.requests:image_job", transport_fields=_TRANSPORT
    ),
)
COMPLETION: Final = Task(
    kind="completion",
    payload=CompletionPayload,
    attempt=_UPLOAD_ATTEMPT,
    encoder=_ENCODER,
    manifest=ManifestRule(
        "image_completion",
        CompletionRequest,
        "service.images.requests:completion_job",
        upload="image",
        transport_fields=_TRANSPORT,
    ),
)
RECONSTRUCTION: Final = Task(
    kind="reconstruction",
    payload=ReconstructionPayload,
    attempt=_UPLOAD_ATTEMPT,
    encoder=_ENCODER,
    manifest=ManifestRule(
        "image_reconstruction",
        ReconstructionRequest,
        "service.images.source_requests:reconstruction_job",
        upload="image",
        transport_fields=_STREAMED,
    ),
)
PORTRAIT: Final = Task(
    kind="portrait",
    payload=ReconstructionPayload,
    attempt=_UPLOAD_ATTEMPT,
    encoder=_ENCODER,
    manifest=ManifestRule(
        "image_portrait",
        ReconstructionRequest,
        "service.images.source_requests:portrait_job",
        upload="image",
        transport_fields=_STREAMED,
    ),
)
INTERPOLATION: Final = Task(
    kind="interpolation",
    payload=InterpolationPayload,
    attempt=_ATTEMPT,
    encoder=_ENCODER,
    manifest=ManifestRule("image_interpolation", InterpolationRequest, "service.images.requests:interpolation_job"),
)
IMAGE_LIKELIHOOD: Final = Task(
    kind="image_likelihood",
    payload=ImageLikelihoodPayload,
    attempt="service.images.attempts:ImageScoringAttempt",
    report="service.images.stream:likelihood",
)
ENCODING: Final = Task(
    kind="encoding",
    payload=EncodingPayload,
    attempt="service.images.attempts:EncodingAttempt",
    report="service.images.stream:encoding",
)
TASKS: Final = (IMAGE, COMPLETION, RECONSTRUCTION, PORTRAIT, INTERPOLATION, IMAGE_LIKELIHOOD, ENCODING)
