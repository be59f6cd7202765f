"""What a job gives on its way to a client: its entries read in order, sound decoded, and the response that carries it.

The API process samples nothing. It reads what a worker publishes, tells it how much has been read (so that a slow
reader holds up its own stream and nobody else's), and ends the job when its only listener is gone.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from fastapi.sse import format_sse_event
from numpy.typing import NDArray
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.broker import UNAVAILABLE, Begin, Broker, Ended, Gone, Piece
from service.broker.job import Failure, Job, Status
from service.errors import (
    BrokenOff,
    ClientLeft,
    Conflict,
    InvalidRequest,
    ServiceError,
    content_expired,
    envelope,
    queue_away,
)

EVENTS = "text/event-stream; charset=utf-8"

_T = TypeVar("_T")
log = logging.getLogger(__name__)


def failed(failure: Failure | None) -> ServiceError:
    """The error that a failed job is answered with."""
    if failure is None:
        return ServiceError("The job failed.", code="internal_error")
    kind = ServiceError if failure.param is None else InvalidRequest
    return kind(failure.message, code=failure.code, param=failure.param)


def check_end(status: Status, failure: Failure | None) -> None:
    """Raise what a job that ended so is answered with, unless it has completed."""
    if status is Status.FAILED:
        raise failed(failure)
    if status is Status.CANCELLED:
        raise Conflict("The job was cancelled.", code="job_cancelled")


def unseen(piece: Piece, samples: int) -> NDArray[np.uint8]:
    """The symbols of a piece that come after the first ``samples`` of the job; an attempt may repeat another's."""
    assert piece.start <= samples, "a hole in the stream"
    return np.frombuffer(piece.symbols, np.uint8)[samples - piece.start :]


class JobReader:
    """One reader of one job, from its first symbol on."""

    def __init__(self, broker: Broker, job: Job) -> None:
        self.job = job
        self.begun: Begin | None = None
        """Who samples; known once the first symbols are there."""
        self.samples = 0
        """Read so far."""
        self._broker = broker

    async def symbols(self) -> AsyncIterator[tuple[int, NDArray[np.uint8]]]:
        """The symbols as they come, with the number of the stream that they belong to. What has been yielded counts as
        read when the next is asked for.

        Raises:
            ServiceError: the job failed, was cancelled or is gone, or Redis stays away.
        """
        try:
            async for entry in self._broker.entries(self.job.id, self._remind):
                if isinstance(entry, Begin):
                    self.begun = entry
                elif isinstance(entry, Ended):
                    check_end(entry.status, entry.error)
                    return
                elif len(symbols := unseen(entry, self.samples)):
                    self.samples += len(symbols)
                    yield entry.index, symbols
                    await self._acknowledge()
        except Gone as error:
            raise content_expired() from error
        except UNAVAILABLE as error:
            raise queue_away() from error

    async def _acknowledge(self) -> None:
        """What was yielded has been read."""

    async def _remind(self) -> None:
        """Nothing has come for a while."""


class StreamedResponse(Response):
    """A response whose body is sampled while it is sent.

    What fails before the first byte is an ordinary error response. What fails after it breaks the connection off, so
    that half an utterance never looks like a whole one.
    """

    def __init__(
        self,
        broker: Broker,
        reader: JobReader,
        source: AsyncIterator[bytes],
        media_type: str,
        *,
        stall_seconds: float,
        keep: bool,
    ) -> None:
        """Args:
        broker: of the job.
        reader: of the job.
        source: what is sent; it drives the reader.
        media_type: of the body.
        stall_seconds: for which the client may take nothing.
        keep: the client may come back for it.
        """
        self.status_code = 200
        self.background = None
        self._broker = broker
        self._reader = reader
        self._source = source
        self._stall_seconds = stall_seconds
        self._events = media_type == EVENTS
        self._keep = keep
        job = reader.job
        self.init_headers(
            {
                "content-type": media_type,
                "cache-control": "no-store",
                "x-accel-buffering": "no",
                "x-seed": str(job.request["seed"]),
                "x-model-sha256": job.sha256,
                "x-job-id": job.id,
            }
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until the client is gone."""
        job, attending = self._reader.job, asyncio.create_task(self._attend())
        try:
            await while_listened_to(self._work(send), receive, self._broker, job, keep=self._keep)
        except ClientLeft:
            log.info("client left", extra={"job": job.id})
        finally:
            attending.cancel()

    async def _attend(self) -> None:
        """Let the worker leave it to us to judge how long is too long for a reader: two that count would not agree."""
        while self._reader.job.paced:
            await asyncio.sleep(self._stall_seconds / 3)
            with suppress(*UNAVAILABLE):
                await self._broker.attend(self._reader.job)

    async def _work(self, send: Send) -> None:
        piece = await anext(self._source, None)
        begun = self._reader.begun
        engine = [(b"x-engine", begun.engine.encode())] if begun is not None else []
        start = {"type": "http.response.start", "status": 200, "headers": [*self.raw_headers, *engine]}
        await send(start)
        while piece is not None:
            await self._send(send, piece)
            piece = await self._next_or_break_off(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next_or_break_off(self, send: Send) -> bytes | None:
        try:
            return await anext(self._source, None)
        except ServiceError as error:  # a client of events is told before the connection ends
            if self._events:
                await self._send(send, event(envelope(error)))
            raise BrokenOff(error.message) from error

    async def _send(self, send: Send, body: bytes) -> None:
        try:
            async with asyncio.timeout(self._stall_seconds):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        except TimeoutError:
            raise BrokenOff(f"the client read nothing for {self._stall_seconds} s") from None


async def while_listened_to(
    work: Coroutine[Any, Any, _T], receive: Receive, broker: Broker, job: Job, *, keep: bool
) -> _T:
    """Answer a request that waits for a job. If that fails, or nobody waits any longer, the job is not wanted any more.

    Args:
        work: gives the answer.
        receive: of the request, whose body has been read.
        broker: of the job.
        job: accepted.
        keep: the client may come back for it: it is parked and not cancelled.

    Raises:
        ClientLeft: before the answer was complete.
        Exception: what the work raises.
    """
    answering, gone = asyncio.create_task(work), asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientLeft
        return await answering
    finally:
        for task in (answering, gone):
            task.cancel()
        await asyncio.gather(answering, gone, return_exceptions=True)
        if answering.cancelled() or answering.exception() is not None:
            await asyncio.shield(_abandon(broker, job, keep=keep))


async def _abandon(broker: Broker, job: Job, *, keep: bool) -> None:
    try:
        if keep:
            await broker.ask_park(job)
        else:
            await broker.cancel(job)
    except UNAVAILABLE:  # the worker will find that nobody reads
        log.warning("redis is away", extra={"job": job.id})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def event(payload: BaseModel | Mapping[str, Any]) -> bytes:
    """One server-sent event; the ``None`` fields of a model are left out."""
    if isinstance(payload, BaseModel):
        return format_sse_event(data_str=payload.model_dump_json(exclude_none=True))
    return format_sse_event(data_str=json.dumps(payload))
