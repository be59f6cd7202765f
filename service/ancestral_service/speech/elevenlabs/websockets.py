"""ElevenLabs' websockets. ``multi-stream-input`` has several sessions on one connection, told apart by ``context_id``.

docs/api.md has their messages. Every context is a session of its own: its jobs are paced by what has been sent of them,
and cancelled with it; an error of a context ends that context alone. A message that is wrong in itself is answered as
on ``stream-input``, and the connection is closed with 1008, as it is after many errors in a row. Clients send
``close_context`` also when a listener interrupts, often a second time: the second one cancels what has not been sent.
"""

from __future__ import annotations

import asyncio
import base64
import time
from abc import abstractmethod
from collections import deque
from contextlib import suppress
from typing import Final, NoReturn

from starlette.datastructures import QueryParams

from ancestral.errors import AncestralError, InvalidRequest, NotFound
from ancestral.requests import checked
from ancestral_service.errors import type_of
from ancestral_service.jobs.state import AppState
from ancestral_service.speech.elevenlabs.requests import UtteranceAlignment, renamed, session_config
from ancestral_service.speech.elevenlabs.schemas import (
    AudioMessage,
    ContextAudio,
    ContextFailure,
    ContextMessage,
    FailureMessage,
    FirstMessage,
    SessionSettings,
    StreamQuery,
    TextMessage,
)
from ancestral_service.speech.session.runner import TICK_SECONDS, EventSink, SessionRunner
from ancestral_service.speech.session.state import Turn, new_session_state
from ancestral_service.telemetry.metrics import Transport
from ancestral_service.ws import (
    BoundedWebSocket,
    CloseConnection,
    Credentials,
    Disconnected,
    IdleTimeout,
    WsConnection,
    parse_query,
)

# How the websockets of ElevenLabs' dialect end with an error: ``{"message", "error"}``, then a close with 1008.


async def fail(websocket: BoundedWebSocket, message: str, code: str) -> NoReturn:
    """Send the reason, and close the connection.

    Raises:
        CloseConnection: always, unless the client has gone.
        Disconnected: it has gone.
    """
    with suppress(CloseConnection):
        await websocket.send_json(FailureMessage(message=message, error=code).model_dump())
    raise CloseConnection(1008, code)


class ElevenLabsConnection(WsConnection):
    """One connection with either protocol.

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
        super().__init__(websocket, credentials)
        self._state = state
        self._voice_id = voice_id
        self._query = query

    async def receive(self) -> None:
        try:
            await self.handle_messages(parse_query(StreamQuery, self._query))
        except AncestralError as error:
            await self.failed(error)

    @abstractmethod
    async def handle_messages(self, query: StreamQuery) -> None:
        """Receive and handle messages; raises AncestralError if one cannot be handled, which ends the connection."""

    async def _open_session(self, query: StreamQuery, first: SessionSettings, sink: EventSink) -> SessionRunner:
        """The runner of a new session, of which ``first`` is the first message."""
        caller = self._credentials.caller
        assert caller is not None
        config = session_config(self._state.catalog, self._voice_id, query, first)
        session_state = await asyncio.to_thread(new_session_state, self._state.catalog, config)
        return SessionRunner(self._state, caller, session_state, sink, None, query.inactivity_timeout, tagged=False)

    async def failed(self, error: AncestralError, retry_after: int | None = None) -> None:
        """The reason; then the connection is closed."""
        self._state.metrics.refused(error, Transport.WEBSOCKET)
        await fail(self._websocket, renamed(error).message, error.code or type_of(error))

    async def on_idle(self, end: IdleTimeout) -> CloseConnection:
        """The reason; then the connection is closed."""
        try:
            await fail(self._websocket, "Nothing came within inactivity_timeout.", "input_timeout_exceeded")
        except CloseConnection as close:
            return close
        except Disconnected:
            return end


MAX_CONTEXTS: Final = 64
"""Open contexts of one connection."""
_ENDED_NAMES: Final = 1024
"""Number of ended contexts whose names a connection remembers."""

CONTEXTS: Final = "/v1/text-to-speech/{voice_id}/multi-stream-input"


def context_failure(state: AppState, name: str | None, error: AncestralError) -> ContextFailure:
    """Why a context ends, or is not opened; it is counted as sent."""
    state.metrics.refused(error, Transport.WEBSOCKET)
    return ContextFailure(message=renamed(error).message, error=error.code or type_of(error), contextId=name)


class _ContextEnded(Exception):
    """Raised to end the tasks of one context."""


class Context(EventSink):
    """One context: a session, and the messages that it causes.

    Args:
        name: its ``context_id``; None for messages that have none.
        state: of the service.
        websocket: to the client, shared by all contexts.
        sync: see :class:`UtteranceAlignment`.
    """

    runner: SessionRunner

    def __init__(self, name: str | None, state: AppState, websocket: BoundedWebSocket, *, sync: bool) -> None:
        self._name = name
        self._state = state
        self._websocket = websocket
        self._alignment = UtteranceAlignment(sync=sync)
        self._ended = asyncio.Event()
        self._last: ContextAudio | ContextFailure = ContextAudio(audio=None, isFinal=True, contextId=name)

    @property
    def has_ended(self) -> bool:
        """Whether only its last message may still be sent."""
        return self._ended.is_set()

    async def run(self) -> None:
        """Send what is spoken until the context ends, then its last message, and cancel its jobs.

        The last message is sent by none of the tasks that end with the context: where a client reads slowly, it would
        be lost with them.

        Raises:
            CloseConnection, Disconnected: the whole connection ends; those of its tasks are in an ExceptionGroup.
        """
        try:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.runner.send_utterances())
                    group.create_task(self.runner.maintain())
                    group.create_task(self._end())
            except* (_ContextEnded, IdleTimeout):
                self._ended.set()
            await self._websocket.send_json(self._last.model_dump())
        finally:
            self._ended.set()
            await asyncio.shield(self.runner.on_disconnect(keep=False))

    async def _end(self) -> NoReturn:
        await self._ended.wait()
        raise _ContextEnded

    async def cancel(self) -> None:
        """Cancel what has not been sent, and end the context."""
        await self.runner.cancel()
        await self.finished()

    # Messages to the client

    async def started(self, utterance: Turn) -> None:
        await self._alignment.begin(self.runner, utterance)

    async def sound(self, data: bytes) -> None:
        """Send sound in base64."""
        audio = base64.b64encode(data).decode()
        message = ContextAudio(audio=audio, isFinal=None, contextId=self._name, **self._alignment.take())
        await self._websocket.send_json(message.model_dump())

    async def finished(self) -> None:
        """The context ends."""
        self._ended.set()

    async def failed(self, error: AncestralError, retry_after: int | None = None) -> None:
        """The context ends with the reason. If there will be another attempt, nothing has failed yet."""
        if retry_after is None and not self.has_ended:
            self._last = context_failure(self._state, self._name, error)
            self._ended.set()


class MultiContextConnection(ElevenLabsConnection):
    """One connection with several contexts. Each has a runner of its own, which cancels its jobs when it ends."""

    def __init__(
        self, state: AppState, websocket: BoundedWebSocket, credentials: Credentials, voice_id: str, query: QueryParams
    ) -> None:
        super().__init__(state, websocket, credentials, voice_id, query)
        self._contexts: dict[str | None, Context] = {}
        self._ended: deque[str | None] = deque(maxlen=_ENDED_NAMES)
        self._received_at = time.monotonic()
        self._end: CloseConnection | None = None
        """How to close the connection once there is no context any more."""

    async def handle_messages(self, query: StreamQuery) -> NoReturn:
        self.start(self._watch(query.inactivity_timeout))
        while True:
            message = checked(ContextMessage, await self._websocket.receive())
            self._received_at = time.monotonic()
            self._credentials.check(message.xi_api_key)
            async with self._handling:
                await self._handle_message(message, query)
                if message.close_socket:
                    self._end = CloseConnection(1000, "")
                    for opened in list(self._contexts.values()):
                        if not opened.runner.session_state.closing:
                            await opened.runner.close()

    async def on_disconnect(self, end: CloseConnection | Disconnected) -> None:
        """Nothing to do: every context has cancelled its own jobs."""

    def on_shutdown(self) -> None:
        """Contexts cannot be resumed, so they run to their end."""
        try:
            super().on_shutdown()
        except CloseConnection as end:
            if not self._contexts:
                raise
            self._end = end

    async def _watch(self, idle_seconds: int) -> NoReturn:
        """Close the connection when nothing is left to do, or nothing has come for too long while nothing is open."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if self._contexts:
                continue
            if self._end is not None:
                raise self._end
            if time.monotonic() - self._received_at > idle_seconds:
                raise IdleTimeout(1000, "")

    async def _handle_message(self, message: ContextMessage, query: StreamQuery) -> None:
        context = self._contexts.get(message.context_id)
        if context is not None and context.has_ended:
            context = None
        try:
            if message.text or message.settings:
                context = await self._open(context, message, query)
            if context is not None:
                await self._apply(context, message, query)
            elif (message.flush or message.close_context) and message.context_id not in (*self._contexts, *self._ended):
                raise NotFound("context_id: no such context", param="context_id", code="context_not_found")
        except AncestralError as error:
            if context is None or not message.text:  # nothing of what it says is lost
                failure = context_failure(self._state, message.context_id, error)
                await self._websocket.send_json(failure.model_dump())
            else:
                await context.failed(error)
            if error.code != "too_many_contexts":  # those that are open run to their end
                self.count_error(error)
        else:
            self._errors = 0

    async def _apply(self, context: Context, message: ContextMessage, query: StreamQuery) -> None:
        """Do what a message says to a context that is open."""
        if message.text:
            await context.runner.add_text(message.text)
        context.runner.keep_alive()
        if message.close_context and context.runner.session_state.closing:
            await context.cancel()
        elif message.close_context:
            await context.runner.close()
        elif message.flush or (message.text and query.auto_mode):
            await context.runner.flush()

    async def _open(self, context: Context | None, message: ContextMessage, query: StreamQuery) -> Context:
        """The context of a message with text or settings, opened by its first one.

        Raises:
            ServiceError: it cannot be opened, or takes no more text, or no other settings.
        """
        if context is not None:
            for given in message.settings:
                reason = f"{given}: only the first message of a context has settings"
                raise InvalidRequest(reason, param=given, code="wrong_order")
            if context.runner.session_state.closing:
                raise InvalidRequest("text: the context has been closed", param="text", code="wrong_order")
            return context
        if self._end is not None or len(self._contexts) >= MAX_CONTEXTS:
            reason = "the connection is closing" if self._end is not None else f"{MAX_CONTEXTS} contexts are open"
            raise InvalidRequest(f"context_id: {reason}", param="context_id", code="too_many_contexts")
        found = Context(message.context_id, self._state, self._websocket, sync=query.sync_alignment)
        found.runner = await self._open_session(query, message, found)
        self._contexts[message.context_id] = found
        self.start(self._run_context(message.context_id, found))
        return found

    async def _run_context(self, name: str | None, context: Context) -> None:
        try:
            await context.run()
        finally:
            if self._contexts.get(name) is context:
                del self._contexts[name]
            self._ended.append(name)


# ElevenLabs' ``stream-input`` websocket: JSON both ways, sound in base64.
#
# In comes ``{"text": " ", "voice_settings": {…}, "generation_config": {…}, "xi_api_key": …}`` first, then ``{"text": …,
# "flush": true}``, and ``{"text": ""}`` at the end; out go ``{"audio": …, "isFinal": null, …}`` and, last, ``{"audio":
# null, "isFinal": true, …}``. A sentence is sampled as soon as it is complete; the first audio of each utterance comes
# with the times of its characters. An error is answered with ``{"message", "error", "code"}``, and the connection is
# closed with 1008. :mod:`ancestral_service.speech.elevenlabs.schemas` says which fields have an effect.


STREAM_INPUT: Final = "/v1/text-to-speech/{voice_id}/stream-input"


class SingleContextConnection(ElevenLabsConnection, EventSink):
    """One connection with this protocol."""

    runner: SessionRunner | None = None

    async def handle_messages(self, query: StreamQuery) -> NoReturn:
        self._alignment = UtteranceAlignment(sync=query.sync_alignment)
        try:
            async with asyncio.timeout(query.inactivity_timeout):
                received = await self._websocket.receive()
        except TimeoutError:
            raise IdleTimeout(1000, "") from None
        first = checked(FirstMessage, received)
        self._credentials.check(first.xi_api_key)
        self.runner = runner = await self._open_session(query, first, self)
        self.start(runner.send_utterances(), runner.maintain())
        await self._handle_message(runner, first, query)
        while True:
            await self._handle_message(runner, checked(TextMessage, await self._websocket.receive()), query)

    async def on_disconnect(self, end: CloseConnection | Disconnected) -> None:
        if self.runner is not None:
            await self.runner.on_disconnect(keep=False)

    def on_shutdown(self) -> None:
        """Sessions of this protocol cannot be resumed, so they run to their end."""
        if self.runner is None:
            super().on_shutdown()

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

    async def finished(self) -> None:
        """Send the last message."""
        await self._websocket.send_json(AudioMessage(audio=None, isFinal=True).model_dump())
        raise CloseConnection(1000, "", final=True)
