"""The server's messages of ``WS /v1/audio/speech/stream``. The client's are in schemas.py."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ancestral.formats import AudioFormat
from ancestral.service.jobs.schemas import Seed
from ancestral.service.speech.time_schemas import PhonemeTime, VisemeTime, WordTime
from ancestral.service.ws.schemas import ServerEvent


class SessionCreated(ServerEvent):
    """The first message of every connection."""

    type: Literal["session.created"] = "session.created"
    session_id: str
    """For `?session_id=…` after a lost connection."""
    received_characters: int = Field(ge=0)
    """How much text the session has received."""


class AudioStart(ServerEvent):
    """An utterance begins; its audio follows in binary frames."""

    type: Literal["audio.start"] = "audio.start"
    utterance: int = Field(ge=0)
    """Its number in the session, from 0."""
    format: AudioFormat
    sample_rate: int
    """In hertz."""
    seed: Seed
    """`POST /v1/audio/speech` with this seed and the utterance's text gives the same bytes."""
    words: list[WordTime] | None = None
    """With `word` in `timestamps`: its words, with their first sample and the first one after them, counted from the
    start of the utterance at `sample_rate`."""
    phonemes: list[PhonemeTime] | None = None
    """With `phoneme` in `timestamps`: its phonemes, likewise."""
    visemes: list[VisemeTime] | None = None
    """With `viseme` in `timestamps`: its mouth shapes, likewise."""


class AudioProgress(ServerEvent):
    """How much of an utterance has been sent; about once per second of audio."""

    type: Literal["audio.progress"] = "audio.progress"
    utterance: int = Field(ge=0)
    samples: int = Field(ge=0)
    """Sent so far, at the rate of the bytes."""
    total_samples_estimate: int = Field(ge=0)
    real_time_factor: float = Field(ge=0)
    """Seconds of audio sent per second."""


class AudioDone(ServerEvent):
    """An utterance is complete."""

    type: Literal["audio.done"] = "audio.done"
    utterance: int = Field(ge=0)
    total_bytes: int = Field(ge=0)
    """Of the whole utterance, also after it was resumed."""
    samples: int = Field(ge=0)
    sha256: str
    """Of all its bytes."""


class AudioCancelled(ServerEvent):
    """The answer to `input.cancel`."""

    type: Literal["audio.cancelled"] = "audio.cancelled"


class SessionDone(ServerEvent):
    """Everything before `input.done` has been sent; more text may follow."""

    type: Literal["session.done"] = "session.done"
