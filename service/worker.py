"""A worker: takes jobs from Redis, samples them all in one running batch, hands the symbols back, and knows no more.

broker → session → text → scheduler → broker. Whatever happens to a worker, a job goes on: from its snapshot, on another
worker or on this one. Redis may be away for as long as it likes; sampling waits a few seconds of sound ahead.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import saq

from models.scheduler import Scheduler
from service.broker import UNAVAILABLE, Broker, WorkerCard
from service.jobs import MAX_DEATHS, Failure, Kind, Lane, Status
from service.lanes import HEARTBEAT_SECONDS, SWEEP_SECONDS, LaneWorker, Queue
from service.logs import request_id
from service.scoring import Scoring
from service.sessions import Bench, Sampling, Session
from service.settings import Settings
from service.synthesis import Synthesizer

ANNOUNCE_SECONDS = 1.5
_GATHER_SECONDS = 5.0
_RECOVERY_SECONDS = HEARTBEAT_SECONDS + 1
"""After Redis was away: until every living worker has shown signs of life for its jobs, none is taken for dead."""
_KINDS: dict[Kind, type[Session]] = {
    Kind.SPEECH: Sampling,
    Kind.GENERATION: Sampling,
    Kind.LIKELIHOOD: Scoring,
}

log = logging.getLogger(__name__)


class Worker:
    """One process that samples."""

    def __init__(self, settings: Settings, synthesizer: Synthesizer, broker: Broker) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._settings = settings
        self._synthesizer = synthesizer
        self._broker = broker
        self._ready = False
        self._problem: str | None = "The models are being warmed up."
        self._sessions: dict[str, Session] = {}
        self._cancel_seconds: deque[float] = deque(maxlen=100)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set; then every job in hand is left to other workers, with its state."""
        pool = ThreadPoolExecutor(self._settings.threads, thread_name_prefix="text")
        scheduler = Scheduler(
            self._settings.threads, chunk_ms=self._settings.chunk_ms, on_cancel=self._cancel_seconds.append
        )
        self._bench = Bench(self._settings, self._synthesizer, self._broker, scheduler, pool)
        slots = {Lane.INTERACTIVE: self._settings.interactive_slots, Lane.BATCH: self._settings.batch_slots}
        grace = max(2.0, float(self._settings.shutdown_seconds))
        lanes = [LaneWorker(self._broker.queues[lane], self._perform, count, grace) for lane, count in slots.items()]
        upkeep = [asyncio.create_task(work()) for work in (self._announce, self._listen, self._sweep)]
        try:
            await self._warm(pool)
            if self._ready:
                upkeep += [asyncio.create_task(lane.start()) for lane in lanes]
            await stopping.wait()
        finally:
            log.info("worker stopping", extra={"jobs": len(self._sessions)})
            await asyncio.gather(*(lane.stop() for lane in lanes), return_exceptions=True)
            for task in upkeep:
                task.cancel()
            await asyncio.gather(*upkeep, return_exceptions=True)
            await asyncio.to_thread(scheduler.close)
            pool.shutdown(wait=True, cancel_futures=True)
            with _tolerated():
                await self._broker.leave(self.id)

    async def _warm(self, pool: ThreadPoolExecutor) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(pool, self._synthesizer.warm)
        except Exception:  # the worker must outlive it, to say what it is not ready for
            log.exception("the models cannot be used")
            self._problem = "A model failed its first word; the worker's log says why."
        else:
            self._ready, self._problem = True, None
            log.info("worker ready", extra={"worker": self.id, "models": sorted(self._synthesizer.models)})
        with _tolerated():
            await self._broker.announce(self._card())

    def _card(self) -> WorkerCard:
        samplers = self._synthesizer.samplers
        return WorkerCard(
            id=self.id,
            ready=self._ready,
            engine=next(iter(samplers.values())).engine.name,
            models={name: sampler.model.sha256 for name, sampler in samplers.items()},
            slots={"interactive": self._settings.interactive_slots, "batch": self._settings.batch_slots},
            problem=self._problem,
            cancel_seconds=[round(seconds, 4) for seconds in self._cancel_seconds.copy()],
        )

    async def _announce(self) -> None:
        while True:
            with _tolerated():
                await self._broker.announce(self._card())
            await asyncio.sleep(ANNOUNCE_SECONDS)

    async def _listen(self) -> None:
        """Pass on what clients want of the jobs in hand. What gets lost here, a session finds in the job's record."""
        while True:
            with _tolerated():
                async for job_id, verb, value in self._broker.control():
                    if session := self._sessions.get(job_id):
                        session.heed(verb, value)
            await asyncio.sleep(0.1)

    async def _perform(self, context: Any, *, job_id: str) -> None:
        """Do one turn of a job: what SAQ calls."""
        job = await self._broker.job(job_id)
        if job is None or job.status.terminal:
            return
        sampler = self._synthesizer.samplers.get(job.model)
        if sampler is None or sampler.model.sha256 != job.sha256:
            failure = Failure("The model was replaced after the job had been accepted.", "model_changed")
            await self._broker.end(job, Status.FAILED, error=failure)
            return
        attempt = await self._broker.begin(job, sampler.engine.name)
        if not attempt:
            return
        session = _KINDS[job.kind](self._bench, sampler, job, attempt, context["job"])
        self._sessions[job_id] = session
        request_id.set(job.request_id)
        try:
            async with self._broker.controlled(job_id):
                await session.run()
        finally:
            if self._sessions.get(job_id) is session:
                del self._sessions[job_id]

    async def _sweep(self) -> None:
        """Find jobs whose worker died, and give them to whoever is free."""
        loop, steady = asyncio.get_running_loop(), None
        gathered, strays = 0.0, set[tuple[Lane, str, int]]()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self._broker.ping()
                steady = steady or loop.time()
                if loop.time() - steady >= _RECOVERY_SECONDS:
                    for queue in self._broker.queues.values():
                        for orphan in await queue.orphans():
                            await self._adopt(queue, orphan)
                    if loop.time() - gathered >= _GATHER_SECONDS:
                        gathered, strays = loop.time(), await self._gather(strays)
            except UNAVAILABLE:
                steady = None

    async def _gather(self, before: set[tuple[Lane, str, int]]) -> set[tuple[Lane, str, int]]:
        """Queue the jobs that were strays the last time and still are."""
        strays = {(lane, *stray) for lane in Lane for stray in await self._broker.strays(lane)}
        for lane, job_id, turn in strays & before:
            await self._broker.queues[lane].put(job_id, turn)
        return strays

    async def _adopt(self, queue: Queue, orphan: saq.Job) -> None:
        job = await self._broker.job((orphan.kwargs or {})["job_id"])
        if job is None or job.status.terminal:
            await queue.finish(orphan, saq.Status.ABORTED)
            return
        deaths = await self._broker.death(job)
        log.warning("a worker died with a job in hand", extra={"job": job.id, "deaths": deaths})
        if deaths >= MAX_DEATHS:
            failure = Failure(f"{deaths} workers in a row died with this job in hand; it was given up.", "worker_lost")
            await self._broker.end(job, Status.FAILED, error=failure)
            await queue.finish(orphan, saq.Status.ABORTED)
        else:
            await queue.retry(orphan, "its worker died")


@contextmanager
def _tolerated() -> Iterator[None]:
    """Go on without Redis: it will be back."""
    try:
        yield
    except UNAVAILABLE as error:
        log.warning("redis is away", extra={"reason": type(error).__name__})
