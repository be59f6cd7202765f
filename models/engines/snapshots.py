"""Snapshots of streams: a header that names the model and has a checksum, then raw numbers. Never pickle."""

from __future__ import annotations

import struct
import zlib

from ancestral.models.engines.base import RequestError
from ancestral.models.spec import SYMBOLS

_MAGIC = b"ANC1"
_HEADER = struct.Struct("<4s16s32sqqI")
"""Magic with version, engine, SHA-256 of the weights, position, last symbol, CRC-32 of all else."""


def pack(engine: str, sha256: str, position: int, symbol: int, state: bytes) -> bytes:
    """A snapshot.

    Args:
        engine: the one that can read ``state``; at most 16 ASCII letters.
        sha256: of the weights, hexadecimal.
        position: the next position.
        symbol: the symbol before it.
        state: the state of the engine.
    """
    fields = (_MAGIC, engine.encode(), bytes.fromhex(sha256), position, symbol)
    checksum = zlib.crc32(state, zlib.crc32(_HEADER.pack(*fields, 0)))
    return _HEADER.pack(*fields, checksum) + state


def unpack(engine: str, sha256: str, length: int, size: int, snapshot: bytes) -> tuple[int, int, bytes]:
    """Position, symbol and state of a snapshot that :func:`pack` made.

    Args:
        engine: as given to :func:`pack`.
        sha256: as given to :func:`pack`.
        length: of the request, which bounds the position.
        size: bytes of the state.
        snapshot: as stored.

    Raises:
        RequestError: the snapshot is of another model or engine, damaged, or beyond the end of the request.
    """
    if len(snapshot) != _HEADER.size + size:
        raise RequestError(f"snapshot: {len(snapshot)} bytes are not the state of this model")
    position, symbol = _HEADER.unpack_from(snapshot)[3:5]
    state = snapshot[_HEADER.size :]
    if snapshot != pack(engine, sha256, position, symbol, state):
        raise RequestError("snapshot: of another model, engine or version, or damaged")
    if not (0 <= position <= length and 0 <= symbol < SYMBOLS):
        raise RequestError(f"snapshot: position {position} lies beyond the request")
    return position, symbol, state
