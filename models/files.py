"""Files of models: found by name or URL, and weights in the format of safetensors."""

from __future__ import annotations

import ctypes
import json
import math
import os
import stat
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# Files of models, which anybody may have made: of bounded size, and no pipe or device, which might never end.

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


def give_back_memory() -> None:
    """Return to the system what loading has freed and glibc would keep: 58 MB of an API process, 28 of a worker."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


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


# Files of tensors in the format safetensors: a length, a JSON header that names the tensors, and their bytes.

_LENGTH: Final = struct.Struct("<Q")
_TYPES: Final = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "<u1"}
_NAMES: Final = {np.dtype(kind): name for name, kind in _TYPES.items()}
_METADATA: Final = "__metadata__"


def parse_tensors(data: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a file, by name: views of its bytes, which cannot be written to.

    Raises:
        ValueError: it is no such file, or holds numbers of a type that models do not have.
    """
    if len(data) < _LENGTH.size:
        raise ValueError("no header")
    begin = _LENGTH.size + _LENGTH.unpack_from(data)[0]
    if begin > len(data):
        raise ValueError("the header is cut off")
    header = parse_object(data[_LENGTH.size : begin])
    header.pop(_METADATA, None)
    found, end = dict[str, NDArray[Any]](), 0
    for name, entry in sorted(header.items(), key=_first_byte):
        match entry:
            case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(first), int(last)]} if (
                kind in _TYPES and all(type(size) is int and 0 <= size < 1 << 31 for size in shape)
            ):
                dtype, count = np.dtype(_TYPES[kind]), math.prod(shape)
            case _:
                raise ValueError(f"{name}: not a type, a shape and offsets: {str(entry)[:200]}")
        if first != end or last - first != count * dtype.itemsize or begin + last > len(data):
            raise ValueError(f"{name}: its bytes are not where they have to be")
        found[name], end = np.frombuffer(data, dtype, count, begin + first).reshape(shape), last
    if begin + end != len(data):
        raise ValueError("bytes that belong to no tensor")
    return found


def _first_byte(item: tuple[str, Any]) -> tuple[float, float]:
    match item[1]:
        case {"data_offsets": [int(first), int(last)]}:
            return first, last
    return math.inf, math.inf


def format_tensors(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """A file of tensors: those of wider numbers first, then by name, as the library safetensors lays them out."""
    header, parts, end = dict[str, Any](), list[bytes](), 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": [*tensor.shape], "data_offsets": [begin, end]}
        parts.append(tensor.tobytes())
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH.size)
    return b"".join([_LENGTH.pack(len(text)), text, *parts])
