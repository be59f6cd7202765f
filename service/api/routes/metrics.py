"""``GET /metrics``, for Prometheus: the figures of this process, and those that all processes share in Redis."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from ancestral.service.api.deps import Service
from ancestral.service.api.http.openapi import documented
from ancestral.service.broker.clients import Clients
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.job import Priority
from ancestral.service.telemetry.metrics import CONTENT_TYPE, Shared

router = APIRouter(tags=["health"])

_TEXT = {"description": "Prometheus's text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
_RESPONSES: dict[int | str, dict[str, Any]] = documented(400) | {200: _TEXT}

log = logging.getLogger(__name__)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response, responses=_RESPONSES | documented(400))
async def metrics(service: Service) -> Response:
    """Every figure; docs/observability.md explains each. While Redis is unavailable, only those of this process."""
    shared = None
    try:
        shared = await _shared(service.broker)
    except UNAVAILABLE as error:
        log.warning("Redis is unavailable", extra={"reason": type(error).__name__})
    return Response(service.metrics.page(shared), media_type=CONTENT_TYPE)


async def _shared(broker: Clients) -> Shared:
    depths = {priority: await broker.queues.depths(priority) for priority in Priority}
    return Shared(await broker.queues.workers(), depths, await broker.queues.unfinished())
