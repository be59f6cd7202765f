"""Messages that every native websocket accepts."""

from __future__ import annotations

from typing import Literal

from service.jobs.schemas import StrictRequest


class SessionClose(StrictRequest):
    """Ends the session; it will not be resumed."""

    type: Literal["session.close"]
