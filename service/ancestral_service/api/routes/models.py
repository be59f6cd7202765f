"""``GET /v1/models``, ``GET /v1/models/{id}`` and ``GET /v1/models/{id}/card``."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import SerializerFunctionWrapHandler, model_serializer

from ancestral import formats
from ancestral.catalog.catalog import Catalog
from ancestral.catalog.descriptions import ImageModel, Model, SpeechModel
from ancestral.catalog.voices import voice_named
from ancestral.errors import InvalidRequest, NotFound
from ancestral.requests import Described
from ancestral_service.api.deps import Service
from ancestral_service.api.http.body_route import IfNoneMatch, binary, not_modified
from ancestral_service.speech.elevenlabs.requests import elevenlabs_models
from ancestral_service.speech.elevenlabs.schemas import ElevenLabsModel
from ancestral_service.speech.schemas import voices_of

_ModelId = Annotated[str, Path(examples=["wavenet-multilingual"])]

router = APIRouter(prefix="/v1")


class ModelObject(Described):
    """A model as ``GET /v1/models`` lists it."""

    id: str
    aliases: list[str]
    """Other names that a request may use for it."""
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    description: str
    paper: str | None = None
    """Of models that are there to show a paper's network: its title. They are listed last, paper by paper."""
    kind: str
    capabilities: list[str]
    sample_rate: int | None = None
    """Of what the network samples, in hertz; audio models only."""
    default_sample_rate: int | None = None
    """Of files, unless a request says another; audio models only."""
    size: str | None = None
    """`WIDTHxHEIGHT` of a picture; image models only."""
    sha256: str
    receptive_field: int
    """Number of past samples that the next one depends on; for a picture, of rows above."""
    parameters: int
    temperature: float
    """The default of requests."""
    guidance: float | None = None
    """The default of requests, except for edits and completions; image models only."""
    edit_guidance: float | None = None
    """The default of `guidance` in edits and completions; image models only."""
    sheets: list[str] | None = None
    """What `sheet` of a request for pictures may be; models that lay out sheets only."""
    sheet_attributes: dict[str, list[str]] | None = None
    """The attributes that the frames of each sheet set: its prompt can name none of them."""
    shutdown_date: None = None
    """When the model goes: never, as it is a file of yours."""

    @model_serializer(mode="wrap")
    def _with_shutdown_date(self, serialize: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]
        return serialize(self) | {"shutdown_date": None}  # which is sent, unlike other values that are null


class ModelList(Described):
    """Every model that is loaded."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


class SpeechModelList(Described):
    """The models that speak, under both names that clients look for."""

    object: Literal["list"] = "list"
    models: list[ModelObject]
    data: list[ModelObject]


def describe_model(catalog: Catalog, model: Model) -> ModelObject:
    entry, found = model.entry, {"receptive_field": model.receptive_field, "sheets": [*model.entry.sheets] or None}
    found |= {"aliases": catalog.aliases.of_model(entry.id), "capabilities": list(model.capabilities)}
    found = vars(model) | vars(entry) | found
    if isinstance(model, SpeechModel):
        found |= {"guidance": None, "edit_guidance": None}
        found |= {"sample_rate": model.spec.sample_rate, "default_sample_rate": model.sound_rate}
        return ModelObject.model_validate(found)
    assert isinstance(model, ImageModel)
    return ModelObject.model_validate(found | {"size": model.size, "sheet_attributes": model.sheet_attributes or None})


@router.get("/models", tags=["models"], summary="List the models", response_model_exclude_none=True)
async def list_models(request: Request, service: Service) -> ModelList | list[ElevenLabsModel]:
    """Every model. A request with the header ``xi-api-key`` gets those that speak, in the shape of ElevenLabs' API."""
    if "xi-api-key" in request.headers:
        return elevenlabs_models(service.catalog)
    return ModelList(data=[describe_model(service.catalog, model) for model in service.catalog.models.values()])


@router.get("/models/{model_id}", tags=["models"], summary="Get a model", response_model_exclude_none=True)
async def get_model(model_id: _ModelId, service: Service) -> ModelObject:
    """The model of this id or alias."""
    return describe_model(service.catalog, service.catalog.model(model_id))


@router.get(
    "/models/{model_id}/card",
    tags=["models"],
    summary="Get the card of a model",
    response_class=Response,
    responses={200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}},
)
async def get_card(model_id: _ModelId, service: Service) -> Response:
    """Data, licence, training and figures of a model, as Markdown."""
    entry = service.catalog.model(model_id).entry
    folders = (entry.sampled, *entry.networks.values(), entry.acoustic, entry.classifier)
    parts = [path / "README.md" for path in folders if path is not None]
    texts = await asyncio.to_thread(lambda: [part.read_text("utf-8", "replace") for part in parts if part.is_file()])
    if not texts:
        raise NotFound("model: it has no card", param="model", code="card_not_found")
    return Response("\n".join(texts), media_type="text/markdown")


# What a model sounds and looks like: ``GET /v1/audio/voices/{id}/preview``, ``GET /v1/images/classes/thumbnail``.
#
# The files are part of a model; deploy/previews.py makes those of the bundled ones.

_OfModel = Annotated[str | None, Query(min_length=1, max_length=256, description="The id of a model.")]


def _file(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"description": description, "content": binary(media_type)},
        304: {"description": "You have it already."},
    }


@router.get(
    "/audio/voices/{voice_id}/preview",
    summary="Hear a voice",
    tags=["speech"],
    response_class=Response,
    responses=_file("audio/mpeg", "An MP3 file."),
)
async def preview_voice(
    voice_id: Annotated[str, Path(examples=["joe"])],
    service: Service,
    model: _OfModel = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A sentence of a voice, or, of a model without text, a few seconds."""
    voices = {voice.id: voice for voice in voices_of(service.catalog)}
    if (voice := voice_named(voice_id, voices, service.catalog.aliases.voices)) is None:
        raise NotFound("voice_id: no such voice", param="voice_id", code="voice_not_found")
    found = service.catalog.model(voice.model if model is None else model)
    if found.entry.id not in voice.models:
        raise InvalidRequest("model: it has no such voice", param="model", code="voice_not_found")
    return await _respond(if_none_match, found.entry.preview(f"{voice.id}.mp3"), formats.MEDIA_TYPES["mp3"])


@router.get(
    "/images/classes/thumbnail",
    summary="See a class",
    tags=["images"],
    response_class=Response,
    responses=_file("image/png", "A PNG file."),
)
async def show_class(
    service: Service,
    model: Annotated[str, Query(min_length=1, max_length=256, description="The id of a model.")],
    name: Annotated[str, Query(alias="class", min_length=1, max_length=256, description="One of its classes.")],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A picture of a value that `/v1/images/classes` lists, of the model's own size."""
    found = service.catalog.model(model)
    if not isinstance(found, ImageModel) or not any(name in values for values in found.spec.conditions):
        raise InvalidRequest("class: the model has no such class", param="class", code="class_not_found")
    return await _respond(if_none_match, found.entry.preview(f"{name}.png"), "image/png")


async def _respond(if_none_match: str | None, file: FilePath, media_type: str) -> Response:
    """A file, unless the client has it already.

    Raises:
        NotFound: the model has no such file.
    """
    if not await asyncio.to_thread(file.is_file):
        raise NotFound("model: it has no previews", param="model", code="preview_not_found")
    data = await asyncio.to_thread(file.read_bytes)
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"cache-control": "private, max-age=86400", "etag": tag}
    if (unchanged := not_modified(if_none_match, headers)) is not None:
        return unchanged
    return Response(data, headers=headers, media_type=media_type)
