"""Jobs, manifests, verification and detection as clients see them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from ancestral import requests
from ancestral_service.broker.job import Status

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


class JobObject(requests.Described):
    """A job as clients see it. Times are seconds since 1970, counts are samples at the model's rate."""

    model_config = requests.example(JOB_EXAMPLE)

    id: str
    object: Literal["job"] = "job"
    kind: str
    """What is made: `speech`, `generation`, `image`, `completion`, `edit`, `reconstruction`, `portrait` or
    `interpolation`. Or computed, which has no manifest: `likelihood`, `image_likelihood`, `encoding` or `detection`."""
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


class JobList(requests.Described):
    """Jobs, newest first."""

    object: Literal["list"] = "list"
    data: list[JobObject]
    has_more: bool
    first_id: str | None
    last_id: str | None


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
