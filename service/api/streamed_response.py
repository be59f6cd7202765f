"""A response whose body is sampled while it is sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ancestral.errors import AncestralError
from ancestral.formats import MEDIA_TYPES
from ancestral.service.api.deps import RequestContext
from ancestral.service.api.sample_headers import disposition, manifest_link, sample_headers
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.errors import ClientDisconnected, ResponseAborted, envelope
from ancestral.service.jobs.events import event
from ancestral.service.jobs.stream import JobReader

EVENTS = "text/event-stream; charset=utf-8"

log = logging.getLogger(__name__)


class StreamedResponse(Response):
    """A response whose body is sampled while it is sent.

    A failure before the first byte is an ordinary error response. After it the connection is aborted, so that an
    incomplete body never looks complete.
    """

    def __init__(
        self, context: RequestContext, reader: JobReader, source: AsyncIterator[bytes], media_type: str
    ) -> None:
        """Args:
        context: of the request.
        reader: of the job.
        source: the body; it drives the reader.
        media_type: of the body.
        """
        self.status_code = 200
        self.background = None
        self._context = context
        self._reader = reader
        self._source = source
        self._stall_seconds = context.service.settings.stall_seconds
        self._events = media_type == EVENTS
        self.init_headers(
            {
                "content-type": media_type,
                "cache-control": "no-store",
                "x-accel-buffering": "no",
                **sample_headers(reader.job, reader.payload, None),
                **({} if self._events else self._headers_of_file(media_type)),
            }
        )

    def _headers_of_file(self, media_type: str) -> dict[str, str]:
        job, headers = self._reader.job, disposition(self._reader.job, self._reader.payload)
        if media_type not in MEDIA_TYPES.values():
            return headers
        # What has no manifest inside is, byte for byte, the file that the manifest is of.
        return headers | manifest_link(self._context.service, job, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until the client disconnects."""
        job, heartbeat = self._reader.job, asyncio.create_task(self._heartbeat())
        try:
            await self._context.while_connected(self._send_all(send), job)
        except ClientDisconnected:
            log.info("client disconnected", extra={"job": job.id})
        finally:
            heartbeat.cancel()

    async def _heartbeat(self) -> None:
        """Tell the worker that the client is still connected: this process alone decides when a client has stalled."""
        while self._reader.job.paced:
            await asyncio.sleep(self._stall_seconds / 3)
            with suppress(*UNAVAILABLE):
                await self._context.service.broker.acknowledge(self._reader.job, 0)

    async def _send_all(self, send: Send) -> None:
        piece = await anext(self._source, None)
        if self._reader.engine is not None:
            self.headers["x-engine"] = self._reader.engine
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
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
