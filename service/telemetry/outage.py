"""Says in the log that Redis cannot be reached: at once, then once in a while; and when it can be reached again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.telemetry.logging import without_password

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
        try:
            yield
        except UNAVAILABLE as error:
            self._failed(error)
        else:
            self._succeeded()

    def _failed(self, error: Exception) -> None:
        now = time.monotonic()
        if self._warned_at is None or now - self._warned_at >= REMIND_SECONDS:
            reason = f"{type(error).__name__}: {error}".removesuffix(": ")
            log.warning("Redis is unavailable, retrying", extra={"redis": self._address, "reason": reason})
            self._warned_at = now
        self.connected = False

    def _succeeded(self) -> None:
        if not self.connected:
            log.info("connected to Redis", extra={"redis": self._address})
            self.connected, self._warned_at = True, None
