"""In which shards a worker looks for its next job."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Final

WAIT_SECONDS: Final = 1.0
"""Time that a worker waits to be woken before it looks for a job all the same."""
AT_A_TIME: Final = 4
"""Shards that it looks at then: in turn those that it serves, and one that it does not, whose workers may be busy."""


class ClaimOrder:
    """Where jobs of one priority may wait: in shards that woke this worker or gave it a job, and else anywhere.

    Args:
        shards: how many there are.
    """

    def __init__(self, shards: int) -> None:
        self._homes: Sequence[int] = []
        self._shards = shards
        self._hopeful: dict[int, None] = {}
        self._woken = asyncio.Event()
        self._looked = 0

    def serve(self, shards: Sequence[int]) -> None:
        """These shards are those that the worker serves now."""
        for shard in shards:
            if shard not in self._homes:
                self.wake(shard)
        self._homes = shards

    def wake(self, shard: int) -> None:
        """A job may wait in this shard."""
        self._hopeful[shard] = None
        self._woken.set()

    def wake_all(self) -> None:
        """A job may wait in any shard that the worker serves: all its slots were taken, so none has woken it."""
        for shard in self._homes:
            self.wake(shard)

    async def next(self) -> int:
        """The shard to look at next; waits while there is little hope in any."""
        if not self._hopeful:
            self._woken.clear()
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                self._hopeful |= dict.fromkeys(self._look_around())
        shard = next(iter(self._hopeful))
        del self._hopeful[shard]
        return shard

    def _look_around(self) -> list[int]:
        count = min(AT_A_TIME, len(self._homes))
        found = [self._homes[(self._looked + i) % len(self._homes)] for i in range(count)]
        self._looked += count
        if others := [shard for shard in range(self._shards) if shard not in self._homes]:
            found.append(random.choice(others))  # noqa: S311 - not for secrets
        return found
