"""Requests that send a picture to draw from, or for its vector, checked and resolved into jobs."""

from __future__ import annotations

import hashlib
from typing import Any

from ancestral.service.catalog.catalog import Catalog
from ancestral.service.catalog.models import ImageModel
from ancestral.service.images.payloads import EncodingPayload, ReconstructionPayload
from ancestral.service.images.requests import check_stream, file_of, picture_seeds, shared_fields, with_defaults
from ancestral.service.images.source_schemas import ReconstructionRequest
from ancestral.service.images.tasks import ENCODING, PORTRAIT, RECONSTRUCTION
from ancestral.service.images.uploads import decode_picture
from ancestral.service.jobs.tasks import JobSpec, Task
from ancestral.service.settings import Settings


def reconstruction_job(
    catalog: Catalog, settings: Settings, request: ReconstructionRequest
) -> JobSpec[ReconstructionPayload, ImageModel]:
    """Pictures of what an uploaded one shows. Takes a moment, as the picture is decoded.

    Raises:
        NotFound: no such model.
        InvalidRequest: it cannot be served; ``param`` names the field.
    """
    return _job(RECONSTRUCTION, catalog.image_model(request.model, "image_reconstruction"), catalog, request)


def portrait_job(
    catalog: Catalog, settings: Settings, request: ReconstructionRequest
) -> JobSpec[ReconstructionPayload, ImageModel]:
    """New pictures of the person on an uploaded one; as :func:`reconstruction_job`."""
    return _job(PORTRAIT, catalog.image_model(request.model, "image_portrait"), catalog, request)


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
    symbols, distance = decode_picture(file, model.spec, "image")
    return JobSpec(ENCODING, model, body, EncodingPayload(palette_distance=distance), 0.0, symbols.tobytes())


def source_payload(model: ImageModel, request: ReconstructionRequest) -> tuple[ReconstructionPayload, bytes]:
    """Everything that is needed to sample them, and the symbols of the upload."""
    check_stream(request)
    symbols, distance = decode_picture(file_of(request.image), model.spec, "image")
    upload = symbols.tobytes()
    payload = ReconstructionPayload(
        **shared_fields(model, request, picture_seeds(request, request.n)),
        n=request.n,
        source_symbols=len(upload),
        palette_distance=distance,
        prompt_sha256=hashlib.sha256(upload).hexdigest(),
    )
    return payload, upload


def _job(
    task: Task[ReconstructionPayload], model: ImageModel, catalog: Catalog, request: ReconstructionRequest
) -> JobSpec[ReconstructionPayload, ImageModel]:
    request = with_defaults(catalog, request)
    payload, upload = source_payload(model, request)
    kept = payload.response_format == "url"
    return JobSpec(task, model, request.model_dump(by_alias=True), payload, 0.0, upload, kept)
