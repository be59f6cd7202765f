"""``/v1/batches`` as clients see it, and the lines of files: requests in, answers out."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, ValidationError

from ancestral import requests
from ancestral.catalog.seeds import seed_as_json
from ancestral.errors import AncestralError, InvalidRequest
from ancestral.service.api.background import GONE, carry_out_parts, submit_part
from ancestral.service.api.responses import sound_of, speech_object
from ancestral.service.broker.batches import RESULTS, Result
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.job import Job
from ancestral.service.errors import NotReady, Overloaded, PayloadTooLarge, ServiceError, envelope, status_of
from ancestral.service.images.answers import ImageReader, images_object, signed_files
from ancestral.service.jobs.job_reader import check_end, job_end
from ancestral.service.jobs.planning import image_job, speech_job_in_thread
from ancestral.service.jobs.plans import JobSpec
from ancestral.service.jobs.schemas import Identified, ListPage
from ancestral.service.jobs.state import AppState

FILE_ID = requests.pattern(r"^file-[0-9a-f]{24}$", "the id of a file: file- and 24 hexadecimal digits")
BATCH_ID = requests.pattern(r"^batch_[0-9a-f]{24}$", "the id of a batch: batch_ and 24 hexadecimal digits")
FILE_EXAMPLE, BATCH_EXAMPLE = "file-0123456789abcdef01234567", "batch_0123456789abcdef01234567"
Endpoint = Literal["/v1/audio/speech", "/v1/images/generations"]


class PageQuery(requests.Described):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid")

    after: str | None = Field(default=None, max_length=64)
    """The id of the last one of the page before."""
    limit: int = Field(default=20, ge=1, le=100)
    """How many at most."""


class FilesQuery(PageQuery):
    """Which files are listed."""

    purpose: Literal["batch", "batch_output"] | None = None
    """Those of this purpose alone."""
    order: Literal["desc", "asc"] = "desc"
    """``desc``: the newest first."""
    limit: int = Field(default=20, ge=1, le=10_000)
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


class DeletedFile(requests.Described):
    """A file that was deleted."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class BatchRequest(requests.StrictRequest):
    """A file of requests to carry out."""

    model_config = requests.example(
        {"input_file_id": FILE_EXAMPLE, "endpoint": "/v1/audio/speech", "completion_window": "24h"}
    )

    input_file_id: str = Field(pattern=FILE_ID)
    endpoint: Endpoint
    """The route that every line of the file is for."""
    completion_window: Literal["24h"]
    """Lines that have not begun by then are errors."""
    metadata: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]] = Field(
        default={}, max_length=16
    )
    """Returned as it is."""


class BatchError(requests.Described):
    """What is wrong with a line of the file."""

    code: str
    line: int
    message: str
    param: str | None


class BatchErrors(requests.Described):
    """Why a batch was refused."""

    object: Literal["list"] = "list"
    data: list[BatchError]


class RequestCounts(requests.Described):
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


MAX_LINES: Final = 1000
MAX_ERRORS: Final = 20
"""Most errors that are listed of a file that is refused."""


class Line(requests.StrictRequest):
    custom_id: str = Field(min_length=1, max_length=256)
    method: Literal["POST"]
    url: Endpoint
    body: dict[str, Any]


def read_lines(data: bytes, endpoint: str) -> tuple[list[Line], list[BatchError]]:
    """The requests of a file, or what is wrong with it: one that cannot be told apart from others is refused whole.

    Args:
        data: of the file.
        endpoint: that every line must name.
    """
    try:
        numbered = enumerate(StringIO(data.decode("utf-8-sig"), newline="\n"), 1)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1  # without a byte order mark
        return [], [BatchError(code="invalid_encoding", line=line, message="The line is not UTF-8.", param=None)]
    texts = dict(islice(((number, text) for number, text in numbered if text.strip()), MAX_LINES + 1))
    if not 1 <= len(texts) <= MAX_LINES:
        message = f"The file has {f'more than {MAX_LINES}' if texts else 'no'} requests; a batch has 1 to {MAX_LINES}."
        return [], [BatchError(code="invalid_line_count", line=len(texts), message=message, param=None)]
    lines: dict[str, Line] = {}
    errors: list[BatchError] = []
    for number, text in texts.items():
        try:
            found = _line(text, endpoint)
            if found.custom_id in lines:
                raise InvalidRequest("custom_id: used by two lines", param="custom_id", code="duplicate_custom_id")
            lines[found.custom_id] = found
        except AncestralError as error:
            problem = {"code": error.code or "invalid_request", "message": error.message, "param": error.param}
            errors.append(BatchError.model_validate({"line": number, **problem}))
            if len(errors) == MAX_ERRORS:
                break
    return list(lines.values()), errors


def _line(text: str, endpoint: str) -> Line:
    found = requests.parse_json(text, "The line")
    if not isinstance(found, dict):
        raise InvalidRequest("The line must be a JSON object.", code="invalid_type")
    try:
        line = Line.model_validate(found)
    except ValidationError as error:
        # One of its fields is called body, as the place of all of them would be.
        inside = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise requests.from_validation(inside) from error
    if line.url != endpoint:
        raise InvalidRequest(f"url: must be {endpoint}, as the batch says", param="url", code="invalid_value")
    return line


@dataclass(frozen=True)
class Answer:
    """The body of a response."""

    body: dict[str, Any]
    whole: bool
    """Whether it holds the output; if not, the job has to be kept for the URLs in it."""


async def job_of(state: AppState, endpoint: Endpoint, body: dict[str, Any]) -> tuple[Any, JobSpec[Any, Any]]:
    """The request in a line, and the job that it asks for.

    Raises:
        NotFound: no such model.
        InvalidRequest: it cannot be served; ``param`` names the field.
    """
    if endpoint == "/v1/audio/speech":
        speech = requests.checked(requests.SpeechRequest, body)
        if speech.stream_format == "sse":
            message = "stream_format: a batch has no stream; audio gives a URL, json the audio in base64"
            raise InvalidRequest(message, param="stream_format", code="conflict")
        return speech, await speech_job_in_thread(state, speech)
    pictures = requests.checked(requests.ImageRequest, body)
    if pictures.stream:
        raise InvalidRequest("stream: a batch has no stream", param="stream", code="conflict")
    return pictures, await asyncio.to_thread(image_job, state.catalog, state.settings, pictures)


async def answer_of(state: AppState, request: Any, spec: JobSpec[Any, Any], job: Job, base_url: str) -> Answer:
    """The answer to a request, once its job has ended; raises as its route does."""
    if isinstance(request, requests.ImageRequest):
        pictures = ImageReader(state.broker, job, spec.plan_of(job), spec.model)
        await pictures.read_all()
        signed = await signed_files(state, pictures)
        made = await asyncio.to_thread(images_object, pictures, base_url, signed)
        return Answer(made.model_dump(exclude_none=True), pictures.plan.response_format != "url")
    ended = await job_end(state.broker, job)
    check_end(ended.status, ended.error)
    plan = spec.plan_of(ended)
    if request.stream_format == "audio":
        url = f"{base_url}v1/jobs/{job.id}/content"
        linked = {"object": "audio.speech", "url": url, "job_id": job.id, "seed": seed_as_json(plan.seed)}
        return Answer(linked, whole=False)
    sound = sound_of(state, ended, spec, times=bool(request.timestamps))
    return Answer((await speech_object(sound, request.timestamps)).model_dump(exclude_none=True), whole=True)


MAX_OUTPUT_BYTES: Final = 64 << 20
"""Most bytes of all answers of a batch together."""

log = logging.getLogger(__name__)


class BatchWork:
    """The batches that one API process drives (:class:`ancestral.service.api.background.Work`)."""

    def __init__(self, state: AppState) -> None:
        self._state, self._store = state, state.broker.batches

    async def carry_out(self, batch: Mapping[str, Any], jobs: dict[int, Job]) -> Mapping[str, Any]:
        """Carry out the lines that have no result yet; ``jobs`` has those of lines in progress."""
        name = batch["id"]
        lines = await self._lines(batch)
        done = await self._store.finished_lines(name)
        size = await self._store.size(name, "output")

        async def attempt(number: int, line: Line) -> None:
            nonlocal size
            answered = await self._attempt(batch, number, line, jobs, MAX_OUTPUT_BYTES - size)
            size += answered  # in a statement of its own: other lines were answered meanwhile

        await carry_out_parts([item for item in enumerate(lines) if item[0] not in done], attempt)
        return {}

    async def _lines(self, batch: Mapping[str, Any]) -> list[Line]:
        data = await self._store.data("batch", batch["id"])
        lines, _ = await asyncio.to_thread(read_lines, data, batch["endpoint"])
        return lines

    async def _attempt(self, batch: Mapping[str, Any], number: int, line: Line, jobs: dict[int, Job], room: int) -> int:
        """Carry out a line; returns the bytes of its answer, for which there is so much ``room``."""
        result: Result = "output"
        status, whole = 200, False
        try:
            if room <= 0:
                raise PayloadTooLarge(f"The answers of a batch have {MAX_OUTPUT_BYTES} bytes at most.")
            answer = await self._answer(batch, number, line, jobs)
            body, whole = answer.body, answer.whole
        except (Overloaded, NotReady, *UNAVAILABLE):
            raise
        except AncestralError as error:
            if error.code in GONE:
                if number in await self._store.finished_lines(batch["id"]):  # by another process
                    return 0
                raise
            result, status, body = "error", status_of(error), envelope(error)
        except Exception:
            log.exception("a line of a batch failed", extra={"batch": batch["id"]})
            failure = ServiceError("Internal server error.", code="internal_error")
            result, status, body = "error", failure.status, envelope(failure)
        request_id = f"{batch['id']}-{number}"
        response = {"status_code": status, "request_id": request_id, "body": body}
        if not whole:  # those that are there when the batch is cancelled are deleted
            jobs.pop(number, None)
        size = await self._store_line(batch, number, line, result, {"response": response, "error": None})
        if whole:  # the line has the output
            await self._state.broker.delete(jobs[number])
            del jobs[number]
        return size if result == "output" else 0

    async def _answer(self, batch: Mapping[str, Any], number: int, line: Line, jobs: dict[int, Job]) -> Answer:
        request, spec = await job_of(self._state, batch["endpoint"], line.body)
        job = await submit_part(self._state, batch, number, spec, jobs)
        return await answer_of(self._state, request, spec, job, batch["base_url"])

    async def _store_line(
        self, batch: Mapping[str, Any], number: int, line: Line, result: Result, rest: Mapping[str, Any]
    ) -> int:
        """Store the result of a line; returns its bytes."""
        found = {"id": f"batch_req_{batch['id'].removeprefix('batch_')}_{number}", "custom_id": line.custom_id, **rest}
        data = json.dumps(found).encode()
        await self._store.put_line(batch["id"], result, number, data)
        return len(data)

    async def end(self, batch: dict[str, Any], status: str, _found: Mapping[str, Any]) -> None:
        """Make files of the results, and end the batch."""
        name, now = batch["id"], int(time.time())
        if status == "expired":
            lines = await self._lines(batch)
            done = await self._store.finished_lines(name)
            error = {"code": "batch_expired", "message": "The line had not ended within the completion window."}
            for number, line in enumerate(lines):
                if number not in done:
                    await self._store_line(batch, number, line, "error", {"response": None, "error": error})
        ended: dict[str, Any] = {"status": status, f"{status}_at": now, "cancelling_at": None}
        if status == "cancelled":
            ended["cancelling_at"] = await self._store.cancelling(name)
        ended["counts"] = [len(await self._store.line_numbers(name, result)) for result in RESULTS]
        for result, count in zip(RESULTS, ended["counts"], strict=True):
            if not count:
                continue
            file = ended[f"{result}_file_id"] = batch[f"{result}_id"]
            await self._store.keep_lines(name, result)
            await self._store.put("file", {
                "id": file, "owner": batch["owner"], "created_at": now, "purpose": "batch_output",
                "filename": f"{name}_{result}.jsonl", "bytes": await self._store.size(name, result),
                "lines": [name, result],
            })  # fmt: skip
        await self._store.put("batch", batch | ended)

    async def tidy(self, batch: Mapping[str, Any]) -> None:
        """Delete its copy of the requests. The results of the lines are the contents of its files."""
        await self._store.forget_data("batch", batch["id"])
