"""A worker: claims jobs from Redis, samples them in one running batch, and publishes their symbols.

broker → attempt → text → scheduler → broker. If a worker dies or stops, its jobs resume from their snapshots on
another worker. While Redis is unavailable, sampling goes on for a few seconds of sound and then waits.

A worker that stops claims nothing more, lets attempts finish that are finishing, puts the other jobs back at their
places in the queue, and ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from typing import Any, Final

from ancestral.loader import LoadedModels, warm_up
from ancestral_models.scheduler import Scheduler
from ancestral_service.broker.connection import UNAVAILABLE, Connection, cancel_all
from ancestral_service.broker.job import Failure, Priority, Status, WorkerInfo
from ancestral_service.broker.workers import LEASE_SECONDS, RECLAIM_SECONDS, Lease, Workers
from ancestral_service.jobs.attempt import AttemptContext, JobAttempt, Stop
from ancestral_service.jobs.plans import PayloadError
from ancestral_service.jobs.sampling_attempt import open_attempt
from ancestral_service.settings import Settings
from ancestral_service.telemetry.logging import RedisOutage, Tracing, current_job, request_id, tracing
from ancestral_service.telemetry.metrics import CONTENT_TYPE, WorkerMetrics, Workload

WAIT_SECONDS: Final = 1.0
"""Time that a worker waits to be woken before it looks for a job all the same."""
AT_A_TIME: Final = 4
"""Shards that it looks at then: in turn those that it serves, and one that it does not, whose workers may be busy."""


class ClaimOrder:
    """Where jobs of one priority may wait: in shards that woke this worker or gave it a job, and else anywhere.

    Args:
        shards: how many there are.
    """

    def __init__(self, shards: int) -> None:
        self._homes: Sequence[int] = []
        self._shards = shards
        self._hopeful: dict[int, None] = {}
        self._woken = asyncio.Event()
        self._looked = 0

    def serve(self, shards: Sequence[int]) -> None:
        """These shards are those that the worker serves now."""
        for shard in shards:
            if shard not in self._homes:
                self.wake(shard)
        self._homes = shards

    def wake(self, shard: int) -> None:
        """A job may wait in this shard."""
        self._hopeful[shard] = None
        self._woken.set()

    def wake_all(self) -> None:
        """A job may wait in any shard that the worker serves: all its slots were taken, so none has woken it."""
        for shard in self._homes:
            self.wake(shard)

    async def next(self) -> int:
        """The shard to look at next; waits while there is little hope in any."""
        if not self._hopeful:
            self._woken.clear()
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                self._hopeful |= dict.fromkeys(self._look_around())
        shard = next(iter(self._hopeful))
        del self._hopeful[shard]
        return shard

    def _look_around(self) -> list[int]:
        count = min(AT_A_TIME, len(self._homes))
        found = [self._homes[(self._looked + i) % len(self._homes)] for i in range(count)]
        self._looked += count
        if others := [shard for shard in range(self._shards) if shard not in self._homes]:
            found.append(random.choice(others))  # noqa: S311 - not for secrets
        return found


# Renews the leases of all jobs that a worker runs, and passes on the signals of messages that were lost.


RENEW_SECONDS: Final = 1.5
"""Interval of renewals."""
_RENEW_AGAIN_SECONDS: Final = 0.1
"""Interval of attempts to reach Redis: leases expire soon after it is back."""


async def renew_leases(broker: Workers, attempts: Sequence[JobAttempt]) -> None:
    """Renew the leases of ``attempts``, which changes meanwhile, for ever.

    What else is to be stored of each is stored by a task beside it, all at once: one round trip after another would
    take longer than a lease lasts where a worker has many jobs and Redis is far away.
    """
    storing = asyncio.create_task(_store([]))
    try:
        while True:
            begun, renewed = time.monotonic(), list(attempts)
            again = begun + RENEW_SECONDS
            signals = await broker.renew([attempt.lease for attempt in renewed])
            for attempt, signal in zip(renewed, signals, strict=True):
                if isinstance(signal, Exception):
                    attempt.on_redis_unavailable()
                    again = time.monotonic() + _RENEW_AGAIN_SECONDS
                else:
                    attempt.check(signal)
            if storing.done():
                storing.result()  # raises what it should not have
                storing = asyncio.create_task(_store(renewed))
            await asyncio.sleep(again - time.monotonic())
    finally:
        storing.cancel()


async def _store(attempts: Sequence[JobAttempt]) -> None:
    """Store what has been noted of each, in case nothing is published for a while; the next renewal tries again."""
    writes = [attempt.lease.try_to_store() for attempt in attempts]
    writes += [a.lease.clear_deaths() for a in attempts if a.waiting_for_reader and a.job.deaths]
    for result in await asyncio.gather(*writes, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, UNAVAILABLE):
            raise result


ANNOUNCE_SECONDS = 1.5
HUNG_SECONDS = 60.0
"""A worker whose event loop has not run for so long is not alive."""
_RETRY_SECONDS = 0.2
_UNLOAD_SECONDS = 10.0
_RELEASE_SECONDS = 1.0
"""Time in which Redis may take back what cannot be interrupted, and this worker's name among those to wake."""

log = logging.getLogger(__name__)


class Worker:
    """One process that samples.

    Args:
        settings: of the process.
        loaded_models: what it samples.
        broker: to Redis.
        metrics: of the process.
        tracing: of the process.
        name: what its id begins with. Of the workers with a name only one runs at a time; '' is none.
    """

    def __init__(
        self,
        settings: Settings,
        loaded_models: LoadedModels,
        broker: Workers,
        metrics: WorkerMetrics,
        tracing: Tracing,
        name: str = "",
    ) -> None:
        self._name = f"{name}/" if name else ""
        self.id = f"{self._name}{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._settings = settings
        self._loaded_models = loaded_models
        self._broker = broker
        self._slots = {Priority.INTERACTIVE: settings.interactive_slots, Priority.BACKGROUND: settings.batch_slots}
        self._free = {priority: asyncio.Semaphore(slots) for priority, slots in self._slots.items()}
        self._ready = False
        self._probes: dict[str, str] = {}
        self.problem: str | None = "The models are being warmed up."
        """Why this worker cannot sample; None when it can. May be read by any thread."""
        self._claiming = asyncio.Lock()
        self._homes: list[int] = []
        self._claims = {priority: ClaimOrder(broker.shards) for priority in Priority}
        self._stopping = False
        self._running: dict[asyncio.Task[None], Lease] = {}
        self._attempts: list[JobAttempt] = []
        self._metrics = metrics
        self._tracing = tracing
        assert settings.redis_url is not None, "a worker is not started without it"
        self._redis = RedisOutage(settings.redis_url)
        self._loaded_at = time.time()
        self._looped_at = time.monotonic()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set; then release every job that this worker runs."""
        pool = ThreadPoolExecutor(self._settings.threads, thread_name_prefix="text")
        scheduler = Scheduler(
            self._settings.threads, chunk_ms=self._settings.chunk_ms, on_cancel=self._metrics.cancels.observe
        )
        self._context = AttemptContext(
            self._settings,
            self._loaded_models,
            scheduler,
            pool,
            self._metrics,
            is_full=lambda priority: self._free[priority].locked(),
        )
        self._metrics.watch(self._workload)
        works = [self._announce(), self._listen(), renew_leases(self._broker, self._attempts)]
        works += [self._reclaim(*queue) for queue in product(Priority, range(self._broker.shards))]
        upkeep: list[asyncio.Task[Any]] = [asyncio.create_task(work) for work in (*works, stopping.wait())]
        warming = asyncio.create_task(self._warm(pool))
        claiming: list[asyncio.Task[None]] = []
        try:
            await asyncio.wait([*upkeep, warming], return_when=asyncio.FIRST_COMPLETED)
            if warming.done():
                warming.result()  # raises what it should not have
            if (idle := self._settings.unload_seconds) is not None:
                upkeep.append(asyncio.create_task(self._unload(idle)))
            if self._ready and not stopping.is_set():
                claiming += [asyncio.create_task(self._serve(priority)) for priority in self._slots]
            ended, _ = await asyncio.wait([*upkeep, *claiming], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*ended)  # which raises what none of them should have
        finally:
            log.info("worker stopping", extra={"jobs": len(self._attempts)})
            async with self._claiming:
                for task in claiming:
                    task.cancel()
            withdrawing = asyncio.create_task(self._broker.not_idle(self.id, *Priority))
            await asyncio.wait([withdrawing], timeout=_RELEASE_SECONDS)
            await self._release_all()
            for task in (*upkeep, withdrawing, warming):
                task.cancel()
            await asyncio.gather(*upkeep, *claiming, withdrawing, warming, return_exceptions=True)
            await asyncio.to_thread(scheduler.close)
            pool.shutdown(wait=True, cancel_futures=True)
            with self._redis.tolerated():
                await self._broker.leave(self.id, self._homes)

    async def _warm(self, pool: ThreadPoolExecutor) -> None:
        """Warm the models up and tell the API processes, as soon as Redis can be reached."""
        try:
            self._probes = await asyncio.get_running_loop().run_in_executor(pool, warm_up, self._loaded_models)
        except Exception:  # the worker stays, so that /readyz can say why it is not ready
            log.exception("the models cannot be used")
            self.problem = "Model warm-up failed; see the worker's log."
        else:
            self._ready, self.problem = True, None
        while True:
            with self._redis.tolerated():
                await self._tell()
            if self._redis.connected:
                break
            await asyncio.sleep(ANNOUNCE_SECONDS)
        if self._ready:
            log.info("worker ready", extra={"worker": self.id, "models": sorted(self._loaded_models.models)})

    async def _tell(self) -> None:
        """Announce this worker in the shards that it is to serve now."""
        self._homes = await self._broker.enrol(self.id)
        for order in self._claims.values():
            order.serve(self._homes)
        await self._broker.announce(self.id, self._info(), self._homes)

    def _info(self) -> WorkerInfo:
        samplers = self._loaded_models.samplers
        return WorkerInfo(
            ready=self._ready,
            engines={name: sampler.engine.name for name, sampler in samplers.items()},
            models={name: sampler.model.sha256 for name, sampler in samplers.items()},
            left_out=self._loaded_models.left_out,
            slots={priority.value: count for priority, count in self._slots.items()},
            problem=self.problem,
        )

    def _workload(self) -> Workload:
        """Called by the thread of the probes."""
        attempts = list(self._attempts)
        return Workload(
            ready=self._ready,
            samplers=self._loaded_models.samplers,
            loaded_at=self._loaded_at,
            slots=self._slots,
            jobs={priority: sum(each.job.priority is priority for each in attempts) for priority in Priority},
            threads=self._settings.threads,
            figures=self._context.scheduler.figures(),
        )

    def alive(self) -> bool:
        """Whether its event loop runs. May be called by any thread."""
        return time.monotonic() - self._looped_at < HUNG_SECONDS

    # Upkeep

    async def _announce(self) -> None:
        while True:
            self._looped_at = time.monotonic()
            with self._redis.tolerated():
                await self._tell()
            await asyncio.sleep(ANNOUNCE_SECONDS)

    async def _listen(self) -> None:
        """Pass messages of clients to the attempts, which get lost ones when their leases are renewed."""
        while True:
            with self._redis.tolerated():
                async for message in self._broker.messages(self.id):
                    if message.verb == "wake":
                        self._claims[Priority(message.subject)].wake(message.value)
                    for job_attempt in self._attempts:
                        if job_attempt.job.id == message.subject:
                            job_attempt.handle_message(message.verb, message.value)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _unload(self, idle_seconds: int) -> None:
        while True:
            await asyncio.sleep(min(idle_seconds / 2, _UNLOAD_SECONDS))
            await asyncio.to_thread(self._loaded_models.unload, idle_seconds)

    async def _reclaim(self, priority: Priority, shard: int) -> None:
        """Put the jobs of dead workers back into one queue, while this worker serves its shard. Others do not wait for
        it: its server may hang. Those of the worker before of this one's name are put back at once."""
        dead = self._name
        while True:
            with suppress(*UNAVAILABLE):
                serves = dead or shard in self._homes
                orphans = await self._broker.reclaim(priority, shard=shard, dead=dead, but=self.id) if serves else ()
                dead = ""
                for orphan in orphans:
                    self._metrics.orphans.inc()
                    log.warning("job reclaimed: its worker died", extra={"job": orphan.job.id, "worker": orphan.worker})
            await asyncio.sleep(RECLAIM_SECONDS)

    # Jobs

    async def _serve(self, priority: Priority) -> None:
        """Claim and run jobs of one priority, as many at once as there are slots."""
        free = self._free[priority]
        while True:
            was_full = free.locked()
            await free.acquire()
            if was_full:
                self._claims[priority].wake_all()
            (await self._next(priority)).add_done_callback(lambda _: free.release())

    async def _next(self, priority: Priority) -> asyncio.Task[None]:
        """Claim a job, waiting for one, and begin to run it."""
        models = {
            name: (sampler.model.sha256, sampler.engine.name, self._probes[name])
            for name, sampler in self._loaded_models.samplers.items()
        }
        order = self._claims[priority]
        while True:
            shard = await order.next()
            try:
                async with self._claiming:  # held until its task is there: a worker that stops waits for it
                    suspect_held = any(lease.suspect for lease in self._running.values())
                    last = self._free[priority].locked()
                    lease = await self._broker.claim(
                        priority, self.id, models, shard=shard, last=last, suspect_held=suspect_held
                    )
                    if lease is not None:
                        order.wake(shard)  # there may be more
                        task = asyncio.create_task(self._perform(lease))
                        self._running[task] = lease
                        task.add_done_callback(self._running.pop)
                        return task
            except UNAVAILABLE:
                order.wake(shard)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _perform(self, lease: Lease) -> None:
        """Make an attempt at a job. Should this fail unexpectedly, the lease expires as if the worker had died."""
        job = lease.job
        request_id.set(job.request_id)
        current_job.set(job.id)
        self._metrics.began(job, lease.attempt)
        try:
            try:
                job_attempt = open_attempt(self._context, self._loaded_models.samplers[job.model], lease)
            except PayloadError as error:  # another version has written it
                await lease.end(Status.FAILED, error=Failure(error.message, error.code or "payload_version"))
                self._metrics.attempt_ended(job, "failed")
                return
            self._attempts.append(job_attempt)
            if self._stopping:
                job_attempt.stop(Stop.RELEASED)
            try:
                with self._tracing.attempt(job, lease.attempt):
                    await job_attempt.run()
            finally:
                self._attempts.remove(job_attempt)
        except Exception:  # one job's failure is not the worker's
            log.exception("attempt failed", extra={"job": job.id})

    async def _release_all(self) -> None:
        """Let attempts finish that are finishing, and release the jobs of the others, also of those that cannot be
        interrupted.

        Without Redis there is nothing to wait for after :data:`LEASE_SECONDS`: the leases have expired.
        """
        self._stopping = True
        for job_attempt in self._attempts:
            job_attempt.stop(Stop.RELEASED)
        until = time.monotonic() + max(2.0, float(self._settings.shutdown_seconds))
        leases = self._running.values()
        while (now := time.monotonic()) < until and any(now - lease.renewed_at < LEASE_SECONDS for lease in leases):
            await asyncio.wait(self._running, timeout=0.5)
        left = [*leases]
        await cancel_all(*self._running)
        with suppress(TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                await asyncio.gather(*(lease.release() for lease in left), return_exceptions=True)


# A worker with all that it is made of, and its probes: ``/metrics`` for Prometheus, ``/healthz`` and ``/readyz`` for an
# orchestrator. They are answered by a thread of their own, so that sampling does not delay them.


ANSWER_SECONDS = 10.0
"""Time for which a client may keep a connection open without sending a request."""
_TEXT = "text/plain; charset=utf-8"


@contextmanager
def answering(listener: socket.socket, worker: Worker, metrics: WorkerMetrics) -> Iterator[None]:
    """Serve the probes on a listening socket, which is closed when the block ends."""

    class Handler(BaseHTTPRequestHandler):
        timeout = ANSWER_SECONDS

        def do_GET(self) -> None:
            status, kind, body = _answer(self.path.partition("?")[0], worker, metrics)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.command == "GET" else b"")

        do_HEAD = do_GET  # noqa: N815 - the library's name

        def version_string(self) -> str:
            return "ancestral"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            log.debug("probed", extra={"path": self.path})

    address = listener.getsockname()
    server = ThreadingHTTPServer(address[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    thread = threading.Thread(target=server.serve_forever, name="probes")
    thread.start()
    log.info("probes listening", extra={"host": address[0], "port": address[1]})
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(path: str, worker: Worker, metrics: WorkerMetrics) -> tuple[int, str, bytes]:
    """Status, media type and body."""
    if path == "/metrics":
        return 200, CONTENT_TYPE, metrics.exposition()
    if path == "/healthz":
        return (200, _TEXT, b"ok\n") if worker.alive() else (503, _TEXT, b"The event loop does not run.\n")
    if path == "/readyz":
        problem = worker.problem
        return (200, _TEXT, b"ready\n") if problem is None else (503, _TEXT, f"{problem}\n".encode())
    return 404, _TEXT, b"There are /metrics, /healthz and /readyz.\n"


async def run_worker(
    settings: Settings,
    loaded_models: LoadedModels,
    stopping: asyncio.Event,
    listener: socket.socket | None,
    name: str = "",
) -> None:
    """Sample jobs until ``stopping`` is set.

    Args:
        settings: with a ``redis_url``.
        loaded_models: what it samples.
        stopping: set by the caller, in this event loop.
        listener: the socket of its probes, if it has any.
        name: of the worker (:class:`Worker`).
    """
    assert settings.redis_url is not None
    metrics = WorkerMetrics()
    connection = Connection(settings.redis_url, metrics, shards=settings.redis_shards)
    traces = tracing(settings, "worker")
    worker = Worker(settings, loaded_models, Workers(connection), metrics, traces, name)
    try:
        with nullcontext() if listener is None else answering(listener, worker, metrics):
            await worker.run(stopping)
    finally:
        await connection.close()
        await asyncio.to_thread(traces.close)
