"""Requests of callers in any sixty seconds, counted for all servers of a deployment together."""

from __future__ import annotations

from typing import Any

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from ancestral.service.broker.connection import Connection
from ancestral.service.broker.keys import PREFIX


class RequestWindow:
    """Counts requests by the name of the caller."""

    def __init__(self, connection: Connection) -> None:
        pool: Any = connection.redis.connection_pool  # `limits` says that its options are numbers and strings
        storage = RedisStorage(
            "async+redis://", implementation="redispy", key_prefix=f"{PREFIX}rate", connection_pool=pool
        )
        self._window = MovingWindowRateLimiter(storage)

    async def hit(self, caller: str, limit: int) -> tuple[bool, float, int]:
        """Count a request, unless it is one too many.

        Args:
            caller: who sent it.
            limit: requests a minute.

        Returns:
            Whether it was counted, when the window ends (seconds since 1970), and how many more requests fit into it.
        """
        item = RateLimitItemPerMinute(limit)
        counted = await self._window.hit(item, caller)
        reset, remaining = await self._window.get_window_stats(item, caller)
        return counted, reset, remaining
