"""``GET /healthz`` (the process is alive) and ``GET /readyz`` (the service can be used)."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ancestral.service.api.deps import Service
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.schemas import Health, Readiness
from ancestral.service.errors import NotReady, stopping

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Liveness", responses=documented(400))
async def alive() -> Health:
    """200 as long as the process answers at all."""
    return Health(status="ok")


@router.get("/readyz", summary="Readiness", responses=documented(400, 503))
async def ready(request: Request, service: Service) -> Readiness:
    """200 once Redis answers and every model is loaded and warm in some worker; until then, and from SIGTERM on, 503
    with the reasons.
    """
    if request.app.state.draining.is_set():
        raise stopping()
    if problems := await service.readiness_problems():
        raise NotReady(" ".join(problems))
    return Readiness(status="ready", engines=await service.engines())
