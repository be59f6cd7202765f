"""The response headers that say what an output was made from."""

from __future__ import annotations

from ancestral.service.broker.job import Job
from ancestral.service.jobs.payload import Payload, SampledPayload
from ancestral.service.speech.payloads import AudioPayload, SpeechLikelihoodPayload


def sample_headers(job: Job, payload: Payload) -> dict[str, str]:
    """Everything but the engine: ids even where the request had aliases, and the seed even where it was drawn."""
    headers = {"x-job-id": job.id, "x-model": job.model, "x-model-sha256": job.sha256}
    if isinstance(payload, SampledPayload):
        headers["x-seed"] = str(payload.seed)
    if isinstance(payload, AudioPayload | SpeechLikelihoodPayload):
        headers["x-voice"] = payload.voice
    return headers
