"""A response whose body is sampled while it is sent, and the end of a job when its client disconnects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ancestral.errors import AncestralError
from ancestral.service.api.file_names import disposition
from ancestral.service.api.sample_headers import sample_headers
from ancestral.service.broker import UNAVAILABLE, Clients
from ancestral.service.broker.job import Job
from ancestral.service.errors import ClientDisconnected, ResponseAborted, envelope
from ancestral.service.jobs.events import event
from ancestral.service.jobs.stream import JobReader

EVENTS = "text/event-stream; charset=utf-8"

_T = TypeVar("_T")
log = logging.getLogger(__name__)


class StreamedResponse(Response):
    """A response whose body is sampled while it is sent.

    A failure before the first byte is an ordinary error response. After it the connection is aborted, so that an
    incomplete body never looks complete.
    """

    def __init__(
        self,
        broker: Clients,
        reader: JobReader,
        source: AsyncIterator[bytes],
        media_type: str,
        *,
        stall_seconds: float,
        keep: bool,
    ) -> None:
        """Args:
        broker: where the job is.
        reader: of the job.
        source: the body; it drives the reader.
        media_type: of the body.
        stall_seconds: after which a client that reads nothing is disconnected.
        keep: suspend the job when the client disconnects, instead of cancelling it.
        """
        self.status_code = 200
        self.background = None
        self._broker = broker
        self._reader = reader
        self._source = source
        self._stall_seconds = stall_seconds
        self._events = media_type == EVENTS
        self._keep = keep
        self.init_headers(
            {
                "content-type": media_type,
                "cache-control": "no-store",
                "x-accel-buffering": "no",
                **sample_headers(reader.job, reader.payload),
                **({} if self._events else disposition(reader.job, reader.payload)),
            }
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until the client disconnects."""
        job, heartbeat = self._reader.job, asyncio.create_task(self._heartbeat())
        try:
            await while_connected(self._send_all(send), receive, self._broker, job, keep=self._keep)
        except ClientDisconnected:
            log.info("client disconnected", extra={"job": job.id})
        finally:
            heartbeat.cancel()

    async def _heartbeat(self) -> None:
        """Tell the worker that the client is still connected: this process alone decides when a client has stalled."""
        while self._reader.job.paced:
            await asyncio.sleep(self._stall_seconds / 3)
            with suppress(*UNAVAILABLE):
                await self._broker.heartbeat(self._reader.job)

    async def _send_all(self, send: Send) -> None:
        piece = await anext(self._source, None)
        started = self._reader.started
        engine = [(b"x-engine", started.engine.encode())] if started is not None else []
        start = {"type": "http.response.start", "status": 200, "headers": [*self.raw_headers, *engine]}
        await send(start)
        while piece is not None:
            await self._send(send, piece)
            piece = await self._next_or_abort(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next_or_abort(self, send: Send) -> bytes | None:
        try:
            return await anext(self._source, None)
        except (
            AncestralError
        ) as error:  # a client of server-sent events gets the error before the connection is aborted
            if self._events:
                await self._send(send, event(envelope(error)))
            raise ResponseAborted(error.message) from error

    async def _send(self, send: Send, body: bytes) -> None:
        try:
            async with asyncio.timeout(self._stall_seconds):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        except TimeoutError:
            raise ResponseAborted(f"the client read nothing for {self._stall_seconds} s") from None


async def while_connected(
    work: Coroutine[Any, Any, _T], receive: Receive, broker: Clients, job: Job, *, keep: bool
) -> _T:
    """Await the answer to a request that waits for a job. On failure or disconnect, the job is cancelled or suspended.

    Args:
        work: produces the answer.
        receive: of the request, whose body has been read.
        broker: where the job is.
        job: submitted.
        keep: suspend the job instead of cancelling it.

    Raises:
        ClientDisconnected: the client disconnected before the answer was complete.
        Exception: what ``work`` raises.
    """
    answering, gone = asyncio.create_task(work), asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientDisconnected
        return await answering
    finally:
        for task in (answering, gone):
            task.cancel()
        await asyncio.gather(answering, gone, return_exceptions=True)
        if answering.cancelled() or answering.exception() is not None:
            await asyncio.shield(_abandon(broker, job, keep=keep))


async def _abandon(broker: Clients, job: Job, *, keep: bool) -> None:
    try:
        if keep:
            await broker.suspend(job)
        else:
            await broker.cancel(job)
    except UNAVAILABLE:  # the worker will notice that nothing is read
        log.warning("redis is not available", extra={"job": job.id})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
