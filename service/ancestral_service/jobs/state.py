"""What the requests of one API process share: models, Redis, limits, who sends them, and the seeds that they get."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.descriptions import Model
from ancestral.catalog.seeds import keyed_seeds
from ancestral.provenance.c2pa import Signer
from ancestral_service.broker.clients import Clients
from ancestral_service.broker.connection import UNAVAILABLE
from ancestral_service.broker.job import Priority, WorkerInfo
from ancestral_service.errors import ModelUnusable, NotReady, Overloaded
from ancestral_service.jobs.artifacts import Artifacts
from ancestral_service.settings import Settings
from ancestral_service.telemetry.logging import Tracing
from ancestral_service.telemetry.metrics import ApiMetrics


@dataclass(frozen=True)
class Caller:
    """Whom a request is from, and what is allowed to them; None leaves it to the server's settings."""

    name: str
    requests_per_minute: int | None = None
    concurrent_streams: int | None = None


ANONYMOUS = Caller("anonymous")


_ENTRY_BYTES: Final = 2048
"""Approximate bytes of an entry beside its data."""


class AnswerCache:
    """Files and their headers, by keys; those that were not asked for the longest time make room for others.

    Args:
        most: bytes that it may have.
    """

    def __init__(self, most: int = 32 << 20) -> None:
        self._most = most
        self._size = 0
        self._entries: OrderedDict[str, tuple[bytes, Mapping[str, str]]] = OrderedDict()

    def get(self, key: str) -> tuple[bytes, Mapping[str, str]] | None:
        """A file and its headers, if they are there."""
        if (found := self._entries.get(key)) is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: str, data: bytes, headers: Mapping[str, str]) -> None:
        """Keep a file, unless it alone is too large."""
        if key in self._entries or len(data) + _ENTRY_BYTES > self._most:
            return
        self._entries[key] = data, headers
        self._size += len(data) + _ENTRY_BYTES
        while self._size > self._most:
            _, (old, _) = self._entries.popitem(last=False)
            self._size -= len(old) + _ENTRY_BYTES


_RESERVE: Final = 512
_RETRY_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


class KeyedSeeds:
    """The seeds of requests without one, in one API process.

    Args:
        key: of the deployment.
        broker: which counts for all of its processes.
    """

    def __init__(self, key: bytes, broker: Clients) -> None:
        self._key, self._broker = key, broker
        self._seeds: deque[int] = deque()
        self._low = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Keep counters in reserve, for ever."""
        while True:
            self._low.clear()
            if len(self._seeds) < _RESERVE:
                try:
                    first = await self._broker.reserve_seeds(_RESERVE)
                except UNAVAILABLE as error:
                    log.warning("no seeds can be reserved", extra={"reason": type(error).__name__})
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                self._seeds.extend(int(seed) for seed in keyed_seeds(self._key, first, _RESERVE))
            await self._low.wait()

    def draw(self) -> int:
        """The next seed. May be called by any thread.

        Raises:
            NotReady: Redis has not been available for so long that none is left.
        """
        try:
            seed = self._seeds.popleft()
        except IndexError:
            raise NotReady("Redis is unavailable.") from None
        if len(self._seeds) < _RESERVE:
            self._loop.call_soon_threadsafe(self._low.set)
        return seed


COUNT_SECONDS = 5
"""Time for which a request waits to be counted."""


@dataclass(frozen=True)
class AppState:
    """State of one running API process."""

    settings: Settings
    catalog: Catalog
    broker: Clients
    metrics: ApiMetrics
    tracing: Tracing
    signer: Signer | None
    """Signs finished files; None if nothing does."""
    avatars: AnswerCache = field(default_factory=AnswerCache)
    """Pictures of names, by their ETags."""
    long_texts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Limits the text front-end: see :func:`ancestral_service.jobs.planning.speech_job_in_thread`."""

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.broker, self.catalog, self.signer)

    async def readiness_problems(self) -> list[str]:
        """Why the service cannot be used; empty when it can."""
        try:
            await self.broker.ping()
            workers = await self.broker.queues.workers()
        except UNAVAILABLE:
            return ["Redis is unavailable."]
        if not (ready := [worker for worker in workers if worker.ready]):
            return _problems(workers) or ["No worker is running, or it is still loading its models."]
        known = {pair for worker in ready for pair in (*worker.models.items(), *worker.left_out.items())}
        missing = [name for name, model in self.catalog.models.items() if (name, model.sha256) not in known]
        return [f"No worker has {name} loaded." for name in missing]

    async def engines(self) -> dict[str, list[str]]:
        """The engines that sample each model, over all workers that are ready."""
        found: dict[str, set[str]] = {}
        for worker in await self.broker.queues.workers():
            for name, engine in worker.engines.items() if worker.ready else ():
                found.setdefault(name, set()).add(engine)
        return {name: sorted(engines) for name, engines in sorted(found.items())}

    async def served(self) -> set[str]:
        """The ids of the models that every worker has that is ready: whichever takes a job can sample all of them."""
        ready = [worker.models for worker in await self.broker.queues.workers() if worker.ready]
        models = self.catalog.models.items()
        return {name for name, model in models if all(each.get(name) == model.sha256 for each in ready)}

    async def require_worker(self, model: Model) -> None:
        """Refuse a request that no worker can do.

        Raises:
            ModelUnusable: every worker that knows the model has left it out.
            NotReady: no worker has the model.
        """
        workers, name = await self.broker.queues.workers(), model.entry.id
        ready = [worker for worker in workers if worker.ready]
        if not any(worker.models.get(name) == model.sha256 for worker in ready):
            if any(worker.left_out.get(name) == model.sha256 for worker in ready):
                raise ModelUnusable(name)
            raise NotReady(next(iter(_problems(workers)), f"No worker has {name} loaded."))

    async def count_request(self, caller: Caller) -> dict[str, str]:
        """Count one request of a caller: how many they may send in sixty seconds is limited over all servers together.

        Returns:
            The headers with what is left of the caller's limit; none for a caller without a limit.

        Raises:
            Overloaded: it is one too many; it is not counted.
            NotReady: Redis is unavailable.
        """
        limit = caller.requests_per_minute or self.settings.requests_per_minute
        if limit is None:
            return {}
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                admitted, reset, remaining = await self.broker.count_request(caller.name, limit)
        except UNAVAILABLE as error:
            log.error("requests cannot be counted", extra={"reason": f"{type(error).__name__}: {error}"})
            raise NotReady("Redis is unavailable.") from error
        seconds = max(1, math.ceil(reset - time.time()))
        headers = {
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-remaining-requests": str(remaining),
            "x-ratelimit-reset-requests": f"{seconds}s",
        }
        if not admitted:
            message = f"This caller may send {limit} requests a minute."
            refused = Overloaded(message, retry_after=seconds, code="rate_limited")
            refused.headers.update(headers)
            raise refused
        return headers

    def queue_of(self, priority: Priority) -> int:
        """How many jobs of a priority may wait in each shard."""
        settings = self.settings
        jobs = settings.max_queued_streams if priority is Priority.INTERACTIVE else settings.max_queued_jobs
        return math.ceil(jobs / self.broker.queues.shards)


def _problems(workers: Sequence[WorkerInfo]) -> list[str]:
    """Reasons why workers are not ready."""
    return sorted({worker.problem for worker in workers if worker.problem})


# Admission: a checked request becomes a job in a queue, whatever the job makes.
#
# Checked here: that a worker is ready, the idempotency key (the same key and request are the same job), the caller's
# limits, and that the queue has room.
