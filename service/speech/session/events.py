"""The server's messages of ``WS /v1/audio/speech/stream``. The client's are in schemas.py."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from ancestral.service.jobs.schemas import SEEDS
from ancestral.service.speech.schemas import AudioFormat
from ancestral.service.speech.time_schemas import PhonemeTime, WordTime
from ancestral.service.ws.schemas import ServerEvent, without_default

_SHA256 = "3b16d3f0a3aa3c1d3fd4c0ee6a2f30d1fd7e9f2a0d7c4a4bd1b5c0ab8a4bd6f5"
SESSION_ID = "session_0123456789abcdef0123456789abcdef"


class SessionCreated(ServerEvent):
    """The first message of every connection."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"type": "session.created", "session_id": SESSION_ID, "received_characters": 0}]
        }
    )

    type: Literal["session.created"] = "session.created"
    session_id: str = Field(description="For `?session_id=…` after a lost connection.")
    received_characters: int = Field(ge=0, description="How much text the session has received.")


class AudioStart(ServerEvent):
    """An utterance begins; its audio follows in binary frames."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"type": "audio.start", "utterance": 0, "format": "pcm", "sample_rate": 24000, "seed": 7}]
        }
    )

    type: Literal["audio.start"] = "audio.start"
    utterance: int = Field(ge=0, description="Its number in the session, from 0.")
    format: AudioFormat
    sample_rate: int = Field(description="In hertz.")
    seed: int = Field(
        ge=0,
        lt=SEEDS,
        description="`POST /v1/audio/speech` with this seed and the utterance's text gives the same bytes.",
    )
    words: list[WordTime] | SkipJsonSchema[None] = Field(
        default=None,
        json_schema_extra=without_default,
        description="With `word` in `timestamps`: its words, with their first sample and the first one after them, "
        "counted from the start of the utterance at `sample_rate`.",
    )
    phonemes: list[PhonemeTime] | SkipJsonSchema[None] = Field(
        default=None,
        json_schema_extra=without_default,
        description="With `phoneme` in `timestamps`: its phonemes, likewise.",
    )


class AudioProgress(ServerEvent):
    """How much of an utterance has been sent; about once per second of audio."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "audio.progress",
                    "utterance": 0,
                    "samples": 24000,
                    "total_samples_estimate": 53280,
                    "real_time_factor": 5.1,
                }
            ]
        }
    )

    type: Literal["audio.progress"] = "audio.progress"
    utterance: int = Field(ge=0)
    samples: int = Field(ge=0, description="Sent so far, at the rate of the bytes.")
    total_samples_estimate: int = Field(ge=0)
    real_time_factor: float = Field(ge=0, description="Seconds of audio sent per second.")


class AudioDone(ServerEvent):
    """An utterance is complete."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"type": "audio.done", "utterance": 0, "total_bytes": 106560, "samples": 53280, "sha256": _SHA256}
            ]
        }
    )

    type: Literal["audio.done"] = "audio.done"
    utterance: int = Field(ge=0)
    total_bytes: int = Field(ge=0, description="Of the whole utterance, also after it was resumed.")
    samples: int = Field(ge=0)
    sha256: str = Field(description="Of all its bytes.")


class AudioCancelled(ServerEvent):
    """The answer to `input.cancel`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"type": "audio.cancelled"}]})

    type: Literal["audio.cancelled"] = "audio.cancelled"


class SessionDone(ServerEvent):
    """Everything before `input.done` has been sent; more text may follow."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"type": "session.done"}]})

    type: Literal["session.done"] = "session.done"
