"""What a request may say and what a response says: the wire contract as types.

Strict: an unknown field, a number in a string or a NaN is an error that names the field.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from service.jobs import Status

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
SampleRate = Literal[8000, 16000, 22050, 24000, 44100, 48000]

MAX_INPUT_CHARACTERS = 4096
SEEDS = 2**63
"""Seeds are smaller. Not "at most 2^63 - 1": the documentation's numbers are doubles, and none is that one."""
MAX_DURATION = 3600.0
"""Seconds of sound that one generation may ask for."""
JOB_ID = r"^job_[0-9a-f]{24}$"
EXAMPLE: dict[str, JsonValue] = {
    "model": "wavenet-en",
    "input": "The birch canoe slid on the smooth planks.",
    "voice": "joe",
    "response_format": "wav",
    "seed": 7,
}

JOB_EXAMPLE: dict[str, JsonValue] = {
    "id": "job_0123456789abcdef01234567",
    "object": "job",
    "model": "wavenet-en",
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


class StrictRequest(BaseModel):
    """What clients say is taken as it stands: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        """JSON has one kind of number: 7.0 is an integer, and some clients write it so."""
        if not isinstance(value, dict):
            return value
        return {key: int(v) if isinstance(v, float) and v.is_integer() else v for key, v in value.items()}


class VoiceReference(StrictRequest):
    """A voice by its id, the object form that newer OpenAI clients send."""

    id: str = Field(min_length=1, max_length=256)


class SoundRequest(StrictRequest):
    """What every request for sound says: by whom, in which form, from which seed."""

    model: str = Field(min_length=1, max_length=256, description="The id of a model that `/v1/models` lists.")
    voice: Annotated[str, Field(min_length=1, max_length=256)] | VoiceReference = Field(
        description="One of `/v1/audio/voices`, as a string or as an object with an id."
    )
    response_format: AudioFormat = Field(
        default="mp3", description="pcm is 16-bit little-endian, mono; aac is ADTS, opus is Ogg."
    )
    stream_format: Literal["audio", "sse"] = Field(
        default="audio", description="`sse` wraps the sound in server-sent events, base64 encoded."
    )
    seed: int | None = Field(
        default=None, ge=0, lt=SEEDS, description="The same seed gives the same bytes. Drawn and returned if absent."
    )
    temperature: float | None = Field(
        default=None,
        ge=0.0,
        le=2.0,
        allow_inf_nan=False,
        description="Divides the logits; 0 takes the most likely symbol, 1 samples the model as it is. "
        "The default is the model's own.",
    )
    sample_rate: SampleRate | None = Field(
        default=None,
        description="In hertz. The default is 24000 for pcm and the model's own rate for every other format.",
    )

    @property
    def voice_id(self) -> str:
        """The voice, whichever form it came in."""
        return self.voice if isinstance(self.voice, str) else self.voice.id


class SpeechRequest(SoundRequest):
    """``POST /v1/audio/speech``: text to speak, and how."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    input: str = Field(min_length=1, max_length=MAX_INPUT_CHARACTERS, description="The text to speak.")
    speed: float = Field(default=1.0, ge=0.25, le=4.0, allow_inf_nan=False, description="2 speaks twice as fast.")


class Usage(BaseModel):
    """What a request cost. Input tokens are phonemes, output tokens are sampled symbols."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class JobError(BaseModel):
    """Why a job failed."""

    message: str
    code: str
    param: str | None


class JobObject(BaseModel):
    """A job as clients see it. Times are seconds since 1970, counts are samples at the model's rate."""

    id: str
    object: Literal["job"] = "job"
    model: str
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


class ModelObject(BaseModel):
    """A model as ``GET /v1/models`` lists it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    kind: str
    capabilities: list[str]
    sample_rate: int | None = Field(default=None, description="Hertz, of a model that makes sound.")
    size: str | None = Field(default=None, description="`WIDTHxHEIGHT` of a picture, of a model that draws.")
    sha256: str
    receptive_field: int = Field(description="Past samples that the next one depends on; of a picture, rows above it.")
    parameters: int


class ModelList(BaseModel):
    """Every model that is loaded."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


class VoiceObject(BaseModel):
    """A voice as ``GET /v1/audio/voices`` lists it."""

    id: str
    name: str
    language: str
    gender: str
    model: str
    description: str
    preview_url: str | None = None


class VoiceList(BaseModel):
    """Every voice, under both names that clients look for."""

    object: Literal["list"] = "list"
    voices: list[VoiceObject]
    data: list[VoiceObject]


class Health(BaseModel):
    """``GET /healthz``."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """``GET /readyz`` when all is well."""

    status: Literal["ready"]
    engines: dict[str, list[str]] = Field(description="What really samples each model, of all workers.")


class KServeServer(BaseModel):
    """``GET /v2``: the server as KServe's protocol describes it."""

    name: Literal["ancestral"] = "ancestral"
    version: str
    extensions: list[str] = []


class KServeLive(BaseModel):
    """Whether the server lives."""

    live: bool


class KServeReady(BaseModel):
    """Whether the server, or a model, can be used."""

    ready: bool


class ErrorBody(BaseModel):
    """What went wrong; all four keys are always there."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(BaseModel):
    """Every error response."""

    error: ErrorBody


class GenerationRequest(SoundRequest):
    """``POST /v1/audio/generations``: sound of nothing in particular, or the continuation of a recording."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "wavenet-babble", "voice": "joe", "duration": 4.0, "response_format": "wav", "seed": 7}
            ]
        }
    )

    duration: float = Field(
        gt=0.0, le=MAX_DURATION, allow_inf_nan=False, description="Seconds of sound to make, a prompt not counted."
    )
    prompt_audio: str | None = Field(
        default=None,
        min_length=1,
        json_schema_extra={"contentEncoding": "base64"},
        description="A recording to continue: a WAV, FLAC, Ogg or MP3 file in base64. The body is what comes after it; "
        "the recording itself is not repeated.",
    )


class LikelihoodResult(BaseModel):
    """How likely a recording is. ``nats`` is minus the logarithm of its probability."""

    bits_per_sample: float
    nats: float
    samples: int
    curve: list[float] = Field(description="Bits of every 10 ms.")


class JobsQuery(BaseModel):
    """Which part of the list of jobs."""

    model_config = ConfigDict(extra="forbid")

    after: str | None = Field(default=None, pattern=JOB_ID, description="The id of the last job seen.")
    limit: int = Field(default=20, ge=1, le=100, description="At most so many.")


class JobList(BaseModel):
    """Jobs, newest first."""

    object: Literal["list"] = "list"
    data: list[JobObject]
    has_more: bool
    first_id: str | None
    last_id: str | None


class DeletedJob(BaseModel):
    """A job that is no more."""

    id: str
    object: Literal["job.deleted"] = "job.deleted"
    deleted: Literal[True] = True


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Output(StrictRequest):
    """What a job gave."""

    sha256: Digest = Field(description="Of the bytes of `/v1/jobs/{id}/content`.")
    bytes: int = Field(ge=0)
    symbols_sha256: Digest = Field(description="Of the symbols that were sampled, one byte each, a prompt not counted.")
    samples: int = Field(ge=0, description="Symbols that were sampled.")
    media_type: str = Field(max_length=256)


class Manifest(StrictRequest):
    """All that a job's sound or pictures depend on, and what they became: enough to make them again, and to compare."""

    object: Literal["manifest"] = "manifest"
    job: str = Field(pattern=JOB_ID)
    created_at: int
    model: str = Field(min_length=1, max_length=256)
    model_sha256: Digest
    engine: str = Field(max_length=64)
    seed: int = Field(ge=0, lt=SEEDS)
    request: dict[str, JsonValue] = Field(
        description="The body that, sent to the route that the job came from, makes the same bytes."
    )
    prompt_sha256: Digest | None = Field(
        description="Of the symbols of the recording, or of the rows, that were continued. They are not in a manifest: "
        "to verify one, put them back as `request.prompt_audio` or `request.image`."
    )
    output: Output
    version: str = Field(max_length=64)


class Verification(BaseModel):
    """What came of running a manifest again."""

    object: Literal["verification"] = "verification"
    equal: bool = Field(description="Whether the bytes are.")
    symbols_equal: bool = Field(description="Whether what was sampled is; an encoder of another version differs alone.")
    expected_sha256: str
    actual_sha256: str
    model_sha256: str
    engine: str
    job: str


class SessionConfig(StrictRequest):
    """The first message of a speech session: by whom, in which form, from which seed. As in :class:`SpeechRequest`."""

    type: Literal["session.config"] = "session.config"
    model: str = Field(min_length=1, max_length=256)
    voice: Annotated[str, Field(min_length=1, max_length=256)] | VoiceReference
    response_format: AudioFormat = "pcm"
    sample_rate: SampleRate | None = None
    seed: int | None = Field(default=None, ge=0, lt=SEEDS)
    temperature: float | None = Field(default=None, ge=0.0, le=2.0, allow_inf_nan=False)
    speed: float = Field(default=1.0, ge=0.25, le=4.0, allow_inf_nan=False)

    def request(self, text: str, seed: int) -> SpeechRequest:
        """The request over HTTP that says ``text`` in the same way."""
        return SpeechRequest(**self.model_dump(exclude={"type", "seed"}), input=text, seed=seed)


class InputText(StrictRequest):
    """A piece of text. It is spoken as soon as a sentence is complete."""

    type: Literal["input.text"]
    text: str = Field(min_length=1, max_length=MAX_INPUT_CHARACTERS)


class InputDone(StrictRequest):
    """No more text: the rest is spoken, complete or not."""

    type: Literal["input.done"]


class InputCancel(StrictRequest):
    """Nothing of what has not been sent yet is wanted."""

    type: Literal["input.cancel"]


class SessionClose(StrictRequest):
    """The session is over and will not be resumed."""

    type: Literal["session.close"]


SpeechMessage = SessionConfig | InputText | InputDone | InputCancel | SessionClose
SPEECH_MESSAGES: dict[str, type[SpeechMessage]] = {
    "session.config": SessionConfig,
    "input.text": InputText,
    "input.done": InputDone,
    "input.cancel": InputCancel,
    "session.close": SessionClose,
}
"""What a client of ``/v1/audio/speech/stream`` may say, by type."""
