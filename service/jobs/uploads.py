"""Files inside JSON bodies."""

from __future__ import annotations

import base64
import binascii

from ancestral.errors import InvalidRequest


def from_base64(text: str, param: str) -> bytes:
    """The file in a field of a JSON body.

    Raises:
        InvalidRequest: it is not base64; ``param`` is the field.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{param}: it is not base64", param=param, code="invalid_base64") from error
