"""JSON from clients: the standard library's parser, with errors that say what is wrong and where.

It is stricter than :func:`json.loads` in two points. A key that is repeated in an object is an error, because all but
the last of its values would be ignored. A key that is not valid Unicode is an error, because no field has such a name.
"""

from __future__ import annotations

import json
from typing import Any, Final

from ancestral.errors import InvalidRequest

_MAX_DIGITS: Final = 4000
"""Python refuses to convert integers of more than 4300 digits."""


def parse_json(text: str, subject: str) -> Any:
    """Parse a JSON text.

    Args:
        text: to parse.
        subject: what it is, for messages: "The body", "The message".

    Raises:
        InvalidRequest: it is not JSON, is nested too deeply, or an object in it has a key that is repeated or not valid
            Unicode.
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
    for name in found:
        try:
            name.encode()
        except UnicodeEncodeError:  # half of a surrogate pair; it could not be quoted in a response
            shown = name.encode(errors="backslashreplace").decode()
            message = f"{shown}: the name of a field must be valid Unicode"
            raise InvalidRequest(message, param=shown, code="unknown_parameter") from None
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(f"{twice}: given twice", param=twice, code="duplicate_parameter")
    return found


def _integer(digits: str) -> int | float:
    # An infinity in place of a number that is too long: the schema of the field it is in refuses it by name.
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)
