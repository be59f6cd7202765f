"""What a request may say and what a response says: the wire contract as types.

Strict: an unknown field, a number in a string or a NaN is an error that names the field.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
SampleRate = Literal[8000, 16000, 22050, 24000, 44100, 48000]

MAX_INPUT_CHARACTERS = 4096
MAX_SEED = 2**63 - 1
EXAMPLE: dict[str, JsonValue] = {
    "model": "wavenet-en",
    "input": "The birch canoe slid on the smooth planks.",
    "voice": "joe",
    "response_format": "wav",
    "seed": 7,
}


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class VoiceReference(_Request):
    """A voice by its id, the object form that newer OpenAI clients send."""

    id: str = Field(min_length=1, max_length=256)


class SpeechRequest(_Request):
    """``POST /v1/audio/speech``: text to speak, and how."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    model: str = Field(min_length=1, max_length=256, description="The id of a model that `/v1/models` lists.")
    input: str = Field(min_length=1, max_length=MAX_INPUT_CHARACTERS, description="The text to speak.")
    voice: Annotated[str, Field(min_length=1, max_length=256)] | VoiceReference = Field(
        description="One of `/v1/audio/voices`, as a string or as an object with an id."
    )
    response_format: AudioFormat = Field(
        default="mp3", description="This version makes mp3, flac, wav and pcm (16-bit little-endian, mono)."
    )
    speed: float = Field(default=1.0, ge=0.25, le=4.0, allow_inf_nan=False, description="2 speaks twice as fast.")
    stream_format: Literal["audio", "sse"] = Field(
        default="audio", description="`sse` wraps the sound in server-sent events, base64 encoded."
    )
    seed: int | None = Field(
        default=None, ge=0, le=MAX_SEED, description="The same seed gives the same bytes. Drawn and returned if absent."
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


class Usage(BaseModel):
    """What a request cost. Input tokens are phonemes, output tokens are sampled symbols."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class ModelObject(BaseModel):
    """A model as ``GET /v1/models`` lists it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    kind: str
    capabilities: list[str]
    sample_rate: int
    sha256: str
    receptive_field: int
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
    """``GET /healthz`` and ``GET /readyz`` when all is well."""

    status: Literal["ok", "ready"]


class ErrorBody(BaseModel):
    """What went wrong; all four keys are always there."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(BaseModel):
    """Every error response."""

    error: ErrorBody
