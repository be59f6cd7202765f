"""OpenTelemetry traces: one per request, across the queue.

    POST /v1/audio/speech        API: from the first byte of the request to the last byte of the response
    ├── queue                    from admission of the job until a worker starts it
    └── attempt                  worker: until the last symbol has been published; one more span for each retry

The context travels in the job's record as a W3C ``traceparent``; an incoming one is continued. Only this module imports
OpenTelemetry, which is an extra (``otel``). Without ``traces_endpoint`` nothing is traced.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from ancestral.service import __version__
from ancestral.service.broker.job import Job
from ancestral.service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_PARENT = "traceparent"


class Tracing:
    """The tracing of one process. This base class does nothing."""

    def request(self, name: str, headers: Mapping[str, str]) -> AbstractContextManager[None]:
        """Open the span of a request; spans opened inside belong to its trace.

        Args:
            name: the method; the route is added once it is known (:meth:`named`).
            headers: of the request.
        """
        return nullcontext()

    def named(self, name: str, **attributes: str | int) -> None:
        """Set the final name and attributes of the current request's span."""

    def parent(self) -> str:
        """The ``traceparent`` that a job carries, so that its spans belong to the same trace; empty without a trace."""
        return ""

    def attempt(self, job: Job, attempt: int) -> AbstractContextManager[None]:
        """Open the span of an attempt at a job."""
        return nullcontext()

    def close(self) -> None:
        """Export the remaining spans. May take a few seconds."""


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
        attributes = {
            "job": job.id,
            "kind": job.kind,
            "priority": job.priority.value,
            "model": job.model,
            "attempt": attempt,
        }
        if attempt == 1:
            queued = self._tracer.start_span(
                "queue", parent, attributes=attributes, start_time=int(1e9 * job.created_at)
            )
            queued.end(max(time.time_ns(), int(1e9 * job.created_at)))
        with self._tracer.start_as_current_span(
            "attempt", parent, SpanKind.CONSUMER, attributes, record_exception=False
        ):
            yield

    def close(self) -> None:
        self._provider.shutdown()


def tracing(settings: Settings, role: str) -> Tracing:
    """The tracing that the settings select.

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
        raise SettingsError(f"ANCESTRAL_TRACES_ENDPOINT: needs {error.name}: pip install '.[otel]'") from error
    resource = Resource.create({"service.name": f"ancestral-{role}", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(settings.traces_endpoint)))
    return _OpenTelemetry(provider)
