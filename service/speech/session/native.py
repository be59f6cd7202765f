"""The native dialect of ``WS /v1/audio/speech/stream``: JSON in text frames, sound in binary frames.

The server says ``session.created{session_id, received_characters}`` at once. The client says ``session.config`` once,
then ``input.text`` as often as it likes, ``input.done`` when it has said all; after ``session.done`` it may go on.
Each ``audio.start{utterance, format, sample_rate, seed}`` is followed by the utterance's bytes, an
``audio.progress{utterance, samples, total_samples_estimate, real_time_factor}`` a second of sound, and
``audio.done{utterance, total_bytes, samples, sha256}``. The seed is the utterance's own: ``POST /v1/audio/speech`` with
it and the same text gives the same bytes. At the model's own rate all utterances together are the samples of one
request for the whole text with the session's seed; another rate is made for each utterance by itself.

An ``error`` loses what it names and nothing else; with ``retry_after`` (seconds) not even that: the server tries again
until ``input.cancel``. After too many messages that were wrong the connection is closed with 1008.

A client that lost its connection resumes with ``?session_id=…&from_sample=N``, within ``stream_seconds``. Samples are
those of the bytes, over all utterances, cancelled ones as far as they were sent. The utterance in which sample N lies
starts again with ``audio.start``; in pcm and wav its bytes go on exactly there (wav: without the header), in other
formats they are sent from its first byte, the same bytes again. ``total_bytes`` and ``sha256`` are always of the whole.
``received_characters`` says how much text the server has heard; whether it has heard ``input.done`` it does not say, so
a client that has said so says it again. One connection has the session at a time: it is taken from an earlier one,
which is closed with 4409. A server that stops closes with 1012: another one goes on.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.broker import UNAVAILABLE
from service.errors import InvalidRequest, NotFound, ServiceError, envelope, queue_away
from service.jobs.caller import Caller
from service.jobs.rate_limit import Limits
from service.jobs.state import State
from service.speech.requests import new_session_state
from service.speech.schemas import (
    SPEECH_MESSAGES,
    InputCancel,
    InputDone,
    InputText,
    SessionConfig,
)
from service.speech.session.connection import SpeechConnection
from service.speech.session.resumption import Resumable
from service.speech.session.runner import SessionRunner
from service.speech.session.state import SessionState, Utterance
from service.telemetry.metrics import Transport
from service.ws.bounded_websocket import BoundedWebSocket, Leave
from service.ws.connection import IDLE_SECONDS, receive_loop
from service.ws.messages import parse_message, wrong_order
from service.ws.schemas import SessionClose


class SpeechQuery(BaseModel):
    """The parameters of the URL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    session_id: str | None = Field(default=None, min_length=1, max_length=64)
    from_sample: int | None = Field(default=None, ge=0, le=2**53)

    def check(self) -> SpeechQuery:
        """Itself, if both are there or none is.

        Raises:
            InvalidRequest: one of them is missing.
        """
        for name, value, other in (
            ("session_id", self.session_id, self.from_sample),
            ("from_sample", self.from_sample, self.session_id),
        ):
            if value is None and other is not None:
                raise InvalidRequest(f"{name}: required", param=name, code="missing_parameter")
        return self


class NativeConnection(SpeechConnection):
    """One connection in the native dialect."""

    def __init__(
        self, state: State, limits: Limits, websocket: BoundedWebSocket, caller: Caller, query: SpeechQuery
    ) -> None:
        super().__init__(state, limits, websocket)
        self._caller = caller
        self._query = query
        self._session = Resumable(state.broker, caller.name, query.session_id, state.settings.stream_seconds)

    async def listen(self) -> None:
        """See :class:`WsConnection`."""
        if self._query.session_id is None:
            await self._greet(0)
        else:
            await self._resume(self._query.from_sample or 0)
        await receive_loop(self._websocket, self._heed, self.failed, lambda: self.runner is not None, self._handling)

    async def _heed(self, said: dict[str, Any]) -> None:
        message, runner = parse_message(said, SPEECH_MESSAGES), self.runner
        if isinstance(message, SessionClose):
            raise Leave(1000, "", over=True)
        if isinstance(message, SessionConfig):
            if runner is not None:
                raise wrong_order("the session has its config already")
            await self._configure(message)
        elif runner is None:
            raise wrong_order("session.config comes first")
        elif isinstance(message, InputText):
            await runner.add_text(message.text)
        elif isinstance(message, InputDone):
            await runner.close()
        elif isinstance(message, InputCancel):
            await runner.cancel()
            await self._say("audio.cancelled")

    async def _configure(self, config: SessionConfig) -> None:
        runner = self._runner(new_session_state(self._state.catalog, config))
        await runner.save()
        self.speak(runner)

    async def _resume(self, sample: int) -> None:
        try:
            session_state = await self._session.claim()
            if session_state is None:
                raise NotFound("session_id: no such session", param="session_id", code="session_not_found")
            runner = self._runner(session_state)
            await self._greet(session_state.received)
            await runner.rewind(sample)
            self._state.metrics.resumed.inc()
        except UNAVAILABLE:
            await self.failed(queue_away())
            raise Leave(1013, "try again") from None
        except ServiceError as error:
            await self.failed(error)
            raise Leave(1008, "the session cannot be resumed") from None
        self.speak(runner)

    def _runner(self, session_state: SessionState) -> SessionRunner:
        return SessionRunner(
            self._state, self._limits, self._caller, session_state, self, self._session, idle_seconds=IDLE_SECONDS
        )

    # What the client is told

    async def _say(self, kind: str, **fields: object) -> None:
        await self._websocket.send_json({"type": kind, **fields})

    async def _greet(self, received: int) -> None:
        await self._say("session.created", session_id=self._session.id, received_characters=received)

    async def started(self, utterance: Utterance) -> None:
        """See :class:`service.speech.session.utterance_sender.EventSink`, as for all that follow."""
        assert self.runner is not None
        form, rate = self.runner.session_state.config.response_format, self.runner.sample_rate
        await self._say("audio.start", utterance=utterance.number, format=form, sample_rate=rate, seed=utterance.seed)

    async def sound(self, data: bytes) -> None:
        """A binary frame."""
        await self._websocket.send_bytes(data)

    async def progress(self, utterance: Utterance, samples: int, factor: float) -> None:
        """``audio.progress``."""
        total = max(samples, utterance.estimate)
        figures = {"samples": samples, "total_samples_estimate": total, "real_time_factor": factor}
        await self._say("audio.progress", utterance=utterance.number, **figures)

    async def ended(self, utterance: Utterance, total_bytes: int, samples: int, sha256: str) -> None:
        """``audio.done``."""
        figures = {"total_bytes": total_bytes, "samples": samples, "sha256": sha256}
        await self._say("audio.done", utterance=utterance.number, **figures)

    async def finished(self) -> None:
        """``session.done``."""
        await self._say("session.done")

    async def failed(self, error: ServiceError, retry_after: int | None = None) -> None:
        """``error``."""
        self._state.metrics.refused(error, Transport.WEBSOCKET)
        body: dict[str, Any] = dict(envelope(error)["error"])
        await self._say("error", error=body if retry_after is None else body | {"retry_after": retry_after})
