"""One websocket connection; what is received and sent is bounded in size and time."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from ancestral.errors import InvalidRequest
from ancestral.requests import parse_json

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
        return parse(text)

    async def send_json(self, message: Mapping[str, Any]) -> None:
        """Send a message.

        Raises:
            CloseConnection: the client reads nothing.
            Disconnected: it has disconnected.
        """
        text = json.dumps(message)
        await self._within(lambda: self._websocket.send_text(text))

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame; raises as :meth:`send_json` does."""
        await self._within(lambda: self._websocket.send_bytes(data))

    async def _within(self, send: Callable[[], Any]) -> None:
        try:
            async with asyncio.timeout(self._stall_seconds):
                await send()
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


def parse(text: str) -> dict[str, Any]:
    """A message.

    Raises:
        InvalidRequest: it is not a JSON object.
    """
    message = parse_json(text, "The message")
    if not isinstance(message, dict):
        raise InvalidRequest("A message is a JSON object.", code="invalid_type")
    return message
