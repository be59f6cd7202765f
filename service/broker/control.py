"""Messages to a worker, over a channel of its own: what clients want of the jobs that it runs, and that a job waits.

The channels are sharded (``SSUBSCRIBE``), so that in a cluster only the shard of the job has to do with a message.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from ancestral.service.broker.connection import REPLY_SECONDS, Connection
from ancestral.service.broker.keys import key


@dataclass(frozen=True)
class Message:
    """One message."""

    verb: str
    """``cancel`` | ``suspend`` | ``read``, with the id of a job; ``wake``, with a priority."""
    subject: str
    value: int = 0
    """The symbols read."""


class Control:
    """The channel of a worker."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def messages(self, worker: str) -> AsyncIterator[Message]:
        """What is sent to a worker from now on.

        Raises:
            Exception: one of :data:`UNAVAILABLE`; it may be called again.
        """
        pool = self._connection.redis.connection_pool
        connection: AbstractConnection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_command("SSUBSCRIBE", key("control", worker))
            async with asyncio.timeout(REPLY_SECONDS):
                await connection.read_response()
            while True:
                kind, _, data = await connection.read_response()
                if kind != b"smessage":
                    raise exceptions.ConnectionError("the channel has moved to another server")
                yield _parse(data)
        finally:
            await connection.disconnect(nowait=True)
            await pool.release(connection)


def _parse(data: Any) -> Message:
    verb, subject, *value = data.decode().split(" ")
    return Message(verb, subject, *map(int, value))
