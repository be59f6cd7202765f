"""``GET /metrics``, for Prometheus."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from service.api.bodies import documented
from service.api.state import Service
from service.jobs import Lane
from service.metrics import CONTENT_TYPE, exposition

router = APIRouter(tags=["health"])

_TEXT = {"description": "Prometheus's text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}


_RESPONSES: dict[int | str, dict[str, Any]] = {200: _TEXT, **documented(503)}


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response, responses=_RESPONSES)
async def metrics(service: Service) -> Response:
    """Workers, slots, jobs per lane, and how soon cancelled streams freed their slots."""
    depths = {lane: await service.broker.depths(lane) for lane in Lane}
    return Response(exposition(await service.broker.roster(), depths), media_type=CONTENT_TYPE)
