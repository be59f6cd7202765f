"""The counter of keyed seeds: no number is given twice, and it says how many have been."""

from __future__ import annotations

import asyncio

from tests.service.broker.support import Broker, run
from tests.service.redis_servers import RealRedis


def test_no_counter_is_reserved_twice(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        counter = broker.clients.seed_counter
        assert await counter.reserved() == 0
        firsts = await asyncio.gather(*(counter.reserve(3) for _ in range(20)))
        assert sorted(firsts) == list(range(0, 60, 3))
        assert await counter.reserved() == 60

    run(valkey, act)
