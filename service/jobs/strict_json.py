"""JSON from clients: the standard library's parser, with errors that say what is wrong and where.

It is stricter than :func:`json.loads` in one point: a key that is repeated in an object is an error, because all but
the last of its values would be ignored.
"""

from __future__ import annotations

import json
from typing import Any, Final

from service.errors import InvalidRequest

_MAX_DIGITS: Final = 4000
"""Python refuses to convert integers of more than 4300 digits."""


def parse_json(text: str, subject: str) -> Any:
    """Parse a JSON text.

    Args:
        text: to parse.
        subject: what it is, for messages: "The body", "The message".

    Raises:
        InvalidRequest: it is not JSON, is nested too deeply, or an object in it repeats a key.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"{subject} is not JSON: {error.msg} at {where}.", code="json_invalid") from error
    except RecursionError:
        raise InvalidRequest(f"{subject} is JSON that is nested too deeply to be read.", code="json_invalid") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(f"{twice}: given twice", param=twice, code="duplicate_parameter")
    return found


def _integer(digits: str) -> int | float:
    # An infinity in place of a number that is too long: the schema of the field it is in refuses it by name.
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)
