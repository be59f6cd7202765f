"""An attempt at a job that is sampled: its streams, one after another, through the scheduler to Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ancestral.catalog.sampler import Part, Sampler
from ancestral.models.engines.base import Stream
from ancestral.models.scheduler import Chunk, End, Slot
from ancestral.service.broker.job import Priority
from ancestral.service.broker.messages import Piece, ResumePoint, Snapshot, StaleAttempt, SymbolsLost
from ancestral.service.broker.workers import Lease
from ancestral.service.jobs.attempt import AttemptContext, JobAttempt, Stop
from ancestral.service.jobs.payload import Payload, SampledPayload
from ancestral.service.jobs.publish_pacing import PublishPacing

BATCH_AHEAD_SECONDS = 10.0
"""How far sampling runs ahead of what Redis has stored, if no client is listening."""
FED_SECONDS = 3.0
"""Seconds of output. The next stream is opened when less than this is left to sample of those before it."""
EVENT_SECONDS, PACED_EVENT_SECONDS = 1.0, 2.5
"""Interval of a job's progress events: longer where a client listens, who hears it."""
PARK_SECONDS = 3.0
"""Time after which an attempt whose client reads at less than half the speed of sound gives its slot to one that
waits."""

log = logging.getLogger(__name__)


class SamplingAttempt(JobAttempt):
    """Streams of symbols, one after the other, through the scheduler to the job's readers."""

    payload: SampledPayload

    def __init__(self, context: AttemptContext, sampler: Sampler, lease: Lease, payload: Payload) -> None:
        super().__init__(context, sampler, lease, payload)
        self._chunks: asyncio.Queue[Chunk] = asyncio.Queue()
        self._sampled = asyncio.Event()
        """Set whenever symbols have been sampled."""
        self._slot: Slot | None = None
        self._read = 0
        self._last_event_at = 0.0
        self._slow_since = (time.monotonic(), 0)
        self._error: BaseException | None = None
        self._idle_since: float | None = None
        self._idle_seconds = 0.0

    @property
    @abstractmethod
    def rate(self) -> int:
        """Symbols per second of output."""

    @abstractmethod
    def on_sampled(self, symbols: int) -> None:
        """Record that ``symbols`` more have been sampled."""

    @abstractmethod
    def on_finished(self, symbols: int, seconds: float) -> None:
        """Record the total symbols and the sampling time in seconds, without waits for the reader."""

    @abstractmethod
    async def parts(self, first: int) -> Iterator[Part]:
        """The streams to sample, from number ``first`` on."""

    async def plan(self, index: int) -> int | None:
        """Symbols of stream number ``index``, which is not the first; None if there is none."""
        return None

    @property
    def total_awaited(self) -> bool:
        """Whether a client reads nothing before the length of the job is known."""
        return False

    async def _on_planned(self, total: int) -> None:
        """The length of the job is known."""
        self.lease.note(total=total)
        if self.total_awaited:
            await self.lease.store()

    async def on_opened(self, part: Part, stream: Stream) -> None:
        """The stream of a part has been opened, and none of its symbols has been published yet by this attempt."""

    async def result(self) -> dict[str, Any] | None:
        """What the job gives besides its symbols, all of which have been sampled."""
        return None

    def halt(self) -> None:
        if self._slot is not None:
            self._slot.cancel()

    def on_read(self, read: int) -> None:
        if self.job.paced and read > self._read:
            self._read = read
            if self._slot is not None:
                self._slot.extend_limit(read + self._ahead)
            self._note_idleness()

    @property
    def waiting_for_reader(self) -> bool:
        return self.job.paced and self._slot is not None and self._slot.position >= self._read + self._ahead

    def on_redis_unavailable(self) -> None:
        super().on_redis_unavailable()
        self._slow_since = time.monotonic(), self._read

    def parking_position(self, now: float) -> int | None:
        since, read = self._slow_since
        if self._read - read >= (now - since) * self.rate / 2:
            self._slow_since = now, self._read
        elif self._slot is not None and self.waiting_for_reader and now - since >= PARK_SECONDS:
            return self._slot.position - self._ahead // 2
        return None

    def _note_idleness(self) -> None:
        """Add up the time spent waiting for the reader."""
        now = time.monotonic()
        if self.waiting_for_reader:
            self._idle_since = self._idle_since or now
        elif self._idle_since is not None:
            self._idle_seconds += now - self._idle_since
            self._idle_since = None

    @property
    def _ahead(self) -> int:
        seconds = self.context.settings.ahead_seconds if self.job.paced else BATCH_AHEAD_SECONDS
        return int(seconds * self.rate)

    async def work(self) -> dict[str, Any] | None:
        retry = self.lease.attempt > 1
        resume = await self.lease.resume_point() if retry else ResumePoint(0, 0, None)
        snapshot, self._read = resume.snapshot, max(self._read, resume.read)
        start, index = (snapshot.position, snapshot.index) if snapshot is not None else (0, 0)
        if snapshot is not None:
            self.context.metrics.resumed(self.job)
        if retry:
            figures = {"attempt": self.lease.attempt, "position": start, "published": resume.published}
            log.info("job taken up again", extra={"job": self.job.id, **figures})
        self._slot = slot = self.context.scheduler.open(
            self.sampler.engine,
            self.rate,
            self._sink(),
            realtime=self.job.priority is Priority.INTERACTIVE,
            limit=(self._read if self.job.paced else start) + self._ahead,
            start=start,
            index=index,
        )
        if self.stopped is not None:
            slot.cancel()
        feeding = asyncio.create_task(self._feed(slot, snapshot))
        feeding.add_done_callback(partial(self._feeder_done, slot))
        begun, result = time.monotonic(), None
        try:
            if await self._publish_chunks(slot, resume.published):
                await self.lease.store()
                result = await self.result()
                self.symbols = slot.position
            self._note_idleness()
            self.on_finished(slot.position - start, time.monotonic() - begun - self._idle_seconds)
        finally:
            feeding.cancel()
            slot.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        return result

    def _sink(self) -> Callable[[Chunk], None]:
        loop = asyncio.get_running_loop()

        def take(chunk: Chunk) -> None:
            loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)

        return take

    async def _feed(self, slot: Slot, snapshot: Snapshot | None) -> None:
        """Give the scheduler one stream after another; text and frames are computed meanwhile."""
        first = snapshot.index if snapshot is not None else 0
        parts, fed = await self.parts(first), 0
        storing: asyncio.Task[None] | None = None
        try:
            while (part := await self.context.in_pool(partial(next, parts, None))) is not None:
                stream = await self.context.in_pool(partial(self._open, part, snapshot))
                if storing is None:
                    fed = snapshot.position - (stream.position - len(part.prompt)) if snapshot is not None else 0
                fed += part.request.length - len(part.prompt)
                snapshot = None
                await self.on_opened(part, stream)
                slot.feed(stream)
                storing = storing or asyncio.create_task(self._store_total(fed, first))
                while fed - slot.position > FED_SECONDS * self.rate:
                    self._sampled.clear()
                    await self._sampled.wait()
        finally:
            if storing is not None:
                storing.cancel()
                await asyncio.gather(storing, return_exceptions=True)  # what fails here fails above, too
        await self._on_planned(fed)
        slot.finish()

    async def _store_total(self, so_far: int, index: int) -> None:
        """Store the job's length, for headers and estimates: known long before its last stream is."""
        total = so_far
        while (length := await self.plan(index := index + 1)) is not None:
            total += length
        await self._on_planned(total)

    def _feeder_done(self, slot: Slot, feeding: asyncio.Task[None]) -> None:
        """Fail the job, if a stream could not be opened, once all streams before it have been sampled."""
        if not feeding.cancelled() and (error := feeding.exception()) is not None:
            self._error = error
            slot.finish()

    def _open(self, part: Part, snapshot: Snapshot | None) -> Stream:
        return self.sampler.open(part) if snapshot is None else self.sampler.restore(part, snapshot.state)

    async def _publish_chunks(self, slot: Slot, published: int) -> bool:
        """Publish chunks as they are sampled, until the slot's last.

        Args:
            slot: of this attempt.
            published: number of symbols that earlier attempts have published.

        Returns:
            Whether the slot completed; False if it was cancelled.
        """
        pacing = PublishPacing(self.rate, self._ahead / self.rate)
        while True:
            chunks = await self._gather(pacing)
            last = chunks[-1]
            if failed := [chunk for chunk in chunks if chunk.end is End.FAILED]:
                raise failed[0].error or AssertionError("a slot failed without an error")
            pieces = _pieces(chunks, published)
            snapshots = [Snapshot(c.index, c.start + len(c.symbols), c.snapshot) for c in chunks if c.snapshot]
            if (pieces or snapshots) and self.stopped not in (Stop.CANCELLED, Stop.STALE):
                await self._publish(pieces, snapshots[-1] if snapshots else None)
                pacing.published(sum(map(len, pieces)), time.monotonic())
            if self._error is not None and last.end is End.COMPLETED:
                raise self._error
            if last.end is not None:
                return last.end is End.COMPLETED
            if not self.job.paced:
                slot.extend_limit(last.start + len(last.symbols) + self._ahead)

    async def _gather(self, pacing: PublishPacing) -> list[Chunk]:
        """The chunks to publish next, once they are due; at the latest when the last one is among them."""
        chunks = [await self._next_chunk()]
        while chunks[-1].end is None:
            waits = pacing.due_in(sum(len(chunk.symbols) for chunk in chunks), time.monotonic())
            if waits <= 0 and self._chunks.empty():
                break
            try:
                async with asyncio.timeout(max(0.0, waits)):
                    chunks.append(await self._next_chunk())
            except TimeoutError:
                break
        return chunks

    async def _next_chunk(self) -> Chunk:
        chunk = await self._chunks.get()
        self._sampled.set()
        self.on_sampled(len(chunk.symbols))
        self._note_idleness()
        return chunk

    async def _publish(self, pieces: list[Piece], snapshot: Snapshot | None) -> None:
        now = time.monotonic()
        event = now - self._last_event_at >= (PACED_EVENT_SECONDS if self.job.paced else EVENT_SECONDS)
        if event:
            self._last_event_at = now
        try:
            await self.lease.publish(pieces, snapshot, event=event)
        except StaleAttempt:
            self.stop(Stop.STALE)
        except SymbolsLost:
            self.on_symbols_lost()


def _pieces(chunks: list[Chunk], published: int) -> list[Piece]:
    """Chunks as entries: adjacent ones of a stream are merged, and symbols that are already published are left out."""
    pieces: list[Piece] = []
    for chunk in chunks:
        new = chunk.symbols[max(0, published - chunk.start) :]
        if not len(new):
            continue
        piece = Piece.from_samples(chunk.index, chunk.start + len(chunk.symbols) - len(new), new)
        if pieces and pieces[-1].index == piece.index:
            pieces[-1] = replace(pieces[-1], data=pieces[-1].data + piece.data)
        else:
            pieces.append(piece)
    return pieces
