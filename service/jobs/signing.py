"""Finished files, signed (docs/provenance.md)."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

from ancestral.catalog.models import Model
from ancestral.provenance.c2pa import (
    COMPOSITE,
    EMBEDDED,
    SAMPLED,
    Claim,
    SigningError,
    detached,
    ingredient_of,
    sign,
    sign_stream,
)
from ancestral.provenance.signer import Signer
from ancestral.service.broker.job import Job
from ancestral.service.errors import SigningFailed
from ancestral.service.jobs.archive import ZIP, write_archive
from ancestral.service.jobs.payload import ArtifactInfo, SampledPayload
from ancestral.service.jobs.tasks import Tasks, digest_of, manifest_of
from ancestral.service.settings import Settings

_PIECE_BYTES: Final = 1 << 20
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seal:
    """What signs the files of one job."""

    signer: Signer
    payload: SampledPayload
    model: Model
    recipe: dict[str, Any]
    """What the recipes of all its files have besides."""
    ingredient: bytes | None
    """The manifest of what was uploaded."""

    def claim(self, index: int) -> Claim:
        """What is said of file ``index``."""
        source = COMPOSITE if self.payload.holds_upload else SAMPLED
        return Claim(self.payload.recipe_of(self.model, index) | self.recipe, source, self.ingredient)


def kept_manifest(settings: Settings, file: bytes, param: str) -> bytes | None:
    """The C2PA manifest of an uploaded file, for the manifests of what is made from it; None if files are not signed.

    Raises:
        InvalidRequest: it cannot be read; ``param`` is the field that the file came in.
    """
    return None if settings.signing_cert is None else ingredient_of(file, param)


def seal_of(signer: Signer, tasks: Tasks, job: Job, model: Model, info: ArtifactInfo, ingredient: bytes | None) -> Seal:
    """What signs the file of a job that has sampled something."""
    payload = tasks.payload(job)
    assert isinstance(payload, SampledPayload)
    recipe = {"engine": job.engine or "", "job": job.id, "manifest_sha256": digest_of(manifest_of(tasks, job, info))}
    return Seal(signer, payload, model, recipe, ingredient)


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
            while piece := source.read(_PIECE_BYTES):
                target.write(piece)
    except SigningError as error:
        log.error("a file cannot be signed", extra={"job": seal.recipe["job"], "reason": str(error)})
        raise SigningFailed(seal.recipe["job"]) from error
    size, digest = _measured(target)
    target.write(manifest)
    return ArtifactInfo(
        info.media_type,
        size,
        digest,
        info.samples,
        info.symbols_sha256,
        entries,
        (info.bytes, info.sha256),
        (size, len(manifest)) if manifest else None,
    )


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


def _measured(file: IO[bytes]) -> tuple[int, str]:
    """Size and SHA-256 of a file; it ends at its end."""
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
    return file.tell(), digest.hexdigest()
