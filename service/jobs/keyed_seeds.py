"""Seeds of requests without one, drawn from the provenance key: ``ancestral.catalog.seeds.keyed_seeds``.

Requests are read in threads and on the event loop, where nothing may wait for Redis. So each process reserves counters
ahead. Those that it has not used when it ends are never used: a search passes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from ancestral.catalog.seeds import keyed_seeds
from ancestral.service.broker.clients import SeedCounter
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.errors import NotReady

_RESERVE: Final = 2048
_RETRY_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


class KeyedSeeds:
    """The source of one API process.

    Args:
        key: of the deployment.
        counter: shared by its processes.
    """

    def __init__(self, key: bytes, counter: SeedCounter) -> None:
        self._key, self._counter = key, counter
        self._seeds: deque[int] = deque()
        self._low = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Keep counters in reserve, for ever."""
        while True:
            self._low.clear()
            if len(self._seeds) < _RESERVE:
                try:
                    first = await self._counter.reserve(_RESERVE)
                except UNAVAILABLE as error:
                    log.warning("no seeds can be reserved", extra={"reason": type(error).__name__})
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                self._seeds.extend(int(seed) for seed in keyed_seeds(self._key, first, _RESERVE))
            await self._low.wait()

    def draw(self) -> int:
        """The next seed. May be called by any thread.

        Raises:
            NotReady: Redis has not been available for so long that none is left.
        """
        try:
            seed = self._seeds.popleft()
        except IndexError:
            raise NotReady("Redis is unavailable.") from None
        if len(self._seeds) < _RESERVE:
            self._loop.call_soon_threadsafe(self._low.set)
        return seed
