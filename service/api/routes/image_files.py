"""``GET /v1/images/files/…``: the pictures of a job, at the URLs that ``response_format: url`` gives.

The first request for any picture of a job writes the job's file (jobs/artifacts.py); every picture is a
range of it, so that nothing is decoded again.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from ancestral.errors import NotFound
from ancestral.images.encoding import MEDIA_TYPES
from ancestral.service.api.deps import Service
from ancestral.service.api.http.file_response import ConditionsDep, file_response, file_responses
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.sample_headers import disposition
from ancestral.service.broker.job import Status
from ancestral.service.errors import Conflict
from ancestral.service.images.payloads import PicturesPayload
from ancestral.service.images.schemas import ImageFormat
from ancestral.service.jobs.schemas import JOB_EXAMPLE, JOB_ID

router = APIRouter(prefix="/v1/images/files", tags=["images"])

_FILE = file_responses(
    "The picture.", {media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()}
)


@router.get(
    "/{job_id}/{index}.{form}",
    summary="Get a picture",
    response_class=Response,
    responses=_FILE | documented(400, 404, 416, 500, 503),
)
async def get_picture(
    job_id: Annotated[str, Path(pattern=JOB_ID, examples=[JOB_EXAMPLE["id"]])],
    index: Annotated[int, Path(ge=0, lt=100, examples=[0])],
    form: Annotated[ImageFormat, Path(examples=["png"])],
    token: Annotated[str, Query(max_length=64, description="Part of the URL in the response.")],
    service: Service,
    conditions: ConditionsDep,
) -> Response:
    """A picture of a finished job. It needs no API key: anyone who has the URL may see it, such as a browser."""
    job = await service.broker.job(job_id)
    if job is None or job.status is not Status.COMPLETED:
        raise _not_found()
    payload = service.tasks.payload(job)
    if (
        not isinstance(payload, PicturesPayload)
        or not hmac.compare_digest(payload.token.encode(), token.encode())
        or index >= payload.file_count
        or form != payload.output_format
    ):
        raise _not_found()
    try:
        info = await service.artifacts.info(job)
    except (Conflict, NotFound) as error:
        raise _not_found() from error
    start, size = info.entries[index]
    # A page of another origin may show it: that is what a URL is for.
    headers = {
        "cache-control": "private, max-age=3600",
        "cross-origin-resource-policy": "cross-origin",
        **disposition(job, payload, index),
    }

    def read(first: int, stop: int) -> AsyncIterator[bytes]:
        return service.artifacts.read(job, start + first, start + stop)

    return file_response(read, size, f"{info.sha256}-{index}", MEDIA_TYPES[form], conditions, headers)


def _not_found() -> NotFound:
    return NotFound("There is no such picture, or it has expired.", code="picture_not_found")
