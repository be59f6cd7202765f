"""``POST /v1/audio/generations``: sound without text, out of nothing or out of a recording (WaveNet, section 3.1)."""

from __future__ import annotations

import asyncio
import hashlib

import numpy as np
from fastapi import APIRouter
from fastapi.responses import Response
from numpy.typing import NDArray

from models.audio.mu_law import Deemphasis, encode_wave, mu_law_decode
from models.spec import SpeechSpec
from service.api.deps import ContextDep
from service.api.http.json_route import JsonRoute
from service.api.http.openapi import documented
from service.api.responses import ACCEPTED, deliver
from service.api.routes.speech import SOUND
from service.broker.job import Kind
from service.catalog.seeds import draw_seed
from service.jobs.state import State
from service.jobs.submit import JobSpec
from service.jobs.uploads import from_base64
from service.speech import codecs
from service.speech.schemas import GenerationRequest
from service.speech.uploads import decode_upload

router = APIRouter(prefix="/v1/audio", tags=["speech"], route_class=JsonRoute)


def generation_job(service: State, request: GenerationRequest) -> JobSpec:
    """What to sample, checked. Takes a moment: the recording is decoded.

    Raises:
        NotFound: no such model.
        InvalidRequest: it cannot be served; ``param`` says why.
    """
    model = service.catalog.speech_model(request.model, "generation")
    model.voice(request.voice_id)
    spec, form = model.spec, request.response_format
    codecs.check_rate(form, codecs.rate_of(form, spec.sample_rate, request.sample_rate))
    prompt = None
    if request.prompt_audio is not None:
        model.require("continuation")
        prompt = _recording(request.prompt_audio, spec, service.settings.max_upload_seconds)
    own = {
        "voice": request.voice_id,
        "seed": draw_seed() if request.seed is None else request.seed,
        "temperature": model.entry.temperature if request.temperature is None else request.temperature,
        "samples": max(1, round(request.duration * spec.sample_rate)),
        "continues": prompt is not None,
        "memory": 0.0 if prompt is None else _memory(prompt, spec),
        "prompt_sha256": None if prompt is None else hashlib.sha256(prompt.data).hexdigest(),
        "phonemes": 0,
    }
    resolved = request.model_dump(exclude={"prompt_audio"}) | own
    upload = None if prompt is None else prompt.tobytes()
    return JobSpec(Kind.GENERATION, model, request.model_dump(), resolved, request.duration, upload)


def _recording(text: str, spec: SpeechSpec, max_seconds: float) -> NDArray[np.uint8]:
    param = "prompt_audio"
    wave = decode_upload(from_base64(text, param), sample_rate=spec.sample_rate, max_seconds=max_seconds, param=param)
    return encode_wave(wave, spec.preemphasis, spec.gain)


def _memory(symbols: NDArray[np.uint8], spec: SpeechSpec) -> float:
    """Where the de-emphasis stands after a recording, so that what continues it does not begin with a step."""
    filtering = Deemphasis(spec.preemphasis, spec.gain)
    filtering(mu_law_decode(symbols))
    return filtering.memory


@router.post(
    "/generations",
    summary="Make sound without text, or continue a recording",
    response_class=Response,
    responses={200: SOUND} | ACCEPTED | documented(400, 401, 404, 413, 415, 422, 429, 500, 503),
)
async def create_generation(request: GenerationRequest, context: ContextDep) -> Response:
    """Let ``voice`` go on for ``duration`` seconds, from silence or from the end of ``prompt_audio``.

    The body is the new sound alone; put behind the recording, it continues it without a step. A request for much sound
    is answered 202 with a job.
    """
    job_spec = await asyncio.to_thread(generation_job, context.service, request)
    return await deliver(context, job_spec, request)
