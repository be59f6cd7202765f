"""Deployment: every setting of a running service, read from ``ANCESTRAL_*`` environment variables.

What a model is lives in its checkpoint and what one request asks for in ``schemas``; neither is ever set here.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, DirectoryPath, Field, FilePath, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

import models

PREFIX = "ANCESTRAL_"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s*,A-Z]+")


class SettingsError(ValueError):
    """The environment does not describe a service; the message names the variable."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError("an origin is scheme://host or scheme://host:port, in lower case and without a path")
    return value


Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin)], ...],
    NoDecode,  # pydantic-settings would take it for JSON
    BeforeValidator(_split),
]
"""A setting: origins with commas between them. There is no ``*``: who may use the service is listed by name."""


class Settings(BaseSettings):
    """One deployment. Frozen; made once, by the command that starts the service, and handed on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, protected_namespaces=())

    host: str = Field(default="127.0.0.1", description="Address to listen on; `0.0.0.0` for every interface.")
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port to listen on; 0 lets the system choose one.")
    data_dir: Path = Field(
        default=Path("data"),
        description="Where Ancestral keeps what it makes. Models in its `models/` are served beside the bundled ones.",
    )
    models_dir: DirectoryPath = Field(
        default=Path(models.__file__).with_name("zoo"),
        description="The bundled models: a directory with one subdirectory per model.",
    )
    redis_url: str | None = Field(
        default=None,
        pattern=r"^(redis|rediss|unix)://",
        repr=False,
        description="Redis (or Valkey) between API and workers: `redis://`, `rediss://` or `unix://`. Without it, "
        "`ancestral serve` brings its own and one worker, and keeps its data in `data_dir`.",
    )
    engine: Literal["auto", "native", "onnx-cuda", "onnx-cpu", "torch"] = Field(
        default="auto",
        description="What samples: `native` (compiled by numba), `onnx-cuda` (needs the `gpu` extra and a card), "
        "`onnx-cpu` (needs the `cpu` extra), `torch` (sound only, slow, needs the `train` extra), or `auto`: "
        "`onnx-cuda` where CUDA really runs, else `native`.",
    )
    precision: Literal["fp32", "bf16", "int8"] = Field(
        default="fp32",
        description="How the native engine keeps the weights that sample sound: `fp32`; `int8`, 1.7 to 12 times as "
        "fast for 0.02 bits a sample; `bf16`, between them. The same for all workers: seeds give the same sound within "
        "one precision only, and `x-engine` names it.",
    )
    unload_seconds: int | None = Field(
        default=None,
        ge=1,
        le=604_800,
        description="After how long without a request the graphs of a model leave memory, on a card too; the next "
        "request waits until they are loaded again. Without it, they stay. Of the engines on onnxruntime only: the "
        "others need a few megabytes a model.",
    )
    threads: int = Field(
        default_factory=_cores,
        ge=1,
        le=1024,
        description="Threads of a worker that sample. The default is one per usable core.",
    )
    interactive_slots: int = Field(
        default_factory=lambda: 4 * _cores(),
        ge=1,
        le=4096,
        description="Streams that a worker samples at the same time for clients who listen. The default is four per "
        "core: what the small model sustains in real time.",
    )
    batch_slots: int = Field(
        default_factory=_cores,
        ge=1,
        le=4096,
        description="Jobs that a worker samples at the same time for clients who fetch them later. They get what the "
        "listeners leave. The default is one per core.",
    )
    max_queued_streams: int = Field(
        default=32,
        ge=0,
        le=65536,
        description="Listening requests that may wait for a slot; one more is answered 429 with `Retry-After`.",
    )
    max_queued_jobs: int = Field(
        default=1000,
        ge=0,
        le=1_000_000,
        description="Jobs to be fetched later that may wait for a slot; one more is answered 429 with `Retry-After`.",
    )
    chunk_ms: int = Field(
        default=50,
        ge=20,
        le=1000,
        description="Sound sampled per turn, in milliseconds; streams join and leave between turns. The first turns of "
        "a request are shorter (20, 40).",
    )
    ahead_seconds: float = Field(
        default=2.0,
        ge=0.2,
        le=60.0,
        description="How far the sampler runs ahead of what a listening client has read before it pauses the stream.",
    )
    interactive_seconds: int = Field(
        default=1800,
        ge=1,
        le=86400,
        description="Requests estimated to give more sound than this are answered 202 with a job.",
    )
    stream_seconds: int = Field(
        default=120,
        ge=1,
        le=86400,
        description="How long the sound of a listening request is kept after its end or after its client was lost.",
    )
    job_seconds: int = Field(
        default=3600, ge=1, le=2_592_000, description="How long a job and its sound are kept after its end."
    )
    max_body_bytes: int = Field(
        default=1 << 20, ge=1024, le=1 << 30, description="Largest request body in bytes; a larger one is answered 413."
    )
    max_upload_bytes: int = Field(
        default=32 << 20,
        ge=1024,
        le=1 << 30,
        description="Largest body in bytes of the requests that bring a recording or a picture along.",
    )
    max_upload_seconds: int = Field(
        default=60, ge=1, le=3600, description="Longest recording that may be uploaded, in seconds of sound."
    )
    stall_seconds: int = Field(
        default=30,
        ge=1,
        le=3600,
        description="How long a client may leave sound unread before its connection is broken off.",
    )
    shutdown_seconds: int = Field(
        default=5,
        ge=0,
        le=3600,
        description="How long requests in flight may go on after SIGTERM or Ctrl-C before they are broken off.",
    )
    drain_seconds: int = Field(
        default=0,
        ge=0,
        le=3600,
        description="How long a server that was sent SIGTERM still takes new requests, while `/readyz` answers 503 so "
        "that load balancers turn to others. Then the time of `ANCESTRAL_SHUTDOWN_SECONDS` begins.",
    )
    api_keys_file: FilePath | None = Field(
        default=None,
        description="File with the hashes of the API keys in force (`ancestral keys`). Without it, everybody may ask.",
    )
    requests_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=99_999,
        description="Requests in any sixty seconds that a key may make that has no limit of its own.",
    )
    concurrent_streams: int | None = Field(
        default=None,
        ge=1,
        le=99_999,
        description="Unfinished jobs that a key may have that has no limit of its own.",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="TCP port, of the same address, on which a worker answers `GET /metrics` (for Prometheus), "
        "`/healthz` and `/readyz`; 0 lets the system choose. Without it, it answers nobody. Servers answer on their "
        "own port.",
    )
    traces_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Where traces go: the URL of an OpenTelemetry collector (OTLP over HTTP), "
        "`http://localhost:4318/v1/traces` for one. Needs the extra `otel`. Without it, none are made.",
    )
    cors_origins: Origins = Field(
        default=(),
        description="Origins whose pages may use the service, with commas between them. The default is none.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line written. Logs are JSON lines on standard error."
    )


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The settings of this process.

    Args:
        environment: what to look for unknown variables in; ``os.environ`` if absent.
        overrides: fields given on the command line; they win over the environment, None means not given.

    Raises:
        SettingsError: a variable is unknown or holds a value out of range.
    """
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in sorted(os.environ if environment is None else environment):
        if not name.upper().startswith(PREFIX) or name.upper() in known:
            continue
        near = difflib.get_close_matches(name[len(PREFIX) :].lower(), Settings.model_fields, 1)
        raise SettingsError(f"{name}: no such setting" + (f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""))
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise SettingsError(f"{PREFIX}{str(first['loc'][0]).upper()}: {first['msg']}") from error
