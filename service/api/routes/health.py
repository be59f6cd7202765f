"""``GET /healthz`` (the process is alive), ``GET /readyz`` (the service can be used), and KServe's routes."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from ancestral.service import __version__
from ancestral.service.api import kserve
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.schemas import Health, KServeLive, KServeModel, KServeReady, KServeServer, Readiness
from ancestral.service.api.state import Service
from ancestral.service.errors import NotReady, stopping

router = APIRouter(tags=["health"])


async def serving(request: Request, service: Service) -> None:
    """Dependency of the readiness routes.

    Raises:
        NotReady: it is stopping, Redis does not answer, or a model is not warm in any worker.
    """
    if request.app.state.draining.is_set():
        raise stopping()
    if obstacles := await service.obstacles():
        raise NotReady(" ".join(obstacles))


@router.get("/healthz", summary="Liveness", responses=documented(400))
async def alive() -> Health:
    """200 as long as the process answers at all."""
    return Health(status="ok")


@router.get("/readyz", summary="Readiness", responses=documented(400, 503), dependencies=[Depends(serving)])
async def ready(service: Service) -> Readiness:
    """200 once Redis answers and every model is loaded and warm in some worker; until then, and from SIGTERM on, 503
    with the reasons.
    """
    return Readiness(status="ready", engines=await service.engines())


@router.get("/v2", summary="Server metadata (KServe)", responses=documented(400))
async def server() -> KServeServer:
    """Name and version, as KServe's Open Inference Protocol has them."""
    return KServeServer(version=__version__)


@router.get("/v2/health/live", summary="Liveness (KServe)", responses=documented(400))
async def live() -> KServeLive:
    """200 as long as the process answers at all."""
    return KServeLive(live=True)


@router.get(
    "/v2/health/ready",
    summary="Readiness (KServe)",
    responses=documented(400, 503),
    dependencies=[Depends(serving)],
)
async def all_ready() -> KServeReady:
    """As `/readyz`."""
    return KServeReady(ready=True)


@router.get("/v2/models/{model_id}", summary="Model metadata (KServe)", responses=documented(400, 404))
async def model_metadata(model_id: str, service: Service) -> KServeModel:
    """Name, version, inputs and outputs of a model. Requests go to `/v1`: KServe's `infer` is not served."""
    return kserve.metadata(service.catalog.model(model_id))


@router.get("/v2/models/{model_id}/ready", summary="Readiness of a model (KServe)", responses=documented(400, 404, 503))
async def model_ready(model_id: str, service: Service) -> KServeReady:
    """200 once some worker has the model loaded and warm."""
    await service.require_worker(service.catalog.model(model_id))
    return KServeReady(ready=True)
