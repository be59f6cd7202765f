"""The tasks of pictures; :mod:`ancestral.service.jobs.tasks` is the registry."""

from __future__ import annotations

from typing import Final

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
from ancestral.service.images.schemas import CompletionRequest, EditRequest, ImageRequest, InterpolationRequest
from ancestral.service.images.source_schemas import ReconstructionRequest
from ancestral.service.jobs.tasks import ManifestRule, Task

_ATTEMPT: Final = "ancestral.service.images.attempts:ImageAttempt"
_UPLOAD_ATTEMPT: Final = "ancestral.service.images.attempts:UploadAttempt"
_ENCODER: Final = "ancestral.service.images.artifact:ImageEncoder"
_STREAMED: Final = frozenset({"stream", "partial_images"})
_TRANSPORT: Final = _STREAMED | {"asked_class", "moderation", "quality", "user"}
"""Fields that no manifest repeats: of delivery, ``class``, which the payload has as the prompt, and OpenAI's that
change nothing."""

IMAGE: Final = Task(
    kind="image",
    payload=ImagePayload,
    attempt=_ATTEMPT,
    encoder=_ENCODER,
    manifest=ManifestRule(
        "image_generation", ImageRequest, "ancestral.service.images.requests:image_job", transport_fields=_TRANSPORT
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
        "ancestral.service.images.requests:completion_job",
        upload="image",
        transport_fields=_TRANSPORT,
    ),
)
EDIT: Final = Task(
    kind="edit",
    payload=EditPayload,
    attempt=_UPLOAD_ATTEMPT,
    encoder=_ENCODER,
    manifest=ManifestRule(
        EDIT_CAPABILITY,
        EditRequest,
        "ancestral.service.images.requests:edit_job",
        upload="image",
        transport_fields=_TRANSPORT | {"input_fidelity"},
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
        "ancestral.service.images.source_requests:reconstruction_job",
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
        "ancestral.service.images.source_requests:portrait_job",
        upload="image",
        transport_fields=_STREAMED,
    ),
)
INTERPOLATION: Final = Task(
    kind="interpolation",
    payload=InterpolationPayload,
    attempt=_ATTEMPT,
    encoder=_ENCODER,
    manifest=ManifestRule(
        "image_interpolation", InterpolationRequest, "ancestral.service.images.requests:interpolation_job"
    ),
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
