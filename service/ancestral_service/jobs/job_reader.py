"""What a worker publishes of a job, read by position; and server-sent events."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from fastapi.sse import format_sse_event
from numpy.typing import NDArray
from pydantic import BaseModel

from ancestral.errors import AncestralError, InvalidRequest, NotFound
from ancestral_service.broker.clients import Clients
from ancestral_service.broker.connection import UNAVAILABLE
from ancestral_service.broker.job import Begin, Ended, Failure, Job, JobExpired, Piece, Preview, Status
from ancestral_service.errors import Conflict, Overloaded, ServiceError, content_expired, redis_unavailable
from ancestral_service.jobs.plans import Sampled

# Server-sent events of jobs.


def event(payload: BaseModel | Mapping[str, Any]) -> bytes:
    """One server-sent event; the ``None`` fields of a model are left out."""
    if isinstance(payload, BaseModel):
        return format_sse_event(data_str=payload.model_dump_json(exclude_none=True))
    return format_sse_event(data_str=json.dumps(payload))


# Reads a job's symbols from Redis in order. What has been read is acknowledged: a slow client only delays itself.


def failure_error(failure: Failure | None) -> AncestralError:
    """The error response for a failed job. With its idempotency key the same request would be a new job, so clients are
    told not to repeat it."""
    failure = failure or Failure("The job failed.", "internal_error")
    if failure.param is None:
        return ServiceError(failure.message, code=failure.code, headers={"x-should-retry": "false"})
    return InvalidRequest(failure.message, code=failure.code, param=failure.param)


def check_end(status: Status, failure: Failure | None) -> None:
    """Raise the error response for a job that has failed or was cancelled."""
    if status is Status.FAILED:
        raise failure_error(failure)
    if status is Status.CANCELLED:
        raise Conflict("The job was cancelled.", code="job_cancelled")


def drop_published(piece: Piece, samples: int) -> NDArray[Any]:
    """What a piece holds after the first ``samples`` of the job: an attempt may publish again what another has."""
    assert piece.start <= samples, "a gap in the stream"
    return piece.samples[samples - piece.start :]


async def job_end(broker: Clients, job: Job) -> Job:
    """The record of a job, which is wanted now, as soon as it has ended; raises NotFound if it is gone."""
    last = "0-0"
    while True:
        now = await broker.job(job.id)
        if now is None:
            raise NotFound("The job is gone.", code="job_not_found")
        if now.status.terminal:
            return now
        if news := await broker.events(job.id, last):
            last = news[-1][0]


@contextmanager
def redis_errors() -> Iterator[None]:
    """Raises the error responses for a job that has expired, and for Redis that is unavailable."""
    try:
        yield
    except JobExpired as error:
        raise content_expired() from error
    except UNAVAILABLE as error:
        raise redis_unavailable() from error


class JobReader:
    """Reads the symbols of one job, from the first one on."""

    def __init__(self, broker: Clients, job: Job, plan: Sampled) -> None:
        self.job = job
        self.plan = plan
        self.engine: str | None = None
        """The engine that samples; known once the first symbols are there."""
        self.samples = 0
        """Symbols read so far."""
        self._broker = broker

    async def symbols(self) -> AsyncIterator[tuple[int, NDArray[Any]]]:
        """The symbols, or the sound made of them, as they are published, with the number of their stream. Each chunk is
        acknowledged when the next one is requested.

        Raises:
            ServiceError: the job failed, was cancelled or is gone, or Redis stays unavailable.
        """
        with redis_errors():
            async for entry in self._broker.entries(self.job.id, self._idle):
                if isinstance(entry, Begin):
                    self.engine = entry.engine
                    await self._remind()  # what was read may not have been recorded before the last worker died
                elif isinstance(entry, Preview):
                    await self._preview(entry.data)
                elif isinstance(entry, Ended):
                    check_end(entry.status, entry.error)
                    self._on_end(entry.result)
                    return
                elif len(symbols := drop_published(entry, self.samples)):
                    self.samples += len(symbols)
                    yield entry.index, symbols
                    await self._acknowledge()

    async def _idle(self) -> None:
        """Nothing has been published for a while: an earlier connection of the same job may have suspended it when it
        ended, which its server can notice long after this one began."""
        await self._remind()
        with suppress(Overloaded, *UNAVAILABLE):
            await self._broker.resume(self.job, queue=math.inf)

    async def _preview(self, data: bytes) -> None:
        """Called with what may be shown before the first symbols, once for each attempt."""

    def _on_end(self, result: Mapping[str, Any] | None) -> None:
        """Called with the result of a job that has completed."""

    async def _acknowledge(self) -> None:
        """Called after each chunk has been read."""

    async def _remind(self) -> None:
        """Called when an attempt has begun, and when nothing has been published for a while."""
