"""A websocket connection that speaks text, of either protocol."""

from __future__ import annotations

from ancestral.service.jobs.state import AppState
from ancestral.service.speech.session.runner import SessionRunner
from ancestral.service.speech.session.utterance_sender import EventSink
from ancestral.service.ws.bounded_websocket import BoundedWebSocket, CloseConnection, Disconnected
from ancestral.service.ws.connection import WsConnection
from ancestral.service.ws.credentials import Credentials

_DONE = (1000, 1001)
"""Close codes of clients that will not resume the session."""


class SpeechConnection(WsConnection, EventSink):
    """A connection with a session."""

    def __init__(self, state: AppState, websocket: BoundedWebSocket, credentials: Credentials) -> None:
        super().__init__(websocket, credentials)
        self.runner: SessionRunner | None = None
        self._state = state

    def start_session(self, runner: SessionRunner) -> None:
        """Start to send what is spoken."""
        self.runner = runner
        self.start(runner.send_utterances(), runner.maintain())

    async def on_disconnect(self, end: CloseConnection | Disconnected) -> None:
        if self.runner is not None:
            await self.runner.on_disconnect(keep=not self._is_final(end))

    def _is_final(self, end: CloseConnection | Disconnected) -> bool:
        """Whether the session will not be resumed."""
        if isinstance(end, CloseConnection):
            return end.final
        return end.code in _DONE and self.runner is not None and self.runner.session_state.is_done
