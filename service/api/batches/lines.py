"""The lines of a batch: what they must be, and how one becomes a job and an answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from ancestral.errors import AncestralError, InvalidRequest
from ancestral.service.api.batches.schemas import BatchError, Endpoint
from ancestral.service.api.responses import sound_of, speech_object
from ancestral.service.broker.job import Job
from ancestral.service.images.requests import image_job
from ancestral.service.images.schemas import ImageRequest
from ancestral.service.images.stream import ImageReader, images_object, signed_files
from ancestral.service.jobs.schemas import StrictRequest
from ancestral.service.jobs.state import AppState
from ancestral.service.jobs.stream import check_end, job_end
from ancestral.service.jobs.strict_json import parse_json
from ancestral.service.jobs.tasks import JobSpec
from ancestral.service.jobs.validation import from_validation
from ancestral.service.speech.requests import prepared
from ancestral.service.speech.schemas import SpeechRequest

MAX_LINES: Final = 1000
MAX_ERRORS: Final = 20
"""Most errors that are listed of a file that is refused."""


class Line(StrictRequest):
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
        texts = [text for text in data.decode("utf-8-sig").split("\n") if text.strip()]
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return [], [BatchError(code="invalid_encoding", line=line, message="The line is not UTF-8.", param=None)]
    if not 1 <= len(texts) <= MAX_LINES:
        message = f"The file has {len(texts)} requests; a batch has 1 to {MAX_LINES}."
        return [], [BatchError(code="invalid_line_count", line=len(texts), message=message, param=None)]
    lines: dict[str, Line] = {}
    errors: list[BatchError] = []
    for number, text in enumerate(texts, 1):
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
    found = parse_json(text, "The line")
    if not isinstance(found, dict):
        raise InvalidRequest("The line must be a JSON object.", code="invalid_type")
    try:
        line = Line.model_validate(found)
    except ValidationError as error:
        # One of its fields is called body, as the place of all of them would be.
        inside = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise from_validation(inside) from error
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
    try:
        if endpoint == "/v1/audio/speech":
            speech = SpeechRequest.model_validate(body)
            if speech.stream_format == "sse":
                message = "stream_format: a batch has no stream; audio gives a URL, json the audio in base64"
                raise InvalidRequest(message, param="stream_format", code="conflict")
            return speech, await prepared(state, speech)
        pictures = ImageRequest.model_validate(body)
    except ValidationError as error:
        raise from_validation(error.errors()) from error
    if pictures.stream:
        raise InvalidRequest("stream: a batch has no stream", param="stream", code="conflict")
    return pictures, await asyncio.to_thread(image_job, state.catalog, state.settings, pictures)


async def answer_of(state: AppState, request: Any, spec: JobSpec[Any, Any], job: Job, base_url: str) -> Answer:
    """The answer to a request, once its job has ended; raises as its route does."""
    if isinstance(request, ImageRequest):
        pictures = ImageReader(state.broker, job, spec.task.parse(job), spec.model)
        await pictures.read_all()
        signed = await signed_files(state, pictures)
        made = await asyncio.to_thread(images_object, pictures, base_url, signed)
        return Answer(made.model_dump(exclude_none=True), pictures.payload.response_format != "url")
    ended = await job_end(state.broker, job)
    check_end(ended.status, ended.error)
    payload = spec.task.parse(ended)
    if request.stream_format == "audio":
        url = f"{base_url}v1/jobs/{job.id}/content"
        return Answer({"object": "audio.speech", "url": url, "job_id": job.id, "seed": payload.seed}, whole=False)
    sound = sound_of(state, ended, spec, times=bool(request.timestamps))
    return Answer((await speech_object(sound, request.timestamps)).model_dump(exclude_none=True), whole=True)
