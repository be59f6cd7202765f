"""The messages of ElevenLabs' websockets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from ancestral.service.jobs.schemas import Described, StrictRequest
from ancestral.service.speech.elevenlabs.schemas import VoiceSettings
from ancestral.service.speech.schemas import MAX_INPUT_CHARACTERS


class GenerationConfig(StrictRequest):
    """How much of an incomplete sentence is collected before it is spoken up to a clause's end, in characters."""

    chunk_length_schedule: list[Annotated[float, Field(ge=5, le=500)]] | None = Field(default=None, max_length=64)


class TextMessage(StrictRequest):
    """A piece of text; an empty one ends the input."""

    text: str = Field(max_length=MAX_INPUT_CHARACTERS)
    flush: bool = False
    try_trigger_generation: bool = False


class FirstMessage(TextMessage):
    """The first message, which has the settings."""

    voice_settings: VoiceSettings | None = None
    generation_config: GenerationConfig | None = None
    xi_api_key: str | None = Field(default=None, max_length=256)


class ContextMessage(StrictRequest):
    """A message for one of several contexts, each of which is spoken by itself."""

    context_id: str | None = Field(default=None, min_length=1, max_length=256)
    """Any name; messages without one have a context too."""
    text: str | None = Field(default=None, max_length=MAX_INPUT_CHARACTERS)
    """The first text of a context opens it. An empty text keeps it alive."""
    flush: bool = False
    """Speak what has been received, even if no sentence is complete."""
    close_context: bool = False
    """No more text: the rest is spoken, then `isFinal` comes. A second one cancels it."""
    close_socket: bool = False
    """Close all contexts, then the connection."""
    voice_settings: VoiceSettings | None = None
    """In the first message of a context."""
    generation_config: GenerationConfig | None = None
    """In the first message of a context."""
    xi_api_key: str | None = Field(default=None, max_length=256)
    """In the first message."""


class _Answer(Described):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CharacterTimes(_Answer):
    chars: list[str]
    charStartTimesMs: list[int]  # noqa: N815  # ElevenLabs' names, as below
    charDurationsMs: list[int]  # noqa: N815


class AudioMessage(_Answer):
    """Some of the audio; the last message has none, and ``isFinal`` is true."""

    audio: str | None = Field(json_schema_extra={"contentEncoding": "base64"})
    isFinal: Literal[True] | None  # noqa: N815
    normalizedAlignment: CharacterTimes | None = Field(  # noqa: N815
        default=None, description="Of the words as they are read, with the first audio of each utterance."
    )
    alignment: CharacterTimes | None = None
    """Of the text as it was sent, likewise."""


class ContextAudio(AudioMessage):
    """Some of the audio of a context; its last message has none, and ``isFinal`` is true."""

    contextId: str | None  # noqa: N815


class FailureMessage(_Answer):
    """What went wrong; the connection is closed after it."""

    message: str
    error: str
    """The code of the error."""
    code: Literal[1008] = 1008
    """The close code that follows."""


class ContextFailure(_Answer):
    """What went wrong with one context, which has ended; the others go on."""

    message: str
    error: str
    """The code of the error."""
    contextId: str | None  # noqa: N815
