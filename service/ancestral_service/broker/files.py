"""The bytes of finished files: written as a draft by one process, then kept as long as their job."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Iterable
from typing import Final

from ancestral_service.broker.connection import Connection
from ancestral_service.broker.job import JobExpired, Keys, key
from ancestral_service.broker.scripts import KEEP

PIECE_BYTES: Final = 1 << 18
"""Bytes read from Redis at a time."""
_DRAFT_SECONDS: Final = 60
_CLAIM_SECONDS: Final = 15
"""Time after which another process takes over from one that died while writing."""


class DraftLost(Exception):
    """A draft is not what was written; it has to be written again."""


class Draft:
    """A file that is being written. One process at a time has the claim to write that of a job."""

    def __init__(self, connection: Connection, job_id: str) -> None:
        self._connection = connection
        self._keys = Keys(job_id)
        self._draft = key("draft", job_id, secrets.token_hex(8))
        self._size, self._rewritten = 0, list[tuple[int, str]]()

    async def claim(self) -> bool:
        """Claim the job's file. False if another process is writing it."""
        return bool(await self._connection.command("SET", self._keys["drafting"], 1, "NX", "EX", _CLAIM_SECONDS))

    async def append(self, data: bytes) -> int:
        """Append bytes, and renew the claim. Returns the size of the draft.

        Raises:
            DraftLost: it has expired, or Redis was cut off and has appended the bytes twice.
        """
        size, *_ = await self._connection.commands(
            ["APPEND", self._draft, data],
            ["EXPIRE", self._draft, _DRAFT_SECONDS],
            ["EXPIRE", self._keys["drafting"], _CLAIM_SECONDS],
        )
        self._size += len(data)
        if size != self._size:
            raise DraftLost(self._draft)
        return self._size

    async def restart(self) -> None:
        """Empty the draft, and renew the claim."""
        await self._connection.commands(["DEL", self._draft], ["EXPIRE", self._keys["drafting"], _CLAIM_SECONDS])
        self._size, self._rewritten = 0, []

    async def overwrite(self, parts: Iterable[tuple[int, bytes]]) -> None:
        """Write bytes at offsets, over those already written."""
        rewritten = [*parts]
        self._rewritten += [(offset, part.hex()) for offset, part in rewritten]
        writes = [["SETRANGE", self._draft, offset, part] for offset, part in rewritten]
        await self._connection.commands(*writes, ["EXPIRE", self._draft, _DRAFT_SECONDS])

    def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes ``start`` to ``stop`` of the draft; raises JobExpired if they have expired."""
        return read_pieces(self._connection, self._draft, start, stop)

    async def keep(self, info: str) -> None:
        """Make the draft the job's file, if both still exist, and the draft is what was written. ``info`` describes
        it."""
        written = {"size": self._size, "rewritten": json.dumps(self._rewritten)}
        await self._connection.run(KEEP, self._keys, draft=self._draft, info=info, **written)

    async def discard(self) -> None:
        """Delete the draft, if it was not kept, and release the claim."""
        await self._connection.commands(["DEL", self._keys["drafting"]], ["DEL", self._draft])


async def read_pieces(connection: Connection, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
    """Bytes ``start`` to ``stop`` of a key; raises JobExpired if they have expired."""
    while start < stop:
        piece = await connection.command("GETRANGE", name, start, min(start + PIECE_BYTES, stop) - 1)
        if not piece:
            raise JobExpired(name)
        start += len(piece)
        yield piece
