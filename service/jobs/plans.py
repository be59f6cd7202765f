"""Jobs as clients see them, and plans: what a request is resolved into, and all that its bytes depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, Generic, Literal, Self, TypeVar

from pydantic import Field, JsonValue, TypeAdapter

from ancestral import requests
from ancestral.catalog.models import Model, Plan
from ancestral.catalog.seeds import seed_as_json
from ancestral.detection.query import Examination
from ancestral.errors import InvalidRequest
from ancestral.images import drawing
from ancestral.service import __version__
from ancestral.service.broker.job import Job, Status
from ancestral.service.errors import Conflict
from ancestral.speech.utterance import Generation, RecordingScore, SoundPlan, Utterance

# Jobs, manifests, verification and detection as clients see them.

JOB_ID = requests.pattern(r"^job_[0-9a-f]{24}$", "the id of a job: job_ and 24 hexadecimal digits")
EVENT_ID = requests.pattern(r"^[0-9]{1,19}-[0-9]{1,19}$", "the id of an event, like 24000-0")

JOB_EXAMPLE: dict[str, JsonValue] = {
    "id": "job_0123456789abcdef01234567",
    "object": "job",
    "kind": "speech",
    "model": "wavenet-multilingual",
    "voice": "joe",
    "excerpt": "The birch canoe slid on the smooth planks.",
    "status": "completed",
    "progress": 1.0,
    "created_at": 1700000000,
    "started_at": 1700000000,
    "completed_at": 1700000001,
    "expires_at": 1700003601,
    "queue_position": None,
    "eta_seconds": None,
    "samples_done": 38880,
    "samples_total": 38880,
    "error": None,
}


class JobError(requests.Described):
    """Why a job failed."""

    message: str
    code: str
    param: str | None


class Identified(requests.Described):
    """What a list has pages of."""

    id: str


class JobObject(Identified):
    """A job as clients see it. Times are seconds since 1970, counts are samples at the model's rate."""

    model_config = requests.example(JOB_EXAMPLE)

    object: Literal["job"] = "job"
    kind: str
    """What is made: `speech`, `generation`, `image`, `completion`, `edit`, `reconstruction`, `portrait` or
    `interpolation`; or computed: `likelihood`, `image_likelihood` or `encoding`, which have no manifest."""
    model: str
    voice: str | None
    """The voice, or the mix, of a job of sound."""
    excerpt: str | None
    """The first 200 characters of the text, or the prompt, if it has one."""
    status: Status
    progress: float
    created_at: int
    started_at: int | None
    completed_at: int | None
    expires_at: int | None
    queue_position: int | None
    eta_seconds: float | None
    samples_done: int
    samples_total: int | None
    error: JobError | None


class JobEvent(requests.Described):
    """A server-sent event of ``GET /v1/jobs/{id}/events``."""

    model_config = requests.example({"type": "job.completed", "job": JOB_EXAMPLE})

    type: Literal["job.queued", "job.in_progress", "job.progress", "job.completed", "job.failed", "job.cancelled"]
    job: JobObject
    """The job as it was when the event happened. `queue_position` and `eta_seconds` are null in events that are read
    later."""


class JobsQuery(requests.Described):
    """The query parameters of ``GET /v1/jobs``."""

    after: str | None = Field(default=None, pattern=JOB_ID)
    """The id of the last job seen."""
    limit: int = Field(default=20, ge=1, le=100)
    """The largest number of jobs to return."""


_T = TypeVar("_T", bound=Identified)


class ListPage(requests.Described, Generic[_T]):
    """A page of a list, in the shape that OpenAI's clients read."""

    object: Literal["list"] = "list"
    data: list[_T]
    has_more: bool
    first_id: str | None
    last_id: str | None

    @classmethod
    def of(cls, data: list[_T], has_more: bool) -> Self:
        """The page with these entries."""
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return cls(data=data, has_more=has_more, first_id=first, last_id=last)


class JobList(ListPage[JobObject]):
    """Jobs, newest first."""


class DeletedJob(requests.Described):
    """A job that has been deleted."""

    id: str
    object: Literal["job.deleted"] = "job.deleted"
    deleted: Literal[True] = True


_SHA256 = requests.pattern(r"^[0-9a-f]{64}$", "a SHA-256: 64 lower-case hexadecimal digits")
Digest = Annotated[str, Field(pattern=_SHA256)]


class Output(requests.StrictRequest):
    """The output of a job."""

    sha256: Digest
    """SHA-256 of the bytes of `/v1/jobs/{id}/content`, before they were signed."""
    bytes: int = Field(ge=0)
    symbols_sha256: Digest
    """SHA-256 of what was sampled, without a prompt: symbols, one byte each, or, for a model whose sound is shaped by
    linear prediction, 16-bit samples at the model's rate, little-endian."""
    samples: int = Field(ge=0)
    """Number of sampled symbols."""
    media_type: str = Field(max_length=256)


class Manifest(requests.StrictRequest):
    """All that a job's sound or pictures depend on, and their hashes: enough to make them again and to compare."""

    model_config = requests.example(
        {
            "object": "manifest",
            "job": JOB_EXAMPLE["id"],
            "created_at": 1700000000,
            "model": "pixelcnn-digits",
            "model_sha256": "0" * 64,
            "engine": "native",
            "seed": 7,
            "request": {"model": "pixelcnn-digits", "prompt": "7", "n": 2, "size": "280x280", "seed": 7},
            "prompt_sha256": None,
            "output": {
                "sha256": "0" * 64,
                "bytes": 1829,
                "symbols_sha256": "0" * 64,
                "samples": 1568,
                "media_type": "application/zip",
            },
            "version": "0.1.0",
        }
    )

    object: Literal["manifest"] | None = "manifest"  # null is an absent field here, too
    job: str = Field(pattern=JOB_ID)
    created_at: int
    model: str = Field(min_length=1, max_length=256)
    model_sha256: Digest
    engine: str = Field(max_length=64)
    seed: requests.Seed
    request: dict[str, JsonValue]
    """The body that gives the same bytes, sent to the same route."""
    prompt_sha256: Digest | None
    """Of the symbols of the recording, or of the rows, that were continued. They are not in a manifest: to verify one,
    put them back as `request.prompt_audio` or `request.image`."""
    output: Output
    version: str = Field(max_length=64)


class Verification(requests.Described):
    """The result of running a manifest again."""

    object: Literal["verification"] = "verification"
    equal: bool
    """Whether output and engine match the manifest in every field."""
    differs: list[str]
    """The fields of the manifest that do not match, such as `output.sha256`."""
    symbols_equal: bool
    """Whether the sampled symbols are equal; another version of an encoder may encode them differently."""
    expected_sha256: str
    actual_sha256: str
    model_sha256: str
    engine: str
    job: str


Why = Field(default=None, description="Why it could not be tried.")


class SignaturePart(requests.Described):
    """The C2PA manifest in the file."""

    status: Literal["valid", "invalid", "none", "not_tried"]
    reason: str | None = Why
    trusted: bool | None = None
    """Whether the certificate is one that this server trusts."""
    altered: bool | None = None
    """Whether the media was changed after it was signed."""
    signer: str | None = None
    """Whom the certificate names: a claim, unless it is trusted."""
    generator: str | None = None
    """The program that made the claim."""
    source: str | None = None
    """How the media came about, in IPTC's words."""
    problems: list[str] | None = None
    """C2PA's codes of what failed."""


class RecipePart(requests.Described):
    """The recipe, given or in the file, sampled again."""

    status: Literal["equal", "close", "differs", "not_tried"]
    """`close`: the same sound, but for a lossy format or another sample rate."""
    reason: str | None = Why
    pixels: int | None = None
    equal_pixels: int | None = None
    samples: int | None = None
    correlation: float | None = None
    """Of two sounds, at the best offset."""


class SeedPart(requests.Described):
    """The noise in the symbols, tested against seeds: those that are named, then those of the server's key."""

    status: Literal["found", "not_found", "not_tried"]
    reason: str | None = Why
    p_value: float | None = None
    """An upper bound of the probability that a file that has nothing to do with these seeds fits as well, multiplied by
    the trials; not below 1e-300. `found` is below 1e-6."""
    log10_p: float | None = None
    """The same as its decimal logarithm, without that limit."""
    seeds_tried: int | None = None
    shifted_seeds_tried: int | None = None
    """Of sound: those tried at every offset."""
    trials: int | None = None
    """What p was multiplied by."""
    counters: list[int] | None = None
    """The oldest and the newest counter that was tried."""
    complete: bool | None = None
    """Whether the search came to its end in time."""
    symbols: int | None = None
    """Sub-pixels or samples that were tested."""
    agreeing: int | None = None
    """Sub-pixels to which the noise of the seed leads."""
    exact: bool | None = None
    """Whether it leads to all of them."""
    model: str | None = None
    seed: requests.Seed | None = None
    """Of the picture, or of the request that made the sound."""
    part: int | None = None
    """Which picture or sentence of a request it is, from 0."""
    counter: int | None = None
    """Of the server's key, of a seed that a search has found."""
    offset_seconds: float | None = None
    """Where the sentence begins in the recording."""
    agreement: list[list[float | None]] | list[float] | None = None
    """Of pictures: bits by which each pixel speaks for the seed, below 0 where it does not fit. Of sound: the
    correlation of each tenth of a second with the noise, in standard deviations."""
    agreement_seconds: float | None = None


class ModelPart(requests.Described):
    """How likely the file is under the model."""

    status: Literal["could_be_ours", "unlikely", "not_tried"]
    reason: str | None = Why
    model: str | None = None
    bits_per_symbol: float | None = None
    lossless_bits_per_symbol: float | None = None
    """Deflated, as in a PNG; of sound 8."""


class Detection(requests.Described):
    """Whether a file was made here, and what says so."""

    signature: SignaturePart
    recipe: RecipePart
    seed: SeedPart
    model: ModelPart
    verdict: Literal["made_here", "made_with_model", "signed", "could_be_ours", "no_evidence"]
    """`made_here`: with a seed of this server's key, or signed with its certificate. `made_with_model`: with a model
    that is here and the seed that was named, by whomever. `signed`: the signature is valid. `could_be_ours`: nothing
    but a likelihood says so. `no_evidence`: which does not mean that it was not made here."""


# Jobs as plans: one kind of plan for each kind of job, its JSON in the job's record, the manifest of what came of it.
#
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
    """The request as the client sent it; an idempotency key is bound to it."""
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


def require_sampled(job: Job) -> Sampled:
    """The plan of a job that has sampled something; raises Conflict if it has not."""
    plan = plan_of(job, Plan)
    if not isinstance(plan, Sampled):
        raise Conflict("Nothing was sampled for this job.", code="no_manifest")
    return plan


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
