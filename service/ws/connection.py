"""One websocket connection of any protocol: its tasks, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NoReturn

from ancestral.errors import AncestralError
from ancestral.service.ws.bounded_websocket import BoundedWebSocket, CloseConnection, Disconnected, IdleTimeout
from ancestral.service.ws.credentials import Credentials

IDLE_SECONDS: Final = 600.0
MAX_ERRORS: Final = 20
"""Invalid messages after which the connection is closed."""

log = logging.getLogger(__name__)


class WsConnection(ABC):
    """One connection.

    Args:
        websocket: to the client.
        credentials: of the caller.
    """

    def __init__(self, websocket: BoundedWebSocket, credentials: Credentials) -> None:
        self._websocket = websocket
        self._credentials = credentials
        self._handling = asyncio.Lock()
        """Held while a message is handled: the connection is not idle, though no work may have been started yet."""

    @abstractmethod
    async def receive(self) -> None:
        """Handle messages until one side ends the connection.

        Raises:
            CloseConnection: the server ends it.
            Disconnected: the client has ended it.
        """

    async def on_idle(self, end: IdleTimeout) -> CloseConnection:
        """The connection has been idle for too long. Returns how to close it."""
        return end

    def on_shutdown(self) -> None:
        """The server stops: close the connection, unless work is in progress that no other server could finish.

        Raises:
            CloseConnection: no such work is in progress.
        """
        raise CloseConnection(1012, "the server stops")

    @abstractmethod
    async def on_disconnect(self, end: CloseConnection | Disconnected) -> None:
        """The connection has ended: release what it used."""

    def start(self, *work: Coroutine[Any, Any, None]) -> None:
        """Run coroutines beside the receiver; if one fails, the connection is closed."""
        for coroutine in work:
            self._group.create_task(coroutine)

    async def run(self, stopping: asyncio.Event) -> int:
        """Serve the connection to its end.

        Args:
            stopping: set when the server stops.

        Returns:
            The close code.
        """
        end: CloseConnection | Disconnected = Disconnected(1006)
        try:
            end = await self._run(stopping)
        except Exception:  # the failure of one connection must not end the server
            log.exception("websocket failed")
            end = CloseConnection(1011, "the server failed")
        finally:
            await asyncio.shield(self.on_disconnect(end))
        if isinstance(end, CloseConnection):
            await self._websocket.close(end.code, end.reason)
        return end.code

    async def _run(self, stopping: asyncio.Event) -> CloseConnection | Disconnected:
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self.receive())
                self._group.create_task(self._await_shutdown(stopping))
                self._group.create_task(self._credentials.watch())
        except* (CloseConnection, Disconnected) as ends:
            end = _first(ends)
        if isinstance(end, IdleTimeout):
            return await self.on_idle(end)
        return end

    async def _await_shutdown(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        async with self._handling:
            self.on_shutdown()


async def receive_loop(
    websocket: BoundedWebSocket,
    handle_message: Callable[[dict[str, Any]], Awaitable[None]],
    send_error: Callable[[AncestralError], Awaitable[None]],
    is_busy: Callable[[], bool],
    handling: asyncio.Lock,
) -> NoReturn:
    """Receive and handle messages. An invalid one is answered with an error; after too many, the connection is closed.

    Args:
        websocket: to the client.
        handle_message: called with every message.
        send_error: called with the error that a message has caused.
        is_busy: whether there is work in progress, so that silence of the client is no reason to close.
        handling: held while a message is handled.

    Raises:
        CloseConnection: too many errors, or too long idle.
        Disconnected: the client has ended the connection.
    """
    errors = 0
    while True:
        try:
            async with asyncio.timeout(None if is_busy() else IDLE_SECONDS):
                message = await websocket.receive()
            async with handling:
                await handle_message(message)
        except AncestralError as error:
            await send_error(error)
            errors += 1
            if errors >= MAX_ERRORS:
                raise CloseConnection(1008, "too many errors") from None
        except TimeoutError:
            raise CloseConnection(1000, "idle timeout") from None


def _first(ends: BaseExceptionGroup[CloseConnection | Disconnected]) -> CloseConnection | Disconnected:
    first = ends.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
