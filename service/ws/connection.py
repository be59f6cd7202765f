"""A websocket conversation with a client, whatever dialect it is held in: its tasks, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NoReturn

from service.errors import ServiceError
from service.ws.bounded_websocket import BoundedWebSocket, Idle, Leave, Left

IDLE_SECONDS: Final = 600.0
MAX_ERRORS: Final = 20
"""Wrong messages in one connection."""

log = logging.getLogger(__name__)


class WsConnection(ABC):
    """One connection.

    Args:
        websocket: to the client.
    """

    def __init__(self, websocket: BoundedWebSocket) -> None:
        self._websocket = websocket
        self._handling = asyncio.Lock()
        """Held while a message is handled: the connection is not idle, though no work may have been started yet."""

    @abstractmethod
    async def listen(self) -> None:
        """Heed the client until one side leaves.

        Raises:
            Leave: the server does.
            Left: the client has.
        """

    async def idled(self, end: Idle) -> Leave:
        """Nothing is said any more: how to leave the client."""
        return end

    def part(self) -> None:
        """The server stops: leave the client, unless something is going on that no other server could go on with.

        Raises:
            Leave: nothing is.
        """
        raise Leave(1012, "the server stops")

    @abstractmethod
    async def left(self, end: Leave | Left) -> None:
        """One side has left: let go of what was going on."""

    def start(self, *work: Coroutine[Any, Any, None]) -> None:
        """Do something while the client is heeded; if it fails, the conversation does."""
        for part in work:
            self._group.create_task(part)

    async def hold(self, stopping: asyncio.Event) -> int:
        """Hold the conversation to its end.

        Args:
            stopping: set when the server stops.

        Returns:
            The close code.
        """
        end: Leave | Left = Left(1006)
        try:
            end = await self._hold(stopping)
        except Exception:  # one conversation's failure is not the server's
            log.exception("websocket failed")
            end = Leave(1011, "the server failed")
        finally:
            await asyncio.shield(self.left(end))
        if isinstance(end, Leave):
            await self._websocket.close(end.code, end.reason)
        return end.code

    async def _hold(self, stopping: asyncio.Event) -> Leave | Left:
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self.listen())
                self._group.create_task(self._wait_to_part(stopping))
        except* (Leave, Left) as ends:
            end = _first(ends)
        if isinstance(end, Idle):
            return await self.idled(end)
        return end

    async def _wait_to_part(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        async with self._handling:
            self.part()


async def receive_loop(
    websocket: BoundedWebSocket,
    heed: Callable[[dict[str, Any]], Awaitable[None]],
    tell: Callable[[ServiceError], Awaitable[None]],
    busy: Callable[[], bool],
    handling: asyncio.Lock,
) -> NoReturn:
    """Heed message after message. One that is wrong is answered and forgotten, unless it is one of too many.

    Args:
        websocket: to the client.
        heed: does what a message says.
        tell: answers one that cannot be heeded.
        busy: whether something is going on that looks after the time.
        handling: held while a message is handled.

    Raises:
        Leave: too much was wrong, or nothing was said for long.
        Left: the client has.
    """
    errors = 0
    while True:
        try:
            async with asyncio.timeout(None if busy() else IDLE_SECONDS):
                message = await websocket.receive()
            async with handling:
                await heed(message)
        except ServiceError as error:
            await tell(error)
            errors += 1
            if errors >= MAX_ERRORS:
                raise Leave(1008, "too many errors") from None
        except TimeoutError:
            raise Leave(1000, "nothing was said for long") from None


def _first(ends: BaseExceptionGroup[Leave | Left]) -> Leave | Left:
    first = ends.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
