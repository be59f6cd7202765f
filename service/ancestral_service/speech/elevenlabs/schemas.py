"""What ElevenLabs' clients send and get, over HTTP and over websockets.

Voices and models are those of this server. Nothing is ignored silently: docs/api.md lists what is honoured, what is
accepted with one value only or without effect, because their clients send it by default, and what is refused.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from ancestral import requests
from ancestral.requests import MAX_INPUT_CHARACTERS, Described, LanguageTag, RequestSeed, StrictRequest, example
from ancestral_models.entries import SPEEDS

OutputFormat = Literal[
    "pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_44100", "pcm_48000", "ulaw_8000", "alaw_8000",
    "mp3_22050_32", "mp3_24000_48", "mp3_44100_32", "mp3_44100_64", "mp3_44100_96", "mp3_44100_128", "mp3_44100_192",
    "opus_48000_32", "opus_48000_64", "opus_48000_96", "opus_48000_128", "opus_48000_192",
]  # fmt: skip
HttpFormat = Literal[OutputFormat, "wav_8000", "wav_16000", "wav_22050", "wav_24000", "wav_44100", "wav_48000"]
PAGE = requests.pattern(r"^[0-9]{1,6}$", "what the answer before gave, a number")
NO_EFFECT = "Accepted for ElevenLabs compatibility; has no effect."
_Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class StreamQuery(Described):
    """The parameters of a websocket's URL."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_id: str | None = Field(default=None, min_length=1, max_length=256)
    output_format: OutputFormat = "mp3_44100_128"
    seed: RequestSeed | None = None
    inactivity_timeout: int = Field(default=20, ge=1, le=180)
    auto_mode: bool = False
    sync_alignment: bool = False
    """Count times from the start of the audio, not from the message that has them."""
    language_code: LanguageTag | None = None
    enable_ssml_parsing: Literal["true", "false"] = "false"
    """The text is SSML documents, each a `<speak>` element; spoken when it has ended."""
    enable_logging: Literal["true"] = "true"
    apply_text_normalization: Literal["auto", "on"] = "auto"
    apply_language_text_normalization: Literal["false"] = "false"
    optimize_streaming_latency: int = Field(default=0, ge=0, le=4)


class SpeechQuery(Described):
    """The query parameters of a request over HTTP."""

    output_format: HttpFormat = "mp3_44100_128"
    """Format and sample rate; the bit rate is the server's own."""
    enable_logging: Literal["true"] = "true"
    """`true` only."""
    optimize_streaming_latency: int = Field(default=0, ge=0, le=4, description=NO_EFFECT)


class VoiceSettings(StrictRequest):
    """How the text is spoken."""

    speed: float = Field(default=1.0, ge=SPEEDS[0], le=SPEEDS[1], allow_inf_nan=False)
    stability: _Share | None = None
    similarity_boost: _Share | None = None
    style: _Share | None = None
    use_speaker_boost: bool | None = None


class _Body(StrictRequest):
    """What the bodies of requests over HTTP share."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str | None = Field(default=None, min_length=1, max_length=256)
    """The first model that has the voice, or the first of several, if absent."""
    seed: RequestSeed | None = None
    """Drawn if absent."""
    language_code: LanguageTag | None = None
    """Of what the voice says, or the first of several; every other one speaks its own."""
    apply_text_normalization: Literal["auto", "on"] | None = None


class TextToSpeech(_Body):
    """The body of a request over HTTP: text to speak."""

    model_config = example(text="Hello.", model_id="wavenet-multilingual", seed=7)

    text: str = Field(min_length=1, max_length=MAX_INPUT_CHARACTERS)
    """The text to speak."""
    voice_settings: VoiceSettings | None = None
    """Only `speed` changes anything."""
    previous_text: str | None = Field(default=None, max_length=65536, description=NO_EFFECT)
    next_text: str | None = Field(default=None, max_length=65536, description=NO_EFFECT)
    apply_language_text_normalization: Literal[False] | None = None

    text_field: ClassVar[str] = "text"
    """The client's name of what is spoken, for errors."""


class DialogueText(TextToSpeech):
    """A dialogue as one text."""

    voices: tuple[str, ...]
    """Who says each of its inputs."""

    text_field: ClassVar[str] = "inputs"


class DialogueInput(StrictRequest):
    """What one voice says."""

    text: str = Field(min_length=1, max_length=MAX_INPUT_CHARACTERS)
    voice_id: str = Field(min_length=1, max_length=256)


class DialogueSettings(StrictRequest):
    stability: _Share | None = Field(default=None, description=NO_EFFECT)


class TextToDialogue(_Body):
    """The body of a request for a dialogue: what the voices of one model say, one after the other."""

    model_config = example(inputs=[{"voice_id": "heart", "text": "Ready?"}, {"voice_id": "joe", "text": "Yes."}])

    inputs: list[DialogueInput] = Field(min_length=1, max_length=500)
    """Together no longer than a text."""
    settings: DialogueSettings | None = None

    @property
    def text(self) -> str:
        """All of it as one text."""
        return "".join(f"[voice:{item.voice_id}]{item.text}" for item in self.inputs)


class SecondsAlignment(Described):
    """Characters in time, in seconds from the start of the audio."""

    characters: list[str]
    character_start_times_seconds: list[float]
    character_end_times_seconds: list[float]


class AudioWithTimestamps(Described):
    """Audio, and when its characters are spoken."""

    audio_base64: str = Field(json_schema_extra={"contentEncoding": "base64"})
    alignment: SecondsAlignment | None
    """Of the text as it was sent."""
    normalized_alignment: SecondsAlignment | None
    """Of the words as they are read."""


class VoiceSegment(Described):
    """Characters of an alignment that one voice says."""

    voice_id: str
    start_time_seconds: float
    end_time_seconds: float
    character_start_index: int
    character_end_index: int
    """Of the character after the last one."""
    dialogue_input_index: int


class DialogueWithTimestamps(AudioWithTimestamps):
    """Audio, and when which voice says which characters."""

    voice_segments: list[VoiceSegment]


class ElevenLabsVoice(Described):
    """A voice as ElevenLabs' clients expect it."""

    voice_id: str
    name: str
    category: Literal["premade"] = "premade"
    labels: dict[str, str]
    description: str
    preview_url: str | None
    settings: None = None


class ElevenLabsVoices(Described):
    """Every voice that speaks."""

    voices: list[ElevenLabsVoice]


class VoicesQuery(Described):
    """Which voices to list, and how many at a time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    search: str | None = Field(default=None, max_length=256)
    """In names, descriptions, languages and genders."""
    gender: str | None = Field(default=None, max_length=16)
    """As `labels` say it."""
    language: str | None = Field(default=None, max_length=16)
    """`en`, or `en-GB`."""
    category: Literal["premade"] | None = None
    """There is no other."""
    page_size: int = Field(default=10, ge=1, le=100)
    """Voices in an answer."""
    next_page_token: str | None = Field(default=None, pattern=PAGE)
    """Of the answer before."""
    include_total_count: bool = True
    """If not, `total_count` is 0."""


class ElevenLabsVoicePage(ElevenLabsVoices):
    """Some of the voices that were asked for."""

    has_more: bool
    total_count: int
    next_page_token: str | None


class ElevenLabsSubscription(Described):
    tier: Literal["self-hosted"] = "self-hosted"
    status: Literal["active"] = "active"
    character_count: Literal[0] = 0
    """Characters are not counted."""
    character_limit: int = MAX_INPUT_CHARACTERS
    """Of one request."""


class ElevenLabsUser(Described):
    """The caller."""

    user_id: str
    """The name of the API key."""
    subscription: ElevenLabsSubscription = ElevenLabsSubscription()


class ElevenLabsLanguage(Described):
    """A language of a model."""

    language_id: str
    name: str


class ElevenLabsModel(Described):
    """A model as ElevenLabs' clients expect it."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    name: str
    description: str
    can_do_text_to_speech: bool
    can_do_voice_conversion: Literal[False] = False
    can_be_finetuned: Literal[False] = False
    can_use_style: Literal[False] = False
    can_use_speaker_boost: Literal[False] = False
    maximum_text_length_per_request: int = MAX_INPUT_CHARACTERS
    languages: list[ElevenLabsLanguage]


class GenerationConfig(StrictRequest):
    """How much of an incomplete sentence is collected before it is spoken up to a clause's end, in characters."""

    chunk_length_schedule: list[Annotated[float, Field(ge=5, le=500)]] | None = Field(default=None, max_length=64)


class SessionSettings(StrictRequest):
    """What the first message of a connection, or of one of its contexts, says besides the text."""

    voice_settings: VoiceSettings | None = None
    generation_config: GenerationConfig | None = None
    xi_api_key: str | None = Field(default=None, max_length=256)
    """In the first message of a connection."""

    @property
    def settings(self) -> list[str]:
        """The names of those that it has."""
        names = SessionSettings.model_fields.keys() - {"xi_api_key"}
        return sorted(name for name in names if getattr(self, name) is not None)


class TextMessage(StrictRequest):
    """A piece of text; an empty one ends the input."""

    text: str = Field(max_length=MAX_INPUT_CHARACTERS)
    flush: bool = False
    try_trigger_generation: bool = False


class FirstMessage(SessionSettings, TextMessage):
    """The first message, which has the settings."""


class ContextMessage(SessionSettings):
    """A message for one of several contexts, each of which is spoken by itself."""

    context_id: str | None = Field(default=None, min_length=1, max_length=256)
    """Any name; messages without one have a context too."""
    text: str | None = Field(default=None, max_length=MAX_INPUT_CHARACTERS)
    """The first text of a context opens it, or its settings. An empty text keeps it alive."""
    flush: bool = False
    """Speak what has been received, even if no sentence is complete."""
    close_context: bool = False
    """No more text: the rest is spoken, then `isFinal` comes. A second one cancels it."""
    close_socket: bool = False
    """Close all contexts, then the connection."""


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
