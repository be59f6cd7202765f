"""Previews of voices and thumbnails of classes: sampled from a fixed seed at the first request, then kept in Redis."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from fastapi import Request
from fastapi.responses import Response

from ancestral.catalog.models import Model
from ancestral.service.api.deps import RequestContext
from ancestral.service.api.responses import completed
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.errors import redis_unavailable
from ancestral.service.jobs.caller import Caller
from ancestral.service.jobs.payload import Payload
from ancestral.service.jobs.state import AppState
from ancestral.service.jobs.tasks import JobSpec

PREVIEW_SEED: Final = 7


async def preview_file(
    request: Request, service: AppState, caller: Caller, job_spec: JobSpec[Payload, Model], media_type: str
) -> Response:
    """The file that a request makes. Only the first request for it samples, and counts against the rate limit.

    Args:
        request: may have an ``If-None-Match``.
        service: its state.
        caller: who wants it.
        job_spec: with a fixed seed.
        media_type: of the file.

    Raises:
        ServiceError: it was not accepted, or failed.
    """
    canonical = json.dumps([job_spec.task.kind, job_spec.model.sha256, job_spec.body], sort_keys=True)
    name = hashlib.sha256(canonical.encode()).hexdigest()[:32]
    headers = {"cache-control": "private, max-age=86400", "etag": f'"{name}"'}
    if f'"{name}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    try:
        data = await service.broker.preview(name)
        if data is None:
            data = await _sample(request, service, caller, job_spec)
            await service.broker.keep_preview(name, data)
    except UNAVAILABLE as error:
        raise redis_unavailable() from error
    return Response(data, headers=headers, media_type=media_type)


async def _sample(request: Request, service: AppState, caller: Caller, job_spec: JobSpec[Payload, Model]) -> bytes:
    await service.count_request(caller)
    context = RequestContext(request, service, caller, prefer="respond-async", key=None)
    job = await completed(context, await context.submit(job_spec))
    info = await service.artifacts.info(job)
    data = b"".join([piece async for piece in service.artifacts.read(job, 0, info.bytes)])
    await service.broker.delete(job)  # it is not what the caller asked for, and would only fill their list
    return data
