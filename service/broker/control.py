"""What clients want of the jobs that a worker has in hand, over Redis's channels.

redis-py lets whoever finds the connection of a subscription broken mend it: one who listens and one who subscribes then
read each other's replies, or wait for them for ever. So one task does both; the others only say what they want.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from redis import asyncio as redis

from service.broker.connection import PREFIX, REPLY_SECONDS


class Control:
    """The channels of the jobs in hand."""

    def __init__(self, client: redis.Redis) -> None:
        self._pubsub = client.pubsub(ignore_subscribe_messages=True)
        self._wanted = {channel("")}  # so that there is always one to wait on
        self._changed = asyncio.Event()

    async def close(self) -> None:
        """Close the connection."""
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    @contextmanager
    def of(self, job_id: str) -> Iterator[None]:
        """Have the messages of a job among :meth:`messages`, from about now on."""
        self._wanted.add(channel(job_id))
        self._changed.set()
        try:
            yield
        finally:
            self._wanted.discard(channel(job_id))
            self._changed.set()

    async def messages(self) -> AsyncIterator[tuple[str, str, int]]:
        """What clients want: job, ``cancel`` | ``park`` | ``read``, and what was read. For one task only.

        Raises:
            Exception: one of :data:`UNAVAILABLE`; it may be asked again.
        """
        while True:
            await self._follow()
            if (message := await self._next()) is not None:
                verb, _, value = message["data"].decode().partition(" ")
                yield message["channel"].decode().rpartition(":")[2], verb, int(value or 0)

    async def _follow(self) -> None:
        """Subscribe to what is wanted."""
        self._changed.clear()
        # As redis-py has it: on a new connection it forgets what it was leaving.
        subscribed = {
            name.decode() for name in self._pubsub.channels.keys() - self._pubsub.pending_unsubscribe_channels
        }
        async with asyncio.timeout(REPLY_SECONDS):
            if new := self._wanted - subscribed:
                await self._pubsub.subscribe(*new)
            if old := subscribed - self._wanted:
                await self._pubsub.unsubscribe(*old)

    async def _next(self) -> Mapping[str, Any] | None:
        """The next message; None if something else is wanted before it comes."""
        reading = asyncio.create_task(self._pubsub.get_message(timeout=None))
        changing = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait((reading, changing), return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            for task in (reading, changing):
                task.cancel()
            await asyncio.gather(reading, changing, return_exceptions=True)


def channel(job_id: str) -> str:
    """On which clients say what they want of a job."""
    return f"{PREFIX}control:{job_id}"
