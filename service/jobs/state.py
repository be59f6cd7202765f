"""What the requests of one API process share."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.models import Model
from ancestral.provenance.signer import Signer
from ancestral.service.broker.clients import Clients
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.job import Priority
from ancestral.service.broker.messages import WorkerInfo
from ancestral.service.errors import NotReady, Overloaded
from ancestral.service.jobs.artifacts import Artifacts
from ancestral.service.jobs.cache import AnswerCache
from ancestral.service.jobs.caller import Caller
from ancestral.service.jobs.tasks import Tasks
from ancestral.service.settings import Settings
from ancestral.service.telemetry.metrics import ApiMetrics
from ancestral.service.telemetry.tracing import Tracing

COUNT_SECONDS = 5
"""Time for which a request waits to be counted."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AppState:
    """State of one running API process."""

    settings: Settings
    catalog: Catalog
    tasks: Tasks
    broker: Clients
    metrics: ApiMetrics
    tracing: Tracing
    signer: Signer | None
    """Signs finished files; None if nothing does."""
    avatars: AnswerCache = field(default_factory=AnswerCache)
    """Pictures of names, by their ETags."""
    long_texts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Limits the text front-end: see :func:`ancestral.service.speech.requests.prepared`."""

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.broker, self.catalog, self.tasks, self.signer)

    async def readiness_problems(self) -> list[str]:
        """Why the service cannot be used; empty when it can."""
        try:
            await self.broker.ping()
            workers = await self.broker.queues.workers()
        except UNAVAILABLE:
            return ["Redis is unavailable."]
        if not any(worker.ready for worker in workers):
            return _problems(workers) or ["No worker is running, or it is still loading its models."]
        served = {pair for worker in workers if worker.ready for pair in worker.models.items()}
        missing = [name for name, model in self.catalog.models.items() if (name, model.sha256) not in served]
        return [f"No worker has {name} loaded." for name in missing]

    async def engines(self) -> dict[str, list[str]]:
        """The engines that sample each model, over all workers that are ready."""
        found: dict[str, set[str]] = {}
        for worker in await self.broker.queues.workers():
            for name, engine in worker.engines.items() if worker.ready else ():
                found.setdefault(name, set()).add(engine)
        return {name: sorted(engines) for name, engines in sorted(found.items())}

    async def require_worker(self, model: Model) -> None:
        """Refuse a request that no worker can do.

        Raises:
            NotReady: no worker has the model.
        """
        workers, name = await self.broker.queues.workers(), model.entry.id
        if not any(worker.ready and worker.models.get(name) == model.sha256 for worker in workers):
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
                admitted, reset, remaining = await self.broker.request_window.hit(caller.name, limit)
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
