"""Previews of voices and thumbnails of classes: sampled from a fixed seed at the first request, then kept in Redis."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from fastapi import Request
from fastapi.responses import Response

from ancestral.service.api.deps import RequestContext
from ancestral.service.api.results import completed
from ancestral.service.broker import PREFIX, UNAVAILABLE
from ancestral.service.catalog.models import Model
from ancestral.service.errors import queue_away
from ancestral.service.jobs.artifacts import Artifacts
from ancestral.service.jobs.caller import Caller
from ancestral.service.jobs.payload import Payload
from ancestral.service.jobs.rate_limit import Limits
from ancestral.service.jobs.state import State
from ancestral.service.jobs.submit import JobSpec

PREVIEW_SEED: Final = 7
_KEPT_SECONDS: Final = 30 * 86400


async def preview_file(
    request: Request, service: State, caller: Caller, job_spec: JobSpec[Payload, Model], media_type: str
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
        data: bytes | None = await service.broker.redis.get(f"{PREFIX}sample:{name}")
        if data is None:
            data = await _sample(request, service, caller, job_spec)
            await service.broker.redis.set(f"{PREFIX}sample:{name}", data, ex=_KEPT_SECONDS)
    except UNAVAILABLE as error:
        raise queue_away() from error
    return Response(data, headers=headers, media_type=media_type)


async def _sample(request: Request, service: State, caller: Caller, job_spec: JobSpec[Payload, Model]) -> bytes:
    limits = request.app.state.limits
    assert isinstance(limits, Limits)
    await limits.count(caller)
    context = RequestContext(request, service, caller, prefer="respond-async", key=None)
    job = await completed(context, await context.submit(job_spec))
    artifacts = Artifacts(service.broker, service.catalog, service.tasks)
    info = await artifacts.info(job)
    data = b"".join([piece async for piece in artifacts.read(job, 0, info.bytes)])
    await service.broker.delete(job)  # it is not what the caller asked for, and would only fill their list
    return data
