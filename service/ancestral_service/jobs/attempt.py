"""One attempt of a worker at one job: what every kind of job shares.

An attempt ends in one of seven ways: completed, failed, cancelled by a client, stalled (the client stopped reading),
released (to another worker, or suspended until the client reconnects), parked (until a slow client has read what there
is), or stale (a later attempt has the job).
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.descriptions import Plan, Sampler
from ancestral.errors import InvalidRequest
from ancestral_models.scheduler import Scheduler
from ancestral_service.broker.job import Failure, Priority, Signals, Status, SymbolsLost
from ancestral_service.broker.workers import Lease
from ancestral_service.errors import internal_error
from ancestral_service.settings import Settings
from ancestral_service.telemetry.metrics import WorkerMetrics

PLANNING_SHARE = 0.1
"""Share of one core that planning may take, for all jobs of a worker together, while every sampling thread is busy."""

_T = TypeVar("_T")
log = logging.getLogger(__name__)


class Stop(Enum):
    """Why an attempt stops before its end."""

    CANCELLED = "cancelled"
    """A client cancelled the job; its record is already updated."""
    RELEASED = "released"
    """The worker stops, or the client disconnected and may come back."""
    PARKED = "parked"
    """The client reads so slowly that others get the slot until it needs more."""
    STALE = "stale"
    """Another, later attempt has the job."""
    STALLED = "stalled"
    """The client has not read for too long."""


@dataclass(frozen=True)
class AttemptContext:
    """What the attempts of a worker share."""

    settings: Settings
    catalog: Catalog
    scheduler: Scheduler
    pool: ThreadPoolExecutor
    """Threads for work that would block the event loop: text, frames, scores."""
    metrics: WorkerMetrics
    is_full: Callable[[Priority], bool]
    """Whether the worker has no slot left for another job of this priority."""
    planning: asyncio.Lock = field(default_factory=asyncio.Lock)
    searching: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while seeds are searched: for seconds, on one core, outside the pool that speech needs."""

    async def in_pool(self, work: Callable[[], _T]) -> _T:
        """Run ``work`` in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)

    async def planned(self, work: Callable[[], _T]) -> _T:
        """Run ``work``, which nobody waits for, in a thread: one at a time, and seldom while all cores sample."""
        async with self.planning:
            begun = time.monotonic()
            result = await self.in_pool(work)
            if self.scheduler.figures().running >= self.settings.threads:
                await asyncio.sleep((time.monotonic() - begun) * (1.0 / PLANNING_SHARE - 1.0))
            return result


class JobAttempt(ABC):
    """One attempt at one job.

    Args:
        context: of the worker.
        sampler: of the job's model.
        lease: of the job.
        plan: of the job.
    """

    def __init__(self, context: AttemptContext, sampler: Sampler, lease: Lease, plan: Plan) -> None:
        self.context = context
        self.sampler = sampler
        self.lease = lease
        self.job = lease.job
        self.plan = plan
        self.stopped: Stop | None = None
        self.symbols: int | None = None
        """The number of symbols of the whole job, once the last is published; None if the result is figures."""
        self.read_at = time.monotonic()
        self._waits_since: float | None = None
        self._parked = -1

    @abstractmethod
    async def work(self) -> dict[str, Any] | None:
        """Do the work and return the job's result, if it has one. Returns early once :attr:`stopped` is set."""

    def halt(self) -> None:
        """Make :meth:`work` return soon, if that does not look at :attr:`stopped` itself."""
        return

    def on_read(self, read: int) -> None:
        """The client has read ``read`` symbols."""
        return

    @property
    def waiting_for_reader(self) -> bool:
        """Whether it waits for its client to read."""
        return False

    def parking_position(self, now: float) -> int | None:
        """Where its client needs more, if that reads so slowly that the attempt has its slot for nothing."""
        return None

    async def run(self) -> None:
        """Do the work, and record the outcome. The worker renews the lease meanwhile."""
        end = Stop.RELEASED.value
        try:
            end = await self._run()
        finally:
            self.context.metrics.attempt_ended(self.job, end)

    async def _run(self) -> str:
        """The outcome, as a label for metrics."""
        try:
            result = await self.work()
        except InvalidRequest as error:  # found only while working
            await self.lease.end(Status.FAILED, error=Failure(error.message, error.code or "invalid", error.param))
            return "failed"
        except Exception:  # one job's failure is not the worker's
            log.exception("job failed", extra={"job": self.job.id})
            internal = internal_error()
            await self.lease.end(Status.FAILED, error=Failure(internal.message, internal.code or internal.type))
            return "failed"
        finished = self.symbols is not None or result is not None
        if finished and self.stopped in (None, Stop.RELEASED, Stop.PARKED) and (end := await self._completed(result)):
            return end
        assert self.stopped is not None, "what is not complete was stopped"
        if self.stopped in (Stop.RELEASED, Stop.PARKED):
            await self.lease.release(self._parked)
        elif self.stopped is Stop.STALLED:
            await self.lease.end(Status.CANCELLED)
        # Publishing cannot distinguish a cancelled job from one that a later attempt has.
        return str((Stop.CANCELLED if self.stopped is Stop.STALE else self.stopped).value)

    async def _completed(self, result: dict[str, Any] | None) -> str | None:
        """End the job as completed. The outcome: it may have been cancelled just before; None if Redis has lost some of
        its symbols."""
        try:
            if not await self.lease.end(Status.COMPLETED, result=result, symbols=self.symbols):
                return Stop.CANCELLED.value
        except SymbolsLost:
            self.on_symbols_lost()
            return None
        self.on_completed()
        return "done"

    def on_completed(self) -> None:
        """The job has been completed."""
        return

    def stop(self, why: Stop) -> None:
        if self.stopped is None:
            self.stopped = why
            self.halt()

    def on_symbols_lost(self) -> None:
        """Redis has lost symbols of the job: an attempt that resumes before them has to sample them again."""
        if self.stopped is None:
            log.warning("redis has lost symbols", extra={"job": self.job.id})
        self.stop(Stop.RELEASED)
        self._parked = -1  # its reader could not reach where it was to be parked

    def handle_message(self, verb: str, value: int) -> None:
        if verb == "read":
            self.read_at = time.monotonic()
            self.on_read(value)
        else:
            self.stop(Stop.RELEASED if verb == "suspend" else Stop.CANCELLED)

    def on_redis_unavailable(self) -> None:
        """Redis did not answer, so the client could not say what it has read."""
        self.read_at = time.monotonic()

    def check(self, signals: Signals | None) -> None:
        """Follow the signals that were read when the lease was renewed."""
        if signals is None or signals.status.terminal:
            self.stop(Stop.CANCELLED)
        elif signals.attempt != self.lease.attempt or signals.status is Status.QUEUED:
            self.stop(Stop.STALE)
        elif signals.suspend:
            self.stop(Stop.RELEASED)
        elif signals.symbols_lost:  # which its reader waits for, and without its reader nothing more is published
            self.on_symbols_lost()
        else:
            self.on_read(signals.read)
            now = time.monotonic()
            others_wait = self.stopped is None and signals.queued and self.context.is_full(self.job.priority)
            if others_wait and (parked := self.parking_position(now)) is not None:
                self._parked = parked
                self.stop(Stop.PARKED)
            elif self._is_stalled(now):
                log.info("client stopped reading; job cancelled", extra={"job": self.job.id})
                self.stop(Stop.STALLED)

    def _is_stalled(self, now: float) -> bool:
        """Whether it has waited for its client longer than ``stall_seconds``."""
        if not self.waiting_for_reader:
            self._waits_since = None
            return False
        self._waits_since = self._waits_since or now
        return now - max(self._waits_since, self.read_at) > self.context.settings.stall_seconds
