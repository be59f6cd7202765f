"""The file of a finished job: encoded once, kept in Redis as long as the job, read in pieces by any API process.

A file may have hundreds of megabytes, so it is never in this process as a whole: symbols go from Redis through an
encoder to Redis, a batch at a time.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ancestral.catalog.catalog import Catalog
from ancestral.errors import NotFound
from ancestral.service.broker.artifacts import Draft, DraftLost
from ancestral.service.broker.clients import Clients
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.job import Job, Status
from ancestral.service.broker.messages import Ended, JobExpired, Piece
from ancestral.service.errors import Conflict, ResponseAborted, content_expired
from ancestral.service.jobs.encoder import Encoder
from ancestral.service.jobs.stream import failure_error
from ancestral.service.jobs.tasks import Tasks

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


class Artifacts:
    """The files of jobs."""

    def __init__(self, broker: Clients, catalog: Catalog, tasks: Tasks) -> None:
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

    async def _write(self, job: Job, draft: Draft) -> None:
        task = self._tasks.get(job)
        if task.report is not None:
            media_type, samples, digest, entries = "application/json", 0, hashlib.sha256(), _NO_ENTRIES
            size = await draft.append(json.dumps(task.figures(job)).encode())
        else:
            encoder, size = await self._encode(job, draft)
            media_type, samples, digest = encoder.media_type, encoder.samples, encoder.digest
            entries = encoder.entries()
        whole = hashlib.sha256()
        try:
            async for piece in draft.read(0, size):
                whole.update(piece)
        except JobExpired:  # Redis has lost it: info() starts again
            return
        info = ArtifactInfo(media_type, size, whole.hexdigest(), samples, digest.hexdigest(), entries)
        await draft.keep(json.dumps(dataclasses.asdict(info)))

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
