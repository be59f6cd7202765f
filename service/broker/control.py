"""Messages of clients to the worker that runs their job (cancel, suspend, read so far), over a channel for each job.

In redis-py any task that finds the connection of a subscription broken reconnects it; a task that listens and one that
subscribes then read each other's replies, or wait for ever. So one task does both; others only change what is wanted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from redis import asyncio as redis

from ancestral.service.broker.connection import REPLY_SECONDS
from ancestral.service.broker.keys import Keys


class Control:
    """The channels of the jobs that this worker runs."""

    def __init__(self, client: redis.Redis) -> None:
        self._pubsub = client.pubsub(ignore_subscribe_messages=True)
        self._wanted = {_channel("")}  # never used: a subscription needs at least one
        self._changed = asyncio.Event()

    async def close(self) -> None:
        """Close the connection."""
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    @contextmanager
    def for_job(self, job_id: str) -> Iterator[None]:
        """Receive the messages of a job in :meth:`messages`, from about now on, until the block ends."""
        self._wanted.add(_channel(job_id))
        self._changed.set()
        try:
            yield
        finally:
            self._wanted.discard(_channel(job_id))
            self._changed.set()

    async def messages(self) -> AsyncIterator[tuple[str, str, int]]:
        """Messages: id of the job, ``cancel`` | ``suspend`` | ``read``, and the symbols read. For one task only.

        Raises:
            Exception: one of :data:`UNAVAILABLE`; it may be called again.
        """
        while True:
            await self._follow()
            if (message := await self._next()) is not None:
                verb, _, value = message["data"].decode().partition(" ")
                yield message["channel"].decode().rpartition(":")[2], verb, int(value or 0)

    async def _follow(self) -> None:
        """Subscribe to the channels that are wanted, unsubscribe from the others."""
        self._changed.clear()
        # On a new connection redis-py drops the channels that it was about to leave.
        subscribed = {
            name.decode() for name in self._pubsub.channels.keys() - self._pubsub.pending_unsubscribe_channels
        }
        async with asyncio.timeout(REPLY_SECONDS):
            if new := self._wanted - subscribed:
                await self._pubsub.subscribe(*new)
            if old := subscribed - self._wanted:
                await self._pubsub.unsubscribe(*old)

    async def _next(self) -> Mapping[str, Any] | None:
        """The next message; None if the wanted channels change before it comes."""
        reading = asyncio.create_task(self._pubsub.get_message(timeout=None))
        changing = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait((reading, changing), return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            for task in (reading, changing):
                task.cancel()
            await asyncio.gather(reading, changing, return_exceptions=True)


def _channel(job_id: str) -> str:
    return Keys(job_id)["control"]
