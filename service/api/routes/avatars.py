"""``GET /v1/avatars/{name}.png``: the picture of a name, the same for ever, for the address of an ``<img>``.

The name is the seed. Each process remembers pictures that were asked for lately. For others the picture's job, found
again by a key made of the request, is the cache: within a day, a name is sampled once, and later it gives the same
bytes again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from ancestral.catalog.seeds import digest_seed
from ancestral.images.encoding import MEDIA_TYPES
from ancestral.service.api.deps import RateLimitedCaller, RequestContext, Service
from ancestral.service.api.http.etags import IfNoneMatch, not_modified
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.responses import headers_of_samples
from ancestral.service.api.sample_headers import sample_headers
from ancestral.service.broker.clients import IDEMPOTENCY_SECONDS
from ancestral.service.images.requests import image_job
from ancestral.service.images.schemas import AvatarQuery, ImageFormat, ImageRequest
from ancestral.service.images.stream import ImageReader, finished_file, signed_files

router = APIRouter(prefix="/v1/avatars", tags=["images"])

_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture.",
        "headers": headers_of_samples("picture"),
        "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()},
    },
    304: {"description": "You have it already."},
}


@router.get(
    "/{name}.{form}",
    summary="Get the picture of a name",
    response_class=Response,
    responses=_ANSWERS | documented(400, 401, 404, 429, 500, 503),
)
async def get_avatar(
    name: Annotated[str, Path(max_length=256, examples=["alice@example.org"], description="Any text.")],
    form: Annotated[ImageFormat, Path(examples=["png"])],
    query: Annotated[AvatarQuery, Query()],
    request: Request,
    service: Service,
    caller: RateLimitedCaller,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A picture that follows from the name alone: of `pixelcnn-avatars`, or of another `model`, of any style, or of the
    named one. Every client that asks for it gets the same bytes, as long as the model's weights stay."""
    wanted = ImageRequest(
        model=query.model, prompt=query.prompt, style=query.style, size=query.size, background=query.background,
        palette=query.palette, output_format=form, seed=digest_seed(0, name), response_format="b64_json",
    )  # fmt: skip
    identity = json.dumps([wanted.model_dump(), service.catalog.model(query.model).sha256]).encode()
    digest = hashlib.sha256(identity).hexdigest()[:32]
    tag = f'"{digest}"' if service.signer is None else f'W/"{digest}"'  # tomorrow's file has another signature
    headers = {"cache-control": _FOR_EVER, "etag": tag, "cross-origin-resource-policy": "cross-origin"}
    if (unchanged := not_modified(if_none_match, headers)) is not None:
        return unchanged
    if (cached := service.avatars.get(tag)) is not None:
        return Response(cached[0], headers=dict(cached[1]), media_type=MEDIA_TYPES[form])
    job_spec = image_job(service.catalog, service.settings, wanted)
    context = RequestContext(request, service, caller, prefer=None, key=f"avatar-{digest}")
    job = await context.submit(job_spec, kept_seconds=IDEMPOTENCY_SECONDS)
    reader = ImageReader(service.broker, job, job_spec.task.parse(job), job_spec.model)
    await context.while_connected(reader.read_all(), job)
    data = await asyncio.to_thread(finished_file, reader, 0, await signed_files(service, reader))
    headers |= sample_headers(job, reader.payload, reader.engine)
    service.avatars.put(tag, data, headers)
    return Response(data, headers=headers, media_type=MEDIA_TYPES[form])
