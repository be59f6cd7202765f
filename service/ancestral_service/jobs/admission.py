"""Admission of requests as jobs: idempotency keys, limits, what is answered with 202."""

from __future__ import annotations

import hashlib
import json
import re

from ancestral.catalog.descriptions import Model, Plan
from ancestral.errors import InvalidRequest
from ancestral.speech.utterance import SoundPlan
from ancestral_service.broker.clients import IDEMPOTENCY_SECONDS
from ancestral_service.broker.job import Job, Priority
from ancestral_service.jobs.plans import JobSpec, dump
from ancestral_service.jobs.state import AppState, Caller
from ancestral_service.telemetry.logging import current_job, request_id

EXCERPT_CHARACTERS = 200
_KEY = re.compile(r"\u2605?[\x21-\x7e]{1,255}")
"""Those that begin with a star are the service's own: no header, which is Latin-1, can name them."""


def wants_job(prefer: str | None) -> bool:
    """Whether a ``Prefer`` header asks for an asynchronous answer (RFC 7240)."""
    return any(part.split(";")[0].strip().lower() == "respond-async" for part in (prefer or "").split(","))


async def submit_job(
    state: AppState,
    caller: Caller,
    job_spec: JobSpec[Plan, Model],
    *,
    prefer: str | None,
    key: str | None,
    kept_seconds: int = 0,
) -> Job:
    """Submit a job, or find the one that an earlier request with the same idempotency key has submitted.

    Args:
        state: of the service.
        caller: who sent the request.
        job_spec: what to do.
        prefer: the ``Prefer`` header.
        key: the ``Idempotency-Key`` header.
        kept_seconds: for which the output is kept at least.

    Raises:
        ModelUnusable, NotReady: no worker has the model.
        Overloaded: a limit of the caller or of the service is reached.
        InvalidRequest: the key is malformed.
        Unprocessable: the key belongs to another request.
    """
    await state.require_worker(job_spec.model)
    bound = None if key is None else (key, _fingerprint(job_spec, key))
    settings = state.settings
    later = wants_job(prefer) or job_spec.seconds > settings.interactive_seconds
    retention = settings.job_seconds if later or job_spec.kept else settings.stream_seconds
    retention = max(retention, kept_seconds)
    excerpt = job_spec.plan.excerpt
    priority, model = Priority.BACKGROUND if later else Priority.INTERACTIVE, job_spec.model
    job = Job(
        id=await state.broker.queues.place(priority, caller.name, key, {model.entry.id: model.sha256}),
        kind=job_spec.plan.kind,
        priority=priority,
        model=model.entry.id,
        sha256=model.sha256,
        owner=caller.name,
        payload=dump(job_spec.plan),
        voice=getattr(job_spec.plan, "voice", None),
        excerpt=excerpt and excerpt[:EXCERPT_CHARACTERS],
        request_id=request_id.get(""),
        trace=state.tracing.parent(),
        paced=not later and isinstance(job_spec.plan, SoundPlan),
        retention=retention,
        record_retention=max(retention, 0 if key is None else IDEMPOTENCY_SECONDS),
        limit=caller.concurrent_streams or settings.concurrent_streams or 0,
    )
    queue = state.queue_of(job.priority)
    upload, ingredient = job_spec.upload, job_spec.ingredient
    stored = await state.broker.submit(job, queue=queue, upload=upload, ingredient=ingredient, bound=bound)
    current_job.set(stored.id)
    if stored.id != job.id:
        await state.broker.resume(stored, queue=state.queue_of(stored.priority))
    return stored


def _fingerprint(job_spec: JobSpec[Plan, Model], key: str) -> str:
    """What tells requests with the same idempotency key apart; raises InvalidRequest if the key is malformed."""
    if not _KEY.fullmatch(key):
        message = "Idempotency-Key: 1 to 255 visible ASCII characters"
        raise InvalidRequest(message, param="Idempotency-Key", code="invalid_idempotency_key")
    canonical = json.dumps([job_spec.plan.kind, job_spec.body], sort_keys=True)
    upload = hashlib.sha256(job_spec.upload or b"").hexdigest()
    return hashlib.sha256(f"{canonical}{upload}".encode()).hexdigest()
