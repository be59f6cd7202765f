"""Snapshots of streams: a header that names the model and has a checksum, then the symbols that the state follows from.
Never pickle."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from ancestral.models.engines.base import RequestError, Symbols

_MAGIC = b"ANC2"
_HEADER = struct.Struct("<4s16s32sqI")
"""Magic with version, engine, SHA-256 of the weights, position, CRC-32 of all else."""


def pack(engine: str, sha256: str, position: int, symbols: Symbols) -> bytes:
    """A snapshot.

    Args:
        engine: the one that goes on with them; at most 16 ASCII letters.
        sha256: of the weights, hexadecimal.
        position: the next position.
        symbols: before it, ``uint8``; as many as the engine's state follows from.
    """
    fields, state = (_MAGIC, engine.encode(), bytes.fromhex(sha256), position), symbols.tobytes()
    checksum = zlib.crc32(state, zlib.crc32(_HEADER.pack(*fields, 0)))
    return _HEADER.pack(*fields, checksum) + state


def unpack(engine: str, sha256: str, length: int, size: int, snapshot: bytes) -> tuple[int, Symbols]:
    """Position and symbols ``[size]`` of a snapshot that :func:`pack` made.

    Args:
        engine: as given to :func:`pack`.
        sha256: as given to :func:`pack`.
        length: of the request, which bounds the position.
        size: number of symbols.
        snapshot: as stored.

    Raises:
        RequestError: the snapshot is of another model or engine, damaged, or beyond the end of the request.
    """
    if len(snapshot) != _HEADER.size + size:
        raise RequestError(f"snapshot: {len(snapshot)} bytes are not the state of this model")
    position: int = _HEADER.unpack_from(snapshot)[3]
    symbols = np.frombuffer(snapshot, np.uint8, offset=_HEADER.size)
    if snapshot != pack(engine, sha256, position, symbols):
        raise RequestError("snapshot: of another model, engine or version, or damaged")
    if not 0 <= position <= length:
        raise RequestError(f"snapshot: position {position} lies beyond the request")
    return position, symbols
