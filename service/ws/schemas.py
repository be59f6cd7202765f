"""Messages of the native websockets: the bases of both directions, and what all of them share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from ancestral.errors import AncestralError
from ancestral.requests import Described, StrictRequest
from ancestral.service.errors import envelope

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

    def message(self) -> dict[str, Any]:
        """The JSON object that is sent."""
        return {"type": self.type} | self.model_dump(exclude_unset=True)


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


def error_event(error: AncestralError, retry_after: int | None = None) -> ErrorEvent:
    """The message for an error.

    Args:
        error: to report.
        retry_after: seconds until another attempt may succeed.
    """
    again = {} if retry_after is None else {"retry_after": retry_after}
    return ErrorEvent(error=EventError.model_validate(envelope(error)["error"] | again))
