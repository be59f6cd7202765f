"""Metrics of every process: version, resource usage, Redis latency, and the jobs that it ended."""

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

from ancestral.service import __version__
from ancestral.service.broker.connection import BrokerHooks
from ancestral.service.broker.job import Job, Status

disable_created_metrics()  # type: ignore[no-untyped-call]  # `_created` series would double the number of series
CONTENT_TYPE = CONTENT_TYPE_LATEST
ROUND_TRIPS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Histogram buckets of round trips to Redis, in seconds."""
WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Histogram buckets of queue waits, in seconds."""
DURATIONS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""Histogram buckets of requests and jobs, in seconds."""


class StaticCollector(Collector):
    """Metrics whose values were read just before the scrape."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def gauge(name: str, help_: str, values: Iterable[tuple[Sequence[str], float]], labels: Sequence[str]) -> Metric:
    """A gauge with its current values.

    Args:
        name: of the metric.
        help_: its help text.
        values: pairs of label values and the gauge's value.
        labels: label names.
    """
    family = GaugeMetricFamily(name, help_, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


class Metrics(BrokerHooks):
    """The metrics of one process.

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
            "Time from sending a script to Redis until its reply.",
            ["operation"],
            buckets=ROUND_TRIPS,
            registry=registry,
        )
        self._unanswered = Counter(
            "ancestral_redis_unanswered_total", "Redis scripts that got no reply.", registry=registry
        )
        self._jobs = Histogram(
            "ancestral_job_seconds",
            "Time from admission of a job to its end, counted by the process that ended it.",
            ["kind", "priority", "status"],
            buckets=DURATIONS,
            registry=registry,
        )

    def replied(self, operation: str, seconds: float) -> None:
        self._round_trips.labels(operation.lower()).observe(seconds)

    def unanswered(self) -> None:
        self._unanswered.inc()

    def ended(self, job: Job, status: Status) -> None:
        self._jobs.labels(job.kind, job.priority.value, status.value).observe(max(0.0, time.time() - job.created_at))

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)
