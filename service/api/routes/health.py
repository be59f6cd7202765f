"""``GET /healthz`` (the process is alive), ``/readyz`` (the service can be used), ``/metrics`` (for Prometheus).

Metrics are the figures of this process, and those that all processes share in Redis."""

from __future__ import annotations

import logging
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ancestral.requests import Described
from ancestral.service.api.deps import Service
from ancestral.service.broker.clients import Clients
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.job import Priority
from ancestral.service.errors import NotReady, stopping
from ancestral.service.telemetry.metrics import CONTENT_TYPE, Shared

router = APIRouter(tags=["health"])
figures = APIRouter(tags=["health"])


class Health(Described):
    """``GET /healthz``."""

    status: Literal["ok"]


class Readiness(Described):
    """``GET /readyz`` when the service can be used."""

    status: Literal["ready"]
    engines: dict[str, list[str]]
    """The engines that sample each model, of all workers."""


@router.get("/healthz", summary="Liveness")
async def alive() -> Health:
    """200 as long as the process answers at all."""
    return Health(status="ok")


@router.get("/readyz", summary="Readiness")
async def ready(request: Request, service: Service) -> Readiness:
    """200 once Redis answers and every model is loaded and warm in some worker; until then, and from SIGTERM on, 503
    with the reasons.
    """
    if request.app.state.draining.is_set():
        raise stopping()
    if problems := await service.readiness_problems():
        raise NotReady(" ".join(problems))
    return Readiness(status="ready", engines=await service.engines())


_TEXT = {"description": "Prometheus's text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {200: _TEXT}

log = logging.getLogger(__name__)


@figures.get("/metrics", summary="Prometheus metrics", response_class=Response, responses=_RESPONSES)
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
