"""Requests that send a picture to draw from, or for its vector, checked and resolved into jobs."""

from __future__ import annotations

from typing import Any

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.models import ImageModel
from ancestral.images.decoding import decode_picture
from ancestral.images.resolve import reconstruction
from ancestral.service.images.payloads import EncodingPayload, ReconstructionPayload
from ancestral.service.images.requests import delivery, file_of, options_of, with_defaults
from ancestral.service.images.source_schemas import ReconstructionRequest
from ancestral.service.images.tasks import ENCODING, PORTRAIT, RECONSTRUCTION
from ancestral.service.jobs.signing import kept_manifest
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
