"""Files and batches as clients see them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from ancestral.service.jobs.schemas import Described, Identified, ListPage, StrictRequest
from ancestral.service.jobs.validation import pattern

FILE_ID = pattern(r"^file-[0-9a-f]{24}$", "the id of a file: file- and 24 hexadecimal digits")
BATCH_ID = pattern(r"^batch_[0-9a-f]{24}$", "the id of a batch: batch_ and 24 hexadecimal digits")
FILE_EXAMPLE, BATCH_EXAMPLE = "file-0123456789abcdef01234567", "batch_0123456789abcdef01234567"
Endpoint = Literal["/v1/audio/speech", "/v1/images/generations"]


class PageQuery(Described):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid")

    after: str | None = Field(default=None, max_length=64)
    """The id of the last one of the page before."""
    limit: int = Field(default=20, ge=1, le=100)
    """How many at most."""


class FileObject(Identified):
    """A file. Times are seconds since 1970."""

    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["processed"] = "processed"


class FileList(ListPage[FileObject]):
    """Files, newest first."""


class DeletedFile(Described):
    """A file that was deleted."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class BatchRequest(StrictRequest):
    """A file of requests to carry out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"input_file_id": FILE_EXAMPLE, "endpoint": "/v1/audio/speech", "completion_window": "24h"}]
        }
    )

    input_file_id: str = Field(pattern=FILE_ID)
    endpoint: Endpoint
    """The route that every line of the file is for."""
    completion_window: Literal["24h"]
    """Lines that have not begun by then are errors."""
    metadata: dict[str, str] = Field(default={}, max_length=16)
    """Returned as it is."""


class BatchError(Described):
    """What is wrong with a line of the file."""

    code: str
    line: int
    message: str
    param: str | None


class BatchErrors(Described):
    """Why a batch was refused."""

    object: Literal["list"] = "list"
    data: list[BatchError]


class RequestCounts(Described):
    """Lines."""

    total: int
    completed: int
    failed: int


class BatchObject(Identified):
    """A batch. Times are seconds since 1970."""

    object: Literal["batch"] = "batch"
    endpoint: str
    input_file_id: str
    completion_window: str
    status: Literal["in_progress", "cancelling", "completed", "failed", "cancelled", "expired"]
    errors: BatchErrors | None
    output_file_id: str | None = None
    """Of a batch that has ended: the answers, a line each."""
    error_file_id: str | None = None
    """The lines that were refused or failed."""
    created_at: int
    in_progress_at: int | None = None
    expires_at: int
    completed_at: int | None = None
    failed_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    expired_at: int | None = None
    request_counts: RequestCounts
    metadata: dict[str, Any]


class BatchList(ListPage[BatchObject]):
    """Batches, newest first."""
