"""What routes and websockets of speech answer: times, events, voices, phonemes, figures."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from pydantic import Field

from ancestral.catalog.catalog import Catalog
from ancestral.formats import AudioFormat
from ancestral.requests import MAX_INPUT_CHARACTERS, Described, LanguageTag, Seed, example
from ancestral.speech.timestamps import PhonemeTime, VisemeTime, WordSpan, WordTime, WrittenWordTime
from ancestral_models.text import InputFormat
from ancestral_service.ws import ServerEvent


class SpeechTimes(Described):
    """The words, phonemes and visemes of a job and when they are said. Pauses are in none of the lists."""

    object: Literal["timestamps"] = "timestamps"
    job: str
    sample_rate: int
    """In hertz, of the samples that are counted: the model's own."""
    text: str
    """The text as it was written, without directives and tags."""
    words: list[WrittenWordTime]
    phonemes: list[PhonemeTime]
    visemes: list[VisemeTime]
    complete: bool
    """Whether these are all words; a long text is planned sentence by sentence."""


class Usage(Described):
    """What a request cost. Input tokens are phonemes, output tokens are sampled symbols."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class SpeechAudioDelta(Described):
    """A server-sent event of a request for sound: the next bytes of it."""

    model_config = example({"type": "speech.audio.delta", "audio": "UklGRuQvAQBXQVZF"})

    type: Literal["speech.audio.delta"] = "speech.audio.delta"
    audio: str = Field(json_schema_extra={"contentEncoding": "base64"})


class SpeechAudioDone(Described):
    """The last server-sent event of a request for sound."""

    model_config = example(
        {"type": "speech.audio.done", "usage": {"input_tokens": 33, "output_tokens": 38880, "total_tokens": 38913}}
    )

    type: Literal["speech.audio.done"] = "speech.audio.done"
    usage: Usage


class SpeechAudioTimestamps(Described):
    """A server-sent event of a request with ``timestamps``, before the first bytes of each sentence.

    Samples are counted from the start of the audio, at ``sample_rate``.
    """

    model_config = example(
        {
            "type": "speech.audio.timestamps",
            "sample_rate": 16000,
            "words": [{"word": "hello", "start": 1280, "end": 6080}],
        }
    )

    type: Literal["speech.audio.timestamps"] = "speech.audio.timestamps"
    sample_rate: int
    """In hertz."""
    words: list[WordTime] | None = None
    """The words of the sentence, if requested."""
    phonemes: list[PhonemeTime] | None = None
    """Its phonemes, if requested."""
    visemes: list[VisemeTime] | None = None
    """Its mouth shapes, if requested."""


class SpeechObject(Described):
    """The answer to a request for sound with ``"stream_format": "json"``."""

    object: Literal["speech"] = "speech"
    audio: str = Field(json_schema_extra={"contentEncoding": "base64"})
    """The bytes that `stream_format` `audio` gives."""
    audio_format: str
    """Their media type."""
    sample_rate: int
    """In hertz."""
    seed: Seed
    words: list[WordTime] | None = None
    """If requested; samples are at `sample_rate`."""
    phonemes: list[PhonemeTime] | None = None
    """If requested."""
    visemes: list[VisemeTime] | None = None
    """If requested."""
    usage: Usage


class VoicesQuery(Described):
    """The query parameters of ``GET /v1/audio/voices``."""

    model: str | None = Field(default=None, min_length=1, max_length=256)
    """Only the voices of this model; an id of `/v1/models`."""
    language: str | None = Field(default=None, min_length=1, max_length=64)
    """Only voices of this language: `en`, or `en-US`."""
    gender: str | None = Field(default=None, min_length=1, max_length=64)
    """Only voices of this gender."""


class VoiceObject(Described):
    """A voice as ``GET /v1/audio/voices`` lists it."""

    id: str
    name: str
    aliases: list[str]
    """Other names that a request may use for it."""
    language: str
    gender: str
    model: str
    """The first of `models`: one that speaks text, if any of them does."""
    models: list[str]
    """The models that have the voice; those that speak text come first."""
    capabilities: dict[str, list[str]]
    """What the voice can be used for, as `/v1/models` names it, and by which of `models`."""
    description: str
    license: str
    """Of the recordings that the voice was learnt from."""
    preview_url: str | None
    """An MP3 file; null if the model has none."""


class VoiceList(Described):
    """Every voice, under both names that clients look for."""

    object: Literal["list"] = "list"
    voices: list[VoiceObject]
    data: list[VoiceObject]


class WordBits(WordSpan):
    """A word of a recording: when it is said, as far as its text could be aligned, and how much it surprised."""

    bits: float


class LikelihoodResult(Described):
    """How likely a recording is. ``nats`` is minus the logarithm of its probability."""

    bits_per_sample: float
    nats: float
    samples: int
    curve: list[float]
    """The bits of each 10 ms of audio."""
    words: list[WordBits] | None = None
    """Of a model that speaks text: the words, as they are read. Pauses are in none."""


# The server's messages of ``WS /v1/audio/speech/stream``. The client's are in session/state.py.


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
    skipped: list[str] | None = None
    """Words of its text in other scripts, which are not said; if there are any."""


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


class PhonemizeQuery(Described):
    """The query parameters of ``GET /v1/audio/phonemize``."""

    text: str | None = Field(None, min_length=1, max_length=MAX_INPUT_CHARACTERS)
    """As `input` of `/v1/audio/speech`."""
    input: str | None = Field(None, min_length=1, max_length=MAX_INPUT_CHARACTERS)
    """The same as `text`."""
    input_format: InputFormat = "text"
    """`ssml`: the text is an SSML document."""
    language: LanguageTag | None = None
    """Of the text, a tag of BCP 47; by default the voice's, without a voice `en`."""
    voice: str | None = None
    """A voice or a mix, in whose language and with whose sounds the text is read; by default one of `language`."""


def voices_of(catalog: Catalog, base_url: str = "/") -> list[VoiceObject]:
    """Every voice of the models of sound once, with the models that have it.

    Voices are identified by their ids; name and description are those of the first model.

    Args:
        catalog: of all models.
        base_url: of this server, as the client sees it; ends with a slash.
    """
    found: dict[str, VoiceObject] = {}
    for model in catalog.speech_models:
        for voice in model.entry.voices:
            if (listed := found.get(voice.id)) is None:
                names = ("id", "name", "language", "gender", "description", "license")
                has_preview = model.entry.preview(f"{voice.id}.mp3").is_file()
                listed = found[voice.id] = VoiceObject(
                    **{name: getattr(voice, name) for name in names},
                    aliases=catalog.aliases.of_voice(voice.id), model=model.entry.id, models=[], capabilities={},
                    preview_url=f"{base_url}v1/audio/voices/{quote(voice.id)}/preview" if has_preview else None,
                )  # fmt: skip
            listed.models.append(model.entry.id)
            for capability in model.capabilities:
                listed.capabilities.setdefault(capability, []).append(model.entry.id)
    return list(found.values())
