"""Jobs, manifests and verification as clients see them, and the strict base of every request."""

from __future__ import annotations

from typing import Annotated, Any, Final, Generic, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ancestral.catalog.seeds import MAX_SEED, MAX_SEED_TEXT, seed_as_json, seed_of_text
from ancestral.service.broker.job import Status
from ancestral.service.jobs.validation import pattern, whole

_SEEDS: Final = MAX_SEED + 1
"""Seeds are smaller. An inclusive bound of 2^63 - 1 could not be written in OpenAPI, whose numbers are doubles."""


def _from_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return seed_of_text(value)
    except ValueError as error:
        raise PydanticCustomError("invalid_value", str(error)) from None


_NUMBER: Final[dict[str, JsonValue]] = {"type": "integer", "minimum": 0, "exclusiveMaximum": _SEEDS}
Seed = Annotated[
    int,
    BeforeValidator(_from_text),
    Field(ge=0, lt=_SEEDS),
    PlainSerializer(seed_as_json),
    WithJsonSchema(
        {
            "anyOf": [_NUMBER, {"type": "string", "pattern": "^[0-9]{1,19}$"}],
            "description": "A number, or its digits in a string: JavaScript rounds numbers from 2^53.",
        }
    ),
]
"""The seed in an answer or a manifest."""
RequestSeed = Annotated[
    Seed,
    WithJsonSchema(
        {
            "anyOf": [_NUMBER, {"type": "string", "minLength": 1, "maxLength": MAX_SEED_TEXT}],
            "description": "A number, also as its digits in a string, because JavaScript rounds numbers from 2^53; "
            "or a text that is not a number, such as a name: the answer has the number that it stands for.",
        }
    ),
]
"""The seed in a request, which may be a text."""
NO_EFFECT = "Accepted for OpenAI compatibility; has no effect."
JOB_ID = pattern(r"^job_[0-9a-f]{24}$", "the id of a job: job_ and 24 hexadecimal digits")
EVENT_ID = pattern(r"^[0-9]{1,19}-[0-9]{1,19}$", "the id of an event, like 24000-0")

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


class Described(BaseModel):
    """A model whose fields are described, in ``/openapi.json`` too, by the text under them."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class StrictRequest(Described):
    """The base of every request: no unknown fields, no conversion of types, and null is an absent optional field."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _as_clients_write(cls, value: Any) -> Any:
        """Some clients write integers as 7.0, others null where nothing is given."""
        if not isinstance(value, dict):
            return value
        optional = {field.alias or name for name, field in cls.model_fields.items() if not field.is_required()}
        given = {key: v for key, v in value.items() if v is not None or key not in optional}
        return {key: whole(v) for key, v in given.items()}


class JobError(Described):
    """Why a job failed."""

    message: str
    code: str
    param: str | None


class Identified(Described):
    """What a list has pages of."""

    id: str


class JobObject(Identified):
    """A job as clients see it. Times are seconds since 1970, counts are samples at the model's rate."""

    model_config = ConfigDict(json_schema_extra={"examples": [JOB_EXAMPLE]})

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


class JobEvent(Described):
    """A server-sent event of ``GET /v1/jobs/{id}/events``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"type": "job.completed", "job": JOB_EXAMPLE}]})

    type: Literal["job.queued", "job.in_progress", "job.progress", "job.completed", "job.failed", "job.cancelled"]
    job: JobObject
    """The job as it was when the event happened. `queue_position` and `eta_seconds` are null in events that are read
    later."""


class JobsQuery(Described):
    """The query parameters of ``GET /v1/jobs``."""

    after: str | None = Field(default=None, pattern=JOB_ID)
    """The id of the last job seen."""
    limit: int = Field(default=20, ge=1, le=100)
    """The largest number of jobs to return."""


_T = TypeVar("_T", bound=Identified)


class ListPage(Described, Generic[_T]):
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


class DeletedJob(Described):
    """A job that has been deleted."""

    id: str
    object: Literal["job.deleted"] = "job.deleted"
    deleted: Literal[True] = True


_SHA256 = pattern(r"^[0-9a-f]{64}$", "a SHA-256: 64 lower-case hexadecimal digits")
Digest = Annotated[str, Field(pattern=_SHA256)]


class Output(StrictRequest):
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


class Manifest(StrictRequest):
    """All that a job's sound or pictures depend on, and their hashes: enough to make them again and to compare."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
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
            ]
        }
    )

    object: Literal["manifest"] | None = "manifest"  # null is an absent field here, too
    job: str = Field(pattern=JOB_ID)
    created_at: int
    model: str = Field(min_length=1, max_length=256)
    model_sha256: Digest
    engine: str = Field(max_length=64)
    seed: Seed
    request: dict[str, JsonValue]
    """The body that gives the same bytes, sent to the same route."""
    prompt_sha256: Digest | None
    """Of the symbols of the recording, or of the rows, that were continued. They are not in a manifest: to verify one,
    put them back as `request.prompt_audio` or `request.image`."""
    output: Output
    version: str = Field(max_length=64)


class Verification(Described):
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
