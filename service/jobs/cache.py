"""Finished answers in the memory of one process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

_ENTRY_BYTES: Final = 2048
"""Approximate bytes of an entry beside its data."""


class AnswerCache:
    """Files and their headers, by keys; those that were not asked for the longest time make room for others.

    Args:
        most: bytes that it may have.
    """

    def __init__(self, most: int = 32 << 20) -> None:
        self._most = most
        self._size = 0
        self._entries: OrderedDict[str, tuple[bytes, Mapping[str, str]]] = OrderedDict()

    def get(self, key: str) -> tuple[bytes, Mapping[str, str]] | None:
        """A file and its headers, if they are there."""
        if (found := self._entries.get(key)) is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: str, data: bytes, headers: Mapping[str, str]) -> None:
        """Keep a file, unless it alone is too large."""
        if key in self._entries or len(data) + _ENTRY_BYTES > self._most:
            return
        self._entries[key] = data, headers
        self._size += len(data) + _ENTRY_BYTES
        while self._size > self._most:
            _, (old, _) = self._entries.popitem(last=False)
            self._size -= len(old) + _ENTRY_BYTES
