"""``/v1/files`` and ``/v1/batches``: files of requests, their answers, and batch jobs that carry them out. Each caller
sees only their own.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, UploadFile
from fastapi.responses import Response, StreamingResponse
from pydantic import ConfigDict, Field

from ancestral.errors import InvalidRequest, NotFound
from ancestral.requests import Described
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
    PageQuery,
    read_lines,
)
from ancestral.service.api.deps import CallerDep, RateLimitedCaller, Service, base_url
from ancestral.service.api.http.body_route import MULTIPART, BodyRoute
from ancestral.service.broker.batches import RESULTS, Kind
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.keys import LIFE_SECONDS
from ancestral.service.errors import Conflict, Overloaded, ResponseAborted
from ancestral.service.jobs.state import AppState

MAX_DOCUMENTS: Final = 100
"""Files, and batches, of one caller."""
_UPLOADS: Final = 4
"""Files of the largest size that one caller may have; theirs together have no more bytes."""

router = APIRouter(prefix="/v1", tags=["batches"], route_class=BodyRoute)


class FileForm(Described):
    """The fields of the form."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"file": "requests.jsonl", "purpose": "batch"}]}
    )

    file: UploadFile
    """JSON lines, each a request: `custom_id`, `method`, `url`, `body`."""
    purpose: Literal["batch"] = Field(examples=["batch"])
    """What the file is for."""


async def own_file(
    file_id: Annotated[str, Path(pattern=FILE_ID, examples=[FILE_EXAMPLE])], service: Service, caller: CallerDep
) -> dict[str, Any]:
    """Dependency of every route about one file.

    Raises:
        NotFound: the caller has no such file.
    """
    return await document_of(service, "file", caller.name, file_id, "file_id")


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


OwnFile = Annotated[dict[str, Any], Depends(own_file)]


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
async def list_files(query: Annotated[PageQuery, Query()], service: Service, caller: CallerDep) -> FileList:
    """Your files, newest first. For the next page, give the last one's id as ``after``."""
    found, more = page(await service.broker.batches.owned("file", caller.name), query)
    data = [describe_file(document) for document in found]
    return FileList.of(data, more)


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
    return StreamingResponse(_content(service, file), media_type="application/jsonl")


@router.delete("/files/{file_id}", summary="Delete a file")
async def delete_file(file: OwnFile, service: Service) -> DeletedFile:
    """Delete a file. A batch that has begun needs its file no more."""
    await service.broker.batches.delete("file", file)
    if file["lines"] is not None:
        await service.broker.batches.delete_lines(*file["lines"])
    return DeletedFile(id=file["id"])


def describe_file(document: Mapping[str, Any]) -> FileObject:
    names = ("id", "bytes", "created_at", "filename", "purpose")
    fields = {name: document[name] for name in names}
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
    try:
        if file["lines"] is None:
            yield await store.data("file", file["id"])
            return
        async for line in store.lines(*file["lines"]):
            yield line
    except UNAVAILABLE as error:
        raise ResponseAborted("Redis is unavailable") from error


# ``/v1/batches``: many requests in one file, carried out as batch jobs. Each caller sees only their own.


WINDOW_SECONDS: Final = 86400
MAX_UNFINISHED: Final = 4
"""Batches of one caller."""


async def own_batch(
    batch_id: Annotated[str, Path(pattern=BATCH_ID, examples=[BATCH_EXAMPLE])], service: Service, caller: CallerDep
) -> dict[str, Any]:
    """Dependency of every route about one batch.

    Raises:
        NotFound: the caller has no such batch.
    """
    return await document_of(service, "batch", caller.name, batch_id, "batch_id")


OwnBatch = Annotated[dict[str, Any], Depends(own_batch)]


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
    await require_room(service, owner, MAX_OUTPUT_BYTES)
    data = (
        b"".join([line async for line in store.lines(*file["lines"])])
        if file["lines"]
        else await store.data("file", file["id"])
    )
    lines, errors = read_lines(data, body.endpoint)
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
    data = [await _describe(service, batch) for batch in found]
    return BatchList.of(data, more)


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
    completed, failed = [len(await store.line_numbers(name, result)) for result in RESULTS]
    fields: dict[str, Any] = {field: batch[field] for field in BatchObject.model_fields.keys() & batch.keys()}
    if batch["status"] == "in_progress" and (since := await store.cancelling(name)) is not None:
        fields |= {"status": "cancelling", "cancelling_at": since}
    fields["errors"] = {"data": batch["errors"]} if batch["errors"] else None
    fields["request_counts"] = {"total": batch["total"], "completed": completed, "failed": failed}
    return BatchObject.model_validate(fields)
