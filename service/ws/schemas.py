"""Messages that every websocket of ours takes."""

from __future__ import annotations

from typing import Literal

from service.jobs.schemas import StrictRequest


class SessionClose(StrictRequest):
    """The session is over and will not be resumed."""

    type: Literal["session.close"]
