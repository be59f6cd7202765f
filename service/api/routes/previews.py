"""What a model sounds and looks like: ``GET /v1/audio/voices/{id}/preview``, ``GET /v1/images/classes/thumbnail``.

The files are part of a model; deploy/previews.py makes those of the bundled ones.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from fastapi.responses import Response

from ancestral import codecs
from ancestral.catalog.models import ImageModel
from ancestral.errors import InvalidRequest, NotFound
from ancestral.service.api.deps import Service
from ancestral.service.api.http.etags import IfNoneMatch, not_modified
from ancestral.service.api.http.openapi import documented
from ancestral.service.speech.voices import voices_of

router = APIRouter(prefix="/v1")

_ModelId = Annotated[str | None, Query(min_length=1, max_length=256, description="The id of a model.")]


def _file(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": description, "content": content}, 304: {"description": "You have it already."}}


@router.get(
    "/audio/voices/{voice_id}/preview",
    summary="Hear a voice",
    tags=["speech"],
    response_class=Response,
    responses=_file("audio/mpeg", "An MP3 file.") | documented(400, 401, 404),
)
async def preview_voice(
    voice_id: Annotated[str, PathParameter(examples=["joe"])],
    service: Service,
    model: _ModelId = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A sentence of a voice, or, of a model without text, a few seconds."""
    known = service.catalog.aliases.voices.get(voice_id, voice_id)
    voice = next((voice for voice in voices_of(service.catalog) if voice.id == known), None)
    if voice is None:
        raise NotFound("voice_id: no such voice", param="voice_id", code="voice_not_found")
    found = service.catalog.model(voice.model if model is None else model)
    if found.entry.id not in voice.models:
        raise InvalidRequest("model: it has no such voice", param="model", code="voice_not_found")
    return await _respond(if_none_match, found.entry.preview(f"{voice.id}.mp3"), codecs.MEDIA_TYPES["mp3"])


@router.get(
    "/images/classes/thumbnail",
    summary="See a class",
    tags=["images"],
    response_class=Response,
    responses=_file("image/png", "A PNG file.") | documented(400, 401, 404),
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


async def _respond(if_none_match: str | None, file: Path, media_type: str) -> Response:
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
