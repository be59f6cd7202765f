"""The file of a finished job: encoded once, signed (docs/provenance.md), kept in Redis as long as the job, read by any
API process.

A file may have hundreds of megabytes, so it is never in this process as a whole: symbols go from Redis through an
encoder to Redis, a batch at a time.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import io
import json
import logging
import shutil
import zipfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral import formats
from ancestral.catalog.catalog import Catalog
from ancestral.catalog.descriptions import ImageModel, Model, Plan, SpeechModel
from ancestral.catalog.seeds import seed_as_json
from ancestral.detection.query import Examination, verdict
from ancestral.errors import NotFound
from ancestral.images.drawing import Completion, Drawing, Edit, PictureEncoding, PictureScore, picture_recipe
from ancestral.images.files import MEDIA_TYPES, decoder_of, encode, file_of
from ancestral.provenance.c2pa import (
    COMPOSITE,
    EMBEDDED,
    SAMPLED,
    Claim,
    Signer,
    SigningError,
    detached,
    sign,
    sign_stream,
)
from ancestral.speech.sampler import AudioDecoder
from ancestral.speech.utterance import SoundPlan
from ancestral.speech.voice import SoundEncoder, recipe_of, tags_of
from ancestral_service.broker.clients import Clients
from ancestral_service.broker.connection import UNAVAILABLE
from ancestral_service.broker.files import PIECE_BYTES, Draft, DraftLost
from ancestral_service.broker.job import Ended, Job, JobExpired, Piece, Status
from ancestral_service.errors import Conflict, ResponseAborted, SigningFailed, content_expired
from ancestral_service.jobs.job_reader import check_end, drop_published, failure_error, redis_errors
from ancestral_service.jobs.plans import ArtifactInfo, Sampled, digest_of, manifest_of, plan_of

ZIP: Final = "application/zip"


def write_archive(target: IO[bytes], files: Iterable[bytes], suffix: str) -> list[tuple[int, int]]:
    """Write ``0.SUFFIX``, ``1.SUFFIX`` and so on, uncompressed. Returns the offset and the size of each file."""
    entries = list[tuple[int, int]]()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for index, data in enumerate(files):
            archive.writestr(zipfile.ZipInfo(f"{index}.{suffix}", date_time=(1980, 1, 1, 0, 0, 0)), data)
            entries.append((target.tell() - len(data), len(data)))
    return entries


class Encoder(ABC):
    """The symbols of a job in, the bytes of its file out."""

    media_type: str
    batch_symbols: int
    """Symbols per round trip."""
    entries: Sequence[tuple[int, int]] = ()
    """Offset and size of each file inside an archive, once it is finished."""

    def __init__(self) -> None:
        self.samples = 0
        self.digest = hashlib.sha256()

    def feed(self, pieces: list[Piece]) -> bytes:
        """The next bytes; may be none."""
        data = bytearray()
        for piece in pieces:
            if len(symbols := drop_published(piece, self.samples)):
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


class AudioEncoder(Encoder):
    """Symbols to an audio file whose header holds its length."""

    def __init__(self, plan: SoundPlan, model: SpeechModel) -> None:
        super().__init__()
        self.media_type, self.batch_symbols = formats.MEDIA_TYPES[plan.response_format], model.spec.sample_rate
        tags = tags_of(plan, model)
        self._encoder = SoundEncoder(model, plan, plan.response_format, plan.sample_rate, tags=tags)
        self._decode = AudioDecoder(model.spec, plan.deemphasis_state)

    def encode(self, index: int, symbols: NDArray[Any]) -> bytes:
        return self._encoder.feed(index, self._decode(index, symbols))

    def finish(self) -> bytes:
        return self._encoder.finish()

    def rewrites(self) -> Iterable[tuple[int, bytes]]:
        return self._encoder.rewrites()


class ImageEncoder(Encoder):
    """Symbols to a file. The same pictures always give the same bytes."""

    def __init__(self, plan: Drawing, model: ImageModel) -> None:
        super().__init__()
        self.media_type = MEDIA_TYPES[plan.output_format] if plan.file_count == 1 else ZIP
        self.batch_symbols = model.spec.dims
        self._plan = plan
        self._model = model
        self._decode = decoder_of(plan, model)

    def encode(self, index: int, symbols: NDArray[np.uint8]) -> bytes:
        self._decode(symbols)
        return b""

    def finish(self) -> bytes:
        plan, model = self._plan, self._model
        pictures = [file_of(plan, model, index, self._decode) for index in plan.returned]
        if len(pictures) == 1:
            self.entries = [(0, len(pictures[0]))]
            return pictures[0]
        archive = io.BytesIO()
        self.entries = write_archive(archive, pictures, plan.output_format)
        return archive.getvalue()


def open_encoder(plan: Sampled, model: Model) -> Encoder:
    """An encoder of the symbols of a plan's job."""
    if isinstance(plan, Drawing):
        assert isinstance(model, ImageModel)
        return ImageEncoder(plan, model)
    assert isinstance(model, SpeechModel)
    return AudioEncoder(plan, model)


# The answers to requests that give figures.


def figures_of(job: Job, plan: Plan) -> Mapping[str, Any]:
    """The answer to the request of a finished job with this plan, whose result is figures."""
    found = job.result
    assert found is not None
    match plan:
        case PictureScore():
            return _picture_score(plan, found)
        case PictureEncoding():
            tokens, vector = found["dims"], {"object": "embedding", "index": 0, "embedding": found["embedding"]}
            usage = {"prompt_tokens": tokens, "total_tokens": tokens}
            return {"object": "list", "data": [vector], "model": job.model, "usage": usage} | _distance(plan)
        case Examination():
            answer: dict[str, Any] = {"signature": json.loads(plan.signature), **found}
            if "seed" in answer["seed"]:
                answer["seed"] = answer["seed"] | {"seed": seed_as_json(answer["seed"]["seed"])}
            return answer | {"verdict": verdict(answer)}
    return found


def _picture_score(plan: PictureScore, found: Mapping[str, Any]) -> dict[str, Any]:
    figures = {name: value for name, value in found.items() if name != "bits"} | _distance(plan)
    if not plan.map:
        return figures
    bits = np.array(found["bits"])  # per pixel, [H, W]
    white = plan.white_bits * figures["dims"] / bits.size
    brightness = np.round(np.clip(bits / white, 0.0, 1.0) * 255.0).astype(np.uint8)
    return figures | {"map": base64.b64encode(encode(brightness[..., None], "png")).decode()}


def _distance(plan: PictureScore | PictureEncoding) -> dict[str, float]:
    return {} if plan.palette_error is None else {"palette_distance": plan.palette_error}


# Signatures.

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seal:
    """What signs the files of one job."""

    signer: Signer
    plan: Sampled
    model: Model
    recipe: dict[str, Any]
    """What the recipes of all its files have besides."""
    ingredient: bytes | None
    """The manifest of what was uploaded."""

    def claim(self, index: int) -> Claim:
        """What is said of file ``index``."""
        source = COMPOSITE if isinstance(self.plan, Completion | Edit) else SAMPLED
        if isinstance(self.plan, Drawing):
            assert isinstance(self.model, ImageModel)
            recipe = picture_recipe(self.plan, self.model, self.plan.returned[index])
        else:
            assert isinstance(self.model, SpeechModel)
            recipe = recipe_of(self.plan, self.model)
        return Claim(recipe | self.recipe, source, self.ingredient)


def sign_file(source: IO[bytes], target: IO[bytes], info: ArtifactInfo, seal: Seal) -> ArtifactInfo:
    """Write a signed file, or the file and then its manifest if there is no place for one inside.

    Args:
        source: the unsigned file.
        target: empty, for reading as well.
        info: of the unsigned file.
        seal: of the job.

    Returns:
        The description of what was written.

    Raises:
        SigningFailed: it cannot be signed.
    """
    entries: Sequence[tuple[int, int]] = info.entries
    manifest = b""
    try:
        if info.media_type == ZIP:
            entries = _sign_archive(source, target, seal)
        elif info.media_type in EMBEDDED:
            sign_stream(source, target, info.media_type, seal.claim(0), seal.signer)
            entries = [(0, target.seek(0, 2))] if info.entries else ()
        else:
            manifest = detached(source, seal.claim(0), seal.signer)
            source.seek(0)
            shutil.copyfileobj(source, target)
    except SigningError as error:
        log.error("a file cannot be signed", extra={"job": seal.recipe["job"], "reason": str(error)})
        raise SigningFailed(seal.recipe["job"]) from error
    target.seek(0)
    digest, size = hashlib.file_digest(target, "sha256").hexdigest(), target.seek(0, 2)  # type: ignore[arg-type]
    target.write(manifest)
    unsigned, c2pa = (info.bytes, info.sha256), (size, len(manifest)) if manifest else None
    return replace(info, bytes=size, sha256=digest, entries=entries, unsigned=unsigned, c2pa=c2pa)


def _sign_archive(source: IO[bytes], target: IO[bytes], seal: Seal) -> list[tuple[int, int]]:
    """Sign each picture of an archive."""
    with zipfile.ZipFile(source) as archive:
        names = archive.namelist()
        suffix = names[0].partition(".")[2]
        signed = (
            sign(archive.read(name), f"image/{suffix}", seal.claim(index), seal.signer)
            for index, name in enumerate(names)
        )
        return write_archive(target, signed, suffix)


# Files in Redis.

_POLL_SECONDS: Final = 0.05
_MEMORY_BYTES: Final = 16 << 20
"""Largest file that is signed in memory; a larger one is on the disk meanwhile."""


class Artifacts:
    """The files of jobs."""

    def __init__(self, broker: Clients, catalog: Catalog, signer: Signer | None) -> None:
        """Files are signed if there is a signer."""
        self._broker = broker
        self._catalog = catalog
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
            while (stored := await self._broker.artifact_info(job.id)) is None:
                draft = self._broker.draft(job.id)
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
        """Bytes ``start`` to ``stop`` of a file that exists, for a response that has begun.

        Raises:
            ResponseAborted: they have expired meanwhile, or Redis is not available.
        """
        try:
            async for piece in self._broker.read_artifact(job.id, start, stop):
                yield piece
        except (JobExpired, *UNAVAILABLE) as error:
            raise ResponseAborted(f"the content cannot be read any further: {type(error).__name__}") from error

    async def files(self, job: Job) -> list[bytes]:
        """The files of a finished job, whole: the one, or those in its archive. Raises as :meth:`info` does, and
        NotReady."""
        with redis_errors():
            info, read = await self.info(job), self._broker.read_artifact
            parts = info.entries or [(0, info.bytes)]
            return [b"".join([piece async for piece in read(job.id, start, start + size)]) for start, size in parts]

    async def _write(self, job: Job, draft: Draft) -> None:
        plan = plan_of(job, Plan)
        with SpooledTemporaryFile(_MEMORY_BYTES) as copy:
            if not isinstance(plan, Sampled):
                size = await draft.append(json.dumps(figures_of(job, plan)).encode())
                digest = await self._measure(draft, size, None)
                info = ArtifactInfo("application/json", size, digest, 0, hashlib.sha256().hexdigest())
            else:
                encoder, size = await self._encode(job, plan, draft)
                digest = await self._measure(draft, size, None if self._signer is None else copy)
                symbols = encoder.digest.hexdigest()
                info = ArtifactInfo(encoder.media_type, size, digest, encoder.samples, symbols, encoder.entries)
                if self._signer is not None:
                    info = await self._sign(job, plan, draft, copy, info)
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

    async def _sign(self, job: Job, plan: Sampled, draft: Draft, copy: IO[bytes], info: ArtifactInfo) -> ArtifactInfo:
        """Put the signed file in the place of the draft; ``copy`` is the unsigned one."""
        assert self._signer is not None
        model, ingredient = self._catalog.models[job.model], await self._broker.ingredient(job.id)
        recipe = {"engine": job.engine or "", "job": job.id, "manifest_sha256": digest_of(manifest_of(job, plan, info))}
        seal = Seal(self._signer, plan, model, recipe, ingredient)
        with SpooledTemporaryFile(_MEMORY_BYTES) as signed:
            copy.seek(0)
            found = await asyncio.to_thread(sign_file, copy, signed, info, seal)
            signed.seek(0)
            await draft.restart()
            while piece := await asyncio.to_thread(signed.read, PIECE_BYTES):
                await draft.append(piece)
        return found

    async def _encode(self, job: Job, plan: Sampled, draft: Draft) -> tuple[Encoder, int]:
        """The encoder that has written the draft, and the size of the file."""
        model = self._catalog.models.get(job.model)
        if model is None or model.sha256 != job.sha256:
            raise Conflict("The model has been replaced; the job's output cannot be decoded.", code="model_changed")
        encoder, pieces, waiting = open_encoder(plan, model), list[Piece](), 0
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
    if job.status is Status.FAILED:
        raise Conflict(f"The job failed: {failure_error(job.error).message}", code="job_failed")
    check_end(job.status, job.error)
    if job.status is not Status.COMPLETED:
        raise Conflict("The job has not completed yet.", code="job_not_completed", retry=True)
