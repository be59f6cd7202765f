"""Jobs as plans: what a request is resolved into, and all that its bytes depend on. One kind of plan for each kind of
job, its JSON in the job's record, the manifest of what came of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter

from ancestral import requests
from ancestral.catalog.descriptions import Model, Plan
from ancestral.catalog.seeds import seed_as_json
from ancestral.detection.query import Examination
from ancestral.errors import InvalidRequest
from ancestral.images import drawing
from ancestral.speech.utterance import Generation, RecordingScore, SoundPlan, Utterance
from ancestral_service import __version__
from ancestral_service.broker.job import Job
from ancestral_service.errors import Conflict
from ancestral_service.jobs.schemas import Manifest, Output

# The API process resolves a request into a plan at admission: seed, labels, phonemes and every default. A process that
# reads a version it does not know fails the job and never guesses.

Sampled = SoundPlan | drawing.Drawing
"""Plans whose output is sampled, and can be sampled again from its seed: only these have manifests."""
REQUESTS: Final[dict[type[Plan], type[requests.StrictRequest]]] = {
    Utterance: requests.SpeechRequest,
    Generation: requests.GenerationRequest,
    drawing.ClassDrawing: requests.ImageRequest,
    drawing.Completion: requests.CompletionRequest,
    drawing.Edit: requests.EditRequest,
    drawing.Reconstruction: requests.ReconstructionRequest,
    drawing.Portrait: requests.PortraitRequest,
    drawing.Interpolation: requests.InterpolationRequest,
}
"""The request that a plan is made from."""
_SCORES: Final[tuple[type[Plan], ...]] = (RecordingScore, drawing.PictureScore, drawing.PictureEncoding, Examination)
KINDS: Final = {kind.kind: kind for kind in (*REQUESTS, *_SCORES)}
"""Every kind of job that this process knows."""

P = TypeVar("P", bound=Plan)
P_co = TypeVar("P_co", bound=Plan, covariant=True)
M_co = TypeVar("M_co", bound=Model, covariant=True)


class PayloadError(Conflict):
    """A payload that another version of this software has written."""

    code = "payload_version"


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(KINDS[kind])


def dump(plan: Plan) -> str:
    """The payload of a job: JSON with a version."""
    fields = {"version": plan.VERSION} | _adapter(plan.kind).dump_python(plan, mode="json")
    return json.dumps(fields, separators=(",", ":"))


def load(kind: type[P], text: str) -> P:
    """What :func:`dump` wrote.

    Raises:
        PayloadError: it has another version, or does not have the fields of this one.
    """
    try:
        fields = json.loads(text)
        version = fields["version"]
        if version == kind.VERSION:
            plan: P = _adapter(kind.kind).validate_python(fields)
            return plan
    except (KeyError, TypeError, ValueError) as error:  # of which pydantic's ValidationError is one
        raise PayloadError("The job's payload cannot be read: another version of the server wrote it.") from error
    raise PayloadError(f"The job's payload has version {version}; this process reads version {kind.VERSION}.")


def plan_of(job: Job, kind: type[P]) -> P:
    """The plan of a job, which is of this kind. Raises PayloadError if another version of the server wrote it."""
    if job.kind not in KINDS:
        raise PayloadError(f"This process knows no jobs of kind {job.kind!r}.")
    plan: Plan = load(KINDS[job.kind], job.payload)
    if isinstance(plan, drawing.Drawing):
        plan = plan.with_result(job.result)
    assert isinstance(plan, kind)
    return plan


@dataclass(frozen=True)
class JobSpec(Generic[P_co, M_co]):
    """A request that has passed every check."""

    model: M_co
    plan: P_co
    body: Mapping[str, Any]
    """The request as the client sent it, pictures by their hashes; an idempotency key is bound to it."""
    seconds: float = 0.0
    """The approximate duration of the sound that it makes."""
    upload: bytes | None = None
    """Symbols that came with the request."""
    ingredient: bytes | None = None
    """The C2PA manifest of the file that was uploaded, if files are signed."""

    @property
    def kept(self) -> bool:
        """Whether the output is fetched after the request has been answered."""
        return isinstance(self.plan, drawing.Drawing) and self.plan.response_format == "url"

    def plan_of(self, job: Job) -> P_co:
        """The plan of its job, which an earlier request with the same key may have submitted."""
        return plan_of(job, type(self.plan))


# The manifest of a job: everything that its output depends on, and the hashes of that output.


@dataclass(frozen=True)
class ArtifactInfo:
    """What is known of a job's file."""

    media_type: str
    bytes: int
    sha256: str
    samples: int
    """Symbols that were sampled."""
    symbols_sha256: str
    """Hash of what the job's stream holds."""
    entries: Sequence[tuple[int, int]] = ()
    """Offset and size of each file inside an archive."""
    unsigned: tuple[int, str] | None = None
    """Size and SHA-256 of the file before it was signed; None if it is not."""
    c2pa: tuple[int, int] | None = None
    """Offset and size of a C2PA manifest beside the file; None if there is none, or it is inside."""


def manifest_of(job: Job, plan: Sampled, info: ArtifactInfo) -> Manifest:
    """The manifest of a finished job with this plan, whose file ``info`` describes."""
    return Manifest(
        job=job.id,
        created_at=int(job.created_at),
        model=job.model,
        model_sha256=job.sha256,
        engine=job.engine or "",
        seed=plan.seed,
        request=_request_of(job, plan),
        prompt_sha256=plan.prompt_sha256,
        output=output_of(info),
        version=__version__,
    )


def _request_of(job: Job, plan: Sampled) -> dict[str, Any]:
    """The body that, sent to the route that the job came from, makes the same bytes."""
    schema, values = REQUESTS[type(plan)], _adapter(plan.kind).dump_python(plan, mode="json")
    values |= {"model": job.model, "seed": seed_as_json(plan.seed)}
    if isinstance(plan, drawing.Drawing):
        values["n"] = plan.file_count
    unrepeated = schema.transport | {schema.upload}
    names = {name: field.alias or name for name, field in schema.model_fields.items() if name not in unrepeated}
    return {alias: values[name] for name, alias in names.items() if values[name] is not None}


def request_schema(model: Model, request: Mapping[str, Any]) -> type[requests.StrictRequest]:
    """What the request in a manifest is: of those that its model is capable of, the one that has its fields.

    Raises:
        InvalidRequest: the model is capable of none.
    """
    fitting = [schema for schema in REQUESTS.values() if schema.capability in model.capabilities]
    if not fitting:
        message = f"model: {model.entry.id} makes nothing that has a manifest"
        raise InvalidRequest(message, param="model", code="model_not_capable")
    return min(fitting, key=lambda schema: len(request.keys() - _names(schema)))


def _names(schema: type[requests.StrictRequest]) -> set[str]:
    """The names of a request's fields on the wire."""
    return {field.alias or name for name, field in schema.model_fields.items()}


def output_of(info: ArtifactInfo) -> Output:
    """The hashes of an output: of a signed file those before it was signed, which the same request gives again."""
    size, digest = info.unsigned or (info.bytes, info.sha256)
    return Output(
        sha256=digest, bytes=size, symbols_sha256=info.symbols_sha256, samples=info.samples, media_type=info.media_type
    )


def digest_of(manifest: Manifest) -> str:
    """The SHA-256 of a manifest, as JSON without spaces whose keys are sorted."""
    canonical = json.dumps(manifest.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
