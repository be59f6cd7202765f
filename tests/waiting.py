"""Waiting for what comes true soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import httpx
from redis.exceptions import RedisError

T = TypeVar("T")


def awaited(get: Callable[[], T], seconds: float = 120.0) -> T:
    """The first value that is not false, None or empty; there is none while a server does not answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if value := get():
                return value
        except (RedisError, httpx.TransportError):
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)


def eventually(true: Callable[[], object], seconds: float = 120.0) -> float:
    """Wait until it is true; how long that took, in seconds."""
    start = time.monotonic()
    awaited(true, seconds)
    return time.monotonic() - start
