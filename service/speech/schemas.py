"""What a request for sound may say and what its answer says.

Strict: an unknown field, a number in a string or a NaN is an error that names the field.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from ancestral.catalog.mix import MAX_VOICES
from ancestral.formats import AudioFormat
from ancestral.models.entries import MAX_INTONATION, MAX_PITCH, SPEEDS
from ancestral.models.text import InputFormat
from ancestral.models.text.ipa import MAX_PHONEME_CHARACTERS
from ancestral.models.text.pronunciations import MAX_WORD_CHARACTERS
from ancestral.service.jobs.schemas import NO_EFFECT, Described, RequestSeed, Seed, StrictRequest
from ancestral.service.ws.schemas import ServerEvent
from ancestral.speech.cast import MAX_NAME_CHARACTERS, MAX_NAMES

# Times of words, phonemes and visemes, as clients see them.


class WordSpan(Described):
    """When a word is said."""

    word: str
    """As it is read: numbers and abbreviations are written out."""
    start: int = Field(ge=0)
    """Its first sample."""
    end: int = Field(ge=0)
    """The first sample after it."""


class WordTime(WordSpan):
    """When a word is said, and by whom."""

    speaker: str | None = None
    """In a text of several voices: who says it, by a name of `voices` or by the id of the voice."""


class WrittenWordTime(WordTime):
    """When a word is said, and where it was written."""

    text_start: int = Field(ge=0)
    """Where it was written in `text`: its first character."""
    text_end: int = Field(ge=0)
    """The first character after it. What was written as one, such as a date, has several words."""


class PhonemeTime(Described):
    """When a phoneme is said."""

    phoneme: str
    """ARPAbet; a vowel has a digit for its stress: 1 primary, 2 secondary, 0 none."""
    start: int = Field(ge=0)
    """Its first sample."""
    end: int = Field(ge=0)
    """The first sample after it."""


class VisemeTime(Described):
    """When the mouth has a shape."""

    viseme: str
    """One of Oculus': PP, FF, TH, DD, kk, CH, SS, nn, RR, aa, E, ih, oh, ou."""
    viseme_id: int = Field(ge=1, le=21)
    """Azure's number of it."""
    start: int = Field(ge=0)
    """Its first sample."""
    end: int = Field(ge=0)
    """The first sample after it. Where none is, the mouth is at rest."""


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


SampleRate = Literal[8000, 16000, 22050, 24000, 44100, 48000]

Timestamps = Annotated[list[Literal["word", "phoneme", "viseme"]], Field(max_length=3)]

LanguageTag = Annotated[str, Field(min_length=1, max_length=64)]
MAX_INPUT_CHARACTERS = 4096
MAX_PRONUNCIATIONS = 500
MAX_DURATION = 3600.0
"""Seconds of sound that one generation may ask for."""


class VoiceReference(StrictRequest):
    """A voice by its id, the object form that newer OpenAI clients send."""

    id: str = Field(min_length=1, max_length=256)


VoiceWeights = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=64)], Annotated[float, Field(gt=0.0, lt=1e6, allow_inf_nan=False)]
    ],
    Field(min_length=1, max_length=MAX_VOICES),
]
"""A mix of voices: the weight of each, with at most three decimals."""
VoiceChoice = Annotated[str, Field(min_length=1, max_length=256)] | VoiceReference | VoiceWeights
Pronunciation = dict[
    Annotated[str, Field(min_length=1, max_length=MAX_WORD_CHARACTERS)],
    Annotated[str, Field(min_length=1, max_length=MAX_PHONEME_CHARACTERS)],
]

Voices = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)],
        Annotated[str, Field(min_length=1, max_length=256)],
    ],
    Field(
        max_length=MAX_NAMES,
        description='Names for voices or mixes of the model: with `{"ANNA": "emma"}` emma says what follows `ANNA:` at '
        "the beginning of a line, up to the next name.",
    ),
]


def voice_text(voice: str | VoiceReference | dict[str, float]) -> str:
    """A voice, or a mix of voices, as text, whichever form it came in."""
    if isinstance(voice, VoiceReference):
        return voice.id
    if isinstance(voice, str):
        return voice
    return "+".join(f"{name}({repr(weight).removesuffix('.0')})" for name, weight in voice.items())


class AudioRequest(StrictRequest):
    """What every request for sound says: by whom, in which form, from which seed."""

    model: str | None = Field(default=None, min_length=1, max_length=256)
    """The id of a model that `/v1/models` lists; the first that has the voice if absent."""
    voice: VoiceChoice
    """One of `/v1/audio/voices`, as a string or as an object with an id; or a mix of them with weights,
    `"heart(2)+joe(1)"` or `{"heart": 2, "joe": 1}`."""
    response_format: AudioFormat = "mp3"
    """pcm is 16-bit little-endian, mono; aac is ADTS, opus is Ogg; ulaw_8000 and alaw_8000 are G.711."""
    stream_format: Literal["audio", "sse", "json"] = "audio"
    """`sse` wraps the sound in server-sent events, base64 encoded; `json` answers with one JSON object when all of it
    has been sampled."""
    seed: RequestSeed | None = None
    """The same seed gives the same bytes. Drawn and returned if absent."""
    temperature: float | None = Field(default=None, ge=0.0, le=2.0, allow_inf_nan=False)
    """Divides the logits; 0 takes the most likely symbol, 1 samples the model as it is. The default is the model's own.
    A voice may scale it by voicing."""
    sample_rate: SampleRate | None = None
    """In hertz. The default is the model's `default_sample_rate`, but 24000 for pcm and 8000 for G.711."""

    @property
    def voice_id(self) -> str:
        """The voice or mix of voices, whichever form it came in."""
        return voice_text(self.voice)


class SpeechRequest(AudioRequest):
    """``POST /v1/audio/speech``: text to speak, and how."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "wavenet-multilingual",
                    "voice": "joe",
                    "input": "The birch canoe slid on the smooth planks.",
                    "response_format": "wav",
                    "seed": 7,
                }
            ]
        }
    )

    input: str = Field(min_length=1, max_length=MAX_INPUT_CHARACTERS)
    """The text to speak. `[[HH AH0 L OW1]]` gives phonemes (ARPAbet or IPA), `[pause:1.5s]` a pause, `[voice:joe]`
    another voice for what follows."""
    input_format: InputFormat = "text"
    """`ssml`: `input` is an SSML document, one `<speak>` element."""
    language: LanguageTag | None = None
    """Of the text, a tag of BCP 47 such as `es` or `fr-FR`; the voice's language by default. Another one is read by its
    own rules and spoken with the voice's sounds."""
    pronunciations: Pronunciation = Field(default={}, max_length=MAX_PRONUNCIATIONS)
    """How words of the text are said, in ARPAbet or IPA. A word in lower case stands for any case."""
    voices: Voices = Field(default={})
    speed: float = Field(default=1.0, ge=SPEEDS[0], le=SPEEDS[1], allow_inf_nan=False)
    """2 speaks twice as fast."""
    pitch: float = Field(default=0.0, ge=-MAX_PITCH, le=MAX_PITCH, allow_inf_nan=False)
    """Semitones by which the voice is higher."""
    intonation: float = Field(default=1.0, ge=0.0, le=MAX_INTONATION, allow_inf_nan=False)
    """How far the pitch moves around its mean in a sentence: 0 is monotone, 1 as the model predicts it."""
    timestamps: Timestamps = Field(default=[])
    """Any of `word`, `phoneme` and `viseme`: say when they are spoken. Needs `stream_format` `sse` or `json`; of a job,
    `/v1/jobs/{id}/timestamps` tells the same."""
    instructions: Annotated[str, WithJsonSchema({"type": "string", "maxLength": 0})] | None = None
    """Refused unless empty: no model is steered by a description. Use `speed`, `pitch`, `intonation`."""
    stream: bool | None = Field(default=None, description=NO_EFFECT + " The audio always streams.")
    user: str | None = Field(default=None, max_length=256, description=NO_EFFECT)


class Usage(Described):
    """What a request cost. Input tokens are phonemes, output tokens are sampled symbols."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class SpeechAudioDelta(Described):
    """A server-sent event of a request for sound: the next bytes of it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"type": "speech.audio.delta", "audio": "UklGRuQvAQBXQVZF"}]}
    )

    type: Literal["speech.audio.delta"] = "speech.audio.delta"
    audio: str = Field(json_schema_extra={"contentEncoding": "base64"})


class SpeechAudioDone(Described):
    """The last server-sent event of a request for sound."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "speech.audio.done",
                    "usage": {"input_tokens": 33, "output_tokens": 38880, "total_tokens": 38913},
                }
            ]
        }
    )

    type: Literal["speech.audio.done"] = "speech.audio.done"
    usage: Usage


class SpeechAudioTimestamps(Described):
    """A server-sent event of a request with ``timestamps``, before the first bytes of each sentence.

    Samples are counted from the start of the audio, at ``sample_rate``.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "speech.audio.timestamps",
                    "sample_rate": 16000,
                    "words": [{"word": "hello", "start": 1280, "end": 6080}],
                }
            ]
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


class GenerationRequest(AudioRequest):
    """``POST /v1/audio/generations``: sound of nothing in particular, or the continuation of a recording."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "wavenet-babble", "voice": "joe", "duration": 1.0, "response_format": "wav", "seed": 7}
            ]
        }
    )

    duration: float = Field(gt=0.0, le=MAX_DURATION, allow_inf_nan=False)
    """Seconds of audio to generate, without the prompt."""
    prompt_audio: str | None = Field(default=None, min_length=1, json_schema_extra={"contentEncoding": "base64"})
    """A recording to continue: a WAV, FLAC, Ogg or MP3 file in base64. The body is what comes after it; the recording
    itself is not repeated."""


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


# The server's messages of ``WS /v1/audio/speech/stream``. The client's are in schemas.py.


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
