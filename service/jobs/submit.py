"""Admission: a checked request becomes a job in a queue, whatever the job makes.

Checked here: that a worker is ready, the idempotency key (the same key and request are the same job), the caller's
limits, and that the queue has room.
"""

from __future__ import annotations

import hashlib
import json
import re
import time

from ancestral.catalog.models import Model
from ancestral.errors import InvalidRequest
from ancestral.service.broker.job import Job, Priority, Status
from ancestral.service.errors import Overloaded, Unprocessable
from ancestral.service.jobs.caller import Caller
from ancestral.service.jobs.payload import Payload
from ancestral.service.jobs.state import AppState
from ancestral.service.jobs.tasks import JobSpec
from ancestral.service.telemetry.logging import current_job, request_id

IDEMPOTENCY_SECONDS = 86400
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def wants_job(prefer: str | None) -> bool:
    """Whether a ``Prefer`` header asks for an asynchronous answer (RFC 7240)."""
    return any(part.split(";")[0].strip().lower() == "respond-async" for part in (prefer or "").split(","))


async def submit_job(
    state: AppState, caller: Caller, job_spec: JobSpec[Payload, Model], *, prefer: str | None, key: str | None
) -> Job:
    """Submit a job, or find the one that an earlier request with the same idempotency key has submitted.

    Args:
        state: of the service.
        caller: who sent the request.
        job_spec: what to do.
        prefer: the ``Prefer`` header.
        key: the ``Idempotency-Key`` header.

    Raises:
        NotReady: no worker has the model.
        Overloaded: a limit of the caller or of the service is reached.
        InvalidRequest: the key is malformed.
        Unprocessable: the key belongs to another request.
    """
    await state.require_worker(job_spec.model)
    settings = state.settings
    later = wants_job(prefer) or job_spec.seconds > settings.interactive_seconds
    retention = settings.job_seconds if later or job_spec.kept else settings.stream_seconds
    job = Job(
        kind=job_spec.task.kind,
        priority=Priority.BATCH if later else Priority.INTERACTIVE,
        model=job_spec.model.entry.id,
        sha256=job_spec.model.sha256,
        owner=caller.name,
        payload=job_spec.payload.dump(),
        created_at=time.time(),
        request_id=request_id.get(""),
        trace=state.tracing.parent(),
        paced=not later and job_spec.task.paced,
        retention=retention if key is None else max(retention, IDEMPOTENCY_SECONDS),
    )
    if key is not None and (earlier := await _earlier(state, caller, job_spec, key, job)) is not None:
        current_job.set(earlier.id)
        return earlier
    limit, queue = caller.concurrent_streams or settings.concurrent_streams or 0, state.queue_of(job.priority)
    try:
        await state.broker.submit(job, queue=queue, limit=limit, upload=job_spec.upload)
    except Overloaded:  # refused for certain; after any other error the job may have been accepted
        if key is not None:
            await state.broker.forget_idempotent(caller.name, key)
        raise
    current_job.set(job.id)
    return job


async def _earlier(
    state: AppState, caller: Caller, job_spec: JobSpec[Payload, Model], key: str, job: Job
) -> Job | None:
    """The job that the key was used for before, resumed if it was suspended; None if ``job`` is the first."""
    if not _KEY.fullmatch(key):
        message = "Idempotency-Key: 1 to 255 visible ASCII characters"
        raise InvalidRequest(message, param="Idempotency-Key", code="invalid_idempotency_key")
    canonical = json.dumps([job_spec.task.kind, job_spec.body], sort_keys=True)
    upload = hashlib.sha256(job_spec.upload or b"").hexdigest()
    fingerprint = hashlib.sha256(f"{canonical}{upload}".encode()).hexdigest()
    names = (caller.name, key)
    while True:
        found, bound = await state.broker.idempotent(*names, fingerprint, job.id, IDEMPOTENCY_SECONDS)
        if bound != fingerprint:
            message = "Idempotency-Key: was used for another request"
            raise Unprocessable(message, param="Idempotency-Key", code="idempotency_key_reused")
        if found == job.id:
            return None
        earlier = await state.broker.job(found)
        if earlier is not None and earlier.status not in (Status.FAILED, Status.CANCELLED):
            await resume(state, earlier)
            return earlier
        await state.broker.forget_idempotent(*names)  # that job failed: the key is free


async def resume(state: AppState, job: Job) -> None:
    """Put a suspended job back into its queue.

    Raises:
        Overloaded: there is no room.
    """
    await state.broker.resume(job, queue=state.queue_of(job.priority))
