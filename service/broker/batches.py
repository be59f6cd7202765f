"""Files that are kept in Redis, the batches and books made of them, and dictionaries."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, Literal

from ancestral.service.broker.connection import UNAVAILABLE, Connection, Unwritable
from ancestral.service.broker.job import LIFE_SECONDS, JobExpired, Keys, key
from ancestral.service.broker.scripts import KEEP, SET_FIELDS

# The bytes of finished files: written as a draft by one process, then kept as long as their job.

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


# Files and batches of requests, as clients of OpenAI's batch interface upload and read them; and books.
#
# A batch or book is driven by whichever API process holds its lease. The results of its lines, or parts, are fields of
# a hash, one each: a process that takes over sees which are there, and two that drive one for a moment write the same.

Kind = Literal["file", "batch", "book", "dictionary"]
_LIVES: Final[Mapping[Kind, int]] = {"dictionary": 30 * 86400}
"""Seconds for which other documents are kept than for :data:`LIFE_SECONDS`."""
Result = Literal["output", "error"]
RESULTS: Final[tuple[Result, Result]] = ("output", "error")
LEASE_SECONDS: Final = 15
_LINES_AT_ONCE: Final = 32
_ACTIVE: Final = key("batches_active")


class BatchStore:
    """What Redis has of files and batches. Everything expires :data:`LIFE_SECONDS` after it was last written, or as
    :data:`_LIVES` says."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(self, kind: Kind, document: Mapping[str, Any], data: bytes | None = None) -> None:
        """Store a file or a batch: a JSON object with ``id``, ``owner`` and ``created_at``, and the bytes of a file.

        Raises:
            Unwritable: too few replicas have it; if it is new, it is taken back.
        """
        name, index, life = *self._places(kind, document), _LIVES.get(kind, LIFE_SECONDS)
        fields: list[Any] = ["json", json.dumps(document)] + ([] if data is None else ["data", data])
        # By more than the whole seconds of created_at; NX, because what changes is stored again.
        listed = ["ZADD", index, "NX", time.time(), document["id"]], ["EXPIRE", index, life]
        is_new = self._connection.replicas and not await self._connection.command("EXISTS", name)
        try:
            await self._connection.replicated(["HSET", name, *fields], ["EXPIRE", name, life])
            await self._connection.replicated(*listed)
        except Unwritable:
            if is_new:
                with suppress(*UNAVAILABLE):
                    await self._connection.command("DEL", name)
            raise

    async def update(self, kind: Kind, document: Mapping[str, Any]) -> None:
        """Store a document again, unless it was deleted meanwhile; raises Unwritable if too few replicas have it."""
        fields = ["json", json.dumps(document)]
        stored, reached = await self._connection.run_replicated(
            SET_FIELDS, job=key(kind, document["id"]), fields=fields
        )
        if not reached:
            raise Unwritable("too few replicas of Redis have it")
        if stored:
            await self.keep(kind, document)

    async def keep(self, kind: Kind, document: Mapping[str, Any]) -> None:
        """Let the life of a document that is used begin anew."""
        for place in self._places(kind, document):
            await self._connection.command("EXPIRE", place, _LIVES.get(kind, LIFE_SECONDS))

    @staticmethod
    def _places(kind: Kind, document: Mapping[str, Any]) -> tuple[str, str]:
        """The keys of a document, and of the list of its owner."""
        return key(kind, document["id"]), key(f"{kind}s", document["owner"])

    async def get(self, kind: Kind, name: str) -> dict[str, Any] | None:
        """A file or a batch; None if there is none of this id."""
        found = await self._connection.command("HGET", key(kind, name), "json")
        return None if found is None else dict(json.loads(found))

    async def owned(self, kind: Kind, owner: str) -> list[dict[str, Any]]:
        """All files or batches of an owner, newest first."""
        index = key(f"{kind}s", owner)
        names = await self._connection.command("ZREVRANGE", index, 0, -1)
        found = [(name, await self.get(kind, name.decode())) for name in names]
        if expired := [name for name, document in found if document is None]:
            await self._connection.command("ZREM", index, *expired)
        return [document for _, document in found if document is not None]

    async def delete(self, kind: Kind, document: Mapping[str, Any]) -> None:
        """Delete a file, batch or book, but not its results; raises Unwritable if too few replicas know that."""
        name, index = self._places(kind, document)
        await self._connection.replicated(["DEL", name])
        await self._connection.command("ZREM", index, document["id"])

    async def data(self, kind: Kind, name: str) -> bytes:
        """The bytes that were stored with a file or a batch; none if they are gone."""
        return bytes(await self._connection.command("HGET", key(kind, name), "data") or b"")

    async def forget_data(self, kind: Kind, name: str) -> None:
        """Delete the bytes that were stored with a file, batch or book."""
        await self._connection.command("HDEL", key(kind, name), "data")

    # The files of books

    async def put_content(self, name: str, offset: int, piece: bytes) -> None:
        """Write a piece of a file of any size; raises Unwritable if too few replicas have it."""
        at = key("content_of", name)
        await self._connection.replicated(["SETRANGE", at, offset, piece], ["EXPIRE", at, LIFE_SECONDS])

    def content(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes ``start`` to ``stop`` of a file; raises JobExpired if they have expired."""
        return read_pieces(self._connection, key("content_of", name), start, stop)

    async def delete_content(self, name: str) -> None:
        await self._connection.command("DEL", key("content_of", name))

    # Batches that are not finished

    async def activate(self, batch: str) -> None:
        """Have a batch driven; where Redis does not take that, whoever reads the batch does (:meth:`stay_active`)."""
        with suppress(*UNAVAILABLE):
            await self._connection.replicated(["SADD", _ACTIVE, batch], ["EXPIRE", _ACTIVE, LIFE_SECONDS])

    async def stay_active(self, batch: str) -> None:
        """Have an unfinished batch driven whose place was lost in a failover."""
        if not await self._connection.command("SISMEMBER", _ACTIVE, batch):
            await self.activate(batch)

    async def retire(self, batch: str) -> None:
        """Have a batch driven no more."""
        await self._connection.command("SREM", _ACTIVE, batch)
        await self._connection.command("DEL", key("batch_lease", batch))

    async def active(self) -> list[str]:
        """The batches that have not ended."""
        return [name.decode() for name in await self._connection.command("SMEMBERS", _ACTIVE)]

    async def claim(self, batch: str, holder: str) -> bool:
        """Take the lease of a batch; whether nobody else has it."""
        taken = await self._connection.command("SET", key("batch_lease", batch), holder, "NX", "EX", LEASE_SECONDS)
        return bool(taken)

    async def renew(self, batch: str, holder: str) -> bool:
        """Renew the lease; whether it is still the holder's."""
        name = key("batch_lease", batch)
        found, _ = await self._connection.commands(["GET", name], ["EXPIRE", name, LEASE_SECONDS])
        return bool(found == holder.encode())

    async def cancel(self, batch: str, now: int) -> None:
        """Ask whoever drives a batch to end it."""
        await self._connection.command("SET", key("batch_cancelling", batch), now, "NX", "EX", LIFE_SECONDS)

    async def cancelling(self, batch: str) -> int | None:
        """When a batch was asked to end."""
        found = await self._connection.command("GET", key("batch_cancelling", batch))
        return None if found is None else int(found)

    # The results of lines

    @staticmethod
    def _lines(batch: str, result: Result) -> str:
        return key(f"batch_{result}", batch)

    async def put_line(self, batch: str, result: Result, number: int, line: bytes) -> None:
        """Store a result, after which its job may be deleted; raises Unwritable if too few replicas have it."""
        name = self._lines(batch, result)
        await self._connection.replicated(["HSET", name, number, line], ["EXPIRE", name, LIFE_SECONDS])

    async def keep_lines(self, batch: str, result: Result) -> None:
        """Let the life of all results begin anew."""
        await self._connection.command("EXPIRE", self._lines(batch, result), LIFE_SECONDS)

    async def line_numbers(self, batch: str, result: Result) -> list[int]:
        """The lines with such a result, in their order."""
        return sorted(map(int, await self._connection.command("HKEYS", self._lines(batch, result))))

    async def finished_lines(self, batch: str) -> set[int]:
        return {number for result in RESULTS for number in await self.line_numbers(batch, result)}

    async def size(self, batch: str, result: Result) -> int:
        """Bytes of all results together, as :meth:`lines` gives them."""
        numbers, name = await self.line_numbers(batch, result), self._lines(batch, result)
        sizes = await self._connection.commands(*(["HSTRLEN", name, number] for number in numbers)) if numbers else []
        return int(sum(sizes)) + len(sizes)

    async def lines(self, batch: str, result: Result) -> AsyncIterator[bytes]:
        """The results, in the order of the lines."""
        numbers = await self.line_numbers(batch, result)
        for first in range(0, len(numbers), _LINES_AT_ONCE):
            wanted = numbers[first : first + _LINES_AT_ONCE]
            for line in await self._connection.command("HMGET", self._lines(batch, result), *wanted):
                if line is not None:
                    yield line + b"\n"

    async def line(self, batch: str, result: Result, number: int) -> bytes | None:
        """The result of a line, if it has one."""
        found = await self._connection.command("HGET", self._lines(batch, result), number)
        return None if found is None else bytes(found)

    async def delete_lines(self, batch: str, result: Result) -> None:
        await self._connection.command("DEL", self._lines(batch, result))
