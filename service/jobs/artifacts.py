"""The file of a finished job: encoded once, kept in Redis as long as the job, read in pieces by any API process.

    ancestral:content:ID        the bytes; the field `content` of the job's record describes them
    ancestral:draft:ID:TOKEN    the bytes while they are being written
    ancestral:drafting:ID       exists while a process is writing them

A file may have hundreds of megabytes, so it is never in this process as a whole: symbols go from Redis through an
encoder to Redis, a batch at a time.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from ancestral.service.broker import PREFIX, UNAVAILABLE, Broker, Ended, Gone, Piece, sent
from ancestral.service.broker.job import Job, Status
from ancestral.service.catalog.catalog import Catalog
from ancestral.service.errors import BrokenOff, Conflict, NotFound, content_expired
from ancestral.service.jobs.stream import failure_error, unseen
from ancestral.service.jobs.tasks import Tasks

PIECE_BYTES: Final = 1 << 18
"""Bytes read from Redis at a time."""
_DRAFT_SECONDS: Final = 60
_CLAIM_SECONDS: Final = 15
"""After which another process takes over from one that died while writing."""
_POLL_SECONDS: Final = 0.05
_NO_ENTRIES: Final[Sequence[tuple[int, int]]] = ()


@dataclass(frozen=True)
class ArtifactInfo:
    """The description of a job's file."""

    media_type: str
    bytes: int
    sha256: str
    samples: int
    """Symbols that were sampled."""
    symbols_sha256: str
    """Of what the job's stream holds."""
    entries: Sequence[tuple[int, int]] = ()
    """Offset and size of each file inside an archive."""


class Encoder(ABC):
    """The symbols of a job in, the bytes of its file out."""

    media_type: str
    batch_symbols: int
    """Symbols per round trip."""

    def __init__(self) -> None:
        self.samples = 0
        self.digest = hashlib.sha256()

    def feed(self, pieces: list[Piece]) -> bytes:
        """The next bytes; may be none."""
        data = bytearray()
        for piece in pieces:
            if len(symbols := unseen(piece, self.samples)):
                self.samples += len(symbols)
                self.digest.update(symbols.data)
                data += self.encode(piece.index, symbols)
        return bytes(data)

    @abstractmethod
    def encode(self, index: int, symbols: NDArray[Any]) -> bytes:
        """The bytes that these symbols (or samples of sound), of stream ``index``, complete; may be none."""

    @abstractmethod
    def finish(self) -> bytes:
        """The last bytes."""

    def rewrites(self) -> Iterable[tuple[int, bytes]]:
        """Offsets, and the bytes to write there over those already written."""
        return ()

    def entries(self) -> Sequence[tuple[int, int]]:
        """Offset and size of each file inside an archive, once it is finished."""
        return ()


class Artifacts:
    """The files of jobs."""

    def __init__(self, broker: Broker, catalog: Catalog, tasks: Tasks) -> None:
        self._broker = broker
        self._catalog = catalog
        self._tasks = tasks

    async def info(self, job: Job) -> ArtifactInfo:
        """The description of a job's file. If the file does not exist yet it is written, by one process at a time.

        Raises:
            Conflict: the job has not completed, or its model was replaced before the first request for the file.
            NotFound: the job, or its output, has expired.
        """
        _require_completed(job)
        draft = f"draft:{job.id}:{secrets.token_hex(8)}"
        while (info := await self._stored(job)) is None:
            if await self._claim(job):
                try:
                    await self._make(job, draft)
                finally:
                    await self._execute(["DEL", f"drafting:{job.id}"], ["DEL", draft])
            else:
                await asyncio.sleep(_POLL_SECONDS)
        return info

    async def read(self, job: Job, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes ``start`` to ``stop`` of a file that exists.

        Raises:
            BrokenOff: the file has expired meanwhile, or Redis is not available.
        """
        try:
            async for piece in self._read(f"content:{job.id}", start, stop):
                yield piece
        except (Gone, *UNAVAILABLE) as error:
            raise BrokenOff(f"the content cannot be read any further: {type(error).__name__}") from error

    async def _make(self, job: Job, draft: str) -> None:
        task, entries = self._tasks.of(job), _NO_ENTRIES
        if task.report is not None:
            media_type, samples, digest = "application/json", 0, hashlib.sha256()
            await self._append(job, draft, json.dumps(task.figures(job)).encode())
        else:
            encoder = await self._encode(job, draft)
            media_type, samples, digest = encoder.media_type, encoder.samples, encoder.digest
            entries = encoder.entries()
        (size,) = await self._execute(["STRLEN", draft])
        whole = hashlib.sha256()
        try:
            async for piece in self._read(draft, 0, size):
                whole.update(piece)
        except Gone:  # Redis has lost it: info() starts again
            return
        info = ArtifactInfo(media_type, size, whole.hexdigest(), samples, digest.hexdigest(), entries)
        keys = [f"job:{job.id}", draft, f"content:{job.id}"]
        await self._broker.run("KEEP", keys, [json.dumps(dataclasses.asdict(info))])

    async def _encode(self, job: Job, draft: str) -> Encoder:
        model = self._catalog.models.get(job.model)
        if model is None or model.sha256 != job.sha256:
            raise Conflict("The model has been replaced; the job's output cannot be decoded.", code="model_changed")
        encoder, pieces, waiting = self._tasks.of(job).open_encoder(job, model), list[Piece](), 0
        try:
            async for entry in self._broker.entries(job.id):
                if isinstance(entry, Piece):
                    pieces.append(entry)
                    waiting += len(entry)
                if waiting >= encoder.batch_symbols or isinstance(entry, Ended):
                    await self._append(job, draft, await asyncio.to_thread(encoder.feed, pieces))
                    pieces, waiting = [], 0
        except Gone as error:
            raise content_expired() from error
        if encoder.samples != job.samples_total:
            raise content_expired()  # Redis was killed and lost its last second
        await self._append(job, draft, await asyncio.to_thread(encoder.finish))
        await self._execute(*(["SETRANGE", draft, offset, part] for offset, part in encoder.rewrites()))
        return encoder

    async def _stored(self, job: Job) -> ArtifactInfo | None:
        fields, there = await self._execute(
            ["HMGET", f"job:{job.id}", "status", "content"], ["EXISTS", f"content:{job.id}"]
        )
        status, info = fields
        if status is None:
            raise NotFound("The job is gone.", code="job_not_found")
        return ArtifactInfo(**json.loads(info)) if info is not None and there else None

    async def _claim(self, job: Job) -> bool:
        (claimed,) = await self._execute(["SET", f"drafting:{job.id}", 1, "NX", "EX", _CLAIM_SECONDS])
        return bool(claimed)

    async def _append(self, job: Job, draft: str, data: bytes) -> None:
        await self._execute(
            ["APPEND", draft, data], ["EXPIRE", draft, _DRAFT_SECONDS], ["EXPIRE", f"drafting:{job.id}", _CLAIM_SECONDS]
        )

    async def _read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        while start < stop:
            (piece,) = await self._execute(["GETRANGE", key, start, min(start + PIECE_BYTES, stop) - 1])
            if not piece:
                raise Gone(key)
            start += len(piece)
            yield piece

    async def _execute(self, *commands: list[Any]) -> list[Any]:
        """Run commands, each a list of name, key without the prefix, and arguments. Returns their replies."""
        async with self._broker.redis.pipeline(transaction=False) as pipe:
            for name, key, *rest in commands:
                pipe.execute_command(name, PREFIX + key, *rest)
            return await sent(pipe)


def _require_completed(job: Job) -> None:
    if job.status is Status.CANCELLED:
        raise Conflict("The job was cancelled.", code="job_cancelled")
    if job.status is Status.FAILED:
        raise Conflict(f"The job failed: {failure_error(job.error).message}", code="job_failed")
    if job.status is not Status.COMPLETED:
        raise Conflict("The job has not completed yet.", code="job_not_completed", retry=True)
