"""Traces, for those who collect them (OpenTelemetry): one from a request to its last chunk, across the queue.

    POST /v1/audio/speech        the API, from the request's first byte to the answer's last
    ├── queue                    from the job's acceptance until a worker takes it in hand
    └── attempt                  the worker, until the last symbol has been handed on; once more if a worker dies

What connects them travels in the job's record, as W3C's ``traceparent``; one that comes with a request is gone on from.
Only this file knows OpenTelemetry, which is an extra (``otel``); without ``traces_endpoint`` nothing is traced.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from service import __version__
from service.broker.job import Job
from service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_PARENT = "traceparent"


class Tracing:
    """Of one process. This one traces nothing."""

    def request(self, name: str, headers: Mapping[str, str]) -> AbstractContextManager[None]:
        """A request is being served; all that is done for it belongs to its trace.

        Args:
            name: the method, and the route once it is known (:meth:`named`).
            headers: of the request.
        """
        return nullcontext()

    def named(self, name: str, **attributes: str | int) -> None:
        """What the request in hand was, now that it is over."""

    def parent(self) -> str:
        """What a job has to know so that the work on it belongs to the same trace; empty if there is none."""
        return ""

    def attempt(self, job: Job, attempt: int) -> AbstractContextManager[None]:
        """A worker has a job in hand."""
        return nullcontext()

    def close(self) -> None:
        """Send what is left. May take some seconds."""


class _OpenTelemetry(Tracing):
    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("ancestral", __version__)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, name: str, headers: Mapping[str, str]) -> Iterator[None]:
        from opentelemetry.trace import SpanKind

        parent = self._propagator.extract({_PARENT: headers[_PARENT]} if _PARENT in headers else {})
        with self._tracer.start_as_current_span(name, parent, SpanKind.SERVER, record_exception=False):
            yield

    def named(self, name: str, **attributes: str | int) -> None:
        from opentelemetry.trace import get_current_span

        span = get_current_span()
        span.update_name(name)
        span.set_attributes(attributes)

    def parent(self) -> str:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get(_PARENT, "")

    @contextmanager
    def attempt(self, job: Job, attempt: int) -> Iterator[None]:
        from opentelemetry.trace import SpanKind

        parent = self._propagator.extract({_PARENT: job.trace} if job.trace else {})
        about = {
            "job": job.id,
            "kind": job.kind,
            "priority": job.priority.value,
            "model": job.model,
            "attempt": attempt,
        }
        if attempt == 1:
            queued = self._tracer.start_span("queue", parent, attributes=about, start_time=int(1e9 * job.created_at))
            queued.end(max(time.time_ns(), int(1e9 * job.created_at)))
        with self._tracer.start_as_current_span("attempt", parent, SpanKind.CONSUMER, about, record_exception=False):
            yield

    def close(self) -> None:
        self._provider.shutdown()


def tracing(settings: Settings, role: str) -> Tracing:
    """What the settings ask for.

    Args:
        settings: of the process.
        role: ``api`` or ``worker``.

    Raises:
        SettingsError: OpenTelemetry is not installed.
    """
    if settings.traces_endpoint is None:
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise SettingsError(f"ANCESTRAL_TRACES_ENDPOINT: needs the extra `otel`; there is no {error.name}") from error
    resource = Resource.create({"service.name": f"ancestral-{role}", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(settings.traces_endpoint)))
    return _OpenTelemetry(provider)
