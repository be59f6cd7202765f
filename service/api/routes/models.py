"""``GET /v1/models`` and ``GET /v1/models/{id}``."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.http.openapi import documented
from service.api.schemas import ModelList, ModelObject
from service.api.state import Service
from service.catalog.models import ImageModel, Model, SpeechModel

router = APIRouter(prefix="/v1/models", tags=["models"])


def _describe(model: Model) -> ModelObject:
    return ModelObject(
        id=model.entry.id,
        created=model.entry.created,
        owned_by=model.entry.owned_by,
        kind=model.entry.kind,
        capabilities=list(model.entry.capabilities),
        sample_rate=model.spec.sample_rate if isinstance(model, SpeechModel) else None,
        size=model.size if isinstance(model, ImageModel) else None,
        sha256=model.sha256,
        receptive_field=model.receptive_field,
        parameters=model.parameters,
    )


@router.get("", summary="List the models", response_model_exclude_none=True, responses=documented(400, 401))
async def list_models(service: Service) -> ModelList:
    """Every model."""
    return ModelList(data=[_describe(model) for model in service.catalog.models.values()])


@router.get("/{model_id}", summary="Get a model", response_model_exclude_none=True, responses=documented(400, 401, 404))
async def get_model(model_id: str, service: Service) -> ModelObject:
    """The model of this id."""
    return _describe(service.catalog.model(model_id))
