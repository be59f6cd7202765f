"""The client's messages of ``WS /v1/audio/speech/stream``. The server's are in events.py."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ancestral.formats import AudioFormat
from ancestral.models.entries import MAX_INTONATION, MAX_PITCH, SPEEDS
from ancestral.models.text import InputFormat
from ancestral.service.jobs.schemas import RequestSeed, StrictRequest
from ancestral.service.speech.schemas import (
    MAX_INPUT_CHARACTERS,
    MAX_PRONUNCIATIONS,
    LanguageTag,
    Pronunciation,
    SampleRate,
    SpeechRequest,
    Timestamps,
    VoiceChoice,
    Voices,
    voice_text,
)
from ancestral.service.ws.schemas import ApiKey, SessionClose

ChunkLengths = list[Annotated[int, Field(ge=5, le=500)]]


class SessionConfig(StrictRequest):
    """The first message of a speech session: by whom, in which form, from which seed. As in :class:`SpeechRequest`."""

    type: Literal["session.config"] = "session.config"
    model: str | None = Field(default=None, min_length=1, max_length=256)
    voice: VoiceChoice
    response_format: AudioFormat = "pcm"
    sample_rate: SampleRate | None = None
    seed: RequestSeed | None = None
    temperature: float | None = Field(default=None, ge=0.0, le=2.0, allow_inf_nan=False)
    speed: float = Field(default=1.0, ge=SPEEDS[0], le=SPEEDS[1], allow_inf_nan=False)
    pitch: float = Field(default=0.0, ge=-MAX_PITCH, le=MAX_PITCH, allow_inf_nan=False)
    intonation: float = Field(default=1.0, ge=0.0, le=MAX_INTONATION, allow_inf_nan=False)
    input_format: InputFormat = "text"
    """`ssml`: the text is SSML documents, each of which is spoken when its `</speak>` has come."""
    language: LanguageTag | None = None
    """Of the text; the voice's by default."""
    pronunciations: Pronunciation = Field(default={}, max_length=MAX_PRONUNCIATIONS)
    """How words are said, in ARPAbet or IPA."""
    voices: Voices = Field(default={})
    flush_after_ms: int = Field(default=300, ge=0, le=60_000)
    """A sentence without white space after it is spoken when so long nothing has come; three times as long after what
    may be an abbreviation. 0 waits for more text or `input.done`."""
    chunk_length_schedule: ChunkLengths = Field(default=[40, 160, 250], max_length=64)
    """An incomplete sentence is spoken up to its last comma, semicolon, colon or dash once that many characters have
    come: the first number holds for the first piece of text, and so on, the last one for all that follow. `[]` speaks
    whole sentences only."""
    timestamps: Timestamps = Field(default=[])
    """Any of `word`, `phoneme` and `viseme`: every `audio.start` says when its own are spoken."""
    api_key: ApiKey = None

    @property
    def voice_id(self) -> str:
        """The voice or mix of voices, whichever form it came in."""
        return voice_text(self.voice)

    def request(self, text: str, seed: int) -> SpeechRequest:
        """The request over HTTP that says ``text`` in the same way."""
        own = {"type", "seed", "timestamps", "flush_after_ms", "chunk_length_schedule"}
        return SpeechRequest(**self.model_dump(exclude=own), input=text, seed=seed)


class SessionResume(StrictRequest):
    """The key of a client that resumes a session and cannot set headers: its first message."""

    type: Literal["session.resume"]
    api_key: ApiKey


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


SpeechMessage = SessionConfig | SessionResume | InputText | InputDone | InputCancel | SessionClose
SPEECH_MESSAGES: dict[str, type[SpeechMessage]] = {
    "session.config": SessionConfig,
    "session.resume": SessionResume,
    "input.text": InputText,
    "input.done": InputDone,
    "input.cancel": InputCancel,
    "session.close": SessionClose,
}
"""What a client of ``/v1/audio/speech/stream`` may say, by type."""
