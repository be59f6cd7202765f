"""How often a caller may ask: requests in any sixty seconds.

They are counted in Redis, so the limit holds for all the servers of a deployment together. How many unfinished jobs a
caller may have is decided where a job gets its place in a priority, in ``ancestral.service.broker``.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING, Any

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from ancestral.service.broker import UNAVAILABLE
from ancestral.service.errors import NotReady, Overloaded
from ancestral.service.jobs.caller import Caller

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5


class Limits:
    """Counts what callers ask for, by name.

    Args:
        redis: whose connections are used.
        requests_per_minute: for callers who have no limit of their own; None does not limit them.
    """

    def __init__(self, redis: Redis, requests_per_minute: int | None) -> None:
        pool: Any = redis.connection_pool  # `limits` says that its options are numbers and strings
        storage = RedisStorage(
            "async+redis://", implementation="redispy", key_prefix="ancestral:rate", connection_pool=pool
        )
        self._window = MovingWindowRateLimiter(storage)
        self._requests_per_minute = requests_per_minute

    async def count(self, caller: Caller) -> dict[str, str]:
        """Count one request.

        Returns:
            The headers with what is left of the caller's limit; none for a caller without a limit.

        Raises:
            Overloaded: it is one too many; it is not counted.
            NotReady: Redis does not answer.
        """
        limit = caller.requests_per_minute or self._requests_per_minute
        if limit is None:
            return {}
        item = RateLimitItemPerMinute(limit)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                admitted = await self._window.hit(item, caller.name)
                reset, remaining = await self._window.get_window_stats(item, caller.name)
        except UNAVAILABLE as error:
            log.error("requests cannot be counted", extra={"reason": f"{type(error).__name__}: {error}"})
            raise NotReady("Redis does not answer.") from error
        seconds = max(1, math.ceil(reset - time.time()))
        headers = {
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-remaining-requests": str(remaining),
            "x-ratelimit-reset-requests": f"{seconds}s",
        }
        if not admitted:
            message = f"This caller may send {limit} requests a minute."
            refused = Overloaded(message, retry_after=seconds, code="rate_limited")
            refused.headers.update(headers)
            raise refused
        return headers
