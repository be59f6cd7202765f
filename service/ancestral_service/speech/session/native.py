"""The native protocol of ``WS /v1/audio/speech/stream``: JSON in text frames, sound in binary frames.

docs/api.md has its messages, and how a session is resumed. What the code relies on besides:

- The same pieces of text give the same utterances, whatever their timing, but for a text that may end with an
  abbreviation and is spoken after ``flush_after_ms``; what was cut where is stored with the session.
- An ``error`` affects only the message or utterance it names. With ``retry_after`` the server retries until
  ``input.cancel``.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

from pydantic import ConfigDict, Field

from ancestral.errors import AncestralError, InvalidRequest, NotFound
from ancestral.requests import Described
from ancestral.speech.timestamps import times_of
from ancestral_service import ws
from ancestral_service.broker.connection import UNAVAILABLE
from ancestral_service.errors import redis_unavailable
from ancestral_service.jobs.state import AppState
from ancestral_service.speech import schemas
from ancestral_service.speech.session.runner import EventSink, SessionRunner
from ancestral_service.speech.session.state import (
    SPEECH_MESSAGES,
    InputCancel,
    InputDone,
    InputText,
    SessionConfig,
    SessionResume,
    SessionState,
    Turn,
    new_session_state,
    session_cast,
)

_DONE = (1000, 1001)
"""Close codes of clients that will not resume the session."""


class SpeechQuery(Described):
    """The parameters of the URL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    session_id: str | None = Field(default=None, min_length=1, max_length=64)
    """Of the session to resume, from `session.created`."""
    from_sample: int | None = Field(default=None, ge=0, le=2**53)
    """The number of samples that the client has, counted over all utterances of the session."""

    def check(self) -> SpeechQuery:
        """This query, if both parameters are present or none is.

        Raises:
            InvalidRequest: one of them is missing.
        """
        if (self.session_id is None) != (self.from_sample is None):
            name = "session_id" if self.session_id is None else "from_sample"
            raise InvalidRequest(f"{name}: required", param=name, code="missing_parameter")
        return self


PATH: Final = "/v1/audio/speech/stream"


class NativeConnection(ws.EventConnection, EventSink):
    """One connection with the native protocol."""

    def __init__(
        self, state: AppState, websocket: ws.BoundedWebSocket, credentials: ws.Credentials, query: SpeechQuery
    ) -> None:
        super().__init__(state, websocket, credentials)
        self.runner: SessionRunner | None = None
        self._query = query
        self._session = state.broker.session(query.session_id, state.settings.stream_seconds)

    async def receive(self) -> None:
        if self._query.session_id is None:
            await self._send_created(0)
        elif self._credentials.caller is not None:
            await self._resume(self._query.from_sample or 0)
        await super().receive()

    @property
    def is_busy(self) -> bool:
        return self.runner is not None

    async def handle_message(self, fields: dict[str, Any]) -> None:
        message, runner = ws.parse_message(fields, SPEECH_MESSAGES), self.runner
        if isinstance(message, ws.SessionClose):
            raise ws.CloseConnection(1000, "", final=True)
        if isinstance(message, SessionConfig):
            if runner is not None or self._query.session_id is not None:
                raise ws.wrong_order("the session has its config already")
            await self.check_key(message.api_key)
            await self._configure(message)
        elif isinstance(message, SessionResume):
            if runner is not None or self._query.session_id is None:
                raise ws.wrong_order("no session waits for a key to be resumed")
            await self.check_key(message.api_key)
            await self._resume(self._query.from_sample or 0)
        elif runner is None:
            raise ws.wrong_order("session.config comes first")
        elif isinstance(message, InputText):
            await runner.add_text(message.text)
        elif isinstance(message, InputDone):
            await runner.close()
        elif isinstance(message, InputCancel):
            await runner.cancel()
            await self.send(schemas.AudioCancelled())

    async def _configure(self, config: SessionConfig) -> None:
        runner = self._runner(await asyncio.to_thread(new_session_state, self._state.catalog, config))
        await runner.save()
        self.start(runner.send_utterances(), runner.maintain())

    async def _resume(self, sample: int) -> None:
        try:
            assert self._credentials.caller is not None
            found = await self._session.claim(self._credentials.caller.name)
            if found is None:
                raise NotFound("session_id: no such session", param="session_id", code="session_not_found")
            session_state = SessionState.load(found, partial(session_cast, self._state.catalog))
            runner = self._runner(session_state)
            await self._send_created(session_state.received)
            await runner.rewind(sample)
            self._state.metrics.resumed.inc()
        except UNAVAILABLE:
            await self.failed(redis_unavailable())
            raise ws.CloseConnection(1013, "try again") from None
        except AncestralError as error:
            await self.failed(error)
            raise ws.CloseConnection(1008, "the session cannot be resumed") from None
        self.start(runner.send_utterances(), runner.maintain())

    async def on_disconnect(self, end: ws.CloseConnection | ws.Disconnected) -> None:
        if self.runner is not None:
            is_done = self.runner.session_state.is_done
            is_final = end.final if isinstance(end, ws.CloseConnection) else is_done and end.code in _DONE
            await self.runner.on_disconnect(keep=not is_final)

    def _runner(self, session_state: SessionState) -> SessionRunner:
        """Runs the session from now on: should the connection end at once, the jobs are suspended. Nobody else would do
        that: the connection that had the session before has it no more."""
        caller = self._credentials.caller
        assert caller is not None
        self._session.owner = caller.name
        self.runner = SessionRunner(
            self._state, caller, session_state, self, self._session, ws.IDLE_SECONDS, tagged=True
        )
        return self.runner

    # Messages to the client

    async def _send_created(self, received: int) -> None:
        await self.send(schemas.SessionCreated(session_id=self._session.id, received_characters=received))

    async def started(self, utterance: Turn) -> None:
        assert self.runner is not None
        config, rate = self.runner.session_state.config, self.runner.sample_rate
        more: dict[str, Any] = {"skipped": utterance.skipped} if utterance.skipped else {}
        if config.timestamps:
            more |= times_of(await self.runner.times(utterance), config.timestamps)
        await self.send(
            schemas.AudioStart(
                utterance=utterance.number, format=config.response_format, sample_rate=rate, seed=utterance.seed, **more
            )
        )

    async def sound(self, data: bytes) -> None:
        await self._websocket.send_bytes(data)

    async def progress(self, utterance: Turn, samples: int, factor: float) -> None:
        total = max(samples, utterance.estimate)
        await self.send(
            schemas.AudioProgress(
                utterance=utterance.number, samples=samples, total_samples_estimate=total, real_time_factor=factor
            )
        )

    async def ended(self, utterance: Turn, total_bytes: int, samples: int, sha256: str) -> None:
        await self.send(
            schemas.AudioDone(utterance=utterance.number, total_bytes=total_bytes, samples=samples, sha256=sha256)
        )

    async def finished(self) -> None:
        await self.send(schemas.SessionDone())
