"""How often a caller may ask: requests in any sixty seconds.

They are counted in Redis, so the limit holds for all the servers of a deployment together. How many unfinished jobs a
caller may have is decided where a job gets its place in a priority, in ``ancestral.service.broker``.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time

from ancestral.service.broker import UNAVAILABLE
from ancestral.service.errors import NotReady, Overloaded
from ancestral.service.jobs.caller import Caller
from ancestral.service.jobs.state import AppState

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5


async def count_request(state: AppState, caller: Caller) -> dict[str, str]:
    """Count one request.

    Returns:
        The headers with what is left of the caller's limit; none for a caller without a limit.

    Raises:
        Overloaded: it is one too many; it is not counted.
        NotReady: Redis does not answer.
    """
    limit = caller.requests_per_minute or state.settings.requests_per_minute
    if limit is None:
        return {}
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            admitted, reset, remaining = await state.broker.request_window.hit(caller.name, limit)
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
