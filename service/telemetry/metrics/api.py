"""What an API process tells: requests, sound as its listeners hear it, refusals; and queues, workers, Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from service.broker import WorkerInfo
from service.broker.job import Priority
from service.errors import Overloaded, ServiceError
from service.telemetry.metrics.base import LIVES, Metrics, Now, gauge

FIRST_AUDIO: Final = (0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds. Below a tenth of a second an answer seems immediate."""
REFUSALS: Final = ("overloaded", "too_many_streams", "rate_limited")
"""The codes of the errors that are answered 429."""
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_CLOSES: Final = frozenset({1000, 1001, 1005, 1006, 1008, 1009, 1011, 1012, 1013, 4409})
_NOWHERE: Final = "none"


class Transport(StrEnum):
    """How something reaches a client."""

    HTTP = "http"
    SSE = "sse"
    WEBSOCKET = "websocket"


@dataclass(frozen=True)
class Shared:
    """What Redis knew a moment ago, for all processes."""

    cards: Sequence[WorkerInfo]
    depths: Mapping[Priority, tuple[int, int]]
    """Of each priority, the jobs that wait and those that run."""
    unfinished: tuple[int, int]
    """Jobs that count against the limits of their owners: of all owners, and of the one who has most."""
    info: Mapping[str, Any]
    """What Redis says of itself."""
    keys: int
    """That it holds."""
    ping_seconds: float
    """A round trip of nothing."""


class Listener:
    """Counts for one stream: an :class:`service.telemetry.playback.PlaybackObserver`."""

    def __init__(self, metrics: ApiMetrics, road: Transport, model: str) -> None:
        self._metrics, self._labels = metrics, (road.value, model)

    def began(self, seconds: float | None) -> None:
        """See :class:`service.telemetry.playback.PlaybackObserver`, as for the next one."""
        self._metrics.streams.labels(*self._labels).inc()
        self._metrics.underruns.labels(*self._labels).inc(0)
        self._metrics.silence.labels(*self._labels).inc(0)
        if seconds is not None:
            self._metrics.first_audio.labels(*self._labels).observe(seconds)

    def silence(self, seconds: float, *, first: bool) -> None:
        """The same."""
        self._metrics.silence.labels(*self._labels).inc(seconds)
        if first:
            self._metrics.underruns.labels(*self._labels).inc()


class ApiMetrics(Metrics):
    """Of one API process."""

    def __init__(self) -> None:
        super().__init__("api")
        registry = self.registry
        self._requests = Counter(
            "ancestral_http_requests_total",
            "HTTP requests that are over. Status 0: the client left before there was one. Not complete: broken off.",
            ["route", "method", "status", "complete"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "ancestral_http_request_seconds",
            "From an HTTP request to the end of its answer, a stream's last byte.",
            ["route"],
            buckets=LIVES,
            registry=registry,
        )
        self.in_progress = Gauge(
            "ancestral_http_requests_in_progress", "HTTP requests that are being answered.", registry=registry
        )
        self._sent = Counter(
            "ancestral_sent_bytes_total", "Bytes of bodies and of websocket messages.", ["route"], registry=registry
        )
        self.websockets = Gauge("ancestral_websockets", "Websockets that are open.", ["route"], registry=registry)
        self._closed = Counter(
            "ancestral_websockets_closed_total", "Websockets that are over.", ["route", "code"], registry=registry
        )
        self._rejected = Counter(
            "ancestral_rejected_total",
            "Requests that were answered 429, in whatever way.",
            ["reason"],
            registry=registry,
        )
        for reason in REFUSALS:
            self._rejected.labels(reason)
        self._errors = Counter(
            "ancestral_errors_total",
            "Errors that clients were told, in whatever way.",
            ["road", "status"],
            registry=registry,
        )
        sound = ["road", "model"]
        self.first_audio = Histogram(
            "ancestral_first_audio_seconds",
            "From the request (websocket: from the text that completed a sentence) until its first sound was sent.",
            sound,
            buckets=FIRST_AUDIO,
            registry=registry,
        )
        self.streams = Counter("ancestral_streams_total", "Streams whose sound has begun.", sound, registry=registry)
        self.underruns = Counter(
            "ancestral_underrun_streams_total", "Streams that fell silent at least once.", sound, registry=registry
        )
        self.silence = Counter(
            "ancestral_underrun_seconds_total",
            "Silence that listeners with a player's buffer of 0.2 s heard because nothing had come.",
            sound,
            registry=registry,
        )
        self.resumed = Counter(
            "ancestral_sessions_resumed_total", "Speech sessions that went on in another connection.", registry=registry
        )

    def listener(self, road: Transport, model: str) -> Listener:
        """Who is told what becomes of a stream."""
        return Listener(self, road, model)

    def answered(self, route: str | None, method: str, status: int, seconds: float, *, complete: bool) -> None:
        """An HTTP request is over.

        Args:
            route: its template; None if there is none.
            method: of the request.
            status: of the answer; 0 if there was none.
            seconds: that it took.
            complete: whether the body was sent to its end.
        """
        route, method = route or _NOWHERE, method if method in _METHODS else "other"
        self._requests.labels(route, method, str(status), str(complete).lower()).inc()
        self._request_seconds.labels(route).observe(seconds)

    def sent(self, route: str | None, size: int) -> None:
        """So many bytes have been sent."""
        self._sent.labels(route or _NOWHERE).inc(size)

    def closed(self, route: str, code: int) -> None:
        """A websocket is over."""
        self._closed.labels(route, str(code) if code in _CLOSES else "other").inc()

    def refused(self, error: ServiceError, road: Transport) -> None:
        """A client has been told of an error."""
        self._errors.labels(road.value, str(error.status)).inc()
        if isinstance(error, Overloaded):
            self._rejected.labels(error.code).inc()

    def page(self, shared: Shared | None) -> bytes:
        """The text of ``/metrics``.

        Args:
            shared: what Redis knows; None while it does not answer.
        """
        registry = CollectorRegistry()
        up = gauge("ancestral_redis_up", "Whether Redis answered this scrape.", [((), shared is not None)], [])
        registry.register(Now([up] if shared is None else [up, *_fleet(shared), *_redis(shared)]))
        return self.exposition() + generate_latest(registry)


def _fleet(shared: Shared) -> list[Metric]:
    """Lanes and workers."""
    cards, ready = shared.cards, [card for card in shared.cards if card.ready]
    states = ("waiting", "running")
    models = sorted({name for card in cards for name in card.models})
    return [
        gauge(
            "ancestral_workers",
            "Workers that live, by whether they can sample.",
            [(["true"], len(ready)), (["false"], len(cards) - len(ready))],
            ["ready"],
        ),
        gauge(
            "ancestral_slots",
            "Slots of all workers that are ready.",
            [([priority.value], sum(card.slots[priority] for card in ready)) for priority in shared.depths],
            ["priority"],
        ),
        gauge(
            "ancestral_jobs",
            "Jobs that have not ended.",
            [
                ([priority.value, s], n)
                for priority, both in shared.depths.items()
                for s, n in zip(states, both, strict=True)
            ],
            ["priority", "state"],
        ),
        gauge(
            "ancestral_unfinished_jobs",
            "Jobs that count against the limits of their owners; as many as have not ended.",
            [((), shared.unfinished[0])],
            [],
        ),
        gauge(
            "ancestral_unfinished_jobs_max",
            "The same of the owner who has most.",
            [((), shared.unfinished[1])],
            [],
        ),
        gauge(
            "ancestral_model_workers",
            "Workers that are ready and have the model.",
            [([name], sum(name in card.models for card in ready)) for name in models],
            ["model"],
        ),
    ]


def _redis(shared: Shared) -> list[Metric]:
    """What Redis says of itself (INFO)."""
    info = shared.info
    now = {
        "ancestral_redis_ping_seconds": ("A round trip of nothing, at this scrape.", shared.ping_seconds),
        "ancestral_redis_keys": ("Keys that Redis holds.", shared.keys),
        "ancestral_redis_memory_bytes": ("Memory that Redis uses for data.", info["used_memory"]),
        "ancestral_redis_memory_rss_bytes": ("Memory that Redis holds of the machine.", info["used_memory_rss"]),
        "ancestral_redis_memory_limit_bytes": ("Redis's maxmemory; 0 for none.", info["maxmemory"]),
        "ancestral_redis_clients": ("Connections to Redis.", info["connected_clients"]),
        "ancestral_redis_blocked_clients": ("Connections that wait for something to come.", info["blocked_clients"]),
        "ancestral_redis_aof_bytes": (
            "Size of the append-only file; 0 if there is none.",
            info.get("aof_current_size", 0),
        ),
        "ancestral_redis_aof_ok": (
            "Whether Redis's last write to its append-only file succeeded; 1 without one.",
            info.get("aof_last_write_status", "ok") == "ok",
        ),
        "ancestral_redis_uptime_seconds": ("Since Redis started.", info["uptime_in_seconds"]),
    }
    grown = {
        "ancestral_redis_commands": ("Commands that Redis has done.", info["total_commands_processed"]),
        "ancestral_redis_received_bytes": ("Bytes that Redis has read.", info["total_net_input_bytes"]),
        "ancestral_redis_sent_bytes": ("Bytes that Redis has written.", info["total_net_output_bytes"]),
        "ancestral_redis_evicted_keys": ("Keys that Redis dropped for want of memory.", info["evicted_keys"]),
    }
    gauges = [gauge(name, text, [((), float(value))], []) for name, (text, value) in now.items()]
    return [*gauges, *(CounterMetricFamily(name, text, value=value) for name, (text, value) in grown.items())]
