"""Pydantic's validation errors in the words of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import (
    InvalidRequest,
)

_VECTOR = "a class, or a vector: a list of numbers from -1e6 to 1e6"
_TWO_FORMS = {"voice": "an id, or an object with an id", "from": _VECTOR, "to": _VECTOR}
"""Fields that take either, and what."""


def from_validation(errors: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """The first of pydantic's complaints, in a client's words; ``param`` names the field."""
    first = errors[0]
    path = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    if not path:
        return InvalidRequest("The body must be a JSON object.", code="invalid_type")
    kind, message = str(first["type"]), str(first["msg"])
    if two := next((name for name in path[:-1] if name in _TWO_FORMS), None):  # pydantic speaks of the first form alone
        path = path[: path.index(two) + 1]
        message, kind = f"must be {_TWO_FORMS[two]}", "invalid_type"
    elif kind == "extra_forbidden":
        message, kind = "no such parameter", "unknown_parameter"
    elif kind == "missing":
        message, kind = "required", "missing_parameter"
    param = ".".join(path)
    return InvalidRequest(f"{param}: {message[:1].lower()}{message[1:]}", param=param, code=kind)
