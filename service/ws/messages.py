"""Validation of a websocket's messages and URL parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict
from starlette.datastructures import QueryParams

from ancestral.errors import InvalidRequest
from ancestral.requests import checked

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
