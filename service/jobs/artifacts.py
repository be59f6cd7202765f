"""The bytes of a finished job: encoded once, kept in Redis for as long as the job, read in parts by any API process.

    ancestral:content:ID        the bytes; what is known of them is the field `content` of the job's record
    ancestral:draft:ID:TOKEN    the same while they are made
    ancestral:drafting:ID       there as long as somebody is making them

A file may be hundreds of megabytes long, so it is never whole in this process: its sound goes from Redis through an
encoder to Redis, a second at a time.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.spec import ImageSpec, SpeechSpec
from service.broker import PREFIX, UNAVAILABLE, Broker, Ended, Gone, Piece, sent
from service.broker.job import Job, Kind, Status
from service.catalog.catalog import Catalog
from service.catalog.models import ImageModel, Model, SpeechModel
from service.errors import BrokenOff, Conflict, NotFound, content_expired
from service.images import files
from service.images.sampler import BatchDecoder
from service.images.stream import likelihood
from service.jobs.stream import failed, unseen
from service.speech import codecs
from service.speech.decoder import AudioDecoder

PIECE_BYTES: Final = 1 << 18
"""Read from Redis at a time."""
_DRAFT_SECONDS: Final = 60
_CLAIM_SECONDS: Final = 15
"""How long another process waits for one that has stopped in the middle."""
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True)
class ArtifactInfo:
    """What is known of a job's bytes."""

    media_type: str
    bytes: int
    sha256: str
    samples: int
    """Symbols that were sampled."""
    symbols_sha256: str


class _Encoder(ABC):
    """Symbols of a job in, the bytes of its file out."""

    media_type: str
    at_once: int
    """Symbols that are worth a round trip."""

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
                data += self._take(piece.index, symbols)
        return bytes(data)

    @abstractmethod
    def _take(self, index: int, symbols: NDArray[np.uint8]) -> bytes:
        """The bytes that become known with these symbols of stream ``index``."""

    @abstractmethod
    def finish(self) -> bytes:
        """The last bytes."""

    def rewrites(self) -> Iterable[tuple[int, bytes]]:
        """What has to be put over earlier bytes, and where."""
        return ()


class _AudioEncoder(_Encoder):
    def __init__(self, job: Job, spec: SpeechSpec) -> None:
        super().__init__()
        form, rate = job.request["response_format"], job.request["sample_rate"]
        self.media_type, self.at_once = codecs.MEDIA_TYPES[form], spec.sample_rate
        self._encoder = codecs.encoder(form, spec.sample_rate, rate, length=0)
        self._decode = AudioDecoder(spec, job.request.get("memory", 0.0))

    def _take(self, index: int, symbols: NDArray[np.uint8]) -> bytes:
        return self._encoder.feed(self._decode(index, symbols))

    def finish(self) -> bytes:
        return self._encoder.finish()

    def rewrites(self) -> Iterable[tuple[int, bytes]]:
        return self._encoder.rewrites()


class _ImageEncoder(_Encoder):
    def __init__(self, job: Job, spec: ImageSpec) -> None:
        super().__init__()
        self.media_type, self.at_once = files.media_type(job), spec.dims
        self._job = job
        self._decode = BatchDecoder(spec, job.request["pictures"])

    def _take(self, index: int, symbols: NDArray[np.uint8]) -> bytes:
        self._decode(symbols)
        return b""

    def finish(self) -> bytes:
        return files.bundle(self._job, self._decode.pixels)


class Artifacts:
    """The files of jobs."""

    def __init__(self, broker: Broker, catalog: Catalog) -> None:
        self._broker = broker
        self._catalog = catalog

    async def info(self, job: Job) -> ArtifactInfo:
        """What is known of a job's bytes. If they are not there yet, they are made, by one process at a time.

        Raises:
            Conflict: the job has not completed, or its model was replaced before anybody asked for the bytes.
            NotFound: the job, or its sound, is no longer kept.
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
        """Bytes ``start`` to ``stop`` of a job that has a info.

        Raises:
            BrokenOff: they are not all kept any longer, or Redis is away.
        """
        try:
            async for piece in self._read(f"content:{job.id}", start, stop):
                yield piece
        except (Gone, *UNAVAILABLE) as error:
            raise BrokenOff(f"the content cannot be read on: {type(error).__name__}") from error

    async def _make(self, job: Job, draft: str) -> None:
        if job.kind in (Kind.LIKELIHOOD, Kind.IMAGE_LIKELIHOOD):
            media_type, samples, digest = "application/json", 0, hashlib.sha256()
            figures = likelihood(job) if job.kind is Kind.IMAGE_LIKELIHOOD else job.result
            await self._append(job, draft, json.dumps(figures).encode())
        else:
            filing = await self._encode(job, draft)
            media_type, samples, digest = filing.media_type, filing.samples, filing.digest
        (size,) = await self._execute(["STRLEN", draft])
        whole = hashlib.sha256()
        try:
            async for piece in self._read(draft, 0, size):
                whole.update(piece)
        except Gone:  # Redis lost it: it is made again
            return
        info = ArtifactInfo(media_type, size, whole.hexdigest(), samples, digest.hexdigest())
        keys = [f"job:{job.id}", draft, f"content:{job.id}"]
        await self._broker.run("KEEP", keys, [json.dumps(dataclasses.asdict(info))])

    async def _encode(self, job: Job, draft: str) -> _Encoder:
        model = self._catalog.models.get(job.model)
        if model is None or model.sha256 != job.sha256:
            raise Conflict("The model was replaced since, and what it gave cannot be decoded.", code="model_changed")
        filing, pieces, waiting = _filing(job, model), list[Piece](), 0
        try:
            async for entry in self._broker.entries(job.id):
                if isinstance(entry, Piece):
                    pieces.append(entry)
                    waiting += len(entry.symbols)
                if waiting >= filing.at_once or isinstance(entry, Ended):
                    await self._append(job, draft, await asyncio.to_thread(filing.feed, pieces))
                    pieces, waiting = [], 0
        except Gone as error:
            raise content_expired() from error
        if filing.samples != job.samples_total:
            raise content_expired()  # Redis was killed, and forgot its last second
        await self._append(job, draft, await asyncio.to_thread(filing.finish))
        await self._execute(*(["SETRANGE", draft, offset, part] for offset, part in filing.rewrites()))
        return filing

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
        """Commands, each a list of its name, its key without the prefix, and what follows; their replies."""
        async with self._broker.redis.pipeline(transaction=False) as pipe:
            for name, key, *rest in commands:
                pipe.execute_command(name, PREFIX + key, *rest)
            return await sent(pipe)


def _filing(job: Job, model: Model) -> _Encoder:
    if isinstance(model, ImageModel):
        return _ImageEncoder(job, model.spec)
    assert isinstance(model, SpeechModel)
    return _AudioEncoder(job, model.spec)


def _require_completed(job: Job) -> None:
    if job.status is Status.CANCELLED:
        raise Conflict("The job was cancelled.", code="job_cancelled")
    if job.status is Status.FAILED:
        raise Conflict(f"The job failed: {failed(job.error).message}", code="job_failed")
    if job.status is not Status.COMPLETED:
        raise Conflict("The job has not completed yet.", code="job_not_completed", retry=True)
