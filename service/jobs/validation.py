"""What the values of requests must be: Pydantic's errors as errors of the API, and files inside JSON bodies."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ancestral.errors import InvalidRequest

_VECTOR: Final = "a class, or a vector: a list of numbers from -1e6 to 1e6"
_TWO_FORMS: Final = {"voice": "an id, an object with an id, or weights of voices", "from": _VECTOR, "to": _VECTOR}
"""Fields that take either of two forms."""
_OTHER_FORM: Final = frozenset({"string_type", "list_type", "model_type", "model_attributes_type", "dict_type"})
"""What Pydantic says of the form that was not used."""
_PATTERNS: Final[dict[str, str]] = {}


def pattern(expression: str, words: str) -> str:
    """A regular expression for a schema, with the words that an error says instead of it: what the value must be."""
    _PATTERNS[expression] = words
    return expression


def from_validation(errors: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """The first of Pydantic's errors; ``param`` names the field."""
    first = errors[0]
    path = _path(first)
    if not path:
        return InvalidRequest("The body must be a JSON object.", code="invalid_type")
    if two := next((name for name in path[:-1] if name in _TWO_FORMS), None):
        path = path[: path.index(two) + 1]
        first = _of_the_form(errors, path) or {"type": "invalid_type", "msg": f"must be {_TWO_FORMS[two]}"}
    kind, message = str(first["type"]), str(first["msg"])
    if kind == "extra_forbidden":
        message, kind = "no such parameter", "unknown_parameter"
    elif kind == "missing":
        message, kind = "required", "missing_parameter"
    elif kind == "string_unicode":
        message = "contains an unpaired surrogate"
    elif kind == "string_pattern_mismatch":
        message = f"must be {_PATTERNS[first['ctx']['pattern']]}"
    param = ".".join(path)
    return InvalidRequest(f"{param}: {message[:1].lower()}{message[1:]}", param=param, code=kind)


def _path(error: Mapping[str, Any]) -> list[str]:
    return [str(part) for part in error["loc"] if part not in ("body", "query", "path", "header")]


def _of_the_form(errors: Sequence[Mapping[str, Any]], path: list[str]) -> Mapping[str, Any] | None:
    """What is wrong with the form that was used for a field of two; None if neither was, or a part of it is wrong."""
    of_field = (error for error in errors if _path(error)[:-1] == path)
    return next((error for error in of_field if error["type"] not in _OTHER_FORM), None)


def from_base64(text: str, param: str) -> bytes:
    """The file in a field of a JSON body.

    Raises:
        InvalidRequest: it is not base64; ``param`` is the field.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{param}: it is not base64", param=param, code="invalid_base64") from error
