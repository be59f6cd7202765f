"""``/v1/batches``: many requests in one file, carried out as batch jobs. Each caller sees only their own."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request

from ancestral.service.api.batches.lines import (
    BATCH_EXAMPLE,
    BATCH_ID,
    MAX_OUTPUT_BYTES,
    BatchList,
    BatchObject,
    BatchRequest,
    PageQuery,
    read_lines,
)
from ancestral.service.api.deps import CallerDep, RateLimitedCaller, Service, base_url
from ancestral.service.api.http.json_route import JsonRoute
from ancestral.service.api.routes.files import MAX_DOCUMENTS, document_of, page, require_room
from ancestral.service.broker.batches import RESULTS
from ancestral.service.errors import Conflict, Overloaded
from ancestral.service.jobs.state import AppState

WINDOW_SECONDS: Final = 86400
MAX_UNFINISHED: Final = 4
"""Batches of one caller."""

router = APIRouter(prefix="/v1/batches", tags=["batches"], route_class=JsonRoute)


async def own_batch(
    batch_id: Annotated[str, Path(pattern=BATCH_ID, examples=[BATCH_EXAMPLE])], service: Service, caller: CallerDep
) -> dict[str, Any]:
    """Dependency of every route about one batch.

    Raises:
        NotFound: the caller has no such batch.
    """
    return await document_of(service, "batch", caller.name, batch_id, "batch_id")


OwnBatch = Annotated[dict[str, Any], Depends(own_batch)]


@router.post("", summary="Carry out a file of requests")
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


@router.get("", summary="List your batches")
async def list_batches(query: Annotated[PageQuery, Query()], service: Service, caller: CallerDep) -> BatchList:
    """Your batches, newest first. For the next page, give the last one's id as ``after``."""
    found, more = page(await service.broker.batches.owned("batch", caller.name), query)
    data = [await _describe(service, batch) for batch in found]
    return BatchList.of(data, more)


@router.get("/{batch_id}", summary="Get a batch")
async def get_batch(batch: OwnBatch, service: Service) -> BatchObject:
    """How far a batch is."""
    return await _describe(service, batch)


@router.post("/{batch_id}/cancel", summary="Cancel a batch")
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
