"""Sound over HTTP as it is sampled: who may sample when, in which thread, and what happens when a client leaves.

The event loop asks a thread for one chunk at a time. So a slow reader holds up its own stream and nobody else's,
streams take turns on the threads, and a client that leaves costs at most the chunk being made.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service import codecs
from service.errors import BrokenOff, Overloaded, envelope, internal_error
from service.schemas import Usage
from service.synthesis import Synthesizer, Utterance

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Stage:
    """The threads that sample, and the streams that may use them: so many at a time, so many more in a queue."""

    def __init__(self, threads: int, streams: int, queue: int, stall_seconds: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sampling")
        self._free = asyncio.Semaphore(streams)
        self._room = streams + queue
        self._streams = streams
        self.stall_seconds = stall_seconds
        """How long a client may leave what it was sent unread."""
        self.inside = 0
        """Streams being sampled or waiting for it."""

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[None]:
        """Hold a stream, after waiting in the queue for one if need be.

        Raises:
            Overloaded: the queue is full.
        """
        if self.inside >= self._room:
            raise Overloaded(
                "The server is sampling as many requests as it can, and its queue is full.",
                retry_after=1 + self._room // self._streams,
            )
        self.inside += 1
        try:
            async with self._free:
                yield
        finally:
            self.inside -= 1

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do a piece of work in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Forget what waits, and wait for what runs: at most a chunk a thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def encoded(
    synthesizer: Synthesizer, utterance: Utterance, form: str, sample_rate: int | None = None
) -> Iterator[tuple[bytes, int]]:
    """The bytes of an utterance as they come, each with the samples made so far. Pieces are never empty.

    Args:
        synthesizer: has prepared the utterance.
        utterance: what to say.
        form: a key of :data:`service.codecs.MEDIA_TYPES`.
        sample_rate: of the bytes; the format's own if absent.
    """
    frames = list(utterance.frames()) if form == "flac" else None
    length = utterance.length(frames) if frames is not None else None
    encoder = codecs.encoder(form, utterance.model.spec.sample_rate, sample_rate, length)
    made = 0
    for wave in synthesizer.render(utterance, frames):
        made += len(wave)
        if data := encoder.feed(wave):
            yield data, made
    if data := encoder.finish():
        yield data, made


class SpeechResponse(Response):
    """A response whose body is sampled while it is sent.

    What fails before the first byte is an ordinary error response. What fails after it breaks the connection off, so
    that half an utterance never looks like a whole one.
    """

    def __init__(
        self, stage: Stage, source: Iterator[tuple[bytes, int]], utterance: Utterance, media_type: str, *, events: bool
    ) -> None:
        self.status_code = 200
        self.background = None
        self._stage = stage
        self._source = source
        self._utterance = utterance
        self._events = events
        model = utterance.model
        self.init_headers(
            {
                "content-type": "text/event-stream; charset=utf-8" if events else media_type,
                "cache-control": "no-store",
                "x-accel-buffering": "no",
                "x-seed": str(utterance.seed),
                "x-model-sha256": model.sha256,
                "x-engine": model.engine.name,
            }
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sample and send until the end, or until the client is gone."""
        work = asyncio.create_task(self._work(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
            else:
                log.info("client left")
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _work(self, send: Send) -> None:
        async with self._stage.stream():
            piece = await self._next()
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            samples = 0
            while piece is not None:
                data, samples = piece
                await self._send(send, _delta(data) if self._events else data)
                piece = await self._next_or_break_off(send)
            if self._events:
                await self._send(send, self._done(samples))
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self) -> tuple[bytes, int] | None:
        return await self._stage.run(lambda: next(self._source, None))

    async def _next_or_break_off(self, send: Send) -> tuple[bytes, int] | None:
        try:
            return await self._next()
        except Exception:  # whatever it is, a client of events is told before the connection ends
            if self._events:
                await self._send(send, _event(envelope(internal_error())))
            raise

    async def _send(self, send: Send, body: bytes) -> None:
        try:
            async with asyncio.timeout(self._stage.stall_seconds):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        except TimeoutError:
            raise BrokenOff(f"the client read nothing for {self._stage.stall_seconds} s") from None

    def _done(self, samples: int) -> bytes:
        spoken = self._utterance.phonemes
        usage = Usage(input_tokens=spoken, output_tokens=samples, total_tokens=spoken + samples)
        return _event({"type": "speech.audio.done", "usage": usage.model_dump()})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _delta(data: bytes) -> bytes:
    return _event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})


def _event(payload: object) -> bytes:
    return f"data: {json.dumps(payload)}\n\n".encode()
