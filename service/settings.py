"""Deployment: every setting of a running service, read from ``ANCESTRAL_*`` environment variables.

What a model is lives in its checkpoint and what one request asks for in ``schemas``; neither is ever set here.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import DirectoryPath, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

import models

PREFIX = "ANCESTRAL_"

_LATER = {
    "ANCESTRAL_REDIS_URL": "this version samples inside the serving process and does not support Redis yet; unset it",
}
"""Settings that later versions have: refused by name, so that nobody believes them to be in force."""


class SettingsError(ValueError):
    """The environment does not describe a service; the message names the variable."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
    engine: Literal["auto", "native", "torch"] = Field(
        default="auto",
        description="What samples: `native` (compiled by numba), `torch` (slow, needs the `train` extra), or `auto`.",
    )
    threads: int = Field(
        default_factory=_cores, ge=1, le=1024, description="Threads that sample. The default is one per usable core."
    )
    max_concurrent_streams: int = Field(
        default_factory=lambda: 2 * _cores(),
        ge=1,
        le=4096,
        description="Requests sampled at the same time, taking turns on the threads. The default is two per core.",
    )
    max_queued_streams: int = Field(
        default=32,
        ge=0,
        le=65536,
        description="Requests that may wait for a stream to end; one more is answered 429 with `Retry-After`.",
    )
    chunk_ms: int = Field(
        default=100,
        ge=10,
        le=1000,
        description="Sound sampled per turn, in milliseconds. The first chunks of a request are shorter (20, 40, 80).",
    )
    max_body_bytes: int = Field(
        default=1 << 20, ge=1024, le=1 << 30, description="Largest request body in bytes; a larger one is answered 413."
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
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line written. Logs are JSON lines on standard error."
    )


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The settings of this process.

    Args:
        environment: what to look for unknown variables in; ``os.environ`` if absent.
        overrides: fields given on the command line; they win over the environment, None means not given.

    Raises:
        SettingsError: a variable is unknown, belongs to a later version, or holds a value out of range.
    """
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in sorted(os.environ if environment is None else environment):
        if not name.upper().startswith(PREFIX) or name.upper() in known:
            continue
        if reason := _LATER.get(name.upper()):
            raise SettingsError(f"{name}: {reason}")
        near = difflib.get_close_matches(name[len(PREFIX) :].lower(), Settings.model_fields, 1)
        raise SettingsError(f"{name}: no such setting" + (f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""))
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise SettingsError(f"{PREFIX}{str(first['loc'][0]).upper()}: {first['msg']}") from error
