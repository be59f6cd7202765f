"""Batches of requests and books: created, listed, fetched, cancelled."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path as FilePath
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, UploadFile
from fastapi.responses import Response, StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import Field

from ancestral.errors import InvalidRequest, NotFound
from ancestral.provenance.c2pa import MANIFEST_TYPE
from ancestral.requests import checked, example, parse_json
from ancestral.service.api.batches import (
    BATCH_EXAMPLE,
    BATCH_ID,
    FILE_EXAMPLE,
    FILE_ID,
    MAX_OUTPUT_BYTES,
    BatchList,
    BatchObject,
    BatchRequest,
    DeletedFile,
    FileList,
    FileObject,
    FilesQuery,
    PageQuery,
    read_lines,
)
from ancestral.service.api.books import schemas
from ancestral.service.api.books.work import book_folder, delete_book, describe_book, extent_of, planned
from ancestral.service.api.deps import CallerDep, RateLimitedCaller, Service, base_url
from ancestral.service.api.http.body_route import (
    MULTIPART,
    BodyRoute,
    Conditions,
    ConditionsDep,
    FormFields,
    binary,
    file_response,
    file_responses,
)
from ancestral.service.api.http.openapi import event_stream
from ancestral.service.api.responses import disposition_of, progress_response
from ancestral.service.api.routes.jobs import C2PA, CAPTIONS, CaptionsQuery
from ancestral.service.books.output import MEDIA
from ancestral.service.books.parts import BookError
from ancestral.service.books.reading import Plan
from ancestral.service.broker.batches import PIECE_BYTES, RESULTS, Kind
from ancestral.service.broker.job import LIFE_SECONDS
from ancestral.service.errors import Conflict, Overloaded, content_expired
from ancestral.service.jobs.artifacts import ZIP, aborting
from ancestral.service.jobs.state import AppState
from ancestral.service.speech.timestamps import MEDIA_TYPES
from ancestral.speech.utterance import read_pronunciations

# ``/v1/files`` and ``/v1/batches``: files of requests, their answers, and batch jobs that carry them out. Each caller
# sees only their own.

MAX_DOCUMENTS: Final = 100
"""Files, and batches, of one caller."""
_UPLOADS: Final = 4
"""Files of the largest size that one caller may have; theirs together have no more bytes."""

router = APIRouter(prefix="/v1", tags=["batches"], route_class=BodyRoute)


class FileForm(FormFields):
    """The fields of the form."""

    model_config = example(file="requests.jsonl", purpose="batch")

    file: UploadFile
    """JSON lines, each a request: `custom_id`, `method`, `url`, `body`."""
    purpose: Literal["batch"] = Field(examples=["batch"])
    """What the file is for."""


def _own(kind: Kind, pattern: str, example: str) -> Any:
    """Dependency of every route about one file, batch or book of the caller's; raises as :func:`document_of`."""
    param = f"{kind}_id"

    async def own(
        service: Service, caller: CallerDep, name: str = Path(alias=param, pattern=pattern, examples=[example])
    ) -> dict[str, Any]:
        return await document_of(service, kind, caller.name, name, param)

    return Depends(own)


async def document_of(service: AppState, kind: Kind, owner: str, name: str, param: str) -> dict[str, Any]:
    """A file, batch or book of this owner; raises NotFound if there is none, and names ``param``. One that is not
    finished is driven, even if a failover lost its place among those that are."""
    document = await service.broker.batches.get(kind, name)
    if document is None or document["owner"] != owner:
        raise NotFound(f"{param}: no such {kind}", param=param, code=f"{kind}_not_found")
    if document.get("status") == "in_progress":
        await service.broker.batches.stay_active(name)
    return document


def name_of(file: UploadFile, default: str) -> str:
    """The name of an uploaded file without folders, which some clients send and others would follow."""
    return PurePosixPath((file.filename or default).replace("\\", "/")).name[:256] or default


async def require_room(service: AppState, owner: str, size: int) -> None:
    """Refuse a file, or the answers of a batch, for which an owner has no room; exact but for requests in one moment.

    Raises:
        Overloaded: the owner has too many files, or too many bytes in them.
    """
    files = await service.broker.batches.owned("file", owner)
    limit = _UPLOADS * service.settings.max_upload_bytes
    if len(files) >= MAX_DOCUMENTS or sum(file["bytes"] for file in files) + size > limit:
        message = f"This caller has {len(files)} files; {MAX_DOCUMENTS} with {limit} bytes are kept. Delete some."
        raise Overloaded(message, retry_after=3600, code="too_many_files")


OwnFile = Annotated[dict[str, Any], _own("file", FILE_ID, FILE_EXAMPLE)]
OwnBatch = Annotated[dict[str, Any], _own("batch", BATCH_ID, BATCH_EXAMPLE)]
OwnBook = Annotated[dict[str, Any], _own("book", schemas.BOOK_ID, schemas.BOOK_EXAMPLE)]


@router.post("/files", summary="Upload a file of requests")
async def upload_file(form: Annotated[FileForm, MULTIPART], service: Service, caller: RateLimitedCaller) -> FileObject:
    """Upload a file for `POST /v1/batches`. It is kept for two days."""
    data = await form.file.read()
    if not data:
        raise InvalidRequest("file: it is empty", param="file", code="empty_file")
    await require_room(service, caller.name, len(data))
    document = {
        "id": f"file-{secrets.token_hex(12)}", "owner": caller.name, "created_at": int(time.time()), "purpose": "batch",
        "filename": name_of(form.file, "requests.jsonl"), "bytes": len(data), "lines": None,
    }  # fmt: skip
    await service.broker.batches.put("file", document, data)
    return describe_file(document)


@router.get("/files", summary="List your files")
async def list_files(query: Annotated[FilesQuery, Query()], service: Service, caller: CallerDep) -> FileList:
    """Your files, newest first. For the next page, give the last one's id as ``after``."""
    files = await service.broker.batches.owned("file", caller.name)
    chosen = [file for file in files if query.purpose in (None, file["purpose"])]
    found, more = page(chosen if query.order == "desc" else chosen[::-1], query)
    return FileList.of([describe_file(document) for document in found], more)


@router.get("/files/{file_id}", summary="Get a file's description")
async def get_file(file: OwnFile) -> FileObject:
    """The size and the name of a file."""
    return describe_file(file)


_LINES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}, "description": "JSON lines."}
}


@router.get("/files/{file_id}/content", summary="Get a file", response_class=Response, responses=_LINES)
async def get_file_content(file: OwnFile, service: Service) -> Response:
    """The lines of a file: the requests, or the answers in their order."""
    return StreamingResponse(aborting(_content(service, file), "the file"), media_type="application/jsonl")


@router.delete("/files/{file_id}", summary="Delete a file")
async def delete_file(file: OwnFile, service: Service) -> DeletedFile:
    """Delete a file. A batch that has begun needs its file no more."""
    await service.broker.batches.delete("file", file)
    if file["lines"] is not None:
        await service.broker.batches.delete_lines(*file["lines"])
    return DeletedFile(id=file["id"])


def describe_file(document: Mapping[str, Any]) -> FileObject:
    fields = {name: document[name] for name in ("id", "bytes", "created_at", "filename", "purpose")}
    return FileObject(**fields, expires_at=document["created_at"] + LIFE_SECONDS)


def page(documents: list[dict[str, Any]], query: PageQuery) -> tuple[list[dict[str, Any]], bool]:
    """The part of a list that was asked for, and whether there is more.

    Raises:
        NotFound: there is no document ``after``.
    """
    start = 0
    if query.after is not None:
        names = [document["id"] for document in documents]
        if query.after not in names:
            raise NotFound("after: nothing has this id", param="after", code="not_found")
        start = names.index(query.after) + 1
    end = start + query.limit
    return documents[start:end], end < len(documents)


async def _content(service: AppState, file: Mapping[str, Any]) -> AsyncIterator[bytes]:
    store = service.broker.batches
    if file["lines"] is None:
        data = await store.data("file", file["id"])
        for start in range(0, len(data), PIECE_BYTES):
            yield data[start : start + PIECE_BYTES]
        return
    async for line in store.lines(*file["lines"]):
        yield line


# ``/v1/batches``: many requests in one file, carried out as batch jobs. Each caller sees only their own.


WINDOW_SECONDS: Final = 86400
MAX_UNFINISHED: Final = 4
"""Batches of one caller."""


@router.post("/batches", summary="Carry out a file of requests")
async def create_batch(
    body: BatchRequest, request: Request, service: Service, caller: RateLimitedCaller
) -> BatchObject:
    """Carry out the requests of a file, with the priority of jobs. A line that cannot be read refuses the whole file:
    ``status`` is ``failed``, and ``errors`` names the lines. A request that is refused is a line of the error file."""
    store, owner, now = service.broker.batches, caller.name, int(time.time())
    file = await document_of(service, "file", owner, body.input_file_id, "input_file_id")
    batches = await store.owned("batch", owner)
    if len(batches) >= MAX_DOCUMENTS or sum(batch["status"] == "in_progress" for batch in batches) >= MAX_UNFINISHED:
        message = f"This caller may have {MAX_UNFINISHED} unfinished batches, and {MAX_DOCUMENTS} in two days."
        raise Overloaded(message, retry_after=60, code="too_many_batches")
    # Where files may be small, half of the room has to be enough for the answers, or no batch could ever begin.
    await require_room(service, owner, min(MAX_OUTPUT_BYTES, _UPLOADS * service.settings.max_upload_bytes // 2))
    data = b"".join([piece async for piece in _content(service, file)])
    lines, errors = await asyncio.to_thread(read_lines, data, body.endpoint)
    batch: dict[str, Any] = {
        "id": f"batch_{secrets.token_hex(12)}", "owner": owner, "concurrent_streams": caller.concurrent_streams,
        "base_url": base_url(request), "endpoint": body.endpoint, "input_file_id": body.input_file_id,
        "completion_window": body.completion_window, "metadata": body.metadata, "created_at": now,
        "expires_at": now + WINDOW_SECONDS, "total": len(lines), "status": "failed" if errors else "in_progress",
        "errors": [error.model_dump() for error in errors], "failed_at" if errors else "in_progress_at": now,
        "output_id": f"file-{secrets.token_hex(12)}", "error_id": f"file-{secrets.token_hex(12)}",
    }  # fmt: skip
    await store.put("batch", batch, None if errors else data)
    if not errors:
        await store.activate(batch["id"])
    return await _describe(service, batch)


@router.get("/batches", summary="List your batches")
async def list_batches(query: Annotated[PageQuery, Query()], service: Service, caller: CallerDep) -> BatchList:
    """Your batches, newest first. For the next page, give the last one's id as ``after``."""
    found, more = page(await service.broker.batches.owned("batch", caller.name), query)
    return BatchList.of([await _describe(service, batch) for batch in found], more)


@router.get("/batches/{batch_id}", summary="Get a batch")
async def get_batch(batch: OwnBatch, service: Service) -> BatchObject:
    """How far a batch is."""
    return await _describe(service, batch)


@router.post("/batches/{batch_id}/cancel", summary="Cancel a batch")
async def cancel_batch(batch: OwnBatch, service: Service) -> BatchObject:
    """End a batch within seconds. The answers that there are become its output file."""
    if batch["status"] != "in_progress":
        raise Conflict("The batch has ended already.", code="batch_ended")
    await service.broker.batches.cancel(batch["id"], int(time.time()))
    return await _describe(service, batch)


async def _describe(service: AppState, batch: dict[str, Any]) -> BatchObject:
    store, name = service.broker.batches, batch["id"]
    counts = batch.get("counts")  # of one that has ended, whose results may have been deleted
    completed, failed = counts or [len(await store.line_numbers(name, result)) for result in RESULTS]
    fields: dict[str, Any] = {field: batch[field] for field in BatchObject.model_fields.keys() & batch.keys()}
    if batch["status"] == "in_progress" and (since := await store.cancelling(name)) is not None:
        fields |= {"status": "cancelling", "cancelling_at": since}
    fields["errors"] = {"data": batch["errors"]} if batch["errors"] else None
    fields["request_counts"] = {"total": batch["total"], "completed": completed, "failed": failed}
    return BatchObject.model_validate(fields)


# ``/v1/books``: an EPUB or a text in, an audiobook out, as a background job. Each caller sees only their own.

MAX_UNFINISHED_BOOKS: Final = 2
"""Books of one caller."""
MAX_ACTIVE: Final = 4
"""Books of all callers, whose sound is in Redis together."""
MAX_BOOKS: Final = 8
"""Books of one caller that are kept."""
_MAX_FILE_BYTES: Final = 1 << 29
"""Of a book; Redis takes no more in one key."""
_BYTES_PER_SAMPLE: Final = {"wav": 2.0, "flac": 1.3}
"""Of the formats that can have such files; roughly."""
_CHARACTERS_PER_SECOND: Final = 12.0
_LOOK_SECONDS: Final = 1.0
"""Interval at which the events of a book look at its progress."""

books_router = APIRouter(prefix="/v1/books", tags=["books"], route_class=BodyRoute)


@books_router.post("", status_code=202, summary="Read a book aloud")
async def create_book(
    form: Annotated[schemas.BookForm, MULTIPART], response: Response, service: Service, caller: RateLimitedCaller
) -> schemas.BookObject:
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
    filename = name_of(form.file, "book")
    plan = await _plan(service, data, filename, wanted)
    _check_size(plan, form)
    await service.require_worker(plan.model)
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


def _fields(form: schemas.BookForm) -> schemas.BookFields:
    """The fields of the form that hold JSON.

    Raises:
        InvalidRequest: one is no JSON, or has what cannot be used.
    """
    given: dict[str, Any] = {}
    for name in schemas.BookFields.model_fields:
        if (text := getattr(form, name)) is not None:
            try:
                given[name] = parse_json(text, f"{name}: it")
            except InvalidRequest as error:
                raise InvalidRequest(error.message, param=name, code=error.code) from error
    fields = checked(schemas.BookFields, given)
    read_pronunciations(fields.pronunciations)
    return fields


def _check_size(plan: Plan, form: schemas.BookForm) -> None:
    """Refuse a book whose file Redis would not take, before hours are sampled for it."""
    seconds = sum(len(part.text) for part in plan.parts) / _CHARACTERS_PER_SECOND / form.speed
    size = round(seconds * plan.model.sound_rate * _BYTES_PER_SAMPLE.get(form.format, 0.0))
    if size > _MAX_FILE_BYTES:
        message = f"format: about {size >> 20} MB as {form.format}, of at most {_MAX_FILE_BYTES >> 20}; m4b is smaller"
        raise InvalidRequest(message, param="format", code="too_much_sound")


async def _plan(service: AppState, data: bytes, filename: str, wanted: Mapping[str, Any]) -> Plan:
    with book_folder() as folder:
        source = folder / f"source{'.epub' if filename.lower().endswith('.epub') else ''}"
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
    if len(books) >= MAX_BOOKS or sum(book["status"] == "in_progress" for book in books) >= MAX_UNFINISHED_BOOKS:
        message = f"This caller may have {MAX_BOOKS} books, {MAX_UNFINISHED_BOOKS} of them unfinished. Delete some."
        raise Overloaded(message, retry_after=60, code="too_many_books")
    if sum(name.startswith("book_") for name in await store.active()) >= MAX_ACTIVE:
        raise Overloaded(f"{MAX_ACTIVE} books are being read.", retry_after=60, code="too_many_books")


@books_router.get("", summary="List your books")
async def list_books(query: Annotated[PageQuery, Query()], service: Service, caller: CallerDep) -> schemas.BookList:
    """Your books, newest first. For the next page, give the last one's id as ``after``."""
    found, more = page(await service.broker.batches.owned("book", caller.name), query)
    return schemas.BookList.of([await describe_book(service, book) for book in found], more)


@books_router.get("/{book_id}", summary="Get a book")
async def get_book(book: OwnBook, service: Service) -> schemas.BookObject:
    """How far a book is, chapter by chapter."""
    return await describe_book(service, book)


@books_router.delete("/{book_id}", summary="Delete a book")
async def delete(book: OwnBook, service: Service) -> schemas.DeletedBook:
    """Delete a book and its sound. One that is being read is cancelled."""
    await service.broker.batches.cancel(book["id"], int(time.time()))
    await delete_book(service, book)
    return schemas.DeletedBook(id=book["id"])


_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`book.in_progress` whenever a part is finished, and at the end `book.completed` or "
        "`book.failed`, each with the book.",
        "content": {"text/event-stream": event_stream(schemas.BookEvent)},
    }
}


@books_router.get(
    "/{book_id}/events", summary="Stream the progress of a book", response_class=Response, responses=_EVENTS
)
async def watch_book(book: OwnBook, service: Service, request: Request) -> Response:
    """How far a book is, as server-sent events; the stream ends with the reading."""
    return progress_response(request, _events(service, book["owner"], book["id"]), "book")


async def _events(service: AppState, owner: str, name: str) -> AsyncIterator[bytes]:
    before = None
    while True:
        now = await describe_book(service, await document_of(service, "book", owner, name, "book_id"))
        kind = f"book.{now.status}"
        data = schemas.BookEvent.model_validate({"type": kind, "book": now}).model_dump_json()
        yield b"" if now == before else format_sse_event(data_str=data, event=kind)
        if now.status != "in_progress":
            return
        before = now
        await asyncio.sleep(_LOOK_SECONDS)


# ``GET /v1/books/{id}/content``: the file of a finished book, and what is beside it.


_MEDIA_TYPES: Final = {**MEDIA, "zip": ZIP}
_MEDIA = binary(*_MEDIA_TYPES.values())


@books_router.get(
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


@books_router.get(
    "/{book_id}/manifest.c2pa",
    summary="Get the C2PA manifest of a book that has none inside",
    response_class=Response,
    responses=file_responses("The manifest store.", C2PA[200]["content"]),
)
async def get_book_manifest(book: OwnBook, service: Service, conditions: ConditionsDep) -> Response:
    """The signature of a file whose format has no place for one: opus, epub."""
    return _beside(service, book, "c2pa", MANIFEST_TYPE, conditions)


@books_router.get(
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


def _read(service: AppState, book: Mapping[str, Any], start: int, stop: int) -> AsyncIterator[bytes]:
    return aborting(service.broker.batches.content(book["id"], start, stop), "the book")
