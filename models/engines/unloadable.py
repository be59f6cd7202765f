"""A large resource that is created on use, and dropped when it has been idle for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

_T = TypeVar("_T")


class LazyResource(Generic[_T]):
    """Created at once, so that errors are found early, and again when it is used after it was dropped.

    Args:
        make: creates it, any number of times, always the same. May raise.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._value: _T | None = make()
        self._users, self._used_at = 0, time.monotonic()
        self._lock = threading.Lock()

    @property
    def loaded(self) -> bool:
        return self._value is not None

    @contextmanager
    def use(self) -> Iterator[_T]:
        """The resource, which is not dropped while it is in use. Any number of threads may use it."""
        with self._lock:
            if self._value is None:
                self._value = self._make()
            value = self._value
            self._users += 1
        try:
            yield value
        finally:
            with self._lock:
                self._users -= 1
                self._used_at = time.monotonic()

    def drop(self, idle_seconds: float) -> bool:
        """Drop it if it is in memory and has been idle for this long; returns whether it did."""
        with self._lock:
            if self._value is None or self._users or time.monotonic() - self._used_at < idle_seconds:
                return False
            self._value = None
            return True
