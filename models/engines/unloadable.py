"""Something large that is made when it is needed, and given back when nobody has needed it for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

_T = TypeVar("_T")


class LazyResource(Generic[_T]):
    """Made at once, so that what is wrong with it is known early, and again whenever it is used after it was dropped.

    Args:
        make: makes it; any number of times, each the same. May raise.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._value: _T | None = make()
        self._users, self._used_at = 0, time.monotonic()
        self._lock = threading.Lock()

    @property
    def loaded(self) -> bool:
        """Whether it is there."""
        return self._value is not None

    @contextmanager
    def use(self) -> Iterator[_T]:
        """What was made; it stays for as long as anybody uses it. Any number of threads may."""
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
        """Let go of it if it is there and nobody uses it, nor has for so long; whether that was so."""
        with self._lock:
            if self._value is None or self._users or time.monotonic() - self._used_at < idle_seconds:
                return False
            self._value = None
            return True
