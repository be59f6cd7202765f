"""``GET /v1/jobs/{id}/content``: the file of a finished job, whole or a range of it (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.responses import Response, StreamingResponse

from ancestral import codecs
from ancestral.errors import NotFound
from ancestral.images import encoding
from ancestral.provenance.c2pa import MANIFEST_TYPE
from ancestral.service.api.deps import Service
from ancestral.service.api.http.etags import matches
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.routes.jobs import OwnJob
from ancestral.service.api.sample_headers import disposition, manifest_link, sample_headers
from ancestral.service.errors import RangeNotSatisfiable
from ancestral.service.jobs.archive import ZIP

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,1000})\s*-\s*(\d{0,1000})\s*", re.IGNORECASE)

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_MEDIA: dict[str, Any] = {
    **{
        media: {"schema": {"type": "string", "format": "binary"}}
        for media in (*codecs.MEDIA_TYPES.values(), *encoding.MEDIA_TYPES.values(), ZIP)
    },
    "application/json": {"schema": {"type": "object"}},
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file, in the requested format; a ZIP of several pictures, figures for a likelihood.",
        "content": _MEDIA,
    },
    206: {"description": "The requested range.", "content": _MEDIA},
    304: {"description": "The file has the given ETag."},
}


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The first byte that a ``Range`` header names and the one after the last; None for the whole file.

    A malformed header, another unit and several ranges are ignored, as the RFC allows.

    Raises:
        RangeNotSatisfiable: the range lies outside.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or found[0].strip().endswith("=-"):
        return None
    first, last = (int(digits) if digits else None for digits in found.groups())
    if first is None:  # the last so many bytes
        start, stop = max(0, size - (last or 0)), size
    else:
        if last is not None and last < first:
            return None
        start, stop = first, size if last is None else min(last + 1, size)
    if start >= stop:
        message = f"Range: the content has {size} bytes"
        raise RangeNotSatisfiable(message, param="Range", headers={"content-range": f"bytes */{size}"})
    return start, stop


@router.get(
    "/{job_id}/content",
    summary="Get the output of a job",
    response_class=Response,
    responses=_FILE | documented(400, 401, 404, 409, 416, 500, 503),
)
async def get_content(
    job: OwnJob,
    service: Service,
    ranges: Annotated[str | None, Header(alias="Range", description="`bytes=FIRST-LAST`: a part of the file.")] = None,
    if_range: Annotated[str | None, Header(description="Send the range only if the file has this ETag.")] = None,
    if_none_match: Annotated[str | None, Header(description="Answer 304 if the file has this ETag.")] = None,
) -> Response:
    """The file: the bytes of the stream, with a header that contains the length."""
    artifacts = service.artifacts
    info = await artifacts.info(job)
    etag = f'"{info.sha256}"'
    payload = service.tasks.payload(job)
    headers = {
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "etag": etag,
        **sample_headers(job, payload, job.engine),
        **disposition(job, payload),
        **({} if info.c2pa is None else manifest_link(service, job, info.media_type)),
    }
    if if_none_match is not None and matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    part = byte_range(ranges, info.bytes) if if_range in (None, etag) else None
    start, stop = part or (0, info.bytes)
    if part is not None:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{info.bytes}"
    headers["content-length"] = str(stop - start)
    body = artifacts.read(job, start, stop)
    return StreamingResponse(body, 200 if part is None else 206, headers, media_type=info.media_type)


_C2PA: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The manifest store.",
        "content": {MANIFEST_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get(
    "/{job_id}/manifest.c2pa",
    summary="Get the C2PA manifest of a file that has none inside",
    response_class=Response,
    responses=_C2PA | documented(400, 401, 404, 409, 500, 503),
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
