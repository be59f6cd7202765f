"""``WS /v1/realtime``: speech for clients of OpenAI's Realtime API, text in and sound out.

docs/api.md has the events. A response speaks a whole text verbatim: one utterance of a session, with the samples that
``POST /v1/audio/speech`` has for the same text, voice and seed. What is not speech, such as sound that comes in, tools
and transcription, is refused; the connection goes on after every ``error``.
"""

from __future__ import annotations

import asyncio
import base64
import math
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from ancestral.catalog.seeds import seed_as_json
from ancestral.errors import AncestralError, InvalidRequest, NotFound
from ancestral.formats import PCM_RATE
from ancestral_service import ws
from ancestral_service.errors import envelope
from ancestral_service.jobs.state import AppState
from ancestral_service.speech.audio_reader import usage_of
from ancestral_service.speech.realtime import schemas
from ancestral_service.speech.schemas import Usage
from ancestral_service.speech.session.runner import EventSink, SessionRunner
from ancestral_service.speech.session.state import SessionConfig, SessionState, Turn, new_session_state
from ancestral_service.telemetry.metrics import Transport

PATH: Final = "/v1/realtime"
SUBPROTOCOL: Final = "realtime"
"""What browsers offer beside the subprotocol that has their key."""
MAX_CHARACTERS: Final = 65_536
"""Characters of the texts of a conversation together."""


def new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"


@dataclass
class Entry:
    """An item of the conversation."""

    item: dict[str, Any]
    """As clients see it."""
    text: str = ""
    is_unread: bool = False


class RealtimeConnection(ws.EventConnection):
    """One connection: a conversation, and at most one response at a time.

    Args:
        state: of the service.
        websocket: to the client.
        credentials: of the caller, who is known.
        query: of the URL; its model exists.
    """

    _response: Response | None = None
    _event_id: str | None = None
    """The client's id of the event that is being handled."""
    _is_shutting_down = False

    def __init__(
        self, state: AppState, websocket: ws.BoundedWebSocket, credentials: ws.Credentials, query: schemas.RealtimeQuery
    ) -> None:
        super().__init__(state, websocket, credentials)
        self.conversation_id, self._id = new_id("conv"), new_id("sess")
        self._model, self._config = query.model, query.config(state.catalog)
        """As the client has given them: another voice may be of another model and language."""
        self._items: list[Entry] = []
        session_state, caller = new_session_state(state.catalog, self._config), credentials.caller
        assert caller is not None, "the handshake had the key"
        silent = Response(self, session_state.config, schemas.ResponseOptions())
        self.runner = SessionRunner(state, caller, session_state, silent, None, ws.IDLE_SECONDS, tagged=False)

    @property
    def is_busy(self) -> bool:
        return self._response is not None

    async def emit(self, kind: str, **fields: Any) -> None:
        """Send an event."""
        await self._websocket.send_json({"type": kind, "event_id": new_id("event"), **fields})

    def shown(self, error: AncestralError) -> dict[str, Any]:
        """An error as clients see it; it is counted as sent."""
        self._state.metrics.refused(error, Transport.WEBSOCKET)
        return dict(envelope(error)["error"])

    async def failed(self, error: AncestralError, retry_after: int | None = None) -> None:
        event_id, self._event_id = self._event_id, None
        await self.emit("error", error=self.shown(error) | {"event_id": event_id})

    async def receive(self) -> None:
        self.start(self.runner.send_utterances(), self.runner.maintain())
        await self.emit("session.created", session=await self._session(self._config))
        await super().receive()

    def on_shutdown(self) -> None:
        """A response that has begun is sent to its end: it cannot be resumed."""
        self._is_shutting_down = True
        if self._response is None:
            super().on_shutdown()

    async def on_disconnect(self, end: ws.CloseConnection | ws.Disconnected) -> None:
        await self.runner.on_disconnect(keep=False)

    async def handle_message(self, fields: dict[str, Any]) -> None:
        given = fields.get("event_id")
        self._event_id = given if isinstance(given, str) else None
        self.runner.keep_alive()
        match ws.parse_message(fields, schemas.EVENTS):
            case schemas.SessionUpdate(session=session):
                await self._update(session)
            case schemas.ItemCreate(item=item, previous_item_id=after):
                await self._create(item, after)
            case schemas.ItemDelete(item_id=item_id):
                del self._items[self._index(item_id, "item_id")]
                await self.emit("conversation.item.deleted", item_id=item_id)
            case schemas.ResponseCreate(response=options):
                with _named("response"):
                    await self._respond(options)
            case schemas.ResponseCancel(response_id=response_id):
                await self._cancel(response_id)
        self._event_id = None

    async def _update(self, session: schemas.Session) -> None:
        if session.model not in (None, self._model):
            reason = "session.model: that of the URL cannot be changed"
            raise InvalidRequest(reason, param="session.model", code="conflict")
        with _named("session"):
            config = session.applied_to(self._config)
            shown = await self._session(config)
        self._config = config
        await self.emit("session.updated", session=shown)

    async def _resolved(self, config: SessionConfig) -> SessionState:
        return await asyncio.to_thread(new_session_state, self._state.catalog, config)

    async def _session(self, given: SessionConfig) -> dict[str, Any]:
        """A session as clients see it; raises as :func:`new_session_state` does."""
        config = (await self._resolved(given)).config
        return {
            "type": "realtime", "object": "realtime.session", "id": self._id, "model": config.model,
            "output_modalities": ["audio"], "audio": {"output": self.output(config) | {"speed": config.speed}},
            "instructions": config.instructions,
        }  # fmt: skip

    def output(self, config: SessionConfig) -> dict[str, Any]:
        """Voice and format of a configuration, as clients see them."""
        kind = next(kind for kind, form in schemas.FORMATS.items() if form == config.response_format)
        voice = self._state.catalog.model_and_voice(config.model, config.voice_id)[1].id
        return {"voice": voice, "format": {"type": kind} | ({"rate": PCM_RATE} if kind == "audio/pcm" else {})}

    # The conversation

    def _index(self, item_id: str, param: str) -> int:
        for index, entry in enumerate(self._items):
            if entry.item["id"] == item_id:
                return index
        raise NotFound(f"{param}: the conversation has no such item", param=param, code="item_not_found")

    def insert(self, entry: Entry, after: str | None = None) -> dict[str, str | None]:
        """Add an item to the conversation, at its end, at its beginning (``root``) or after another one.

        Returns:
            What the events of the item say of its place.
        """
        index = 0 if after == "root" else len(self._items)
        if after not in (None, "root"):
            index = self._index(after, "previous_item_id") + 1
        previous = self._items[index - 1].item["id"] if index else None
        self._items.insert(index, entry)
        while len(self._items) > 1 and (
            len(self._items) > schemas.MAX_ITEMS or sum(len(kept.text) for kept in self._items) > MAX_CHARACTERS
        ):
            del self._items[self._items[0] is entry]  # the oldest of the others
        return {"previous_item_id": previous}

    async def _create(self, item: schemas.Item, after: str | None) -> None:
        if any(entry.item["id"] == item.id for entry in self._items):
            raise InvalidRequest("item.id: the conversation has such an item", param="item.id", code="conflict")
        kind = "output_text" if item.role == "assistant" else "input_text"
        content = [{"type": kind, "text": part.text} for part in item.content]
        shown = item.model_dump() | {"id": item.id or new_id("item"), "content": content}
        place = self.insert(Entry(shown, item.text, is_unread=item.role != "system"), after)
        for event in ("conversation.item.added", "conversation.item.done"):
            await self.emit(event, **place, item=shown)

    # Responses

    def _chosen(self, options: schemas.ResponseOptions) -> Entry:
        """What is spoken in a response: the items that come with it, or a message of the conversation."""
        found = next((entry for entry in reversed(self._items) if entry.is_unread and entry.text), None)
        if options.input is not None:
            found = Entry({}, "\n".join(item.text for item in options.input if item.role != "system"))
        if found is None or not found.text:
            message = "input: required, as no message of the conversation is left to speak"
            raise InvalidRequest(message, param="input", code="missing_parameter")
        return found

    async def _respond(self, options: schemas.ResponseOptions) -> None:
        if self._response is not None:
            message = f"Conversation already has an active response in progress: {self._response.id}"
            raise InvalidRequest(message, code="conversation_already_has_active_response")
        entry, session_state = self._chosen(options), await self._resolved(options.applied_to(self._config))
        response = Response(self, session_state.config, options)
        await self.runner.speak(session_state, response, entry.text)
        if response.error is not None:
            await self.runner.cancel()
            raise response.error
        entry.is_unread = entry.is_unread and options.conversation == "none"
        self._response = response
        await response.open()

    async def _cancel(self, response_id: str | None) -> None:
        response = self._response
        if response is None or response.status != "in_progress" or response_id not in (None, response.id):
            message = "Cancellation failed: no active response found"
            raise InvalidRequest(message, code="response_cancel_not_active")
        await self.runner.cancel()
        await response.end("cancelled")

    def ended(self) -> None:
        """The response has ended."""
        self._response = None
        if self._is_shutting_down:
            self.on_shutdown()


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors about fields of ours get the names that these have in the field ``name`` of an event."""
    names = {"voice": "audio.output.voice", "rate": "audio.output.format.rate", "text": "input"}
    names |= {field: field for field in ("instructions", "input")}
    try:
        yield
    except AncestralError as error:
        error.renamed({ours: f"{name}.{theirs}" for ours, theirs in names.items()})
        raise


@dataclass
class Response(EventSink):
    """One response, and its events."""

    connection: RealtimeConnection
    config: SessionConfig
    options: schemas.ResponseOptions
    status: Literal["queued", "in_progress", "completed", "cancelled", "failed"] = "queued"
    error: AncestralError | None = None
    """Why it is refused, or fails."""

    def __post_init__(self) -> None:
        self.id, item_id = new_id("resp"), new_id("item")
        message = {"object": "realtime.item", "type": "message", "role": "assistant"}
        self._entry = Entry({"id": item_id, **message, "status": "in_progress", "content": []})
        self._place = dict[str, str | None]()
        self._of_output = {"response_id": self.id, "output_index": 0}
        self._of_part = self._of_output | {"item_id": item_id, "content_index": 0}
        self._opened = asyncio.Event()
        self._samples, self._sentences = 0, 0
        self._words = deque[tuple[int, str]]()
        """Of the sentences that have begun: what has not been said, each with the sample at which it begins."""

    async def open(self) -> None:
        """Send what comes before the sound."""
        self.status, emit, item = "in_progress", self.connection.emit, self._entry.item
        await emit("response.created", response=self._shown())
        await emit("response.output_item.added", **self._of_output, item=item)
        if self.options.conversation == "auto":
            self._place = self.connection.insert(self._entry)
            await emit("conversation.item.added", **self._place, item=item)
        await emit("response.content_part.added", **self._of_part, part={"type": "audio", "transcript": ""})
        self._opened.set()

    async def started(self, utterance: Turn) -> None:
        await self._opened.wait()
        assert self.connection.runner.reader is not None
        self._reader = self.connection.runner.reader
        self._timeline = self.connection.runner.timeline(self._reader.job)

    async def sound(self, data: bytes) -> None:
        """Send sound in base64, after the words that begin in it."""
        self._samples += len(data) // (2 if self.config.response_format == "pcm" else 1)
        if self._sentences < (begun := self._reader.streams):
            for sentence in (await self._timeline.first(begun))[self._sentences :]:
                self._words += [(sentence.span_of(part)[0], part.text) for part in sentence.written]
            self._sentences = begun
        await self._say(self._samples)
        delta = base64.b64encode(data).decode()
        await self.connection.emit("response.output_audio.delta", **self._of_part, delta=delta)

    async def _say(self, end: float) -> None:
        """Send the words that begin before a sample."""
        while self._words and self._words[0][0] < end:
            delta = self._words.popleft()[1]
            self._entry.text += delta
            await self.connection.emit("response.output_audio_transcript.delta", **self._of_part, delta=delta)

    async def failed(self, error: AncestralError, retry_after: int | None = None) -> None:
        """Nothing is sent before the session has finished."""
        self.error = error

    async def finished(self) -> None:
        await self.end("completed" if self.error is None else "failed")

    async def end(self, status: Literal["completed", "cancelled", "failed"]) -> None:
        """Send what comes after the sound, once."""
        if self.status != "in_progress":
            return
        self.status, emit, item = status, self.connection.emit, self._entry.item
        await self._opened.wait()
        if status == "completed":
            await self._say(math.inf)
        said = {"transcript": self._entry.text}
        item |= {"status": "completed" if status == "completed" else "incomplete"}
        item["content"] = [{"type": "output_audio"} | said]
        await emit("response.output_audio.done", **self._of_part)
        await emit("response.output_audio_transcript.done", **self._of_part, **said)
        await emit("response.content_part.done", **self._of_part, part={"type": "audio"} | said)
        if self._place:
            await emit("conversation.item.done", **self._place, item=item)
        await emit("response.output_item.done", **self._of_output, item=item)
        await emit("response.done", response=self._shown())
        self.connection.ended()

    def _shown(self) -> dict[str, Any]:
        """The response as clients see it."""
        details: dict[str, Any] = {"cancelled": {"reason": "client_cancelled"}}.get(self.status, {})
        if self.error is not None:
            details = {"error": self.connection.shown(self.error)}
        is_over = self.status != "in_progress"
        assert self.config.seed is not None, "set by new_session_state"
        return {
            "object": "realtime.response", "id": self.id, "status": self.status, "output_modalities": ["audio"],
            "status_details": {"type": self.status} | details if is_over else None,
            "output": [self._entry.item] if is_over else [], "usage": self._usage() if is_over else None,
            "conversation_id": self.connection.conversation_id if self.options.conversation == "auto" else None,
            "audio": {"output": self.connection.output(self.config)}, "metadata": self.options.metadata,
            "max_output_tokens": "inf", "seed": seed_as_json(self.config.seed),
        }  # fmt: skip

    def _usage(self) -> dict[str, Any]:
        reader = self.connection.runner.reader
        used = Usage(input_tokens=0, output_tokens=0, total_tokens=0) if reader is None else usage_of(reader)
        details = {"text_tokens": used.input_tokens, "audio_tokens": 0, "cached_tokens": 0}
        output = {"text_tokens": 0, "audio_tokens": used.output_tokens}
        return used.model_dump() | {"input_token_details": details, "output_token_details": output}
