"""Requests of callers in any sixty seconds, counted for all servers of a deployment together."""

from __future__ import annotations

from typing import Any

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis import asyncio as redis

from ancestral.service.broker.connection import Connection
from ancestral.service.broker.keys import key, shard_for


class RequestWindow:
    """Counts requests by the name of the caller, each in the shard of that name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._windows: dict[tuple[redis.Redis, str], MovingWindowRateLimiter] = {}

    async def hit(self, caller: str, limit: int) -> tuple[bool, float, int]:
        """Count a request, unless it is one too many.

        Args:
            caller: who sent it.
            limit: requests a minute.

        Returns:
            Whether it was counted, when the window ends (seconds since 1970), and how many more requests fit into it.
        """
        item, prefix = RateLimitItemPerMinute(limit), key("rate", shard=shard_for(caller, self._connection.shards))

        async def count(client: redis.Redis) -> tuple[bool, float, int]:
            window = self._window(client, prefix)
            counted = await window.hit(item, caller)
            reset, remaining = await window.get_window_stats(item, caller)
            return counted, reset, remaining

        counted: tuple[bool, float, int] = await self._connection.call(prefix, count)
        return counted

    def _window(self, client: redis.Redis, prefix: str) -> MovingWindowRateLimiter:
        if (client, prefix) not in self._windows:
            pool: Any = client.connection_pool  # `limits` says that its options are numbers and strings
            storage = RedisStorage("async+redis://", implementation="redispy", key_prefix=prefix, connection_pool=pool)
            self._windows[client, prefix] = MovingWindowRateLimiter(storage)
        return self._windows[client, prefix]
