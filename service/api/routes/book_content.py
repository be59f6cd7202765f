"""``GET /v1/books/{id}/content``: the file of a finished book, and what is beside it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import Response

from ancestral.errors import NotFound
from ancestral.provenance.c2pa import MANIFEST_TYPE
from ancestral.service.api.deps import Service
from ancestral.service.api.http.file_response import Conditions, ConditionsDep, file_response, file_responses
from ancestral.service.api.responses import disposition_of
from ancestral.service.api.routes.books import OwnBook
from ancestral.service.api.routes.jobs import C2PA, CAPTIONS, CaptionsQuery
from ancestral.service.books.output import MEDIA
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.messages import JobExpired
from ancestral.service.errors import Conflict, ResponseAborted, content_expired
from ancestral.service.jobs.artifacts import ZIP
from ancestral.service.jobs.state import AppState
from ancestral.service.speech.timestamps import MEDIA_TYPES

router = APIRouter(prefix="/v1/books", tags=["books"])

_MEDIA_TYPES: Final = {**MEDIA, "zip": ZIP}
_MEDIA = {media: {"schema": {"type": "string", "format": "binary"}} for media in _MEDIA_TYPES.values()}


@router.get(
    "/{book_id}/content",
    summary="Get the file of a book",
    response_class=Response,
    responses=file_responses("The file.", _MEDIA),
)
async def get_book_content(book: OwnBook, service: Service, conditions: ConditionsDep) -> Response:
    """The finished file, or a part of it."""
    _require_completed(book)
    form = "zip" if book["wanted"]["split"] else book["wanted"]["form"]
    headers, media_type = disposition_of(book["title"], form), _MEDIA_TYPES[form]
    read = partial(_read, service, book)
    if "c2pa" in book["places"]:
        headers["link"] = f'</v1/books/{book["id"]}/manifest.c2pa>; rel="c2pa-manifest"; type="{MANIFEST_TYPE}"'
    return file_response(read, book["bytes"], book["sha256"], media_type, conditions, headers)


@router.get(
    "/{book_id}/manifest.c2pa",
    summary="Get the C2PA manifest of a book that has none inside",
    response_class=Response,
    responses=file_responses("The manifest store.", C2PA[200]["content"]),
)
async def get_book_manifest(book: OwnBook, service: Service, conditions: ConditionsDep) -> Response:
    """The signature of a file whose format has no place for one: opus, epub."""
    return _beside(service, book, "c2pa", MANIFEST_TYPE, conditions)


@router.get(
    "/{book_id}/captions",
    summary="Get captions for a book",
    response_class=Response,
    responses=file_responses("A file of captions.", CAPTIONS[200]["content"]),
)
async def get_book_captions(
    book: OwnBook, service: Service, conditions: ConditionsDep, form: CaptionsQuery = "vtt"
) -> Response:
    """Captions of all of the sound, with the text as it was written; an EPUB shows its words itself."""
    if book["wanted"]["form"] == "epub":
        raise NotFound("An EPUB shows its words itself, and has no captions.", code="no_captions")
    return _beside(service, book, form, MEDIA_TYPES[form], conditions)


def _beside(service: AppState, book: Mapping[str, Any], name: str, media_type: str, conditions: Conditions) -> Response:
    """What is stored behind the file.

    Raises:
        Conflict: the book has not been read, or failed.
        NotFound: nothing is.
    """
    _require_completed(book)
    if name not in book["places"]:
        raise NotFound(f"This book has no {name} beside its file.", code=f"no_{name}")
    start, stop = book["places"][name]

    def read(first: int, last: int) -> AsyncIterator[bytes]:
        return _read(service, book, start + first, start + last)

    return file_response(read, stop - start, f"{book['sha256']}-{name}", media_type, conditions, {})


def _require_completed(book: Mapping[str, Any]) -> None:
    if book["status"] == "failed":
        raise Conflict(f"The book failed: {book['error']['message']}", code="book_failed")
    if book["status"] != "completed":
        raise Conflict("The book has not been read yet.", code="book_not_completed", retry=True)
    if time.time() > book["expires_at"]:
        raise content_expired()


async def _read(service: AppState, book: Mapping[str, Any], start: int, stop: int) -> AsyncIterator[bytes]:
    try:
        async for piece in service.broker.batches.content(book["id"], start, stop):
            yield piece
    except (JobExpired, *UNAVAILABLE) as error:
        raise ResponseAborted(f"the book cannot be read any further: {type(error).__name__}") from error
