"""How many seeds a deployment has drawn from its provenance key: one number, which no restart sets back."""

from __future__ import annotations

from typing import Final

from ancestral.service.broker.connection import Connection
from ancestral.service.broker.keys import key

_NAME: Final = key("seeds")


class SeedCounter:
    """The number, on the server of Redis that has its key. It has no time to live."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def reserve(self, count: int) -> int:
        """Take the next ``count`` counters; the first of them."""
        return int(await self._connection.call(_NAME, lambda redis: redis.incrby(_NAME, count))) - count

    async def reserved(self) -> int:
        """How many have been taken by all processes."""
        found = await self._connection.call(_NAME, lambda redis: redis.get(_NAME))
        return int(found or 0)
