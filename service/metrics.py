"""What Prometheus is told. The only file that knows its client.

Workers report through their cards in Redis, so scraping any API process shows all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from service.broker import WorkerCard
from service.jobs import Lane

CONTENT_TYPE = CONTENT_TYPE_LATEST
QUANTILES = (0.5, 0.95, 1.0)


class _Now:
    """A registry's collector of one moment's figures."""

    def __init__(self, figures: Sequence[Metric]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """The figures."""
        return self._figures


def exposition(cards: Sequence[WorkerCard], depths: Mapping[Lane, tuple[int, int]]) -> bytes:
    """The text of ``/metrics``.

    Args:
        cards: of the workers that live.
        depths: of each lane, the jobs that wait and those that run.
    """
    workers = GaugeMetricFamily("ancestral_workers", "Workers that live, by whether they can sample.", labels=["ready"])
    for ready in (True, False):
        workers.add_metric([str(ready).lower()], sum(card.ready is ready for card in cards))
    slots = GaugeMetricFamily("ancestral_slots", "Slots of all workers that are ready.", labels=["lane"])
    jobs = GaugeMetricFamily("ancestral_jobs", "Jobs that have not ended.", labels=["lane", "state"])
    for lane, (waiting, running) in depths.items():
        slots.add_metric([lane.value], sum(card.slots[lane] for card in cards if card.ready))
        jobs.add_metric([lane.value, "waiting"], waiting)
        jobs.add_metric([lane.value, "running"], running)
    cancelled = GaugeMetricFamily(
        "ancestral_cancel_seconds", "How long the last cancelled streams still held their slots.", labels=["quantile"]
    )
    if seconds := [value for card in cards for value in card.cancel_seconds]:
        for quantile in QUANTILES:
            cancelled.add_metric([str(quantile)], float(np.quantile(seconds, quantile)))
    registry = CollectorRegistry()
    registry.register(_Now([workers, slots, jobs, cancelled]))
    return generate_latest(registry)
