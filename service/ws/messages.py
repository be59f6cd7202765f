"""Messages of websockets: how they and the parameters of URLs are validated, and what the native protocols share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import QueryParams

from ancestral.errors import AncestralError, InvalidRequest
from ancestral.requests import Described, StrictRequest, checked
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


_Q = TypeVar("_Q", bound=BaseModel)


class NoQuery(BaseModel):
    """The parameters of a URL that takes none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_query(kind: type[_Q], query: QueryParams) -> _Q:
    """The parameters of the URL.

    Raises:
        InvalidRequest: one is unknown, invalid or repeated.
    """
    names = [name for name, _ in query.multi_items()]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest(f"{name}: given twice", param=name, code="invalid_value")
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
