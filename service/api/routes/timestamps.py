"""``GET /v1/jobs/{id}/timestamps``: when the words of a job are said, known before they are sampled."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.http.openapi import documented
from service.api.routes.jobs import OwnJob
from service.api.state import Service
from service.catalog.models import SpeechModel
from service.errors import Conflict
from service.speech.payloads import SpeechPayload
from service.speech.schemas import WordTimes
from service.speech.timestamps import word_times

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get(
    "/{job_id}/timestamps",
    summary="Get the times of the words of a job",
    responses=documented(400, 401, 404, 409, 503),
)
async def get_timestamps(job: OwnJob, service: Service) -> WordTimes:
    """The words of a job of ``POST /v1/audio/speech``. They are known sentence by sentence, before it is sampled."""
    payload = service.tasks.payload(job)
    if not isinstance(payload, SpeechPayload):
        raise Conflict("No words are said in this job.", code="no_words")
    model = service.catalog.model(job.model)
    assert isinstance(model, SpeechModel)
    words, complete = await word_times(service.broker, job, payload)
    return WordTimes(job=job.id, sample_rate=model.spec.sample_rate, words=words, complete=complete)
