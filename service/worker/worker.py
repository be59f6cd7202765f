"""A worker: takes jobs from Redis, samples them all in one running batch, hands the symbols back, and knows no more.

broker → attempt → text → scheduler → broker. Whatever happens to a worker, a job goes on: from its snapshot, on another
worker or on this one. Redis may be away for as long as it likes; sampling waits a few seconds of sound ahead.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import saq

from models.scheduler import Scheduler
from service.broker import UNAVAILABLE, Broker, WorkerInfo
from service.broker.job import (
    MAX_DEATHS,
    Failure,
    Kind,
    Priority,
    Status,
)
from service.broker.queue import SWEEP_SECONDS, Queue, QueueWorker
from service.images.attempts import ImageAttempt, ImageScoringAttempt
from service.jobs.attempt import AttemptContext, JobAttempt
from service.settings import Settings
from service.speech.attempts import SpeechAttempt
from service.speech.scoring_attempt import SpeechScoringAttempt
from service.telemetry.logging import current_job, request_id
from service.telemetry.metrics import WorkerMetrics, Workload
from service.telemetry.outage import RedisOutage
from service.telemetry.tracing import Tracing
from service.worker.model_loader import LoadedModels
from service.worker.warmup import warm_up

ANNOUNCE_SECONDS = 1.5
DEAF_SECONDS = 60.0
"""A worker that does nothing for so long, not even wait for Redis, hangs."""
_GATHER_SECONDS = 5.0
_LINE_SECONDS = 0.5
_UNLOAD_SECONDS = 10.0
_KINDS: dict[Kind, type[JobAttempt]] = {
    Kind.SPEECH: SpeechAttempt,
    Kind.GENERATION: SpeechAttempt,
    Kind.LIKELIHOOD: SpeechScoringAttempt,
    Kind.IMAGE: ImageAttempt,
    Kind.COMPLETION: ImageAttempt,
    Kind.INTERPOLATION: ImageAttempt,
    Kind.IMAGE_LIKELIHOOD: ImageScoringAttempt,
}

log = logging.getLogger(__name__)


class Worker:
    """One process that samples."""

    def __init__(
        self, settings: Settings, loaded_models: LoadedModels, broker: Broker, metrics: WorkerMetrics, tracing: Tracing
    ) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._settings = settings
        self._loaded_models = loaded_models
        self._broker = broker
        self._slots = {Priority.INTERACTIVE: settings.interactive_slots, Priority.BATCH: settings.batch_slots}
        self._ready = False
        self._problem: str | None = "The models are being warmed up."
        self._attempts: dict[str, JobAttempt] = {}
        self._suspect: str | None = None
        self._metrics = metrics
        self._tracing = tracing
        assert settings.redis_url is not None, "a worker is not started without it"
        self._redis = RedisOutage(settings.redis_url)
        self._loaded_at = time.time()
        self._seen_at = time.monotonic()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set; then every job in hand is left to other workers, with its state."""
        pool = ThreadPoolExecutor(self._settings.threads, thread_name_prefix="text")
        scheduler = Scheduler(
            self._settings.threads, chunk_ms=self._settings.chunk_ms, on_cancel=self._metrics.cancels.observe
        )
        self._context = AttemptContext(
            self._settings, self._loaded_models, self._broker, scheduler, pool, self._metrics
        )
        self._metrics.watch(self._workload)
        grace = max(2.0, float(self._settings.shutdown_seconds))
        queues = self._broker.queues
        priorities = [
            QueueWorker(queues[priority], self._perform, count, grace, self.id)
            for priority, count in self._slots.items()
        ]
        upkeep: list[asyncio.Task[Any]] = []
        upkeep += [asyncio.create_task(work()) for work in (self._announce, self._listen, self._sweep)]
        upkeep.append(asyncio.create_task(stopping.wait()))
        warming = asyncio.create_task(self._warm(pool))
        try:
            await asyncio.wait([*upkeep, warming], return_when=asyncio.FIRST_COMPLETED)
            if warming.done():
                warming.result()  # raises what it should not have
            if (idle := self._settings.unload_seconds) is not None:
                upkeep.append(asyncio.create_task(self._unload(idle)))
            if self._ready and not stopping.is_set():
                upkeep += [asyncio.create_task(priority.start()) for priority in priorities]
            ended, _ = await asyncio.wait(upkeep, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*ended)  # which raises what none of them should have
        finally:
            log.info("worker stopping", extra={"jobs": len(self._attempts)})
            await asyncio.gather(*(priority.stop() for priority in priorities), return_exceptions=True)
            for task in (*upkeep, warming):
                task.cancel()
            await asyncio.gather(*upkeep, warming, return_exceptions=True)
            await asyncio.to_thread(scheduler.close)
            pool.shutdown(wait=True, cancel_futures=True)
            with self._redis.tolerated():
                await self._broker.leave(self.id)

    async def _warm(self, pool: ThreadPoolExecutor) -> None:
        """Warm the models up and tell the API processes, as soon as Redis can be reached."""
        try:
            await asyncio.get_running_loop().run_in_executor(pool, warm_up, self._loaded_models.samplers)
        except Exception:  # the worker stays, so that /readyz can say why it is not ready
            log.exception("the models cannot be used")
            self._problem = "Model warm-up failed; see the worker's log."
        else:
            self._ready, self._problem = True, None
        while True:
            with self._redis.tolerated():
                await self._broker.announce(self._card())
            if self._redis.connected:
                break
            await asyncio.sleep(ANNOUNCE_SECONDS)
        if self._ready:
            log.info("worker ready", extra={"worker": self.id, "models": sorted(self._loaded_models.models)})

    def _card(self) -> WorkerInfo:
        samplers = self._loaded_models.samplers
        return WorkerInfo(
            id=self.id,
            ready=self._ready,
            engines={name: sampler.engine.name for name, sampler in samplers.items()},
            models={name: sampler.model.sha256 for name, sampler in samplers.items()},
            slots={priority.value: count for priority, count in self._slots.items()},
            problem=self._problem,
        )

    def _workload(self) -> Workload:
        """Called by the thread that answers Prometheus."""
        attempts = list(self._attempts.values())
        return Workload(
            ready=self._ready,
            samplers=self._loaded_models.samplers,
            loaded_at=self._loaded_at,
            slots=self._slots,
            jobs={
                priority: sum(job_attempt.job.priority is priority for job_attempt in attempts) for priority in Priority
            },
            threads=self._settings.threads,
            figures=self._context.scheduler.figures(),
        )

    def obstacle(self) -> str | None:
        """Why this worker cannot sample; None when it can. May be called by any thread."""
        return self._problem

    def alive(self) -> bool:
        """Whether its event loop goes round. May be called by any thread."""
        return time.monotonic() - self._seen_at < DEAF_SECONDS

    async def _announce(self) -> None:
        while True:
            self._seen_at = time.monotonic()
            with self._redis.tolerated():
                await self._broker.announce(self._card())
            await asyncio.sleep(ANNOUNCE_SECONDS)

    async def _listen(self) -> None:
        """Pass on what clients want of the jobs in hand. What gets lost here, an attempt finds in the record."""
        while True:
            with self._redis.tolerated():
                async for job_id, verb, value in self._broker.control.messages():
                    if job_attempt := self._attempts.get(job_id):
                        job_attempt.heed(verb, value)
            await asyncio.sleep(0.1)

    async def _unload(self, idle_seconds: int) -> None:
        while True:
            await asyncio.sleep(min(idle_seconds / 2, _UNLOAD_SECONDS))
            await asyncio.to_thread(self._loaded_models.unload, idle_seconds)

    async def _perform(self, context: Any, *, job_id: str, turn: int) -> None:
        """Do one turn of a job: what SAQ calls."""
        job = await self._broker.job(job_id)
        if job is None or job.status.terminal:
            return
        sampler = self._loaded_models.samplers.get(job.model)
        if sampler is None or sampler.model.sha256 != job.sha256:
            failure = Failure("The model was replaced after the job had been accepted.", "model_changed")
            await self._broker.end(job, Status.FAILED, error=failure)
            return
        if job.samples_done and job.engine != sampler.engine.name:
            # Its listeners have sound of another engine, or precision: what this one makes does not go on from there.
            failure = Failure("The engine was replaced while the job was being sampled.", "engine_changed")
            await self._broker.end(job, Status.FAILED, error=failure)
            return
        if job.deaths >= MAX_DEATHS - 1:
            await self._stand_in_line(context["job"])
        try:
            if attempt := await self._broker.begin(job, turn, sampler.engine.name):
                self._metrics.began(job, attempt)
                await self._attempt(_KINDS[job.kind](self._context, sampler, job, attempt, context["job"]))
        finally:
            self._leave_line(job_id)

    async def _attempt(self, job_attempt: JobAttempt) -> None:
        job = job_attempt.job
        self._attempts[job.id] = job_attempt
        job_attempt.on_progress = partial(self._leave_line, job.id)
        request_id.set(job.request_id)
        current_job.set(job.id)
        try:
            with self._tracing.attempt(job, job_attempt.attempt), self._broker.control.of(job.id):
                await job_attempt.run()
        finally:
            if self._attempts.get(job.id) is job_attempt:
                del self._attempts[job.id]

    async def _stand_in_line(self, turn: saq.Job) -> None:
        """Jobs that one more death would be the end of are begun one at a time, each when the one before has got on.

        Else all that a worker has in hand would be given up together with the one that it dies of.
        """
        while self._suspect is not None:
            await turn.update()
            await asyncio.sleep(_LINE_SECONDS)
        self._suspect = (turn.kwargs or {})["job_id"]

    def _leave_line(self, job_id: str) -> None:
        if self._suspect == job_id:
            self._suspect = None

    async def _sweep(self) -> None:
        """Find jobs whose worker died, and give them to whoever is free."""
        gathered, strays = time.monotonic(), set[tuple[Priority, str, int]]()
        queues = self._broker.queues
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                for queue in queues.values():
                    for orphan in await queue.orphans():
                        await self._adopt(queue, orphan)
                if time.monotonic() - gathered >= _GATHER_SECONDS:
                    strays = await self._gather(strays)
                    gathered = time.monotonic()
            except UNAVAILABLE:
                for queue in queues.values():
                    queue.look_away()

    async def _gather(self, before: set[tuple[Priority, str, int]]) -> set[tuple[Priority, str, int]]:
        """Queue the jobs that were strays the last time and still are."""
        strays = {(priority, *stray) for priority in Priority for stray in await self._broker.strays(priority)}
        for _, job_id, turn in strays & before:
            if job := await self._broker.job(job_id):
                await self._broker.let_go(job, turn)
        return strays

    async def _adopt(self, queue: Queue, orphan: saq.Job) -> None:
        named = orphan.kwargs or {}
        if (job := await self._broker.job(named["job_id"])) and not job.status.terminal:
            died = orphan.status is saq.Status.ACTIVE  # or else before it had it in hand
            if died:
                self._metrics.orphans.inc()
                log.warning("a worker died with a job in hand", extra={"job": job.id, "worker": orphan.worker_id})
            await self._broker.let_go(job, named["turn"], died=died)
        await queue.finish(orphan, saq.Status.ABORTED)
