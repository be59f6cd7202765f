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
    """Renew the leases of ``attempts``, which changes meanwhile, for ever.

    What else is to be stored of each is stored by a task beside it, all at once: one round trip after another would
    take longer than a lease lasts where a worker has many jobs and Redis is far away.
    """
    storing = asyncio.create_task(_store([]))
    try:
        while True:
            begun, renewed = time.monotonic(), list(attempts)
            try:
                signals = await broker.renew([attempt.lease for attempt in renewed])
            except UNAVAILABLE:
                for attempt in renewed:
                    attempt.on_redis_unavailable()
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            for attempt, signal in zip(renewed, signals, strict=True):
                attempt.check(signal)
            if storing.done():
                storing.result()  # raises what it should not have
                storing = asyncio.create_task(_store(renewed))
            await asyncio.sleep(begun + RENEW_SECONDS - time.monotonic())
    finally:
        storing.cancel()


async def _store(attempts: Sequence[JobAttempt]) -> None:
    """Store what has been noted of each, in case nothing is published for a while; the next renewal tries again."""
    writes = [attempt.lease.try_to_store() for attempt in attempts]
    writes += [a.lease.clear_deaths() for a in attempts if a.waiting_for_reader and a.job.deaths]
    for result in await asyncio.gather(*writes, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, UNAVAILABLE):
            raise result
