"""Logs how an API process gets from listening to serving."""

from __future__ import annotations

import asyncio
import logging
import time

from ancestral.service.jobs.state import AppState
from ancestral.service.telemetry.logging import without_password
from ancestral.service.telemetry.outage import REMIND_SECONDS

POLL_SECONDS = 0.25

log = logging.getLogger(__name__)


async def until_ready(service: AppState) -> None:
    """Return once every model can be served; until then log what is missing, when it changes and once in a while."""
    logged, logged_at = "", 0.0
    url = service.settings.redis_url
    redis = {} if url is None else {"redis": without_password(url)}
    while problems := await service.readiness_problems():
        reason = " ".join(problems)
        if reason != logged or time.monotonic() - logged_at >= REMIND_SECONDS:
            log.info("not ready yet", extra={"reason": reason, **redis})
            logged, logged_at = reason, time.monotonic()
        await asyncio.sleep(POLL_SECONDS)
    log.info("ready")
