"""ElevenLabs' ``stream-input`` websocket: JSON both ways, sound in base64.

In comes ``{"text": " ", "voice_settings": {…}, "generation_config": {…}, "xi_api_key": …}`` first, then ``{"text": …,
"flush": true}``, and ``{"text": ""}`` at the end; out go ``{"audio": …, "isFinal": null, …}`` and, last, ``{"audio":
null, "isFinal": true, …}``. A sentence is sampled as soon as it is complete; the first audio of each utterance comes
with the times of its characters. An error is answered with ``{"message", "error", "code"}``, and the connection is
closed with 1008. :mod:`ancestral.service.speech.elevenlabs.schemas` says which fields have an effect.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any, Final

from starlette.datastructures import QueryParams

from ancestral.errors import AncestralError, InvalidRequest
from ancestral.requests import checked
from ancestral.service.errors import type_of
from ancestral.service.jobs.state import AppState
from ancestral.service.speech.elevenlabs.contexts import fail, fail_idle
from ancestral.service.speech.elevenlabs.requests import UtteranceAlignment, session_config
from ancestral.service.speech.elevenlabs.schemas import AudioMessage, FirstMessage, StreamQuery, TextMessage
from ancestral.service.speech.session.native import SpeechConnection
from ancestral.service.speech.session.runner import SessionRunner
from ancestral.service.speech.session.state import Turn, new_session_state
from ancestral.service.telemetry.metrics import Transport
from ancestral.service.ws.bounded_websocket import BoundedWebSocket, CloseConnection, IdleTimeout
from ancestral.service.ws.credentials import Credentials
from ancestral.service.ws.messages import parse_query

PATH: Final = "/v1/text-to-speech/{voice_id}/stream-input"


class ElevenLabsConnection(SpeechConnection):
    """One connection with this protocol.

    Args:
        state: of the service.
        websocket: to the client.
        credentials: of the caller.
        voice_id: from the path.
        query: from the URL.
    """

    def __init__(
        self, state: AppState, websocket: BoundedWebSocket, credentials: Credentials, voice_id: str, query: QueryParams
    ) -> None:
        super().__init__(state, websocket, credentials)
        self._voice_id = voice_id
        self._query = query
        self._alignment = UtteranceAlignment(sync=False)

    async def receive(self) -> None:
        try:
            query = parse_query(StreamQuery, self._query)
            self._alignment = UtteranceAlignment(sync=query.sync_alignment)
            first = checked(FirstMessage, await self._receive_first(query.inactivity_timeout))
            runner = self._runner(query, first)
            self.start_session(runner)
            await self._handle_message(runner, first, query)
            while True:
                await self._handle_message(runner, checked(TextMessage, await self._websocket.receive()), query)
        except AncestralError as error:
            await self.failed(error)

    def on_shutdown(self) -> None:
        """Sessions of this protocol cannot be resumed, so they run to their end."""
        if self.runner is None:
            super().on_shutdown()

    async def _receive_first(self, seconds: int) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                return await self._websocket.receive()
        except TimeoutError:
            raise IdleTimeout(1000, "") from None

    def _runner(self, query: StreamQuery, first: FirstMessage) -> SessionRunner:
        caller = self._credentials.check(first.xi_api_key)
        config = session_config(self._state.catalog, self._voice_id, query, first)
        session_state = new_session_state(self._state.catalog, config)
        return SessionRunner(self._state, caller, session_state, self, None, query.inactivity_timeout, tagged=False)

    async def _handle_message(self, runner: SessionRunner, message: TextMessage, query: StreamQuery) -> None:
        if runner.session_state.closing:
            raise InvalidRequest("text: the empty text has ended the input", param="text", code="wrong_order")
        if not message.text:
            await runner.close()
            return
        await runner.add_text(message.text)
        if message.flush or query.auto_mode:
            await runner.flush()

    # Messages to the client

    async def started(self, utterance: Turn) -> None:
        assert self.runner is not None
        await self._alignment.begin(self.runner, utterance)

    async def sound(self, data: bytes) -> None:
        """Send sound in base64."""
        audio = base64.b64encode(data).decode()
        await self._websocket.send_json(AudioMessage(audio=audio, isFinal=None, **self._alignment.take()).model_dump())

    async def progress(self, utterance: Turn, samples: int, factor: float) -> None:
        """Nothing."""

    async def ended(self, utterance: Turn, total_bytes: int, samples: int, sha256: str) -> None:
        """Nothing."""

    async def finished(self) -> None:
        """Send the last message."""
        await self._websocket.send_json(AudioMessage(audio=None, isFinal=True).model_dump())
        raise CloseConnection(1000, "", final=True)

    async def failed(self, error: AncestralError, retry_after: int | None = None) -> None:
        """The reason; then the connection is closed."""
        self._state.metrics.refused(error, Transport.WEBSOCKET)
        await fail(self._websocket, error.message, error.code or type_of(error))

    async def on_idle(self, end: IdleTimeout) -> CloseConnection:
        """The reason; then the connection is closed."""
        return await fail_idle(self._websocket, end)
