"""How the websockets of ElevenLabs' dialect end with an error: ``{"message", "error"}``, then a close with 1008."""

from __future__ import annotations

from contextlib import suppress
from typing import Final, NoReturn

from ancestral.service.speech.elevenlabs.messages import FailureMessage
from ancestral.service.ws.bounded_websocket import BoundedWebSocket, CloseConnection, Disconnected, IdleTimeout

_REASON_CHARACTERS: Final = 120
"""The most that fits in a close frame."""


async def fail(websocket: BoundedWebSocket, message: str, code: str) -> NoReturn:
    """Send the reason, and close the connection.

    Raises:
        CloseConnection: always, unless the client has gone.
        Disconnected: it has gone.
    """
    with suppress(CloseConnection):
        await websocket.send_json(FailureMessage(message=message, error=code).model_dump())
    raise CloseConnection(1008, code[:_REASON_CHARACTERS])


async def fail_idle(websocket: BoundedWebSocket, end: IdleTimeout) -> CloseConnection:
    """Send the reason why an idle connection is closed; returns how to close it."""
    try:
        await fail(websocket, "Nothing came within inactivity_timeout.", "input_timeout_exceeded")
    except CloseConnection as close:
        return close
    except Disconnected:
        return end
