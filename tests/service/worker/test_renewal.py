"""The leases of a worker that has many jobs and a slow connection to Redis; when a slow listener is parked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ancestral.service.broker.job import Status
from ancestral.service.broker.messages import Signals
from ancestral.service.broker.workers import LEASE_SECONDS, Workers
from ancestral.service.jobs.attempt import AttemptContext, ScoringAttempt, Stop
from ancestral.service.worker.renewal import renew_leases
from tests.service.broker.support import MODELS, WORKER, Broker, submitted
from tests.service.redis_servers import Node, eventually
from tests.service.shaky import slow_proxy

JOBS = 20
ROUND_TRIP = 0.2
"""Seconds. Twenty of these are nearly as long as a lease lasts."""


class Attempt(ScoringAttempt):
    """Samples nothing. Its reader waits at 5 symbols, and so slowly that it could be parked."""

    async def work(self) -> dict[str, Any] | None:
        return None

    def parking_position(self, now: float) -> int | None:
        return 5


def attempt(lease: Any, *, full: bool = False) -> Attempt:
    context: Any = AttemptContext.__new__(AttemptContext)
    object.__setattr__(context, "is_full", lambda priority: full)
    unused: Any = None
    return Attempt(context, unused, lease, unused)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path, {})
    eventually(node.client.ping)
    yield node
    node.close()


def test_a_worker_with_many_jobs_keeps_its_leases_over_a_slow_connection(valkey: Node) -> None:
    async def work(slow_url: str) -> list[Any]:
        near, far = Broker(f"redis://127.0.0.1:{valkey.port}"), Broker(slow_url)
        await near.workers.announce("w", WORKER, [0])
        await submitted(near, JOBS)
        attempts = []
        for _ in range(JOBS):
            lease = await far.workers.claim("interactive", "w", MODELS, lease=60.0)  # type: ignore[arg-type]
            assert lease is not None
            attempts.append(attempt(lease))
        renewing, lost = asyncio.create_task(renew_leases(far.workers, attempts)), list[Any]()
        other, until = Workers(near.connection), time.monotonic() + LEASE_SECONDS * 2
        while time.monotonic() < until:
            for each in attempts:  # there is something to store of each
                each.lease.note(total=int(time.monotonic() * 1000))
            lost += await other.reclaim("interactive")  # type: ignore[arg-type]
            await asyncio.sleep(0.25)
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
        assert all(each.stopped is None for each in attempts)
        totals = [(await near.clients.job(each.job.id)).samples_total for each in attempts]  # type: ignore[union-attr]
        assert all(totals), "what was noted is stored"
        for broker in (near, far):
            await broker.close()
        return lost

    with slow_proxy(valkey.port, ROUND_TRIP) as url:
        assert asyncio.run(work(url.replace("http", "redis"))) == []


@pytest.mark.parametrize(
    ("queued", "full", "stopped"), [(1, True, Stop.PARKED), (1, False, None), (0, True, None)], ids=str
)
def test_a_slow_listener_is_parked_only_for_a_job_that_finds_no_slot(
    queued: int, full: bool, stopped: Stop | None
) -> None:
    lease: Any = type("Lease", (), {"attempt": 1, "job": None})()
    slow = attempt(lease, full=full)
    slow.job = type("Job", (), {"priority": "interactive"})()  # type: ignore[assignment]
    slow.check(Signals(1, Status.IN_PROGRESS, 0, suspend=False, symbols_lost=False, queued=queued))
    assert slow.stopped is stopped
