"""A websocket conversation with a client, whatever dialect it is held in: its tasks, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod

from service.api.state import State
from service.channel import Channel, Leave, Left
from service.limits import Limits
from service.passage import Outlet
from service.speaker import Idle, Speaker

_DONE = (1000, 1001)
"""Close codes of clients that have what they came for, or do not care."""

log = logging.getLogger(__name__)


class Dialogue(Outlet, ABC):
    """One connection."""

    def __init__(self, state: State, limits: Limits, channel: Channel) -> None:
        self.speaker: Speaker | None = None
        self._state = state
        self._limits = limits
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

    def start(self, speaker: Speaker) -> None:
        """Begin to speak."""
        self.speaker = speaker
        self._group.create_task(speaker.speak())
        self._group.create_task(speaker.keep())

    async def hold(self) -> int:
        """Hold the conversation to its end; the close code."""
        end: Leave | Left = Left(1006)
        try:
            end = await self._hold()
        except Exception:  # one conversation's failure is not the server's
            log.exception("websocket failed")
            end = Leave(1011, "the server failed")
        finally:
            if self.speaker is not None:
                await asyncio.shield(self.speaker.leave(keep=not self._is_over(end)))
        if isinstance(end, Leave):
            await self._channel.close(end.code, end.reason)
        return end.code

    async def _hold(self) -> Leave | Left:
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self.listen())
        except* (Leave, Left) as ends:
            end = _first(ends)
        if isinstance(end, Idle):
            return await self.idled(end)
        return end

    def _is_over(self, end: Leave | Left) -> bool:
        """Whether nobody will want to go on from here."""
        if isinstance(end, Leave):
            return end.over
        return end.code in _DONE and self.speaker is not None and self.speaker.conversation.is_said


def _first(ends: BaseExceptionGroup[Leave | Left]) -> Leave | Left:
    first = ends.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
