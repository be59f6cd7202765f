"""Renews the leases of all jobs that a worker runs, and passes on the signals of messages that were lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.workers import Workers
from ancestral.service.jobs.attempt import JobAttempt

RENEW_SECONDS: Final = 1.5
"""Interval of renewals."""
_RETRY_SECONDS: Final = 0.1
"""Interval of attempts to reach Redis: leases expire soon after it is back."""


async def renew_leases(broker: Workers, attempts: Sequence[JobAttempt]) -> None:
    """Renew the leases of ``attempts``, which changes meanwhile, for ever."""
    while True:
        renewed = list(attempts)
        try:
            signals = await broker.renew([attempt.lease for attempt in renewed])
            for attempt, signal in zip(renewed, signals, strict=True):
                attempt.check(signal)
                await attempt.lease.try_to_store()  # in case nothing is published for a while
                if attempt.waiting_for_reader and attempt.job.deaths:
                    await attempt.lease.clear_deaths()
        except UNAVAILABLE:
            for attempt in renewed:
                attempt.read_at = time.monotonic()  # acknowledgements could not arrive
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            await asyncio.sleep(RENEW_SECONDS)
