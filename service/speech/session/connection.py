"""A websocket connection in which text is spoken, whatever its dialect."""

from __future__ import annotations

from service.jobs.rate_limit import Limits
from service.jobs.state import State
from service.speech.session.runner import SessionRunner
from service.speech.session.utterance_sender import EventSink
from service.ws.bounded_websocket import BoundedWebSocket, Leave, Left
from service.ws.connection import WsConnection

_DONE = (1000, 1001)
"""Close codes of clients that have what they came for, or do not care."""


class SpeechConnection(WsConnection, EventSink):
    """A session in which text is spoken."""

    def __init__(self, state: State, limits: Limits, websocket: BoundedWebSocket) -> None:
        super().__init__(websocket)
        self.runner: SessionRunner | None = None
        self._state = state
        self._limits = limits

    def speak(self, runner: SessionRunner) -> None:
        """Begin to speak."""
        self.runner = runner
        self.start(runner.speak(), runner.keep())

    async def left(self, end: Leave | Left) -> None:
        """See :class:`WsConnection`."""
        if self.runner is not None:
            await self.runner.leave(keep=not self._is_over(end))

    def _is_over(self, end: Leave | Left) -> bool:
        """Whether nobody will want to go on from here."""
        if isinstance(end, Leave):
            return end.over
        return end.code in _DONE and self.runner is not None and self.runner.session_state.is_said
