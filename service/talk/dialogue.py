"""A websocket conversation with a client, whatever dialect it is held in: its tasks, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NoReturn

from service.api.state import State
from service.errors import ServiceError
from service.limits import Limits
from service.talk.channel import Channel, Leave, Left
from service.talk.passage import Outlet
from service.talk.speaker import Idle, Speaker

IDLE_SECONDS: Final = 600.0
MAX_ERRORS: Final = 20
"""Wrong messages in one connection."""
_DONE = (1000, 1001)
"""Close codes of clients that have what they came for, or do not care."""

log = logging.getLogger(__name__)


class Dialogue(ABC):
    """One connection.

    Args:
        channel: to the client.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

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
            await self._channel.close(end.code, end.reason)
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
        self.part()


class Talk(Dialogue, Outlet):
    """A conversation in which text is spoken."""

    def __init__(self, state: State, limits: Limits, channel: Channel) -> None:
        super().__init__(channel)
        self.speaker: Speaker | None = None
        self._state = state
        self._limits = limits

    def speak(self, speaker: Speaker) -> None:
        """Begin to speak."""
        self.speaker = speaker
        self.start(speaker.speak(), speaker.keep())

    async def left(self, end: Leave | Left) -> None:
        """See :class:`Dialogue`."""
        if self.speaker is not None:
            await self.speaker.leave(keep=not self._is_over(end))

    def _is_over(self, end: Leave | Left) -> bool:
        """Whether nobody will want to go on from here."""
        if isinstance(end, Leave):
            return end.over
        return end.code in _DONE and self.speaker is not None and self.speaker.conversation.is_said


async def exchange(
    channel: Channel,
    heed: Callable[[dict[str, Any]], Awaitable[None]],
    tell: Callable[[ServiceError], Awaitable[None]],
    busy: Callable[[], bool],
) -> NoReturn:
    """Heed message after message. One that is wrong is answered and forgotten, unless it is one of too many.

    Args:
        channel: to the client.
        heed: does what a message says.
        tell: answers one that cannot be heeded.
        busy: whether something is going on that looks after the time.

    Raises:
        Leave: too much was wrong, or nothing was said for long.
        Left: the client has.
    """
    errors = 0
    while True:
        try:
            async with asyncio.timeout(None if busy() else IDLE_SECONDS):
                message = await channel.hear()
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
