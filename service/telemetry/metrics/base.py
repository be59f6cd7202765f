"""What every process tells: who it is, what it uses, how soon Redis answers it, and which jobs it has ended."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from service import __version__
from service.broker import BrokerHooks
from service.broker.job import Job, Status

disable_created_metrics()  # type: ignore[no-untyped-call]  # which would double the number of series
CONTENT_TYPE = CONTENT_TYPE_LATEST
ROUND_TRIPS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds."""
WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
LIVES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)


class Now(Collector):
    """Figures of one moment."""

    def __init__(self, figures: Sequence[Metric]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """The figures."""
        return self._figures


def gauge(name: str, help_: str, values: Iterable[tuple[Sequence[str], float]], labels: Sequence[str]) -> Metric:
    """A gauge of this moment.

    Args:
        name: of the metric.
        help_: what it is.
        values: of the labels, and the figure that goes with them.
        labels: their names.
    """
    family = GaugeMetricFamily(name, help_, labels=labels)
    for words, value in values:
        family.add_metric(words, value)
    return family


class Metrics(BrokerHooks):
    """Of one process.

    Args:
        role: ``api`` or ``worker``.
    """

    def __init__(self, role: str) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        build = Gauge("ancestral_build_info", "Version of the program.", ["version", "role"], registry=registry)
        build.labels(__version__, role).set(1)
        self._round_trips = Histogram(
            "ancestral_redis_round_trip_seconds",
            "From a script's leaving this process to Redis's reply.",
            ["operation"],
            buckets=ROUND_TRIPS,
            registry=registry,
        )
        self._unanswered = Counter(
            "ancestral_redis_unanswered_total", "Scripts that Redis has not answered.", registry=registry
        )
        self._jobs = Histogram(
            "ancestral_job_seconds",
            "From a job's acceptance to its end, by the process that ended it.",
            ["kind", "priority", "status"],
            buckets=LIVES,
            registry=registry,
        )

    def replied(self, operation: str, seconds: float) -> None:
        """See :class:`BrokerHooks`, as for the next two."""
        self._round_trips.labels(operation.lower()).observe(seconds)

    def unanswered(self) -> None:
        """The same."""
        self._unanswered.inc()

    def ended(self, job: Job, status: Status) -> None:
        """The same."""
        self._jobs.labels(job.kind, job.priority.value, status.value).observe(max(0.0, time.time() - job.created_at))

    def exposition(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self.registry)
