"""The settings of a deployment, read from ``ANCESTRAL_*`` environment variables.

A model's architecture is in its checkpoint and a request's parameters are in its schema; neither is set here.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr
from pydantic_settings import NoDecode

from ancestral.requests import MAX_AROUND
from ancestral.settings import PREFIX, ModelSettings, SettingsError, read_settings

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s*,A-Z]+")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError("an origin is scheme://host or scheme://host:port, in lower case, without a path")
    return value


Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin)], ...],
    NoDecode,  # pydantic-settings would parse it as JSON
    BeforeValidator(_split),
]
"""Comma-separated origins. There is no ``*``: every origin that may use the service is listed by name."""


class Settings(ModelSettings):
    """The settings of one deployment. Frozen; created once, by the command that starts the process."""

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` for all interfaces."""
    port: int = Field(default=8000, ge=0, le=65535)
    """TCP port to listen on; 0 chooses a free one."""
    public_url: str | None = Field(default=None, pattern=r"^https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?$")
    """Address of the API as clients see it, for the URLs in its answers (pictures, previews), such as
    `https://speech.example`. If it is not set, the `Host` header of the request is used. Without keys, browsers may use
    the public name that it has ([security.md](security.md#cross-origin-pages))."""
    redis_url: str | None = Field(default=None, repr=False)
    """URL of the Redis (or Valkey) that API processes and workers share: `redis://`, `rediss://` or `unix://`;
    `redis+sentinel://host:26379,host/name-of-the-master`; `redis+cluster://host:6379,host` (`rediss+…`: with TLS). If
    it is not set, `ancestral serve` starts the bundled Valkey, with its data in `ANCESTRAL_DATA_DIR`."""
    redis_replicas: int = Field(default=0, ge=0, le=16)
    """Replicas of Redis that must have a job before its request is accepted (`WAIT`), so that it
    survives the loss of the master; else the answer is 503."""
    redis_shards: int = Field(default=32, ge=1, le=256)
    """Queues into which the jobs of a Redis Cluster are divided: at least as many as masters. The same for all
    processes; jobs beyond a smaller number are lost."""
    redis_max_bytes: int = Field(default=2 << 30, ge=64 << 20)
    """Memory of the bundled Valkey in bytes. While it is full, new requests are answered 503, and jobs wait until
    output expires."""
    unload_seconds: int | None = Field(default=None, ge=1, le=604_800)
    """Seconds without a request after which a model's ONNX graphs are unloaded, from GPU memory too; the next request
    waits until they are loaded again. If it is not set, they stay loaded. ONNX engines only: the others need a few
    megabytes per model."""
    threads: int = Field(default_factory=_cores, ge=1, le=1024)
    """Sampling threads of a worker. The default is one per usable core."""
    interactive_slots: int = Field(default_factory=lambda: 4 * _cores(), ge=1, le=4096)
    """Interactive streams that a worker samples at the same time. The default is four per core, which the small model
    sustains in real time."""
    batch_slots: int = Field(default_factory=_cores, ge=1, le=4096)
    """Batch jobs (`Prefer: respond-async`) that a worker samples at the same time, with the capacity that interactive
    streams do not use. The default is one per core."""
    max_queued_streams: int = Field(default=32, ge=0, le=65536)
    """Interactive requests that may wait for a slot; one more is answered 429 with `Retry-After`."""
    max_wait_seconds: float = Field(default=2.0, ge=0, le=3600)
    """Seconds that an interactive request may be expected to wait for a slot, by the measured pace; one that would wait
    longer is answered 429 with `Retry-After`."""
    max_queued_jobs: int = Field(default=1000, ge=0, le=1_000_000)
    """Batch jobs that may wait for a slot; one more is answered 429 with `Retry-After`."""
    chunk_ms: int = Field(default=50, ge=20, le=1000)
    """Audio sampled per step of the scheduler, in milliseconds; streams join and leave between steps. The first steps
    of a request are shorter (20, 40)."""
    ahead_seconds: float = Field(default=2.0, ge=0.5, le=60.0)
    """How many seconds of audio a stream may be sampled ahead of what its client has read; then it is paused."""
    interactive_seconds: int = Field(default=1800, ge=1, le=86400)
    """Requests estimated to give more seconds of audio than this are answered 202 with a job."""
    stream_seconds: int = Field(default=120, ge=1, le=86400)
    """Seconds that the audio of an interactive request is kept after its end or after its client disconnected."""
    job_seconds: int = Field(default=3600, ge=1, le=2_592_000)
    """Seconds that a job and its output are kept after its end."""
    max_body_bytes: int = Field(default=1 << 20, ge=1024, le=1 << 30)
    """Largest request body in bytes; a larger one is answered 413."""
    max_upload_bytes: int = Field(default=32 << 20, ge=1024, le=1 << 30)
    """Largest body in bytes of requests that upload a recording or a picture."""
    max_sound_seconds: int = Field(default=3600, ge=1, le=86400)
    """Longest sound of a request in seconds, as estimated from its text; more is answered 400 before it is sampled:
    4 096 digits are half an hour."""
    max_upload_seconds: int = Field(default=60, ge=1, le=3600)
    """Longest recording that may be uploaded, in seconds of audio."""
    max_connections: int | None = Field(default=None, ge=1, le=1_000_000)
    """Connections of an API process that may be open at the same time, websockets included. One more takes the place of
    the oldest whose request is incomplete, or is answered 503. If it is not set: half of the descriptors that the
    process may open, less a few, and at most 16 384."""
    header_seconds: int = Field(default=10, ge=1, le=3600)
    """Seconds that the headers of a request may take to arrive before its connection is closed."""
    body_seconds: int = Field(default=30, ge=1, le=3600)
    """Seconds that the body of a request may take to arrive, plus one second for each KiB; after that the answer
    is 408."""
    stall_seconds: int = Field(default=30, ge=1, le=3600)
    """Seconds that a client may leave audio unread before its connection is closed."""
    shutdown_seconds: int = Field(default=5, ge=0, le=3600)
    """Seconds that requests in flight have to finish after SIGTERM or Ctrl-C."""
    drain_seconds: int = Field(default=0, ge=0, le=3600)
    """Seconds after SIGTERM during which a server still takes new requests, while `/readyz` answers 503 for load
    balancers to notice. Then the time of `ANCESTRAL_SHUTDOWN_SECONDS` begins."""
    api_keys_file: FilePath | None = None
    """File with the hashes of the valid API keys (`ancestral keys`). If it is not set, no key is needed."""
    provenance_key: SecretStr | None = Field(default=None, min_length=32)
    """Secret of at least 32 characters (`openssl rand -hex 32`). Requests without a seed get one that is computed from
    it and a counter, so that `/v1/detect` finds this deployment's own outputs without being told their seeds
    ([provenance.md](provenance.md#keyed-seeds)). The same in all processes. If it is not set, seeds are random."""
    requests_per_minute: int | None = Field(default=None, ge=1, le=99_999)
    """Requests per key in any sixty seconds, for keys without a limit of their own."""
    concurrent_streams: int | None = Field(default=None, ge=1, le=99_999)
    """Unfinished jobs per key, for keys without a limit of their own."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """TCP port, at the address `ANCESTRAL_HOST`, on which a worker serves `GET /metrics`, `/healthz` and `/readyz`; 0
    chooses a free one. If it is not set, a worker serves none. API servers serve them on their own port."""
    traces_endpoint: str | None = Field(default=None, pattern=r"^https?://")
    """URL of an OpenTelemetry collector (OTLP over HTTP) that traces are sent to, for example
    `http://localhost:4318/v1/traces`. Needs the extra `otel`. If it is not set, there are no traces."""
    cors_origins: Origins = ()
    """Comma-separated origins of the web pages that may use the service. The default is none."""
    public_lists: Literal["on", "off"] = "off"
    """Whether the lists of models, voices and classes need no API key, as some web interfaces (Open WebUI) expect."""
    public_metrics: Literal["on", "off"] = "on"
    """Whether `GET /metrics` of an API server needs no API key. A worker's, on `ANCESTRAL_METRICS_PORT`, never needs
    one."""
    input_format: Literal["text", "markdown"] = "text"
    """What a text is whose request to `POST /v1/audio/speech` does not say it: `markdown` where clients send the
    answers of chat models as they are."""
    lead_in: int | None = Field(default=None, ge=0, le=MAX_AROUND)
    """Milliseconds of silence before the first word, where a request to `POST /v1/audio/speech` does not say it, for
    loudspeakers that wake too late. If it is not set, it is the voice's own."""
    tail: int | None = Field(default=None, ge=0, le=MAX_AROUND)
    """The same after the last word. If it is not set, it is the pause after a sentence."""
    page: Literal["on", "off"] = "on"
    """Whether `GET /` serves the page on which people try the models; `off` answers 404 there."""


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The settings of this process.

    Args:
        environment: is searched for unknown variables; ``os.environ`` if absent.
        overrides: fields given on the command line, which override the environment; None means not given.

    Raises:
        SettingsError: a variable is unknown or its value is invalid.
    """
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in sorted(os.environ if environment is None else environment):
        if not name.upper().startswith(PREFIX) or name.upper() in known:
            continue
        near = difflib.get_close_matches(name[len(PREFIX) :].lower(), Settings.model_fields, 1)
        raise SettingsError(f"{name}: no such setting" + (f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""))
    return read_settings(Settings, **overrides)
