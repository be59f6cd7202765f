"""``GET /v1/models``, ``GET /v1/models/{id}`` and ``GET /v1/models/{id}/card``."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.models import ImageModel, Model, SpeechModel
from ancestral.errors import NotFound
from ancestral.service.api.deps import Service
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.schemas import ModelList, ModelObject
from ancestral.service.speech.elevenlabs.requests import elevenlabs_models
from ancestral.service.speech.elevenlabs.schemas import ElevenLabsModel

_ModelId = Annotated[str, Path(examples=["wavenet-en"])]

router = APIRouter(prefix="/v1/models", tags=["models"])


def describe_model(catalog: Catalog, model: Model) -> ModelObject:
    return ModelObject(
        id=model.entry.id,
        aliases=catalog.aliases.of_model(model.entry.id),
        created=model.entry.created,
        owned_by=model.entry.owned_by,
        description=model.entry.description,
        kind=model.entry.kind,
        capabilities=list(model.capabilities),
        sample_rate=model.spec.sample_rate if isinstance(model, SpeechModel) else None,
        size=model.size if isinstance(model, ImageModel) else None,
        sha256=model.sha256,
        receptive_field=model.receptive_field,
        parameters=model.parameters,
        temperature=model.entry.temperature,
        guidance=model.entry.guidance if isinstance(model, ImageModel) else None,
        sheets=[*model.entry.sheets] or None,
        sheet_attributes=model.sheet_attributes or None if isinstance(model, ImageModel) else None,
    )


@router.get("", summary="List the models", response_model_exclude_none=True, responses=documented(400, 401))
async def list_models(request: Request, service: Service) -> ModelList | list[ElevenLabsModel]:
    """Every model. A request with the header ``xi-api-key`` gets those that speak, in the shape of ElevenLabs' API."""
    if "xi-api-key" in request.headers:
        return elevenlabs_models(service.catalog)
    return ModelList(data=[describe_model(service.catalog, model) for model in service.catalog.models.values()])


@router.get("/{model_id}", summary="Get a model", response_model_exclude_none=True, responses=documented(400, 401, 404))
async def get_model(model_id: _ModelId, service: Service) -> ModelObject:
    """The model of this id or alias."""
    return describe_model(service.catalog, service.catalog.model(model_id))


@router.get(
    "/{model_id}/card",
    summary="Get the card of a model",
    response_class=Response,
    responses={200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}, **documented(400, 401, 404)},
)
async def get_card(model_id: _ModelId, service: Service) -> Response:
    """Data, licence, training and figures of a model, as Markdown."""
    entry = service.catalog.model(model_id).entry
    parts = [path / "README.md" for path in (entry.sampled, entry.acoustic, entry.classifier) if path is not None]
    texts = await asyncio.to_thread(lambda: [part.read_text("utf-8") for part in parts if part.is_file()])
    if not texts:
        raise NotFound("model: it has no card", param="model", code="card_not_found")
    return Response("\n".join(texts), media_type="text/markdown")
