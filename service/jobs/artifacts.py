"""The file of a finished job: encoded once, kept in Redis as long as the job, read in pieces by any API process.

A file may have hundreds of megabytes, so it is never in this process as a whole: symbols go from Redis through an
encoder to Redis, a batch at a time.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from tempfile import SpooledTemporaryFile
from typing import IO, Final

from ancestral.catalog.catalog import Catalog
from ancestral.errors import NotFound
from ancestral.provenance.signer import Signer
from ancestral.service.broker.artifacts import PIECE_BYTES, Draft, DraftLost
from ancestral.service.broker.clients import Clients
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.job import Job, Status
from ancestral.service.broker.messages import Ended, JobExpired, Piece
from ancestral.service.errors import Conflict, ResponseAborted, content_expired
from ancestral.service.jobs.encoder import Encoder
from ancestral.service.jobs.payload import ArtifactInfo
from ancestral.service.jobs.signing import seal_of, sign_file
from ancestral.service.jobs.stream import failure_error
from ancestral.service.jobs.tasks import Tasks

_POLL_SECONDS: Final = 0.05
_MEMORY_BYTES: Final = 16 << 20
"""Largest file that is signed in memory; a larger one is on the disk meanwhile."""


class Artifacts:
    """The files of jobs."""

    def __init__(self, broker: Clients, catalog: Catalog, tasks: Tasks, signer: Signer | None) -> None:
        """Files are signed if there is a signer."""
        self._broker = broker
        self._catalog = catalog
        self._tasks = tasks
        self._signer = signer

    async def info(self, job: Job) -> ArtifactInfo:
        """The description of a job's file. If the file does not exist yet it is written, by one process at a time.

        Raises:
            Conflict: the job has not completed, or its model was replaced before the first request for the file.
            NotFound: the job, or its output, has expired.
            SigningFailed: the file cannot be signed; it does not exist then.
        """
        _require_completed(job)
        try:
            while (stored := await self._broker.artifacts.info(job.id)) is None:
                draft = self._broker.artifacts.draft(job.id)
                if await draft.claim():
                    try:
                        with suppress(DraftLost):
                            await self._write(job, draft)
                    finally:
                        await draft.discard()
                else:
                    await asyncio.sleep(_POLL_SECONDS)
        except JobExpired as error:
            raise NotFound("The job is gone.", code="job_not_found") from error
        return ArtifactInfo(**json.loads(stored))

    async def read(self, job: Job, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes ``start`` to ``stop`` of a file that exists.

        Raises:
            ResponseAborted: the file has expired meanwhile, or Redis is not available.
        """
        try:
            async for piece in self._broker.artifacts.read(job.id, start, stop):
                yield piece
        except (JobExpired, *UNAVAILABLE) as error:
            raise ResponseAborted(f"the content cannot be read any further: {type(error).__name__}") from error

    async def files(self, job: Job) -> list[bytes]:
        """The files of a finished job, whole: the one, or those in its archive. Raises as :meth:`info` and :meth:`read`
        do."""
        info = await self.info(job)
        parts = info.entries or [(0, info.bytes)]
        return [b"".join([piece async for piece in self.read(job, start, start + size)]) for start, size in parts]

    async def _write(self, job: Job, draft: Draft) -> None:
        task = self._tasks.get(job)
        with SpooledTemporaryFile(_MEMORY_BYTES) as copy:
            if task.report is not None:
                size = await draft.append(json.dumps(task.figures(job)).encode())
                digest = await self._measure(draft, size, None)
                info = ArtifactInfo("application/json", size, digest, 0, hashlib.sha256().hexdigest())
            else:
                encoder, size = await self._encode(job, draft)
                digest = await self._measure(draft, size, None if self._signer is None else copy)
                symbols = encoder.digest.hexdigest()
                info = ArtifactInfo(encoder.media_type, size, digest, encoder.samples, symbols, encoder.entries())
                if self._signer is not None:
                    info = await self._sign(job, draft, copy, info)
        await draft.keep(json.dumps(dataclasses.asdict(info)))

    async def _measure(self, draft: Draft, size: int, copy: IO[bytes] | None) -> str:
        """The SHA-256 of a draft, which is copied.

        Raises:
            DraftLost: Redis has lost it.
        """
        whole = hashlib.sha256()
        try:
            async for piece in draft.read(0, size):
                whole.update(piece)
                if copy is not None:
                    await asyncio.to_thread(copy.write, piece)
        except JobExpired as error:
            raise DraftLost from error
        return whole.hexdigest()

    async def _sign(self, job: Job, draft: Draft, copy: IO[bytes], info: ArtifactInfo) -> ArtifactInfo:
        """Put the signed file in the place of the draft; ``copy`` is the unsigned one."""
        assert self._signer is not None
        seal = seal_of(
            self._signer, self._tasks, job, self._catalog.models[job.model], info, await self._broker.ingredient(job.id)
        )
        with SpooledTemporaryFile(_MEMORY_BYTES) as signed:
            copy.seek(0)
            found = await asyncio.to_thread(sign_file, copy, signed, info, seal)
            signed.seek(0)
            await draft.restart()
            while piece := await asyncio.to_thread(signed.read, PIECE_BYTES):
                await draft.append(piece)
        return found

    async def _encode(self, job: Job, draft: Draft) -> tuple[Encoder, int]:
        """The encoder that has written the draft, and the size of the file."""
        model = self._catalog.models.get(job.model)
        if model is None or model.sha256 != job.sha256:
            raise Conflict("The model has been replaced; the job's output cannot be decoded.", code="model_changed")
        encoder, pieces, waiting = self._tasks.get(job).open_encoder(job, model), list[Piece](), 0
        try:
            async for entry in self._broker.entries(job.id):
                if isinstance(entry, Piece):
                    pieces.append(entry)
                    waiting += len(entry)
                if waiting >= encoder.batch_symbols or isinstance(entry, Ended):
                    await draft.append(await asyncio.to_thread(encoder.feed, pieces))
                    pieces, waiting = [], 0
        except JobExpired as error:
            raise content_expired() from error
        if encoder.samples != job.samples_total:
            raise content_expired()  # Redis was killed and lost its last second
        size = await draft.append(await asyncio.to_thread(encoder.finish))
        await draft.overwrite(encoder.rewrites())
        return encoder, size


def _require_completed(job: Job) -> None:
    if job.status is Status.CANCELLED:
        raise Conflict("The job was cancelled.", code="job_cancelled")
    if job.status is Status.FAILED:
        raise Conflict(f"The job failed: {failure_error(job.error).message}", code="job_failed")
    if job.status is not Status.COMPLETED:
        raise Conflict("The job has not completed yet.", code="job_not_completed", retry=True)
