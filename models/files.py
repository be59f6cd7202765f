"""Files of models, which anybody may have made: of bounded size, and no pipe or device, which might never end."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Final

MAX_BYTES: Final = 4 << 30
"""Largest file with weights."""
MAX_JSON_BYTES: Final = 16 << 20


def read_file(path: Path, most: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: it cannot be read, is no regular file, or has more than ``most`` bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe would wait for its other end
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "not a regular file")
        if found.st_size > most:
            raise OSError(0, f"larger than {most} bytes")
        return file.read(found.st_size)


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: it is none, or nested too deeply.
    """
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value
