"""The manifest of a job: everything that its output depends on, and the hashes of that output."""

from __future__ import annotations

import hashlib
import json

from ancestral.service import __version__
from ancestral.service.broker.job import Job
from ancestral.service.jobs.artifact_info import ArtifactInfo
from ancestral.service.jobs.payload import SampledPayload
from ancestral.service.jobs.schemas import Manifest, Output
from ancestral.service.jobs.tasks import Tasks


def manifest_of(tasks: Tasks, job: Job, info: ArtifactInfo) -> Manifest:
    """The manifest of a finished job, whose file ``info`` describes.
    Only of a job that has sampled something.
    """
    task, payload = tasks.get(job), tasks.payload(job)
    assert task.manifest is not None
    assert isinstance(payload, SampledPayload)
    return Manifest(
        job=job.id,
        created_at=int(job.created_at),
        model=job.model,
        model_sha256=job.sha256,
        engine=job.engine or "",
        seed=payload.seed,
        request=task.manifest.request_of(job, payload),
        prompt_sha256=payload.prompt_sha256,
        output=output_of(info),
        version=__version__,
    )


def output_of(info: ArtifactInfo) -> Output:
    """The hashes of an output: of a signed file those before it was signed, which the same request gives again."""
    size, digest = info.unsigned or (info.bytes, info.sha256)
    return Output(
        sha256=digest,
        bytes=size,
        symbols_sha256=info.symbols_sha256,
        samples=info.samples,
        media_type=info.media_type,
    )


def digest_of(manifest: Manifest) -> str:
    """The SHA-256 of a manifest, as JSON without spaces whose keys are sorted."""
    canonical = json.dumps(manifest.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
