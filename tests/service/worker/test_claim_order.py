"""In which shards a worker looks for its next job, and that it stops to look when it is told to."""

from __future__ import annotations

import asyncio

import pytest

from ancestral.service.worker.claim_order import ClaimOrder


@pytest.mark.parametrize("turns", range(6))
def test_a_worker_that_is_woken_while_it_is_told_to_stop_stops(turns: int) -> None:
    """However many turns of the event loop lie in between."""

    async def stopped() -> bool:
        order = ClaimOrder(1)
        waiting = asyncio.create_task(order.next())
        await asyncio.sleep(0.01)
        order.wake(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        if waiting.done():
            return True  # it had been told where to look before it was to stop
        waiting.cancel()
        await asyncio.wait([waiting])
        return waiting.cancelled()

    assert asyncio.run(stopped())


def test_a_worker_that_was_full_looks_into_all_its_shards_at_once() -> None:
    async def looked_at() -> list[int]:
        order = ClaimOrder(32)
        order.serve(range(8))
        for _ in range(8):
            await order.next()
        order.wake(5)
        order.wake_all()
        async with asyncio.timeout(0.5):  # without it four are looked at, after a second
            return [await order.next() for _ in range(8)]

    assert asyncio.run(looked_at()) == [5, 0, 1, 2, 3, 4, 6, 7]


def test_shards_that_woke_the_worker_come_first() -> None:
    async def looked_at() -> list[int]:
        order = ClaimOrder(3)
        order.serve([0])
        order.wake(2)
        return [await order.next() for _ in range(2)]

    assert asyncio.run(looked_at()) == [0, 2]
