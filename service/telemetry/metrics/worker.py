"""What a worker tells: how long jobs waited for it, how fast it samples, how full its batch is, what it has loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from models.scheduler import Figures
from service.broker.job import Job, Priority
from service.catalog.sampler import Sampler
from service.telemetry import gpus
from service.telemetry.metrics.base import WAITS, Metrics, gauge

FACTORS: Final = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0)
"""Seconds of sound a second; below 1 a listener has to wait."""
CANCELS: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.0125, 0.015, 0.0175, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15,
    0.25, 0.5, 1.0,
)  # fmt: skip
"""Seconds; finest where a chunk ends."""


@dataclass(frozen=True)
class Workload:
    """What a worker has to do, and with what."""

    ready: bool
    samplers: Mapping[str, Sampler]
    loaded_at: float
    """Seconds since 1970."""
    slots: Mapping[Priority, int]
    jobs: Mapping[Priority, int]
    """In its hands."""
    threads: int
    """That sample."""
    figures: Figures


class WorkerMetrics(Metrics):
    """Of one worker."""

    def __init__(self) -> None:
        super().__init__("worker")
        registry = self.registry
        self._waits = Histogram(
            "ancestral_queue_wait_seconds",
            "From a job's acceptance until a worker takes it in hand for the first time.",
            ["priority"],
            buckets=WAITS,
            registry=registry,
        )
        self._attempts = Counter(
            "ancestral_attempts_total", "Attempts at jobs that began.", ["priority"], registry=registry
        )
        self._retries = Counter(
            "ancestral_retries_total", "Attempts that began after an earlier one had not ended the job.", ["priority"],
            registry=registry,
        )  # fmt: skip
        self._resumes = Counter(
            "ancestral_resumes_total",
            "Of those, the ones that went on from a snapshot.",
            ["priority"],
            registry=registry,
        )
        self._ends = Counter(
            "ancestral_attempt_ends_total",
            "Attempts at jobs that are over: done, failed, left to others or parked (released), unread (stalled), "
            "or because the job was cancelled or taken over (ended).",
            ["priority", "end"],
            registry=registry,
        )
        for priority in Priority:
            for counted in (self._waits, self._attempts, self._retries, self._resumes):
                counted.labels(priority.value)
        self.orphans = Counter(
            "ancestral_orphans_total",
            "Jobs that this worker has put back into the queue because their worker died.",
            registry=registry,
        )
        self.cancels = Histogram(
            "ancestral_cancel_seconds",
            "How long streams that were cancelled still held their slots.",
            buckets=CANCELS,
            registry=registry,
        )
        self._factor = Histogram(
            "ancestral_real_time_factor",
            "Seconds of sound made a second, of streams that are over, without the time they waited for readers.",
            ["model", "priority"],
            buckets=FACTORS,
            registry=registry,
        )
        made = ["model", "engine"]
        self._tokens = Counter(
            "ancestral_tokens_total", "Symbols sampled: samples of sound, sub-pixels.", made, registry=registry
        )
        self._sound = Counter("ancestral_sound_seconds_total", "Sound made, in seconds.", made, registry=registry)
        self._pixels = Counter("ancestral_pixels_total", "Pixels drawn.", made, registry=registry)
        self._pictures = Counter("ancestral_pictures_total", "Pictures finished.", made, registry=registry)

    def began(self, job: Job, attempt: int) -> None:
        """An attempt at a job begins."""
        self._attempts.labels(job.priority.value).inc()
        if attempt > 1:
            self._retries.labels(job.priority.value).inc()
        else:
            self._waits.labels(job.priority.value).observe(max(0.0, time.time() - job.created_at))

    def resumed(self, job: Job) -> None:
        """An attempt goes on from a snapshot."""
        self._resumes.labels(job.priority.value).inc()

    def over(self, job: Job, end: str) -> None:
        """An attempt at a job is over."""
        self._ends.labels(job.priority.value, end).inc()

    def spoke(self, sampler: Sampler, samples: int, rate: int) -> None:
        """So much sound has been made."""
        labels = (sampler.model.entry.id, sampler.engine.name)
        self._tokens.labels(*labels).inc(samples)
        self._sound.labels(*labels).inc(samples / rate)

    def drew(self, sampler: Sampler, symbols: int, channels: int) -> None:
        """So much of pictures has been made."""
        labels = (sampler.model.entry.id, sampler.engine.name)
        self._tokens.labels(*labels).inc(symbols)
        self._pixels.labels(*labels).inc(symbols / channels)

    def finished(self, sampler: Sampler, pictures: int) -> None:
        """So many pictures are there."""
        self._pictures.labels(sampler.model.entry.id, sampler.engine.name).inc(pictures)

    def factor(self, job: Job, value: float) -> None:
        """How fast a stream was made that is over."""
        self._factor.labels(job.model, job.priority.value).observe(value)

    def watch(self, ask: Callable[[], Workload]) -> None:
        """Ask a worker, at every scrape, what it has to do."""
        self.registry.register(_Watch(ask))


class _Watch(Collector):
    def __init__(self, ask: Callable[[], Workload]) -> None:
        self._ask = ask

    def collect(self) -> Iterable[Metric]:
        load = self._ask()
        yield from _worker(load)
        yield from _scheduler(load.figures)
        yield from _models(load)
        yield from _gpus()


def _worker(load: Workload) -> Iterable[Metric]:
    yield gauge("ancestral_worker_ready", "Whether this worker can sample.", [((), load.ready)], [])
    for what, text, values in (
        ("slots", "Jobs that this worker can have in hand.", load.slots),
        ("jobs", "Jobs that this worker has in hand.", load.jobs),
    ):
        yield gauge(
            f"ancestral_worker_{what}", text, [([priority.value], n) for priority, n in values.items()], ["priority"]
        )
    yield gauge("ancestral_sampler_threads", "Threads that sample.", [((), load.threads)], [])


def _scheduler(figures: Figures) -> Iterable[Metric]:
    states = [(["running"], figures.running), (["waiting"], figures.waiting)]
    text = "Streams in the batch: sampled or waiting for a thread (running), or waiting for their reader or text."
    yield gauge("ancestral_sampler_streams", text, states, ["state"])
    for name, text, value in (
        ("calls", "Calls of an engine.", figures.calls),
        ("lanes", "Streams in all calls of engines together; by the calls, how full the batch was.", figures.lanes),
        ("steps", "Symbols sampled by all engines.", figures.symbols),
        ("busy_seconds", "Time for which threads were sampling, of all together.", figures.busy_seconds),
    ):
        yield CounterMetricFamily(f"ancestral_sampler_{name}", text, value=value)


def _models(load: Workload) -> Iterable[Metric]:
    known = load.samplers.items()
    labels = ["model", "kind", "engine", "sha256"]
    info = [([name, s.model.entry.kind, s.engine.name, s.model.sha256], 1.0) for name, s in known]
    yield gauge("ancestral_model_info", "A model that is loaded.", info, labels)
    text = "Whether what the model samples with is in memory (1), or was unloaded because nobody asked for it (0)."
    yield gauge("ancestral_model_in_memory", text, [([name], s.engine.loaded) for name, s in known], ["model"])
    for what, text, at in (
        ("loaded", "When the model was loaded.", {name: load.loaded_at for name, _ in known}),
        ("created", "When the model was made, as it says.", {name: s.model.entry.created for name, s in known}),
    ):
        yield gauge(f"ancestral_model_{what}_timestamp_seconds", text, [([n], t) for n, t in at.items()], ["model"])


def _gpus() -> Iterable[Metric]:
    cards = gpus.read()
    for name, text in (
        ("memory_used_bytes", "Memory of the GPU that is in use, by whomever."),
        ("memory_total_bytes", "Memory of the GPU."),
        ("busy_ratio", "Share of the last moment in which the GPU was at work."),
        ("temperature_celsius", "Temperature of the GPU."),
        ("power_watts", "What the GPU draws."),
    ):
        values = [([str(card.index), card.name], getattr(card, name)) for card in cards]
        yield gauge(f"ancestral_gpu_{name}", text, values, ["gpu", "name"])
