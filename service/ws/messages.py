"""Messages and URL parameters of a websocket, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import QueryParams

from service.errors import InvalidRequest
from service.jobs.validation import from_validation

_Q = TypeVar("_Q", bound=BaseModel)


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
