"""``/v1/files``: files of requests, and of the answers to them. Each caller sees only their own."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, UploadFile
from fastapi.responses import Response, StreamingResponse
from pydantic import ConfigDict, Field

from ancestral.errors import InvalidRequest, NotFound
from ancestral.requests import Described
from ancestral.service.api.batches.lines import FILE_EXAMPLE, FILE_ID, DeletedFile, FileList, FileObject, PageQuery
from ancestral.service.api.deps import CallerDep, RateLimitedCaller, Service
from ancestral.service.api.http.json_route import MULTIPART, FormRoute
from ancestral.service.broker.batches import Kind
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.keys import LIFE_SECONDS
from ancestral.service.errors import Overloaded, ResponseAborted
from ancestral.service.jobs.state import AppState

MAX_DOCUMENTS: Final = 100
"""Files, and batches, of one caller."""
_UPLOADS: Final = 4
"""Files of the largest size that one caller may have; theirs together have no more bytes."""

router = APIRouter(prefix="/v1/files", tags=["batches"], route_class=FormRoute)


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


@router.post("", summary="Upload a file of requests")
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


@router.get("", summary="List your files")
async def list_files(query: Annotated[PageQuery, Query()], service: Service, caller: CallerDep) -> FileList:
    """Your files, newest first. For the next page, give the last one's id as ``after``."""
    found, more = page(await service.broker.batches.owned("file", caller.name), query)
    data = [describe_file(document) for document in found]
    return FileList.of(data, more)


@router.get("/{file_id}", summary="Get a file's description")
async def get_file(file: OwnFile) -> FileObject:
    """The size and the name of a file."""
    return describe_file(file)


_LINES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}, "description": "JSON lines."}
}


@router.get("/{file_id}/content", summary="Get a file", response_class=Response, responses=_LINES)
async def get_file_content(file: OwnFile, service: Service) -> Response:
    """The lines of a file: the requests, or the answers in their order."""
    return StreamingResponse(_content(service, file), media_type="application/jsonl")


@router.delete("/{file_id}", summary="Delete a file")
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
