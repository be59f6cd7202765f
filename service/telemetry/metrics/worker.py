"""Metrics of a worker: queue wait, sampling speed, batch occupancy, loaded models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from ancestral.catalog.sampler import Sampler
from ancestral.models.scheduler import Figures
from ancestral.service.broker.job import Job, Priority
from ancestral.service.telemetry.metrics.base import WAITS, Metrics, gauge

FACTORS: Final = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0)
"""Histogram buckets of the real-time factor; below 1 the listener has to wait."""
CANCELS: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.0125, 0.015, 0.0175, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15,
    0.25, 0.5, 1.0,
)  # fmt: skip
"""Histogram buckets of the time to release a slot, in seconds; finest around the length of a chunk."""


@dataclass(frozen=True)
class Workload:
    """What a worker is doing, read at a scrape."""

    ready: bool
    samplers: Mapping[str, Sampler]
    loaded_at: float
    """Seconds since 1970."""
    slots: Mapping[Priority, int]
    jobs: Mapping[Priority, int]
    """Jobs in progress on this worker."""
    threads: int
    figures: Figures


class WorkerMetrics(Metrics):
    def __init__(self) -> None:
        super().__init__("worker")
        registry = self.registry
        self._waits = Histogram(
            "ancestral_queue_wait_seconds",
            "Time from admission of a job until a worker first starts it.",
            ["priority"],
            buckets=WAITS,
            registry=registry,
        )
        self._attempts = Counter(
            "ancestral_attempts_total", "Attempts at jobs that started.", ["priority"], registry=registry
        )
        self._retries = Counter(
            "ancestral_retries_total", "Attempts after the first at a job.", ["priority"],
            registry=registry,
        )  # fmt: skip
        self._resumes = Counter(
            "ancestral_resumes_total", "Attempts that resumed from a snapshot.", ["priority"], registry=registry
        )
        self._ends = Counter(
            "ancestral_attempt_ends_total",
            "Attempts that ended: done, failed, requeued or suspended (released), suspended until a slow client has "
            "read (parked), not read at all (stalled), or cancelled by the client or superseded by another attempt "
            "(cancelled).",
            ["priority", "end"],
            registry=registry,
        )
        for priority in Priority:
            for counted in (self._waits, self._attempts, self._retries, self._resumes):
                counted.labels(priority.value)
        self.orphans = Counter(
            "ancestral_orphans_total", "Jobs of dead workers that this worker requeued.", registry=registry
        )
        self.cancels = Histogram(
            "ancestral_cancel_seconds",
            "Time that cancelled streams still held their slots.",
            buckets=CANCELS,
            registry=registry,
        )
        self._factor = Histogram(
            "ancestral_real_time_factor",
            "Seconds of audio sampled per second, of streams that ended, not counting waits for the reader.",
            ["model", "priority"],
            buckets=FACTORS,
            registry=registry,
        )
        made = ["model", "engine"]
        self._tokens = Counter(
            "ancestral_tokens_total", "Symbols sampled: audio samples or sub-pixels.", made, registry=registry
        )
        self._sound = Counter("ancestral_sound_seconds_total", "Audio sampled, in seconds.", made, registry=registry)
        self._pixels = Counter("ancestral_pixels_total", "Pixels sampled.", made, registry=registry)
        self._pictures = Counter("ancestral_pictures_total", "Pictures completed.", made, registry=registry)

    def began(self, job: Job, attempt: int) -> None:
        """Count an attempt that starts."""
        self._attempts.labels(job.priority.value).inc()
        if attempt > 1:
            self._retries.labels(job.priority.value).inc()
        else:
            self._waits.labels(job.priority.value).observe(max(0.0, (job.started_at or 0.0) - job.created_at))

    def resumed(self, job: Job) -> None:
        """Count an attempt that resumes from a snapshot."""
        self._resumes.labels(job.priority.value).inc()

    def attempt_ended(self, job: Job, end: str) -> None:
        """Count an attempt that ended."""
        self._ends.labels(job.priority.value, end).inc()

    def count_audio(self, sampler: Sampler, samples: int, rate: int) -> None:
        labels = (sampler.model.entry.id, sampler.engine.name)
        self._tokens.labels(*labels).inc(samples)
        self._sound.labels(*labels).inc(samples / rate)

    def count_pixels(self, sampler: Sampler, symbols: int, channels: int) -> None:
        labels = (sampler.model.entry.id, sampler.engine.name)
        self._tokens.labels(*labels).inc(symbols)
        self._pixels.labels(*labels).inc(symbols / channels)

    def finished(self, sampler: Sampler, pictures: int) -> None:
        """Count completed pictures."""
        self._pictures.labels(sampler.model.entry.id, sampler.engine.name).inc(pictures)

    def factor(self, job: Job, value: float) -> None:
        """Record the real-time factor of a stream that ended."""
        self._factor.labels(job.model, job.priority.value).observe(value)

    def watch(self, workload: Callable[[], Workload]) -> None:
        """Read the workload of a worker at every scrape."""
        self.registry.register(_WorkloadCollector(workload))


class _WorkloadCollector(Collector):
    def __init__(self, workload: Callable[[], Workload]) -> None:
        self._workload = workload

    def collect(self) -> Iterable[Metric]:
        load = self._workload()
        yield from _worker(load)
        yield from _scheduler(load.figures)
        yield from _models(load)


def _worker(load: Workload) -> Iterable[Metric]:
    yield gauge("ancestral_worker_ready", "Whether this worker is ready to sample.", [((), load.ready)], [])
    for what, text, values in (
        ("slots", "Slots of this worker: jobs that it can run at once.", load.slots),
        ("jobs", "Jobs that this worker is running.", load.jobs),
    ):
        yield gauge(
            f"ancestral_worker_{what}", text, [([priority.value], n) for priority, n in values.items()], ["priority"]
        )
    yield gauge("ancestral_sampler_threads", "Sampling threads.", [((), load.threads)], [])


def _scheduler(figures: Figures) -> Iterable[Metric]:
    states = [(["running"], figures.running), (["waiting"], figures.waiting)]
    text = (
        "Streams in the batch: being sampled or waiting for a thread (running), waiting for reader or text (waiting)."
    )
    yield gauge("ancestral_sampler_streams", text, states, ["state"])
    for name, text, value in (
        ("calls", "Engine calls.", figures.calls),
        (
            "lanes",
            "Streams sampled, summed over engine calls; divided by the calls, the mean batch size.",
            figures.lanes,
        ),
        ("steps", "Symbols sampled by all engines.", figures.symbols),
        ("busy_seconds", "Time spent sampling, summed over threads.", figures.busy_seconds),
    ):
        yield CounterMetricFamily(f"ancestral_sampler_{name}", text, value=value)


def _models(load: Workload) -> Iterable[Metric]:
    known = load.samplers.items()
    labels = ["model", "kind", "engine", "sha256"]
    info = [([name, s.model.entry.kind, s.engine.name, s.model.sha256], 1.0) for name, s in known]
    yield gauge("ancestral_model_info", "Loaded models; the value is always 1.", info, labels)
    text = "Whether the model is in memory (1) or was unloaded after being idle (0)."
    yield gauge("ancestral_model_in_memory", text, [([name], s.engine.loaded) for name, s in known], ["model"])
    for what, text, at in (
        ("loaded", "Time when the model was loaded.", {name: load.loaded_at for name, _ in known}),
        ("created", "Creation time given in model.json.", {name: s.model.entry.created for name, s in known}),
    ):
        yield gauge(f"ancestral_model_{what}_timestamp_seconds", text, [([n], t) for n, t in at.items()], ["model"])
