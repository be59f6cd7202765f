"""``/v1/books``: an EPUB or a text in, an audiobook out, as a background job. Each caller sees only their own."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, format_sse_event

from ancestral.errors import InvalidRequest, NotFound
from ancestral.provenance.c2pa import MANIFEST_TYPE
from ancestral.requests import checked, parse_json
from ancestral.service.api.batches import PageQuery
from ancestral.service.api.books.schemas import (
    BOOK_EXAMPLE,
    BOOK_ID,
    BookEvent,
    BookFields,
    BookForm,
    BookList,
    BookObject,
    DeletedBook,
)
from ancestral.service.api.books.work import book_folder, delete_book, describe_book, extent_of, planned
from ancestral.service.api.deps import CallerDep, RateLimitedCaller, Service
from ancestral.service.api.http.auth import check_again
from ancestral.service.api.http.body_route import MULTIPART, BodyRoute
from ancestral.service.api.http.file_response import Conditions, ConditionsDep, binary, file_response, file_responses
from ancestral.service.api.http.openapi import event_stream
from ancestral.service.api.responses import disposition_of
from ancestral.service.api.routes.batches import WINDOW_SECONDS, document_of, name_of, page
from ancestral.service.api.routes.jobs import C2PA, CAPTIONS, KEEP_ALIVE_SECONDS, CaptionsQuery
from ancestral.service.books.output import MEDIA
from ancestral.service.books.parts import BookError
from ancestral.service.books.reading import Plan
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.job import JobExpired
from ancestral.service.errors import Conflict, Overloaded, ResponseAborted, Unauthorized, content_expired, envelope
from ancestral.service.jobs.artifacts import ZIP
from ancestral.service.jobs.events import event
from ancestral.service.jobs.state import AppState
from ancestral.service.speech.timestamps import MEDIA_TYPES
from ancestral.speech.utterance import read_pronunciations

MAX_UNFINISHED: Final = 2
"""Books of one caller."""
MAX_ACTIVE: Final = 4
"""Books of all callers, whose sound is in Redis together."""
MAX_BOOKS: Final = 8
"""Books of one caller that are kept."""
_LOOK_SECONDS: Final = 1.0
"""Interval at which the events of a book look at its progress."""

router = APIRouter(prefix="/v1/books", tags=["books"], route_class=BodyRoute)


async def own_book(
    book_id: Annotated[str, Path(pattern=BOOK_ID, examples=[BOOK_EXAMPLE])], service: Service, caller: CallerDep
) -> dict[str, Any]:
    """Dependency of every route about one book.

    Raises:
        NotFound: the caller has no such book.
    """
    return await document_of(service, "book", caller.name, book_id, "book_id")


OwnBook = Annotated[dict[str, Any], Depends(own_book)]


@router.post("", status_code=202, summary="Read a book aloud")
async def create_book(
    form: Annotated[BookForm, MULTIPART], response: Response, service: Service, caller: RateLimitedCaller
) -> BookObject:
    """Read an EPUB or a text into an audiobook with chapter marks, or into an EPUB that shows each word while it is
    said: the file that `ancestral read` makes of it. What cannot be read is refused at once."""
    store, now = service.broker.batches, int(time.time())
    await _require_room(service, caller.name)
    data, fields = await form.file.read(), _fields(form)
    if form.split and form.format == "epub":
        raise InvalidRequest("split: an epub is one file", param="split", code="conflict")
    wanted: dict[str, Any] = {
        "form": form.format, "split": form.split, "model": form.model, "voice": form.voice, "voices": fields.voices,
        "pronunciations": fields.pronunciations, "speed": form.speed, "seed": form.seed,
    }  # fmt: skip
    plan = await _plan(service, data, wanted)
    await service.require_worker(plan.model)
    filename = name_of(form.file, "book")
    book: dict[str, Any] = {
        "id": f"book_{secrets.token_hex(12)}", "owner": caller.name, "concurrent_streams": caller.concurrent_streams,
        "created_at": now, "expires_at": now + WINDOW_SECONDS, "status": "in_progress",
        "wanted": wanted | {"model": plan.model.entry.id, "voice": plan.voice.id}, "made_from": dict(plan.made_from),
        "title": form.title or plan.book.title or FilePath(filename).stem, "author": form.author or plan.book.author,
        "filename": filename, "notes": plan.notes, **extent_of(plan),
    }  # fmt: skip
    await store.put("book", book, data)
    await store.activate(book["id"])
    response.headers["location"] = f"/v1/books/{book['id']}"
    return await describe_book(service, book)


def _fields(form: BookForm) -> BookFields:
    """The fields of the form that hold JSON.

    Raises:
        InvalidRequest: one is no JSON, or has what cannot be used.
    """
    given: dict[str, Any] = {}
    for name in BookFields.model_fields:
        if (text := getattr(form, name)) is not None:
            try:
                given[name] = parse_json(text, f"{name}: it")
            except InvalidRequest as error:
                raise InvalidRequest(error.message, param=name, code=error.code) from error
    fields = checked(BookFields, given)
    read_pronunciations(fields.pronunciations)
    return fields


async def _plan(service: AppState, data: bytes, wanted: Mapping[str, Any]) -> Plan:
    with book_folder() as folder:
        source = folder / "source"
        await asyncio.to_thread(source.write_bytes, data)
        try:
            return await planned(service, source, wanted)
        except BookError as error:
            raise InvalidRequest(f"file: {error}", param="file", code="book_refused") from error


async def _require_room(service: AppState, owner: str) -> None:
    """Refuse a book for which there is no room; exact but for requests in one moment.

    Raises:
        Overloaded: the owner has too many books, or all callers have.
    """
    store = service.broker.batches
    books = await store.owned("book", owner)
    if len(books) >= MAX_BOOKS or sum(book["status"] == "in_progress" for book in books) >= MAX_UNFINISHED:
        message = f"This caller may have {MAX_BOOKS} books, {MAX_UNFINISHED} of them unfinished. Delete some."
        raise Overloaded(message, retry_after=60, code="too_many_books")
    if sum(name.startswith("book_") for name in await store.active()) >= MAX_ACTIVE:
        raise Overloaded(f"{MAX_ACTIVE} books are being read.", retry_after=60, code="too_many_books")


@router.get("", summary="List your books")
async def list_books(query: Annotated[PageQuery, Query()], service: Service, caller: CallerDep) -> BookList:
    """Your books, newest first. For the next page, give the last one's id as ``after``."""
    found, more = page(await service.broker.batches.owned("book", caller.name), query)
    return BookList.of([await describe_book(service, book) for book in found], more)


@router.get("/{book_id}", summary="Get a book")
async def get_book(book: OwnBook, service: Service) -> BookObject:
    """How far a book is, chapter by chapter."""
    return await describe_book(service, book)


@router.delete("/{book_id}", summary="Delete a book")
async def delete(book: OwnBook, service: Service) -> DeletedBook:
    """Delete a book and its sound. One that is being read is cancelled."""
    await service.broker.batches.cancel(book["id"], int(time.time()))
    await delete_book(service, book)
    return DeletedBook(id=book["id"])


_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`book.in_progress` whenever a part is finished, and at the end `book.completed` or "
        "`book.failed`, each with the book.",
        "content": {"text/event-stream": event_stream(BookEvent)},
    }
}


@router.get("/{book_id}/events", summary="Stream the progress of a book", response_class=Response, responses=_EVENTS)
async def watch_book(book: OwnBook, service: Service, request: Request) -> Response:
    """How far a book is, as server-sent events; the stream ends with the reading."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return EventSourceResponse(_events(service, request, book["owner"], book["id"]), headers=headers)


async def _events(service: AppState, request: Request, owner: str, name: str) -> AsyncIterator[bytes]:
    before, sent = None, time.monotonic()
    try:
        while True:
            check_again(request)
            now = await describe_book(service, await document_of(service, "book", owner, name, "book_id"))
            if now != before:
                before, sent, kind = now, time.monotonic(), f"book.{now.status}"
                data = BookEvent.model_validate({"type": kind, "book": now}).model_dump_json()
                yield format_sse_event(data_str=data, event=kind)
            elif time.monotonic() - sent >= KEEP_ALIVE_SECONDS:
                sent = time.monotonic()
                yield format_sse_event(comment="keep-alive")
            if now.status != "in_progress":
                return
            await asyncio.sleep(_LOOK_SECONDS)
    except NotFound as error:
        yield event(envelope(error))
        raise ResponseAborted("the book was deleted") from error
    except Unauthorized as error:
        raise ResponseAborted("the API key was revoked") from error
    except UNAVAILABLE as error:
        raise ResponseAborted("Redis is unavailable") from error


# ``GET /v1/books/{id}/content``: the file of a finished book, and what is beside it.


_MEDIA_TYPES: Final = {**MEDIA, "zip": ZIP}
_MEDIA = binary(*_MEDIA_TYPES.values())


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
