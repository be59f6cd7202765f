"""A job in a worker's hands: what every kind of job shares, and the sampling of streams.

A session may end in five ways: done, failed, cancelled by a client, let go (to another worker, or parked until somebody
listens again), or overtaken (another attempt has the job). Only the first two are its own decision.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, TypeVar

import numpy as np
import saq

from models.engines.base import Stream
from models.scheduler import Chunk, End, Scheduler, Slot
from service.broker import UNAVAILABLE, Broker, Lost, Overtaken, Piece, Resume, Signals, Snapshot, patiently
from service.errors import InvalidRequest
from service.jobs import Failure, Job, Kind, Lane, Status
from service.metrics import WorkerMetrics
from service.repertoire import Repertoire
from service.sampler import Part, Sampler
from service.settings import Settings
from service.synthesis import SoundSampler, Utterance, prepare

WATCH_SECONDS = 1.5
"""Between two looks at a job's record, which are its signs of life as well."""
BATCH_AHEAD_SECONDS = 10.0
"""How far sampling runs ahead of what Redis has taken, when nobody listens."""
EVENT_SECONDS = 1.0
MEASURED_SECONDS = 0.5
"""Of sound: how fast less than that was made says nothing."""

_T = TypeVar("_T")
log = logging.getLogger(__name__)


class Stop(Enum):
    """Why a session has to stop before its end."""

    ENDED = "ended"
    """A client cancelled it; its record says so already."""
    LET_GO = "let_go"
    OVERTAKEN = "overtaken"
    STALLED = "stalled"


@dataclass(frozen=True)
class Bench:
    """What a worker's sessions share."""

    settings: Settings
    repertoire: Repertoire
    broker: Broker
    scheduler: Scheduler
    pool: ThreadPoolExecutor
    """For text, frames and scores."""
    metrics: WorkerMetrics

    async def in_pool(self, work: Callable[[], _T]) -> _T:
        """Do a piece of work off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)


class Session(ABC):
    """One attempt at one job."""

    def __init__(self, bench: Bench, sampler: Sampler, job: Job, attempt: int, turn: saq.Job) -> None:
        self.bench = bench
        self.sampler = sampler
        self.job = job
        self.attempt = attempt
        self.stopped: Stop | None = None
        self.read_at = time.monotonic()
        self._waits_since: float | None = None
        self.on_progress: Callable[[], None] = lambda: None
        """Called when it has got further than any attempt before, or as far as it may."""
        self._turn = turn

    @abstractmethod
    async def work(self) -> dict[str, Any] | None:
        """Do it; what is to be stored as the job's result. Returns early once :attr:`stopped` is set."""

    @abstractmethod
    def halt(self) -> None:
        """Make :meth:`work` return soon."""

    @abstractmethod
    def allow(self, read: int) -> None:
        """A client has read so many symbols."""

    @property
    @abstractmethod
    def starved(self) -> bool:
        """Whether it waits for its reader."""

    async def run(self) -> None:
        """Work, and record how it ended."""
        watch, end = asyncio.create_task(self._watch()), Stop.LET_GO.value
        try:
            end = await self._run()
        except asyncio.CancelledError:  # the worker stops
            self.stop(Stop.LET_GO)
            await self._let_go()
            raise
        finally:
            self.bench.metrics.over(self.job, end)
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _run(self) -> str:
        """How it ended, in a word."""
        end = partial(self.bench.broker.end, self.job, attempt=self.attempt)
        working = asyncio.create_task(self.work())
        self._working = working
        try:
            result = await asyncio.shield(working)
        except InvalidRequest as error:  # which only the work itself could find out
            failure = Failure(error.message, error.code or "invalid", error.param)
            await patiently(lambda: end(Status.FAILED, error=failure))
            return "failed"
        except Exception:  # one job's failure is not the worker's
            log.exception("job failed", extra={"job": self.job.id})
            failure = Failure("The server failed on this request.", "internal_error")
            await patiently(lambda: end(Status.FAILED, error=failure))
            return "failed"
        if self.stopped is None:
            await patiently(lambda: end(Status.COMPLETED, result=result))
            return "done"
        if self.stopped is Stop.LET_GO:
            await patiently(self._give_back)
        elif self.stopped is Stop.STALLED:
            await patiently(lambda: end(Status.CANCELLED))
        # A cancelled job and one that another attempt has look alike to who comes to publish.
        why = Stop.ENDED if self.stopped is Stop.OVERTAKEN else self.stopped
        return str(why.value)

    async def _let_go(self) -> None:
        try:
            await self._working
        except Exception:  # it has been logged, or will fail again where it is taken up
            log.exception("job failed while the worker stopped", extra={"job": self.job.id})
        await self._give_back()

    async def _give_back(self) -> None:
        await self.bench.broker.let_go(self.job, (self._turn.kwargs or {})["turn"])

    def stop(self, why: Stop) -> None:
        """Stop early."""
        if self.stopped is None:
            self.stopped = why
            self.halt()

    def heed(self, verb: str, value: int) -> None:
        """What a client wants."""
        if verb == "read":
            self.read_at = time.monotonic()
            self.allow(value)
        else:
            self.stop(Stop.LET_GO if verb == "park" else Stop.ENDED)

    async def _watch(self) -> None:
        """Show signs of life, and find what a lost message would have said."""
        while True:
            try:
                signals = await self.bench.broker.signals(self.job)
                self._check(signals)
                if self.stopped is None:
                    await self._turn.update()
                if self.starved and self.job.deaths:
                    self.on_progress()
                    await self.bench.broker.absolve(self.job)
            except UNAVAILABLE:
                self.read_at = time.monotonic()  # nobody could say that they read
            await asyncio.sleep(WATCH_SECONDS)

    def _check(self, signals: Signals | None) -> None:
        if signals is None or signals.status.terminal:
            self.stop(Stop.ENDED)
        elif signals.attempt != self.attempt or signals.status is Status.QUEUED:
            self.stop(Stop.OVERTAKEN)
        elif signals.park:
            self.stop(Stop.LET_GO)
        else:
            self.allow(signals.read)
            if self._is_left(time.monotonic()):
                log.info("nobody reads", extra={"job": self.job.id})
                self.stop(Stop.STALLED)

    def _is_left(self, now: float) -> bool:
        """Whether it has waited too long: since it was first found waiting, or since its reader was last heard of."""
        if not self.starved:
            self._waits_since = None
            return False
        self._waits_since = self._waits_since or now
        return now - max(self._waits_since, self.read_at) > self.bench.settings.stall_seconds


class Scored(Session):
    """A job that answers with figures: nobody reads it on the way."""

    def halt(self) -> None:
        """See :class:`Session`; `work` looks at :attr:`stopped` between its pieces."""

    def allow(self, read: int) -> None:
        """See :class:`Session`."""

    @property
    def starved(self) -> bool:
        """See :class:`Session`."""
        return False


class Sampling(Session):
    """Streams of symbols, one after the other, through the scheduler to the job's readers."""

    def __init__(self, bench: Bench, sampler: Sampler, job: Job, attempt: int, turn: saq.Job) -> None:
        super().__init__(bench, sampler, job, attempt, turn)
        self._chunks: asyncio.Queue[Chunk] = asyncio.Queue()
        self._slot: Slot | None = None
        self._read = 0
        self._told_at = 0.0
        self._error: BaseException | None = None
        self._idle_since: float | None = None
        self._idle_seconds = 0.0

    @property
    @abstractmethod
    def rate(self) -> int:
        """Symbols in what its client takes a second for."""

    @abstractmethod
    def count(self, symbols: int) -> None:
        """So many have been sampled."""

    @abstractmethod
    def over(self, symbols: int, seconds: float) -> None:
        """So many have been sampled in all, in so long, not counting the time for which it waited for its reader."""

    @abstractmethod
    async def parts(self, first: int) -> Iterator[Part]:
        """What is to be sampled, from stream number ``first`` on."""

    def halt(self) -> None:
        """See :class:`Session`."""
        if self._slot is not None:
            self._slot.cancel()

    def allow(self, read: int) -> None:
        """See :class:`Session`."""
        if self.job.paced and read > self._read:
            self._read = read
            if self._slot is not None:
                self._slot.allow(read + self._ahead)
            self._note_idleness()

    @property
    def starved(self) -> bool:
        """See :class:`Session`."""
        return self.job.paced and self._slot is not None and self._slot.position >= self._read + self._ahead

    def _note_idleness(self) -> None:
        """Keep count of the time for which it waits for its reader."""
        now = time.monotonic()
        if self.starved:
            self._idle_since = self._idle_since or now
        elif self._idle_since is not None:
            self._idle_seconds += now - self._idle_since
            self._idle_since = None

    @property
    def _ahead(self) -> int:
        seconds = self.bench.settings.ahead_seconds if self.job.paced else BATCH_AHEAD_SECONDS
        return int(seconds * self.rate)

    async def work(self) -> None:
        """See :class:`Session`."""
        resume = Resume(0, 0, None)  # there is nothing before a first attempt
        if self.attempt > 1:
            resume = await patiently(lambda: self.bench.broker.resume_point(self.job))
        snapshot, self._read = resume.snapshot, max(self._read, resume.read)
        start, index = (snapshot.position, snapshot.index) if snapshot is not None else (0, 0)
        if snapshot is not None:
            self.bench.metrics.resumed(self.job)
        if self.attempt > 1:
            figures = {"attempt": self.attempt, "position": start, "published": resume.published}
            log.info("job taken up again", extra={"job": self.job.id, **figures})
        self._slot = slot = self.bench.scheduler.open(
            self.sampler.engine,
            self.rate,
            self._sink(),
            realtime=self.job.lane is Lane.INTERACTIVE,
            limit=(self._read if self.job.paced else start) + self._ahead,
            start=start,
            index=index,
        )
        if self.stopped is not None:
            slot.cancel()
        feeding = asyncio.create_task(self._feed(slot, snapshot))
        feeding.add_done_callback(partial(self._fed, slot))
        begun = time.monotonic()
        try:
            await self._hand_on(slot, resume.published)
            self._note_idleness()
            self.over(slot.position - start, time.monotonic() - begun - self._idle_seconds)
        finally:
            feeding.cancel()
            slot.cancel()
            await asyncio.gather(feeding, return_exceptions=True)

    def _sink(self) -> Callable[[Chunk], None]:
        loop = asyncio.get_running_loop()

        def take(chunk: Chunk) -> None:
            loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)

        return take

    async def _feed(self, slot: Slot, snapshot: Snapshot | None) -> None:
        """Give the scheduler one stream after another; text and frames are made meanwhile."""
        parts = await self.parts(snapshot.index if snapshot is not None else 0)
        total = None
        while (part := await self.bench.in_pool(partial(next, parts, None))) is not None:
            stream = await self.bench.in_pool(partial(self._open, part, snapshot))
            if total is None:
                total = snapshot.position - (stream.position - len(part.prompt)) if snapshot is not None else 0
            total += part.request.length - len(part.prompt)
            snapshot = None
            slot.feed(stream)
        await patiently(lambda: self.bench.broker.set_total(self.job, total or 0))
        slot.finish()  # last, so that no job ends without its total

    def _fed(self, slot: Slot, feeding: asyncio.Task[None]) -> None:
        """What could not be made fails the job, once all that came before it has been sampled."""
        if not feeding.cancelled() and (error := feeding.exception()) is not None:
            self._error = error
            slot.finish()

    def _open(self, part: Part, snapshot: Snapshot | None) -> Stream:
        return self.sampler.open(part) if snapshot is None else self.sampler.restore(part, snapshot.state)

    async def _hand_on(self, slot: Slot, published: int) -> None:
        """Give Redis what was sampled, as it comes, until the slot's last chunk.

        Args:
            slot: that samples.
            published: symbols that an earlier attempt has handed on already.
        """
        while True:
            chunks = [await self._chunks.get()]
            while not self._chunks.empty():
                chunks.append(self._chunks.get_nowait())
            last = chunks[-1]
            self.count(sum(len(chunk.symbols) for chunk in chunks))
            self._note_idleness()
            if failed := [chunk for chunk in chunks if chunk.end is End.FAILED]:
                raise failed[0].error or AssertionError("a slot failed without an error")
            pieces = _pieces(chunks, published)
            snapshots = [Snapshot(c.index, c.start + len(c.symbols), c.snapshot) for c in chunks if c.snapshot]
            if (pieces or snapshots) and self.stopped not in (Stop.ENDED, Stop.OVERTAKEN):
                await self._publish(pieces, snapshots[-1] if snapshots else None)
            if self._error is not None and last.end is End.COMPLETED:
                raise self._error
            if last.end is not None:
                return
            if not self.job.paced:
                slot.allow(last.start + len(last.symbols) + self._ahead)

    async def _publish(self, pieces: list[Piece], snapshot: Snapshot | None) -> None:
        now = time.monotonic()
        event = now - self._told_at >= EVENT_SECONDS
        if event:
            self._told_at = now
        publish = partial(self.bench.broker.publish, self.job, self.attempt, pieces, snapshot, event=event)
        try:
            await patiently(publish)
        except Overtaken:
            self.stop(Stop.OVERTAKEN)
        except Lost:
            log.warning("redis has lost symbols", extra={"job": self.job.id})
            self.stop(Stop.LET_GO)
        else:
            if pieces:
                self.on_progress()


def _pieces(chunks: list[Chunk], published: int) -> list[Piece]:
    """Chunks as entries: neighbours of one stream in one, and nothing that has been handed on before."""
    pieces: list[Piece] = []
    for chunk in chunks:
        new = chunk.symbols[max(0, published - chunk.start) :].tobytes()
        start = chunk.start + len(chunk.symbols) - len(new)
        if not new:
            continue
        if pieces and pieces[-1].index == chunk.index:
            pieces[-1] = Piece(chunk.index, pieces[-1].start, pieces[-1].symbols + new)
        else:
            pieces.append(Piece(chunk.index, start, new))
    return pieces


class Speaking(Sampling):
    """Speech from text, or sound without any."""

    sampler: SoundSampler

    @property
    def rate(self) -> int:
        """See :class:`Sampling`."""
        return self.sampler.model.spec.sample_rate

    def count(self, symbols: int) -> None:
        """See :class:`Sampling`."""
        self.bench.metrics.spoke(self.sampler, symbols, self.rate)

    def over(self, symbols: int, seconds: float) -> None:
        """See :class:`Sampling`."""
        if symbols >= MEASURED_SECONDS * self.rate and seconds > 0:
            self.bench.metrics.factor(self.job, symbols / self.rate / seconds)

    async def parts(self, first: int) -> Iterator[Part]:
        """See :class:`Sampling`."""
        request = self.job.request
        if self.job.kind is Kind.GENERATION:
            prompt = b""
            if request["continues"]:
                prompt = await patiently(lambda: self.bench.broker.upload(self.job))
            return iter([self.sampler.generation(request, np.frombuffer(prompt, np.uint8))])
        utterance = await self.bench.in_pool(partial(self._utterance, request))
        return self.sampler.parts(utterance, first)

    def _utterance(self, request: Mapping[str, Any]) -> Utterance:
        names = ("model", "voice", "input", "seed")
        chosen = {name: request[name] for name in ("temperature", "speed")}
        return prepare(self.bench.repertoire, *(request[name] for name in names), **chosen)
