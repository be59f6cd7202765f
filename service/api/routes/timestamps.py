"""``GET /v1/jobs/{id}/timestamps`` and ``/captions``: when words are said, known before they are sampled."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from ancestral.catalog.models import SpeechModel
from ancestral.service.api.deps import Service
from ancestral.service.api.http.etags import IfNoneMatch, not_modified
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.routes.jobs import OwnJob
from ancestral.service.broker.job import Job
from ancestral.service.errors import Conflict
from ancestral.service.jobs.state import AppState
from ancestral.service.jobs.stream import check_end
from ancestral.service.speech.captions import MEDIA_TYPES, CaptionFormat, captions
from ancestral.service.speech.payloads import SpeechPayload
from ancestral.service.speech.time_schemas import SpeechTimes
from ancestral.service.speech.timestamps import Timeline, times_of

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

CaptionsQuery = Annotated[CaptionFormat, Query(alias="format", description="`vtt` is WebVTT, `srt` is SubRip.")]
CAPTIONS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A file of captions, with the text as it was written.",
        "content": {media.partition(";")[0]: {"schema": {"type": "string"}} for media in MEDIA_TYPES.values()},
    },
    304: {"description": "The file has the given ETag."},
}


@router.get(
    "/{job_id}/timestamps",
    summary="Get the times of the words of a job",
    response_model_exclude_none=True,
    responses=documented(400, 401, 404, 409, 503),
)
async def get_timestamps(job: OwnJob, service: Service) -> SpeechTimes:
    """What a job of ``POST /v1/audio/speech`` says, and when: known sentence by sentence before it is sampled."""
    timeline, sample_rate = _timeline(service, job)
    sentences = await timeline.known()
    return SpeechTimes(
        job=job.id,
        sample_rate=sample_rate,
        text=timeline.written,
        words=[word for sentence in sentences for word in sentence.written_words],
        **times_of(sentences, ["phoneme", "viseme"]),
        complete=timeline.complete,
    )


@router.get(
    "/{job_id}/captions",
    summary="Get captions for a job",
    response_class=Response,
    responses=CAPTIONS | documented(400, 401, 404, 409, 503),
)
async def get_captions(
    job: OwnJob,
    service: Service,
    form: CaptionsQuery = "vtt",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Captions of a job of ``POST /v1/audio/speech``; as soon as all its sentences are planned, before it ends."""
    timeline, sample_rate = _timeline(service, job)
    sentences = await timeline.known()
    if not timeline.complete:
        check_end(job.status, job.error)
        raise Conflict("Not all sentences of this job have been planned yet.", code="job_not_ready", retry=True)
    text = captions(sentences, sample_rate, form).encode()
    headers = {"cache-control": "private, no-cache", "etag": f'"{hashlib.sha256(text).hexdigest()}"'}
    unchanged = not_modified(if_none_match, headers)
    return Response(text, headers=headers, media_type=MEDIA_TYPES[form]) if unchanged is None else unchanged


def _timeline(service: AppState, job: Job) -> tuple[Timeline, int]:
    """The times of a job, and the rate at which they are counted."""
    payload = service.tasks.payload(job)
    if not isinstance(payload, SpeechPayload):
        raise Conflict("No words are said in this job.", code="no_words")
    model = service.catalog.model(job.model)
    assert isinstance(model, SpeechModel)
    return Timeline(service.broker, job, payload, model.spec.sample_rate), model.spec.sample_rate
