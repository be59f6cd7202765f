"""One websocket connection: what is heard and said on it, all of it bounded in size and time."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.error_responses import from_validation
from service.errors import InvalidRequest

MAX_MESSAGE_CHARACTERS = 65536
"""A text of the greatest length, every character escaped, fits in."""
FRAME_BYTES = 32768
"""Sound comes in frames of at most this size."""
GOODBYE_SECONDS = 2.0

_Q = TypeVar("_Q", bound=BaseModel)
log = logging.getLogger(__name__)


class Leave(Exception):
    """The server ends the connection; ``over`` says that the client will not want to go on in another one."""

    def __init__(self, code: int, reason: str, *, over: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.over = over


class Left(Exception):
    """The connection has ended."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Channel:
    """A websocket that has been accepted.

    Args:
        websocket: accepted.
        stall_seconds: for which the client may take nothing.
    """

    def __init__(self, websocket: WebSocket, stall_seconds: float) -> None:
        self._websocket = websocket
        self._stall_seconds = stall_seconds

    async def hear(self) -> dict[str, Any]:
        """The next message.

        Raises:
            InvalidRequest: it is not a JSON object in a text frame of reasonable size.
            Left: there is none.
        """
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise Left(message.get("code", 1006))
        text = message.get("text")
        if text is None:
            raise InvalidRequest("A message is a text frame; this one was binary.", code="invalid_type")
        if len(text) > MAX_MESSAGE_CHARACTERS:
            reason = f"A message has at most {MAX_MESSAGE_CHARACTERS} characters."
            raise InvalidRequest(reason, code="message_too_large")
        return parse(text)

    async def say(self, message: Mapping[str, Any]) -> None:
        """Send a message.

        Raises:
            Leave: the client takes nothing any more.
            Left: it is gone.
        """
        text = json.dumps(message)
        await self._within(lambda: self._websocket.send_text(text))

    async def play(self, data: bytes) -> None:
        """Send sound; raises as :meth:`say` does."""
        await self._within(lambda: self._websocket.send_bytes(data))

    async def _within(self, send: Callable[[], Any]) -> None:
        try:
            async with asyncio.timeout(self._stall_seconds):
                await send()
        except TimeoutError:
            raise Leave(1008, f"nothing was read for {self._stall_seconds} s") from None
        except WebSocketDisconnect as error:
            raise Left(error.code) from None

    async def close(self, code: int, reason: str) -> None:
        """Close it, unless the client has."""
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._websocket.close(code, reason)
        except (TimeoutError, WebSocketDisconnect):
            log.debug("the client was gone before the goodbye")


class NoQuery(BaseModel):
    """A URL without parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_query(kind: type[_Q], query: QueryParams) -> _Q:
    """The parameters of the URL.

    Raises:
        InvalidRequest: one is unknown, wrong, or there twice.
    """
    names = [name for name, _ in query.multi_items()]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest(f"{name}: given twice", param=name, code="invalid_value")
    return checked(kind, dict(query))


def checked(kind: type[_Q], values: Mapping[str, Any]) -> _Q:
    """What a client sent, as a model.

    Raises:
        InvalidRequest: it does not fit; ``param`` says where.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise from_validation(error.errors(include_url=False, include_input=False)) from None


def parse_message(message: Mapping[str, Any], kinds: Mapping[str, type[_Q]]) -> _Q:
    """What the client says, by its ``type``.

    Raises:
        InvalidRequest: no client says so; ``param`` names the field.
    """
    name = message.get("type")
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        known = ", ".join(kinds)
        raise InvalidRequest(f"type: no such message; there is {known}", param="type", code="unknown_message")
    return checked(kind, message)


def wrong_order(reason: str) -> InvalidRequest:
    """The answer to a message that makes sense at another time."""
    return InvalidRequest(f"type: {reason}", param="type", code="wrong_order")


def parse(text: str) -> dict[str, Any]:
    """A message.

    Raises:
        InvalidRequest: it is not a JSON object.
    """
    try:
        message = json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"The message is not JSON: {error.msg} at character {error.pos}."
        raise InvalidRequest(reason, code="json_invalid") from error
    except (RecursionError, ValueError) as error:  # nested too deep; an integer of thousands of digits
        raise InvalidRequest("The message is JSON that no request needs.", code="json_invalid") from error
    if not isinstance(message, dict):
        raise InvalidRequest("A message is a JSON object.", code="invalid_type")
    return message
