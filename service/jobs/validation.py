"""What the values of requests must be: Pydantic's errors as errors of the API, and files inside JSON bodies."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ancestral.errors import InvalidRequest

_VECTOR: Final = "a class, or a vector: a list of numbers from -1e6 to 1e6"
_TWO_FORMS: Final = {
    "voice": "an id, an object with an id, or weights of voices",
    "from": _VECTOR,
    "to": _VECTOR,
    "palette": "a name, or a list of at most 255 colours like #00ff7f",
}
"""Fields that take either of two forms."""
_OTHER_FORM: Final = frozenset(
    {"string_type", "list_type", "model_type", "model_attributes_type", "dict_type", "too_short"}
)
"""What Pydantic says of the form that was not used."""
_WORDS: Final = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be greater than {gt}",
    "less_than": "must be less than {lt}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "literal_error": "must be {expected}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "extra_forbidden": "no such parameter",
    "missing": "required",
    "string_unicode": "contains an unpaired surrogate",
}
"""What is said instead of Pydantic's message, by the type of the error."""
_CODES: Final = {"extra_forbidden": "unknown_parameter", "missing": "missing_parameter"}
_PATTERNS: Final[dict[str, str]] = {}


def whole(value: Any) -> Any:
    """A number without a fraction as an integer, anything else as it is: JSON has only one type of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


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
    kind, message, context = str(first["type"]), str(first["msg"]), first.get("ctx", {})
    if kind in _WORDS:
        bounds = {name: whole(value) for name, value in context.items()}
        message = _WORDS[kind].format_map(bounds)
    elif kind == "string_pattern_mismatch":
        message = f"must be {_PATTERNS[context['pattern']]}"
    param = ".".join(path)
    return InvalidRequest(f"{param}: {message[:1].lower()}{message[1:]}", param=param, code=_CODES.get(kind, kind))


def _path(error: Mapping[str, Any]) -> list[str]:
    first, *rest = error["loc"] or ("",)
    named = error["type"] == "extra_forbidden" and not rest  # an unknown field may have any name
    prefixed = first in ("", "body", "query", "path", "header") and not named
    return [str(part) for part in (rest if prefixed else (first, *rest))]


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
