"""``GET /v1/jobs/{id}/content``: the file of a finished job, whole or a range of it (RFC 9110, section 14)."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from ancestral import codecs
from ancestral.errors import NotFound
from ancestral.images import encoding
from ancestral.provenance.c2pa import MANIFEST_TYPE
from ancestral.service.api.deps import Service
from ancestral.service.api.http.file_response import ConditionsDep, file_response, file_responses
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.routes.jobs import OwnJob
from ancestral.service.api.sample_headers import disposition, manifest_link, sample_headers
from ancestral.service.jobs.archive import ZIP

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_MEDIA: dict[str, Any] = {
    **{
        media: {"schema": {"type": "string", "format": "binary"}}
        for media in (*codecs.MEDIA_TYPES.values(), *encoding.MEDIA_TYPES.values(), ZIP)
    },
    "application/json": {"schema": {"type": "object"}},
}
_FILE = file_responses(
    "The file, in the requested format; a ZIP of several pictures, figures for a likelihood.", _MEDIA
)


@router.get(
    "/{job_id}/content",
    summary="Get the output of a job",
    response_class=Response,
    responses=_FILE | documented(400, 401, 404, 409, 416, 500, 503),
)
async def get_content(job: OwnJob, service: Service, conditions: ConditionsDep) -> Response:
    """The file: the bytes of the stream, with a header that contains the length."""
    info = await service.artifacts.info(job)
    payload = service.tasks.payload(job)
    headers = {
        **sample_headers(job, payload, job.engine),
        **disposition(job, payload),
        **({} if info.c2pa is None else manifest_link(service, job, info.media_type)),
    }
    read = partial(service.artifacts.read, job)
    return file_response(read, info.bytes, info.sha256, info.media_type, conditions, headers)


C2PA: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The manifest store.",
        "content": {MANIFEST_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get(
    "/{job_id}/manifest.c2pa",
    summary="Get the C2PA manifest of a file that has none inside",
    response_class=Response,
    responses=C2PA | documented(400, 401, 404, 409, 500, 503),
)
async def get_c2pa_manifest(job: OwnJob, service: Service) -> Response:
    """The signature of a file whose format has no place for one: opus, aac, pcm, G.711."""
    info = await service.artifacts.info(job)
    if info.c2pa is None:
        where = "inside the file" if info.unsigned else "nowhere: the file is not signed"
        raise NotFound(f"The C2PA manifest is {where}.", code="no_c2pa_manifest")
    start, size = info.c2pa
    headers = {"cache-control": "private, no-cache", "content-length": str(size)}
    body = service.artifacts.read(job, start, start + size)
    return StreamingResponse(body, headers=headers, media_type=MANIFEST_TYPE)
