"""``GET /healthz`` (the process lives) and ``GET /readyz`` (it can serve)."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.bodies import documented
from service.api.state import ReadyService
from service.schemas import Health

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is it alive?")
async def alive() -> Health:
    """200 as long as the process answers at all."""
    return Health(status="ok")


@router.get("/readyz", summary="Can it serve?", responses=documented(503))
async def ready(service: ReadyService) -> Health:
    """200 once every model is loaded and warm; until then 503 with the reason."""
    return Health(status="ready")
