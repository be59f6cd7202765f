"""Metrics of an API process: requests, time to first audio, underruns, errors; state of queues and workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric

from ancestral.errors import AncestralError
from ancestral.service.broker.job import Priority
from ancestral.service.broker.messages import WorkerInfo
from ancestral.service.errors import Overloaded, status_of
from ancestral.service.telemetry.metrics.base import DURATIONS, Metrics, StaticCollector, gauge

FIRST_AUDIO: Final = (0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Histogram buckets of the time to first audio, in seconds."""
REFUSALS: Final = ("overloaded", "too_many_streams", "rate_limited")
"""Error codes that are answered with 429."""
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
    """Counters of one audio stream; an :class:`ancestral.service.telemetry.playback.PlaybackObserver`."""

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
        registry = self.registry
        self._requests = Counter(
            "ancestral_http_requests_total",
            "HTTP requests that ended. Status 499: disconnected before the response began. complete=false: aborted.",
            ["route", "method", "status", "complete"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "ancestral_http_request_seconds",
            "Time from an HTTP request to the last byte of its response.",
            ["route"],
            buckets=DURATIONS,
            registry=registry,
        )
        self.in_progress = Gauge("ancestral_http_requests_in_progress", "HTTP requests in progress.", registry=registry)
        self._sent = Counter(
            "ancestral_sent_bytes_total",
            "Bytes sent, in response bodies and websocket messages.",
            ["route"],
            registry=registry,
        )
        self.websockets = Gauge("ancestral_websockets", "Open websockets.", ["route"], registry=registry)
        self._closed = Counter(
            "ancestral_websockets_closed_total", "Websockets that closed.", ["route", "code"], registry=registry
        )
        self._rejected = Counter(
            "ancestral_rejected_total", "Requests rejected with 429, over any transport.", ["reason"], registry=registry
        )
        for reason in REFUSALS:
            self._rejected.labels(reason)
        self._errors = Counter(
            "ancestral_errors_total",
            "Errors sent to clients, over any transport.",
            ["transport", "status"],
            registry=registry,
        )
        self._add_stream_metrics(registry, ["transport", "model"])

    def _add_stream_metrics(self, registry: CollectorRegistry, labels: Sequence[str]) -> None:
        self.first_audio = Histogram(
            "ancestral_first_audio_seconds",
            "Time from the request (websocket: from the text that completed a sentence) to the first audio sent.",
            labels,
            buckets=FIRST_AUDIO,
            registry=registry,
        )
        self.streams = Counter("ancestral_streams_total", "Audio streams that started.", labels, registry=registry)
        self.underruns = Counter(
            "ancestral_underrun_streams_total", "Audio streams with at least one underrun.", labels, registry=registry
        )
        self.silence = Counter(
            "ancestral_underrun_seconds_total",
            "Silence caused by the server, for a player with a buffer of 0.2 s.",
            labels,
            registry=registry,
        )
        self.resumed = Counter(
            "ancestral_sessions_resumed_total", "Speech sessions resumed over a new connection.", registry=registry
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

    def page(self, shared: Shared | None) -> bytes:
        """The body of ``/metrics``.

        Args:
            shared: state from Redis; None while Redis is unavailable.
        """
        registry = CollectorRegistry()
        up = gauge("ancestral_redis_up", "Whether Redis answered this scrape.", [((), shared is not None)], [])
        registry.register(StaticCollector([up] if shared is None else [up, *_fleet(shared)]))
        return self.exposition() + generate_latest(registry)


def _fleet(shared: Shared) -> list[Metric]:
    """Queues and workers."""
    ready = [info for info in shared.workers if info.ready]
    loading = sum(info.workers for info in shared.workers if not info.ready)
    states = ("waiting", "running")
    models = sorted({name for info in shared.workers for name in info.models})
    return [
        gauge(
            "ancestral_workers",
            "Live workers, by readiness.",
            [(["true"], sum(info.workers for info in ready)), (["false"], loading)],
            ["ready"],
        ),
        gauge(
            "ancestral_slots",
            "Slots of all ready workers.",
            [([priority.value], sum(info.slots[priority] for info in ready)) for priority in shared.depths],
            ["priority"],
        ),
        gauge(
            "ancestral_jobs",
            "Jobs that have not ended, waiting or running.",
            [
                ([priority.value, s], n)
                for priority, both in shared.depths.items()
                for s, n in zip(states, both, strict=True)
            ],
            ["priority", "state"],
        ),
        gauge(
            "ancestral_unfinished_jobs",
            "Unfinished jobs of all owners, which count against their limits.",
            [((), shared.unfinished[0])],
            [],
        ),
        gauge(
            "ancestral_unfinished_jobs_max",
            "Unfinished jobs of the owner with the most.",
            [((), shared.unfinished[1])],
            [],
        ),
        gauge(
            "ancestral_model_workers",
            "Ready workers that have loaded the model.",
            [([name], sum(info.workers for info in ready if name in info.models)) for name in models],
            ["model"],
        ),
    ]
