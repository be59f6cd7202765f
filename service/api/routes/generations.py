"""``POST /v1/audio/generations``: sound without text, from silence or after a recording (WaveNet, section 3.1)."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import Response

from ancestral.service.api.deps import ContextDep
from ancestral.service.api.http.json_route import JsonRoute
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.responses import ACCEPTED, stream_audio
from ancestral.service.api.routes.speech import SOUND
from ancestral.service.speech.requests import generation_job
from ancestral.service.speech.schemas import GenerationRequest

router = APIRouter(prefix="/v1/audio", tags=["speech"], route_class=JsonRoute)


@router.post(
    "/generations",
    summary="Generate audio without text, or continue a recording",
    response_class=Response,
    responses={200: SOUND} | ACCEPTED | documented(400, 401, 404, 408, 413, 415, 422, 429, 500, 503),
)
async def create_generation(request: GenerationRequest, context: ContextDep) -> Response:
    """Generate ``duration`` seconds with ``voice``, from silence or from the end of ``prompt_audio``.

    The body is the new sound alone; put behind the recording, it continues it without a step. A request for much sound
    is answered 202 with a job.
    """
    service = context.service
    job_spec = await asyncio.to_thread(generation_job, service.catalog, service.settings, request)
    return await stream_audio(context, job_spec, request)
