"""``GET /v1/images/files/…``: the pictures of a job under URLs of their own, as ``response_format: url`` gives them."""

from __future__ import annotations

import asyncio
import hmac
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from service.api.http.openapi import documented
from service.api.state import Service
from service.broker.job import Status
from service.catalog.models import ImageModel
from service.errors import NotFound
from service.images.encoding import MEDIA_TYPES
from service.images.files import picture_file
from service.images.schemas import ImageFormat
from service.images.stream import ImageReader
from service.jobs.schemas import JOB_ID

router = APIRouter(prefix="/v1/images/files", tags=["images"])

_FILE = {
    "description": "The picture.",
    "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()},
}


@router.get(
    "/{job_id}/{index}.{form}",
    summary="One picture",
    response_class=Response,
    responses={200: _FILE, **documented(400, 404, 503)},
)
async def get_picture(
    job_id: Annotated[str, Path(pattern=JOB_ID)],
    index: Annotated[int, Path(ge=0, lt=100)],
    form: ImageFormat,
    token: Annotated[str, Query(max_length=64, description="From the answer that the URL was in.")],
    service: Service,
) -> Response:
    """A picture of a finished job. No key is asked for: whoever was given the URL, a browser for one, may see it."""
    job = await service.broker.job(job_id)
    if (
        job is None
        or not job.kind.looked_at
        or job.status is not Status.COMPLETED
        or not hmac.compare_digest(job.request["token"].encode(), token.encode())
        or index >= job.request["pictures"]
        or form != job.request["output_format"]
    ):
        raise NotFound("There is no such picture, or it is no longer kept.", code="picture_not_found")
    model = service.catalog.models.get(job.model)
    if not isinstance(model, ImageModel) or model.sha256 != job.sha256:
        raise NotFound("The model was replaced since.", code="picture_not_found")
    reader = ImageReader(service.broker, job, model)
    await reader.to_the_end()
    data = await asyncio.to_thread(picture_file, job, reader.batch.pixels[index])
    # A page of another origin may show it: that is what a URL is asked for.
    headers = {"cache-control": "private, max-age=3600", "cross-origin-resource-policy": "cross-origin"}
    return Response(data, headers=headers, media_type=MEDIA_TYPES[form])
