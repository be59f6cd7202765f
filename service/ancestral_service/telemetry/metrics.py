"""Prometheus metrics. The only module that imports the Prometheus client.

An API process exports what clients experience, and the state that all processes share through Redis: queues, workers
and Redis itself. A worker exports the cost of sampling. Both export version, resource usage, Redis latency and the jobs
that they ended. Label values are few and are set by the code or by the operator, never by clients: route templates and
not paths, models, but no texts, jobs or keys.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ancestral.catalog.descriptions import Sampler
from ancestral.errors import AncestralError
from ancestral_models.scheduler import Figures
from ancestral_service import __version__
from ancestral_service.broker.connection import BrokerHooks
from ancestral_service.broker.job import Job, Priority, Status, WorkerInfo
from ancestral_service.errors import Overloaded, status_of

# Time to first audio, and underruns caused by the server, computed from the audio that has been sent.
#
# A simulated player starts :data:`BUFFER_SECONDS` after the first audio was sent and plays without pause. If it has
# played everything before the next chunk comes from the worker, that is an underrun: silence until the chunk arrives.
# Silence that a client causes by not reading does not count; only time spent waiting for the worker does.

BUFFER_SECONDS = 0.2
"""Audio that a player buffers before it starts; :mod:`bench.listeners` uses the same."""


class PlaybackObserver(Protocol):
    """Receives the measurements of one stream."""

    def began(self, seconds: float | None) -> None:
        """The first audio has been sent, ``seconds`` after the request; None if no listener was waiting for it."""

    def silence(self, seconds: float, *, first: bool) -> None:
        """An underrun of this length has ended; ``first``: the first one of this stream."""


class Playback:
    """The playback of one audio stream.

    Args:
        observer: receives the measurements.
        asked_at: when the listener started to wait, by ``clock``; None if no listener is waiting.
        busy_until: when the player will have played the streams before this one.
        clock: returns seconds.
    """

    def __init__(
        self,
        observer: PlaybackObserver,
        asked_at: float | None,
        busy_until: float = 0.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.dry_at: float | None = None
        """When the player will have played everything sent so far; None before the first audio."""
        self._observer = observer
        self._asked_at = asked_at
        self._busy_until = busy_until
        self._clock = clock
        self._sent = 0.0
        self._had_underrun = False

    def chunk_received(self) -> None:
        """A chunk has come from the worker, or the stream has ended without one."""
        if self.dry_at is None:
            return
        now = self._clock()
        if now > self.dry_at:
            self._observer.silence(now - self.dry_at, first=not self._had_underrun)
            self._had_underrun, self.dry_at = True, now

    def chunk_sent(self, seconds: float) -> None:
        """The chunk has been sent, ``seconds`` of audio in all; waiting for the next one starts."""
        if seconds <= self._sent:
            return
        now = self._clock()
        if self.dry_at is None:
            self._observer.began(None if self._asked_at is None else now - self._asked_at)
            self.dry_at = max(now + BUFFER_SECONDS, self._busy_until)
        # If the buffer ran empty while the chunk was being sent, the client caused the silence by reading slowly.
        self.dry_at = max(self.dry_at, now) + seconds - self._sent
        self._sent = seconds


async def track_playback(
    pieces: AsyncGenerator[bytes, None], playback: Playback, position: Callable[[], float]
) -> AsyncGenerator[bytes, None]:
    """Pass chunks of audio through and track their playback.

    Args:
        pieces: chunks of audio. Each counts as sent when the next one is requested.
        playback: of the listener.
        position: returns the seconds of audio sent so far.
    """
    async with aclosing(pieces):
        while True:
            try:
                piece = await anext(pieces, None)
            except BaseException:  # the client disconnected while waiting, or there is an error instead of audio
                playback.chunk_received()
                raise
            if piece is None:
                return
            playback.chunk_received()
            yield piece
            playback.chunk_sent(position())


disable_created_metrics()  # `_created` series would double the number of series
CONTENT_TYPE = CONTENT_TYPE_LATEST
ROUND_TRIPS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Histogram buckets of round trips to Redis, in seconds."""
WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Histogram buckets of queue waits, in seconds."""
DURATIONS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""Histogram buckets of requests and jobs, in seconds."""


class ReadMetrics(Collector):
    """Metrics whose values are read at each scrape."""

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        return self._read()


def gauge(name: str, text: str, values: Mapping[str, float], label: str) -> Metric:
    """A gauge with its current values, by the value of its label."""
    family = GaugeMetricFamily(name, text, labels=[label])
    for label_value, value in values.items():
        family.add_metric([label_value], value)
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
        build = self._gauge("ancestral_build_info", "Version of the program.", "version role")
        build.labels(__version__, role).set(1)
        self._round_trips = self._histogram(
            "ancestral_redis_round_trip_seconds",
            "Time from sending a script to Redis until its reply, and until replicas have what it wrote if they must.",
            ROUND_TRIPS,
            "operation",
        )
        self._unanswered = self._counter("ancestral_redis_unanswered_total", "Redis scripts that got no reply.")
        self._jobs = self._histogram(
            "ancestral_job_seconds",
            "Time from admission of a job to its end, counted by the process that ended it.",
            DURATIONS,
            "kind priority status",
        )

    # ``labels`` are their names, separated by spaces.

    def _counter(self, name: str, text: str, labels: str = "") -> Counter:
        return Counter(name, text, labels.split(), registry=self.registry)

    def _gauge(self, name: str, text: str, labels: str = "") -> Gauge:
        return Gauge(name, text, labels.split(), registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], labels: str = "") -> Histogram:
        return Histogram(name, text, labels.split(), buckets=buckets, registry=self.registry)

    def replied(self, operation: str, seconds: float) -> None:
        self._round_trips.labels(operation.lower()).observe(seconds)

    def unanswered(self) -> None:
        self._unanswered.inc()

    def ended(self, job: Job, status: Status) -> None:
        self._jobs.labels(job.kind, job.priority.value, status.value).observe(max(0.0, time.time() - job.created_at))

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)


# Metrics of an API process: requests, time to first audio, underruns, errors; state of queues and workers.


FIRST_AUDIO: Final = (0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Histogram buckets of the time to first audio, in seconds."""
REFUSALS: Final = ("overloaded", "too_many_streams", "rate_limited")
"""Codes of refusals, which are counted from zero."""
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_CLOSES: Final = frozenset({1000, 1001, 1005, 1006, 1008, 1009, 1011, 1012, 1013, 4409})
_NO_ROUTE: Final = "none"


class Transport(StrEnum):
    """How a response or stream reaches a client."""

    HTTP = "http"
    SSE = "sse"
    WEBSOCKET = "websocket"


@dataclass(frozen=True)
class Shared:
    """State that all processes share through Redis, read for one scrape."""

    workers: Sequence[WorkerInfo]
    depths: Mapping[Priority, tuple[int, int]]
    """Waiting and running jobs of each priority."""
    unfinished: tuple[int, int]
    """Unfinished jobs, which count against the limits of their owners: in all, and of the owner with the most."""


class PlaybackCounters:
    """Counters of one audio stream; an :class:`ancestral_service.telemetry.metrics.PlaybackObserver`."""

    def __init__(self, metrics: ApiMetrics, transport: Transport, model: str) -> None:
        self._metrics, self._labels = metrics, (transport.value, model)

    def began(self, seconds: float | None) -> None:
        self._metrics.streams.labels(*self._labels).inc()
        self._metrics.underruns.labels(*self._labels).inc(0)
        self._metrics.silence.labels(*self._labels).inc(0)
        if seconds is not None:
            self._metrics.first_audio.labels(*self._labels).observe(seconds)

    def silence(self, seconds: float, *, first: bool) -> None:
        self._metrics.silence.labels(*self._labels).inc(seconds)
        if first:
            self._metrics.underruns.labels(*self._labels).inc()


class ApiMetrics(Metrics):
    def __init__(self) -> None:
        super().__init__("api")
        self._requests = self._counter(
            "ancestral_http_requests_total",
            "HTTP requests that ended. Status 499: disconnected before the response began. complete=false: aborted.",
            "route method status complete",
        )
        self._request_seconds = self._histogram(
            "ancestral_http_request_seconds",
            "Time from an HTTP request to the last byte of its response.",
            DURATIONS,
            "route",
        )
        self.in_progress = self._gauge("ancestral_http_requests_in_progress", "HTTP requests in progress.")
        self._sent = self._counter(
            "ancestral_sent_bytes_total", "Bytes sent, in response bodies and websocket messages.", "route"
        )
        self.websockets = self._gauge("ancestral_websockets", "Open websockets.", "route")
        self._closed = self._counter("ancestral_websockets_closed_total", "Websockets that closed.", "route code")
        self._rejected = self._counter(
            "ancestral_rejected_total", "Requests rejected with 429, over any transport.", "reason"
        )
        for reason in REFUSALS:
            self._rejected.labels(reason)
        self._errors = self._counter(
            "ancestral_errors_total", "Errors sent to clients, over any transport.", "transport status"
        )
        labels = "transport model"
        self.first_audio = self._histogram(
            "ancestral_first_audio_seconds",
            "Time from the request (websocket: from the text that completed a sentence) to the first audio sent.",
            FIRST_AUDIO,
            labels,
        )
        self.streams = self._counter("ancestral_streams_total", "Audio streams that started.", labels)
        self.underruns = self._counter(
            "ancestral_underrun_streams_total", "Audio streams with at least one underrun.", labels
        )
        self.silence = self._counter(
            "ancestral_underrun_seconds_total",
            "Silence caused by the server, for a player with a buffer of 0.2 s.",
            labels,
        )
        self.resumed = self._counter(
            "ancestral_sessions_resumed_total", "Speech sessions resumed over a new connection."
        )

    def listener(self, transport: Transport, model: str) -> PlaybackCounters:
        """The counters of a new audio stream."""
        return PlaybackCounters(self, transport, model)

    def answered(self, route: str | None, method: str, status: int, seconds: float, *, complete: bool) -> None:
        """Count an HTTP request that ended.

        Args:
            route: the route's template; None if no route matched.
            method: HTTP method.
            status: of the response; 499 if the client disconnected before there was one.
            seconds: duration.
            complete: whether the whole body was sent.
        """
        route, method = route or _NO_ROUTE, method if method in _METHODS else "other"
        self._requests.labels(route, method, str(status), str(complete).lower()).inc()
        self._request_seconds.labels(route).observe(seconds)

    def sent(self, route: str | None, size: int) -> None:
        self._sent.labels(route or _NO_ROUTE).inc(size)

    def closed(self, route: str, code: int) -> None:
        """Count a websocket that closed."""
        self._closed.labels(route, str(code) if code in _CLOSES else "other").inc()

    def refused(self, error: AncestralError, transport: Transport) -> None:
        """Count an error sent to a client."""
        self._errors.labels(transport.value, str(status_of(error))).inc()
        if isinstance(error, Overloaded):
            self._rejected.labels(error.code).inc()

    def page(self, shared: Shared | None, models: Mapping[str, str]) -> bytes:
        """The body of ``/metrics``.

        Args:
            shared: state from Redis; None while Redis is unavailable.
            models: the SHA-256 of each model of this process: a worker with other weights cannot do its requests.
        """
        registry = CollectorRegistry()
        registry.register(ReadMetrics(lambda: _fleet(shared, models)))
        return self.exposition() + generate_latest(registry)


def _fleet(shared: Shared | None, models: Mapping[str, str]) -> Iterator[Metric]:
    """Redis, queues and workers."""
    up = shared is not None
    yield GaugeMetricFamily("ancestral_redis_up", "Whether Redis answered this scrape.", value=up)
    if shared is None:
        return
    ready = [info for info in shared.workers if info.ready]
    counts = {"true": sum(info.workers for info in ready)}
    counts["false"] = sum(info.workers for info in shared.workers) - counts["true"]
    yield gauge("ancestral_workers", "Live workers, by readiness.", counts, "ready")
    slots = {priority.value: sum(info.slots[priority] for info in ready) for priority in shared.depths}
    yield gauge("ancestral_slots", "Slots of all ready workers.", slots, "priority")
    jobs = GaugeMetricFamily(
        "ancestral_jobs", "Jobs that have not ended, waiting or running.", labels=["priority", "state"]
    )
    for priority, depths in shared.depths.items():
        for state, count in zip(("waiting", "running"), depths, strict=True):
            jobs.add_metric([priority.value, state], count)
    yield jobs
    total, most = shared.unfinished
    text = "Unfinished jobs of all owners, which count against their limits."
    yield GaugeMetricFamily("ancestral_unfinished_jobs", text, value=total)
    yield GaugeMetricFamily("ancestral_unfinished_jobs_max", "Unfinished jobs of the owner with the most.", value=most)
    loaded = {
        name: sum(info.workers for info in ready if info.models.get(name) == sha256) for name, sha256 in models.items()
    }
    yield gauge("ancestral_model_workers", "Ready workers that have loaded the model.", loaded, "model")


# Metrics of a worker: queue wait, sampling speed, batch occupancy, loaded models.


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
        self._waits = self._histogram(
            "ancestral_queue_wait_seconds",
            "Time from admission of a job until a worker first starts it.",
            WAITS,
            "priority",
        )
        self._attempts = self._counter("ancestral_attempts_total", "Attempts at jobs that started.", "priority")
        self._retries = self._counter("ancestral_retries_total", "Attempts after the first at a job.", "priority")
        self._resumes = self._counter("ancestral_resumes_total", "Attempts that resumed from a snapshot.", "priority")
        self._ends = self._counter(
            "ancestral_attempt_ends_total",
            "Attempts that ended: done, failed, requeued or suspended (released), suspended until a slow client has "
            "read (parked), not read at all (stalled), or cancelled by the client or superseded by another attempt "
            "(cancelled).",
            "priority end",
        )
        for priority in Priority:
            for counted in (self._waits, self._attempts, self._retries, self._resumes):
                counted.labels(priority.value)
        self.orphans = self._counter("ancestral_orphans_total", "Jobs of dead workers that this worker requeued.")
        self.cancels = self._histogram(
            "ancestral_cancel_seconds", "Time that cancelled streams still held their slots.", CANCELS
        )
        self._factor = self._histogram(
            "ancestral_real_time_factor",
            "Seconds of audio sampled per second, of streams that ended, not counting waits for the reader.",
            FACTORS,
            "model priority",
        )
        made = "model engine"
        self._tokens = self._counter("ancestral_tokens_total", "Symbols sampled: audio samples or sub-pixels.", made)
        self._sound = self._counter("ancestral_sound_seconds_total", "Audio sampled, in seconds.", made)
        self._pixels = self._counter("ancestral_pixels_total", "Pixels sampled.", made)
        self._pictures = self._counter("ancestral_pictures_total", "Pictures completed.", made)

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
        self.registry.register(ReadMetrics(lambda: _workload(workload())))


def _workload(load: Workload) -> Iterator[Metric]:
    text = "Whether this worker is ready to sample."
    yield GaugeMetricFamily("ancestral_worker_ready", text, value=load.ready)
    text = "Slots of this worker: jobs that it can run at once."
    yield gauge("ancestral_worker_slots", text, _by_value(load.slots), "priority")
    yield gauge("ancestral_worker_jobs", "Jobs that this worker is running.", _by_value(load.jobs), "priority")
    yield GaugeMetricFamily("ancestral_sampler_threads", "Sampling threads.", value=load.threads)
    figures = load.figures
    text = (
        "Streams in the batch: being sampled or waiting for a thread (running), waiting for reader or text (waiting)."
    )
    streams = {"running": figures.running, "waiting": figures.waiting}
    yield gauge("ancestral_sampler_streams", text, streams, "state")
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
    text = "Loaded models; the value is always 1."
    info = GaugeMetricFamily("ancestral_model_info", text, labels=["model", "kind", "engine", "sha256"])
    for name, sampler in load.samplers.items():
        info.add_metric([name, sampler.model.entry.kind, sampler.engine.name, sampler.model.sha256], 1.0)
    yield info
    text = "Whether the model is in memory (1) or was unloaded after being idle (0)."
    in_memory = {name: float(sampler.engine.loaded) for name, sampler in load.samplers.items()}
    yield gauge("ancestral_model_in_memory", text, in_memory, "model")
    for what, text, times in (
        ("loaded", "Time when the model was loaded.", dict.fromkeys(load.samplers, load.loaded_at)),
        ("created", "Creation time given in model.json.", {n: s.model.entry.created for n, s in load.samplers.items()}),
    ):
        yield gauge(f"ancestral_model_{what}_timestamp_seconds", text, times, "model")


def _by_value(counts: Mapping[Priority, int]) -> dict[str, float]:
    return {priority.value: count for priority, count in counts.items()}
