"""Logs as JSON lines or text, and traces."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ancestral.extras import needed
from ancestral_service import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from ancestral_service.broker.job import Job
    from ancestral_service.settings import Settings


# Logs on standard error: one JSON object per line, or on a terminal one line of text. No request text, no keys.
#
# Standard library only: the process supervisor, which runs beside every server, logs with it, too.

request_id: ContextVar[str] = ContextVar("request_id")
"""The ``x-request-id`` of the request being served; added to every line logged meanwhile."""
current_job: ContextVar[str] = ContextVar("current_job")
"""The id of the job created by the request, or of the job being sampled; added likewise."""

ACCESS_LOGGER = "service.access"
"""Logs one line per HTTP request, with ``method``, ``route``, ``status``, ``complete`` and ``milliseconds``."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "color_message", "asctime"}
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31"}  # SGR codes
_BARE = re.compile(r"[\w./:@%+,*…-]+")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """The ids of the request and the job, then everything passed as ``extra``."""
    ids = {"request_id": request_id.get(""), "job": current_job.get("")}
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    return {name: value for name, value in ids.items() if value} | extra


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; everything passed as ``extra`` becomes a key."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """A record for people: local time, level, message, then ``extra`` as ``key=value``; a traceback below it."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a newline; control characters are escaped, because a terminal would obey them."""
        level, fields = record.levelname.lower(), _fields(record)
        message = _access(fields) if record.name == ACCESS_LOGGER and "method" in fields else record.getMessage()
        extra = " ".join(f"{name}={_value(value)}" for name, value in fields.items() if value is not None)
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        parts = [self._dim(time), self._colour(f"{level:<7}", _COLOURS.get(level, "0")), _escaped(message)]
        lines = ["  ".join([*parts, self._dim(extra)] if extra else parts)]
        if record.exc_info:
            lines.append(_escaped(self.formatException(record.exc_info)))
        return "\n".join(lines)

    def _dim(self, text: str) -> str:
        return self._colour(text, "2")

    def _colour(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text


def _access(fields: dict[str, object]) -> str:
    """The text of an access line; takes what it shows out of ``fields``."""
    method, route, status = fields.pop("method"), fields.pop("route"), fields.pop("status")
    ended = "" if fields.pop("complete") else ", incomplete"
    return f"{method} {route or '(no route)'} {status}{ended}, {fields.pop('milliseconds')} ms"


def _value(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if _BARE.fullmatch(text) else _escaped(json.dumps(text, ensure_ascii=False))


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


_SUPPRESSED = (
    "Exception in ASGI application\n",  # ancestral_service.api.http.middleware has logged it, with its traceback
    "ASGI callable returned without completing handshake.",  # a refused websocket, which is no error
)
_UVICORN_INFO = frozenset({"Waiting for connections to close. (CTRL+C to force quit)"})
"""What uvicorn logs at level info and this service does not log itself. Its lines of websockets show the query, which
may hold a session's id."""


def _wanted(record: logging.LogRecord) -> bool:
    """False for lines of uvicorn that repeat ours, are wrong, or show too much."""
    if record.name != "uvicorn.error":
        return True
    return record.msg in _UVICORN_INFO if record.levelno == logging.INFO else record.msg not in _SUPPRESSED


def is_text(log_format: str) -> bool:
    """Whether this process logs lines of text: ``text``, or ``auto`` and standard error is a terminal."""
    return log_format == "text" or (log_format == "auto" and sys.stderr.isatty())


def colours_wanted() -> bool:
    """Whether standard error is a terminal that shows colours, and ``NO_COLOR`` (no-color.org) is not set."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def json_handler() -> logging.Handler:
    """Writes lines of JSON to standard error, without those of uvicorn that repeat ours."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_wanted)
    return handler


def configure_logging(level: str, log_format: str) -> None:
    """Send all logs of this process, uvicorn's included, to standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        log_format: ``json``, ``text``, or ``auto``: text on a terminal, else JSON.
    """
    handler = json_handler()
    if is_text(log_format):
        handler.setFormatter(TextFormatter(colours=colours_wanted()))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def without_password(url: str) -> str:
    """The URL of a Redis as it may be logged: with ``***`` for the password, if it has one."""
    url = re.sub(r"(?<=password=)[^&]*", "***", url)
    return re.sub(r"^([\w+]+://[^:/@]*):.*@", r"\1:***@", url)


# Says in the log that Redis cannot be reached: at once, then once in a while; and when it can be reached again.


REMIND_SECONDS = 30.0
"""Interval of the lines about the same outage."""

log = logging.getLogger(__name__)


class RedisOutage:
    """Whether Redis answers this process, as its periodic calls find it."""

    def __init__(self, url: str) -> None:
        """Nothing is known yet; ``url`` is logged without its password."""
        self._address = without_password(url)
        self.connected = False
        self._warned_at: float | None = None

    @contextmanager
    def tolerated(self) -> Iterator[None]:
        """Run one call to Redis; if Redis is unavailable, log it and go on."""
        from ancestral_service.broker.connection import UNAVAILABLE

        try:
            yield
        except UNAVAILABLE as error:
            self.connected, now = False, time.monotonic()
            if self._warned_at is None or now - self._warned_at >= REMIND_SECONDS:
                reason = f"{type(error).__name__}: {error}".removesuffix(": ")
                log.warning("Redis is unavailable, retrying", extra={"redis": self._address, "reason": reason})
                self._warned_at = now
        else:
            if not self.connected:
                log.info("connected to Redis", extra={"redis": self._address})
                self.connected, self._warned_at = True, None


# OpenTelemetry traces: one per request, across the queue.
#
#     POST /v1/audio/speech        API: from the first byte of the request to the last byte of the response
#     ├── queue                    from admission of the job until a worker starts it
#     └── attempt                  worker: until the last symbol has been published; one more span for each retry
#
# The context travels in the job's record as a W3C ``traceparent``; an incoming one is continued. Only this module
# imports OpenTelemetry, which is an extra (``otel``). Without ``traces_endpoint`` nothing is traced.

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
        of_job = {"job": job.id, "kind": job.kind, "priority": job.priority.value, "model": job.model}
        attributes: dict[str, str | int] = {**of_job, "attempt": attempt}
        begun = int(1e9 * job.created_at)
        if attempt == 1:
            queued = self._tracer.start_span("queue", parent, attributes=attributes, start_time=begun)
            queued.end(max(time.time_ns(), begun))
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
        from ancestral.settings import SettingsError

        raise SettingsError(f"ANCESTRAL_TRACES_ENDPOINT: {needed(error)}") from error
    resource = Resource.create({"service.name": f"ancestral-{role}", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(settings.traces_endpoint)))
    return _OpenTelemetry(provider)
