"""A websocket of the server: one connection, and the messages that clients send."""

from __future__ import annotations

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Annotated, Any, Final, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers, QueryParams
from starlette.websockets import WebSocket, WebSocketDisconnect

from ancestral.errors import AncestralError, InvalidRequest
from ancestral.requests import Described, StrictRequest, checked, parse_json, shown
from ancestral_service.errors import NotReady, Overloaded, Unauthorized, envelope
from ancestral_service.jobs.state import AppState, Caller
from ancestral_service.telemetry.metrics import Transport

# Messages of websockets: how they and the parameters of URLs are validated, and what the native protocols share.

ApiKey = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=256,
        exclude=True,  # neither stored with a session nor part of a request
        repr=False,
        description="The API key, for clients that cannot set headers. Not needed if a header of the handshake has it.",
    ),
]


class SessionClose(StrictRequest):
    """Ends the session; it will not be resumed."""

    type: Literal["session.close"]


class ServerEvent(Described):
    """The base of the server's messages. Fields that are not set are not sent, except for ``type``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str


class EventError(Described):
    """What went wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    message: str
    type: str
    param: str | None
    """The wrong field; null if no single field is wrong."""
    code: str | None
    retry_after: int = Field(default=0, ge=1)
    """Seconds until another attempt may succeed; absent if none will."""


class ErrorEvent(ServerEvent):
    """A message or its work has failed; the connection goes on."""

    type: Literal["error"] = "error"
    error: EventError


_Q = TypeVar("_Q", bound=BaseModel)


class NoQuery(BaseModel):
    """The parameters of a URL that takes none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_query(kind: type[_Q], query: QueryParams) -> _Q:
    """The parameters of the URL.

    Raises:
        InvalidRequest: one is unknown, invalid or repeated.
    """
    for name, count in Counter(name for name, _ in query.multi_items()).items():
        if count > 1:
            raise InvalidRequest(f"{shown(name)}: given twice", param=shown(name), code="invalid_value")
    return checked(kind, dict(query))


def parse_message(message: Mapping[str, Any], kinds: Mapping[str, type[_Q]]) -> _Q:
    """Validate a message by its ``type``.

    Raises:
        InvalidRequest: there is no such type, or a field is invalid; ``param`` names it.
    """
    name = message.get("type")
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        known = ", ".join(kinds)
        raise InvalidRequest(f"type: no such message; available: {known}", param="type", code="unknown_message")
    return checked(kind, message)


def wrong_order(reason: str) -> InvalidRequest:
    """The error for a valid message at the wrong time."""
    return InvalidRequest(f"type: {reason}", param="type", code="wrong_order")


# One websocket connection of any protocol: its bounded messages, who has opened it, its tasks, and how it ends.

MAX_MESSAGE_CHARACTERS = 65536
"""Enough for the longest text with every character escaped."""
FRAME_BYTES = 32768
"""The largest binary frame."""
CLOSE_SECONDS = 2.0
log = logging.getLogger(__name__)


class CloseConnection(Exception):
    """Ends the connection from the server's side; ``final`` says that the session will not be resumed."""

    def __init__(self, code: int, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.final = final


class IdleTimeout(CloseConnection):
    """Nothing has been received or sent for too long."""


class Disconnected(Exception):
    """The client has closed or lost the connection."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class BoundedWebSocket:
    """A websocket that has been accepted.

    Args:
        websocket: accepted.
        stall_seconds: after which a client that reads nothing is disconnected.
    """

    def __init__(self, websocket: WebSocket, stall_seconds: float) -> None:
        self._websocket = websocket
        self._stall_seconds = stall_seconds

    async def receive(self) -> dict[str, Any]:
        """The next message.

        Raises:
            InvalidRequest: it is not a JSON object in a text frame of reasonable size.
            Disconnected: there is none.
        """
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise Disconnected(message.get("code", 1006))
        text = message.get("text")
        if text is None:
            raise InvalidRequest("A message is a text frame; this one was binary.", code="invalid_type")
        if len(text) > MAX_MESSAGE_CHARACTERS:
            reason = f"A message has at most {MAX_MESSAGE_CHARACTERS} characters."
            raise InvalidRequest(reason, code="message_too_large")
        found = parse_json(text, "The message")
        if not isinstance(found, dict):
            raise InvalidRequest("A message is a JSON object.", code="invalid_type")
        return found

    async def send_json(self, message: Mapping[str, Any]) -> None:
        """Send a message.

        Raises:
            CloseConnection: the client reads nothing.
            Disconnected: it has disconnected.
        """
        await self._within(self._websocket.send_text(json.dumps(message)))

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame; raises as :meth:`send_json` does."""
        await self._within(self._websocket.send_bytes(data))

    async def _within(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._stall_seconds):
                await sending
        except TimeoutError:
            raise CloseConnection(1008, f"nothing was read for {self._stall_seconds} s") from None
        except WebSocketDisconnect as error:
            raise Disconnected(error.code) from None

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, unless the client has."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._websocket.close(code, reason)
        except (TimeoutError, WebSocketDisconnect):
            log.debug("the client disconnected before the close frame")


# Who has opened a websocket: known from the headers of the handshake, or from the key in the first message.
#
# Browsers cannot set headers on a websocket, and a key must not be in an address.


CHECK_SECONDS: Final = 2.0
"""Interval of the checks that a key in use was not revoked."""
KEY_SECONDS: Final = 20.0
"""Time for which a connection without a key in its headers may stay open before its first message."""


class Credentials:
    """The caller of one connection.

    Args:
        caller: known from the headers; None if the first message has the key.
        headers: of the handshake.
        identify: returns the caller whose key headers carry, or raises Unauthorized.
    """

    def __init__(self, caller: Caller | None, headers: Headers, identify: Callable[[Headers], Caller]) -> None:
        self.caller = caller
        self._headers = headers
        self._identify = identify

    def check(self, key: str | None) -> Caller:
        """The caller, once a message has come that may hold a key.

        Raises:
            Unauthorized: there is no key, an unknown one, or another one than before.
        """
        if self.caller is None or key is not None:
            headers = Headers(raw=[(b"xi-api-key", key.encode())] if key else [])
            caller = self._identify(headers)
            if self.caller not in (None, caller):
                raise Unauthorized("This is not the key that the connection was opened with.")
            self.caller, self._headers = caller, headers
        return self.caller

    async def watch(self) -> NoReturn:
        """Check every :data:`CHECK_SECONDS` that the key is still valid.

        Raises:
            CloseConnection: it was revoked.
        """
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                if self.caller is not None:
                    self._identify(self._headers)
            except Unauthorized:
                raise CloseConnection(1008, "the API key was revoked", final=True) from None

    async def await_key(self) -> None:
        """Return once the caller is known, or later.

        Raises:
            CloseConnection: no key has come in time.
        """
        await asyncio.sleep(KEY_SECONDS)
        if self.caller is None:
            raise CloseConnection(1008, "no API key")


IDLE_SECONDS: Final = 600.0
MAX_ERRORS: Final = 20
"""Invalid messages in a row after which the connection is closed."""


class WsConnection(ABC):
    """One connection.

    Args:
        websocket: to the client.
        credentials: of the caller.
    """

    def __init__(self, websocket: BoundedWebSocket, credentials: Credentials) -> None:
        self._websocket = websocket
        self._credentials = credentials
        self._errors = 0
        """Invalid messages since the last valid one."""
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

    def count_error(self, error: AncestralError) -> None:
        """Count a message that was answered with an error; raises CloseConnection after :data:`MAX_ERRORS` in a row."""
        self._errors += not isinstance(error, Overloaded | NotReady)  # for which the client can do nothing
        if self._errors >= MAX_ERRORS:
            raise CloseConnection(1008, "too many errors")

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
                self._group.create_task(self._credentials.await_key())
        except* (CloseConnection, Disconnected) as ends:
            end = _first(ends)
        return await self.on_idle(end) if isinstance(end, IdleTimeout) else end

    async def _await_shutdown(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        async with self._handling:
            self.on_shutdown()


class EventConnection(WsConnection):
    """One connection with a protocol of this service's own: events in both directions. An invalid one is answered with
    an error; after too many, the connection is closed.

    Args:
        state: of the service.
        websocket: to the client.
        credentials: of the caller.
    """

    def __init__(self, state: AppState, websocket: BoundedWebSocket, credentials: Credentials) -> None:
        super().__init__(websocket, credentials)
        self._state = state

    @property
    @abstractmethod
    def is_busy(self) -> bool:
        """Whether there is work in progress, so that silence of the client is no reason to close."""

    @abstractmethod
    async def handle_message(self, fields: dict[str, Any]) -> None:
        """Handle a message; raises AncestralError if it is not a valid one."""

    async def receive(self) -> None:
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS) as waiting:
                    message = await self._websocket.receive()
                async with self._handling:
                    await self.handle_message(message)
                self._errors = 0
            except AncestralError as error:
                await self.failed(error)
                self.count_error(error)
            except TimeoutError:
                if not (waiting.expired() and self.is_busy):
                    raise CloseConnection(1000, "idle timeout") from None

    async def check_key(self, key: str | None) -> Caller:
        """The caller, once a message has come that may hold a key.

        Raises:
            CloseConnection: no key is valid.
        """
        try:
            return self._credentials.check(key)
        except Unauthorized as error:
            await self.failed(error)
            raise CloseConnection(1008, "no valid API key") from None

    async def send(self, event: ServerEvent) -> None:
        await self._websocket.send_json({"type": event.type} | event.model_dump(exclude_unset=True))

    async def failed(self, error: AncestralError, retry_after: int | None = None) -> None:
        """Send an error; with ``retry_after``, seconds until another attempt may succeed."""
        self._state.metrics.refused(error, Transport.WEBSOCKET)
        again = {} if retry_after is None else {"retry_after": retry_after}
        await self.send(ErrorEvent(error=EventError.model_validate(envelope(error)["error"] | again)))


def _first(ends: BaseExceptionGroup[CloseConnection | Disconnected]) -> CloseConnection | Disconnected:
    first = ends.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
