"""What the requests of one API process share."""

from __future__ import annotations

from dataclasses import dataclass

from ancestral.service.broker import UNAVAILABLE, Broker
from ancestral.service.broker.job import Priority
from ancestral.service.catalog.catalog import Catalog
from ancestral.service.catalog.models import Model
from ancestral.service.errors import NotReady
from ancestral.service.jobs.tasks import Tasks
from ancestral.service.settings import Settings
from ancestral.service.telemetry.metrics import ApiMetrics
from ancestral.service.telemetry.tracing import Tracing


@dataclass(frozen=True)
class State:
    """One running API process."""

    settings: Settings
    catalog: Catalog
    tasks: Tasks
    broker: Broker
    metrics: ApiMetrics
    tracing: Tracing

    async def obstacles(self) -> list[str]:
        """Why the service cannot be used; empty when it can."""
        try:
            await self.broker.ping()
            cards = await self.broker.roster()
        except UNAVAILABLE:
            return ["Redis does not answer."]
        problems = sorted({card.problem for card in cards if card.problem})
        if not any(card.ready for card in cards):
            return problems or ["No worker is running, or it is still loading its models."]
        served = {pair for card in cards if card.ready for pair in card.models.items()}
        missing = [name for name, model in self.catalog.models.items() if (name, model.sha256) not in served]
        return [f"No worker has {name} loaded." for name in missing]

    async def engines(self) -> dict[str, list[str]]:
        """The engines that sample each model, over all workers that are ready."""
        found: dict[str, set[str]] = {}
        for card in await self.broker.roster():
            for name, engine in card.engines.items() if card.ready else ():
                found.setdefault(name, set()).add(engine)
        return {name: sorted(engines) for name, engines in sorted(found.items())}

    async def require_worker(self, model: Model) -> None:
        """Refuse a request that no worker can do.

        Raises:
            NotReady: no worker has the model.
        """
        cards = await self.broker.roster()
        if not any(card.ready and card.models.get(model.entry.id) == model.sha256 for card in cards):
            problems = sorted({card.problem for card in cards if card.problem})
            raise NotReady(problems[0] if problems else f"No worker has {model.entry.id} loaded.")

    def queue_of(self, priority: Priority) -> int:
        """How many jobs of a priority may wait."""
        return self.settings.max_queued_streams if priority is Priority.INTERACTIVE else self.settings.max_queued_jobs
