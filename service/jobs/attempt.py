"""A job in a worker's hands: what every kind of job shares.

A session may end in five ways: done, failed, cancelled by a client, let go (to another worker, or parked until somebody
listens again), or overtaken (another attempt has the job). Only the first two are its own decision.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import saq

from models.scheduler import Scheduler
from service.broker import UNAVAILABLE, Broker, Lost, Signals, patiently
from service.broker.job import Failure, Job, Status
from service.catalog.catalog import Catalog
from service.catalog.sampler import Sampler
from service.errors import InvalidRequest
from service.jobs.payload import Payload
from service.settings import Settings
from service.telemetry.metrics import WorkerMetrics

WATCH_SECONDS = 1.5
"""Between two looks at a job's record, which are its signs of life as well."""

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
class AttemptContext:
    """What a worker's sessions share."""

    settings: Settings
    catalog: Catalog
    broker: Broker
    scheduler: Scheduler
    pool: ThreadPoolExecutor
    """For text, frames and scores."""
    metrics: WorkerMetrics

    async def in_pool(self, work: Callable[[], _T]) -> _T:
        """Do a piece of work off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)


class JobAttempt(ABC):
    """One attempt at one job."""

    def __init__(
        self, context: AttemptContext, sampler: Sampler, job: Job, payload: Payload, attempt: int, turn: saq.Job
    ) -> None:
        self.context = context
        self.sampler = sampler
        self.job = job
        self.payload = payload
        self.attempt = attempt
        self.stopped: Stop | None = None
        self.symbols: int | None = None
        """How many it has handed on, once it has come to its end; none if it answers with figures."""
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
            self.context.metrics.over(self.job, end)
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _run(self) -> str:
        """How it ended, in a word."""
        working = asyncio.create_task(self.work())
        self._working = working
        try:
            result = await asyncio.shield(working)
        except InvalidRequest as error:  # which only the work itself could find out
            failure = Failure(error.message, error.code or "invalid", error.param)
            await self._end(Status.FAILED, error=failure)
            return "failed"
        except Exception:  # one job's failure is not the worker's
            log.exception("job failed", extra={"job": self.job.id})
            failure = Failure("The server failed on this request.", "internal_error")
            await self._end(Status.FAILED, error=failure)
            return "failed"
        if self.stopped is None and await self._completed(result):
            return "done"
        assert self.stopped is not None, "what is not complete was stopped"
        if self.stopped is Stop.LET_GO:
            await patiently(self._give_back)
        elif self.stopped is Stop.STALLED:
            await self._end(Status.CANCELLED)
        # A cancelled job and one that another attempt has look alike to who comes to publish.
        return str((Stop.ENDED if self.stopped is Stop.OVERTAKEN else self.stopped).value)

    async def _completed(self, result: dict[str, Any] | None) -> bool:
        """Say that it came to its end, unless Redis lacks some of it."""
        try:
            await self._end(Status.COMPLETED, result=result, symbols=self.symbols)
        except Lost:
            self.lose()
            return False
        return True

    async def _end(self, status: Status, **details: Any) -> None:
        """End the job, if this attempt has it, once Redis is there."""
        await patiently(lambda: self.context.broker.end(self.job, status, attempt=self.attempt, **details))

    async def _let_go(self) -> None:
        try:
            await self._working
        except Exception:  # it has been logged, or will fail again where it is taken up
            log.exception("job failed while the worker stopped", extra={"job": self.job.id})
        await self._give_back()

    async def _give_back(self) -> None:
        await self.context.broker.let_go(self.job, (self._turn.kwargs or {})["turn"])

    def stop(self, why: Stop) -> None:
        """Stop early."""
        if self.stopped is None:
            self.stopped = why
            self.halt()

    def lose(self) -> None:
        """Redis has lost symbols of it: an attempt that begins before them is to make them again."""
        log.warning("redis has lost symbols", extra={"job": self.job.id})
        self.stop(Stop.LET_GO)

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
                signals = await self.context.broker.signals(self.job)
                self._check(signals)
                if self.stopped is None:
                    await self._turn.update()
                if self.starved and self.job.deaths:
                    self.on_progress()
                    await self.context.broker.absolve(self.job)
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
        return now - max(self._waits_since, self.read_at) > self.context.settings.stall_seconds


class ScoringAttempt(JobAttempt):
    """A job that answers with figures: nobody reads it on the way."""

    def halt(self) -> None:
        """See :class:`JobAttempt`; `work` looks at :attr:`stopped` between its pieces."""

    def allow(self, read: int) -> None:
        """See :class:`JobAttempt`."""

    @property
    def starved(self) -> bool:
        """See :class:`JobAttempt`."""
        return False
