"""Waiting for what comes true soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
from redis.exceptions import RedisError


def eventually(true: Callable[[], Any], seconds: float = 120.0) -> float:
    """Wait until it is true, which it is not while a server does not answer; how long that took, in seconds."""
    start = time.monotonic()
    while True:
        try:
            if true():
                return time.monotonic() - start
        except (RedisError, httpx.TransportError):
            pass
        assert time.monotonic() - start < seconds
        time.sleep(0.02)
