"""Connections to Redis: as many as are needed at once, of which few are kept when they are not needed."""

from __future__ import annotations

from typing import Any, Final

from redis.asyncio.connection import AbstractConnection, ConnectionPool

MAX_IDLE: Final = 32
"""Connections that stay open while nothing uses them."""


class IdleLimitedPool(ConnectionPool):
    """A pool that closes a connection on its return when :data:`MAX_IDLE` are idle already.

    redis-py's own pool keeps as many as were ever in use at once. Its blocking pool limits those in use instead, which
    would make readers wait for each other: every listener holds a connection while it waits for symbols.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._idle: set[AbstractConnection] = set()

    async def get_connection(self, *args: Any, **options: Any) -> AbstractConnection:
        """See :class:`ConnectionPool`."""
        connection: AbstractConnection = await super().get_connection(*args, **options)  # type: ignore[no-untyped-call]
        self._idle.discard(connection)
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """See :class:`ConnectionPool`."""
        if len(self._idle) < MAX_IDLE:
            self._idle.add(connection)
        else:
            await connection.disconnect(nowait=True)  # without waiting, it cannot be cancelled halfway
        await super().release(connection)
