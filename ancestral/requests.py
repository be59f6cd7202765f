"""Requests of every door: the fields that a text, a picture or a recording to score may come with, their ranges,
defaults and help. The library, the command line, HTTP, websockets, batches of rows and books use these classes.

Strict: an unknown field, a number in a string or a NaN is an error that names the field.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ancestral.catalog.palettes import MAX_COLOURS, PALETTES, check_palette
from ancestral.catalog.seeds import MAX_SEED, MAX_SEED_TEXT, seed_as_json, seed_of_text
from ancestral.catalog.voices import MAX_VOICES
from ancestral.errors import InvalidRequest
from ancestral.formats import AudioFormat
from ancestral_models import entries
from ancestral_models.text import InputFormat
from ancestral_models.text.pronunciations import MAX_PHONEME_CHARACTERS, MAX_WORD_CHARACTERS

_MAX_DIGITS: Final = 4000
"""Python refuses to convert integers of more than 4300 digits."""
_SHOWN: Final = 256
"""Characters of a field's name in an error."""


def parse_json(text: str, subject: str) -> Any:
    """Parse a JSON text.

    Args:
        text: to parse.
        subject: what it is, for messages: "The body", "The message".

    Raises:
        InvalidRequest: it is not JSON, is nested too deeply, or an object in it has a key that is repeated or not valid
            Unicode.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"{subject} is not JSON: {error.msg} at {where}.", code="json_invalid") from error
    except RecursionError:
        raise InvalidRequest(f"{subject} is JSON that is nested too deeply to be read.", code="json_invalid") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the JSON; raises as :func:`parse_json` does."""
    found = dict(pairs)
    for name in found:
        try:
            name.encode()
        except UnicodeEncodeError:  # half of a surrogate pair; it could not be quoted in a response
            told = shown(name.encode(errors="backslashreplace").decode())
            message = f"{told}: the name of a field must be valid Unicode"
            raise InvalidRequest(message, param=told, code="unknown_parameter") from None
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = shown(next(name for name, count in Counter(names).items() if count > 1))
        raise InvalidRequest(f"{twice}: given twice", param=twice, code="duplicate_parameter")
    return found


def shown(name: str) -> str:
    """The name of a field as errors have it: what a client sends may be megabytes."""
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"


def _integer(digits: str) -> int | float:
    # An infinity in place of a number that is too long: the schema of the field it is in refuses it by name.
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


# Wrong values, in words.

_VECTOR: Final = "a class, or a vector: a list of numbers from -1e6 to 1e6"
_TWO_FORMS: Final = {
    "voice": "an id, an object with an id, or weights of voices",
    "from": _VECTOR,
    "to": _VECTOR,
    "palette": "a name, or a list of at most 255 colours like #00ff7f",
}
"""Fields that take either of two forms."""
_OTHER_FORM: Final = frozenset(
    {"string_type", "list_type", "model_type", "model_attributes_type", "dict_type", "too_short"}
)
"""What Pydantic says of the form that was not used."""
_WORDS: Final = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be greater than {gt}",
    "less_than": "must be less than {lt}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "none_required": "must be null",
    "literal_error": "must be {expected}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "extra_forbidden": "no such parameter",
    "missing": "required",
    "string_unicode": "contains an unpaired surrogate",
}
"""What is said instead of Pydantic's message, by the type of the error."""
_CODES: Final = {"extra_forbidden": "unknown_parameter", "missing": "missing_parameter"}
_PATTERNS: Final[dict[str, str]] = {}


def whole(value: Any) -> Any:
    """A number without a fraction as an integer, anything else as it is: JSON has only one type of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def pattern(expression: str, words: str) -> str:
    """A regular expression for a schema, with the words that an error says instead of it: what the value must be."""
    _PATTERNS[expression] = words
    return expression


def from_validation(errors: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """The first of Pydantic's errors; ``param`` names the field."""
    first = errors[0]
    path = _path(first)
    if not path:
        return InvalidRequest("The body must be a JSON object.", code="invalid_type")
    if two := next((name for name in path[:-1] if name in _TWO_FORMS), None):
        path = path[: path.index(two) + 1]
        first = _of_the_form(errors, path) or {"type": "invalid_type", "msg": f"must be {_TWO_FORMS[two]}"}
    kind, message, context = str(first["type"]), str(first["msg"]), first.get("ctx", {})
    if kind in _WORDS:
        bounds = {name: whole(value) for name, value in context.items()}
        message = "must not be empty" if bounds.get("min_length") == 1 else _WORDS[kind].format_map(bounds)
    elif kind == "string_pattern_mismatch":
        message = f"must be {_PATTERNS[context['pattern']]}"
    param = shown(".".join(path))
    return InvalidRequest(f"{param}: {message[:1].lower()}{message[1:]}", param=param, code=_CODES.get(kind, kind))


_M = TypeVar("_M", bound=BaseModel)


def checked(kind: type[_M], values: Mapping[str, Any]) -> _M:
    """Validate the values of fields.

    Raises:
        InvalidRequest: one is invalid; ``param`` names it.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise from_validation(error.errors(include_url=False, include_input=False)) from None


def _path(error: Mapping[str, Any]) -> list[str]:
    """The names that lead to the wrong field, without the part of the request that FastAPI puts before them."""
    first, *rest = error["loc"] or ("",)
    named = error["type"] == "extra_forbidden" and not rest  # an unknown field may have any name
    prefixed = first in ("", "body", "query", "path", "header") and not named
    return [str(part) for part in (rest if prefixed else (first, *rest))]


def _of_the_form(errors: Sequence[Mapping[str, Any]], path: list[str]) -> Mapping[str, Any] | None:
    """What is wrong with the form that was used for a field of two; None if neither was, or a part of it is wrong."""
    of_field = (error for error in errors if _path(error)[:-1] == path)
    return next((error for error in of_field if error["type"] not in _OTHER_FORM), None)


# Seeds, and what all requests have in common.

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


class Described(BaseModel):
    """A model whose fields are described, in ``/openapi.json`` too, by the text under them."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def example(named: dict[str, JsonValue] | None = None, /, **fields: JsonValue) -> ConfigDict:
    """The configuration of a model with an example, for ``/openapi.json``: its fields, by name or in a dictionary."""
    return ConfigDict(json_schema_extra={"examples": [(named or {}) | fields]})


class StrictRequest(Described):
    """The base of every request: no unknown fields, no conversion of types, and null is an absent optional field."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    capability: ClassVar = ""
    """What a model must be capable of, to make again from a manifest what was requested."""
    upload: ClassVar[str | None] = None
    """The field that holds a file. It is not in a manifest; who verifies one puts it back."""
    transport: ClassVar[frozenset[str]] = frozenset()
    """Fields that no manifest repeats: they change how the bytes travel, and not what they are."""

    @model_validator(mode="before")
    @classmethod
    def _as_clients_write(cls, value: Any) -> Any:
        """Some clients write integers as 7.0, others null where nothing is given."""
        if not isinstance(value, dict):
            return value
        optional = {field.alias or name for name, field in cls.model_fields.items() if not field.is_required()}
        given = {key: v for key, v in value.items() if v is not None or key not in optional}
        return {key: whole(v) for key, v in given.items()}


# Sound.

SampleRate = Literal[8000, 16000, 22050, 24000, 44100, 48000]
Timestamps = Annotated[list[Literal["word", "phoneme", "viseme"]], Field(max_length=3)]
LanguageTag = Annotated[str, Field(min_length=1, max_length=64)]
MAX_INPUT_CHARACTERS: Final = 4096
MAX_PRONUNCIATIONS: Final = 500
MAX_NAMES: Final = 64
MAX_NAME_CHARACTERS: Final = 64
MAX_DURATION: Final = 3600.0
"""Seconds of sound that one generation may ask for."""
MAX_SENTENCE_PAUSE: Final = 10.0
"""Seconds."""
MAX_AROUND: Final = 2000
"""Milliseconds of silence before or after a text."""
_Id = Annotated[str, Field(min_length=1, max_length=256)]


class VoiceReference(StrictRequest):
    """A voice by its id, the object form that newer OpenAI clients send."""

    id: _Id


_VoiceName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^()+]*$")]
_Weight = Annotated[float, Field(gt=0.0, lt=1e6, allow_inf_nan=False)]
VoiceWeights = Annotated[dict[_VoiceName, _Weight], Field(min_length=1, max_length=MAX_VOICES)]
"""A mix of voices: the weight of each, with at most three decimals."""
VoiceChoice = _Id | VoiceReference | VoiceWeights
_AnyMapping = BeforeValidator(lambda value: dict(value) if isinstance(value, Mapping) else value)
_Word = Annotated[str, Field(min_length=1, max_length=MAX_WORD_CHARACTERS)]
_Phonemes = Annotated[str, Field(min_length=1, max_length=MAX_PHONEME_CHARACTERS)]
Pronunciation = Annotated[dict[_Word, _Phonemes], _AnyMapping]
_PRONUNCIATIONS: Final = "Words and ARPAbet, IPA or `alias:` and other words. One in lower case stands for any case."
_VOICES: Final = (
    'Names for voices or mixes of the model: with `{"ANNA": "emma"}` emma says what follows `ANNA:` at '
    "the beginning of a line, up to the next name."
)
Voices = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)], _Id],
    Field(max_length=MAX_NAMES, description=_VOICES),
    _AnyMapping,
]


class SampledSound(StrictRequest):
    """What every sound that is sampled depends on."""

    seed: RequestSeed | None = None
    """The same seed gives the same bytes. Drawn and returned if absent."""
    temperature: float | None = Field(default=None, ge=0.0, le=entries.MAX_TEMPERATURE, allow_inf_nan=False)
    """Divides the logits; 0 takes the most likely symbol, 1 samples the model as it is. The default is the model's own.
    A voice may scale it by voicing."""


class Speak(SampledSound):
    """How a text is spoken, by whichever voice."""

    speed: float = Field(default=1.0, ge=entries.SPEEDS[0], le=entries.SPEEDS[1], allow_inf_nan=False)
    """2 speaks twice as fast."""
    pitch: float = Field(default=0.0, ge=-entries.MAX_PITCH, le=entries.MAX_PITCH, allow_inf_nan=False)
    """Semitones by which the voice is higher."""
    intonation: float = Field(default=1.0, ge=0.0, le=entries.MAX_INTONATION, allow_inf_nan=False)
    """How far the pitch moves around its mean in a sentence: 0 is monotone, 1 as the model predicts it."""
    sentence_pause: float | None = Field(default=None, ge=0.0, le=MAX_SENTENCE_PAUSE, allow_inf_nan=False)
    """Seconds of silence after each sentence; a quarter of a second, divided by `speed`, by default."""
    lead_in: int | None = Field(default=None, ge=0, le=MAX_AROUND)
    """Milliseconds of silence before the first word, instead of the voice's own."""
    tail: int | None = Field(default=None, ge=0, le=MAX_AROUND)
    """Milliseconds of silence after the last word, instead of the pause after a sentence."""
    instructions: str = Field(default="", max_length=MAX_INPUT_CHARACTERS)
    """How the text is said, in the words of tags, such as slow, quiet, excited, whisper. Other words have no effect and
    are listed as skipped; instructions without any of these words are refused."""
    input_format: InputFormat = "text"
    """`ssml`: `input` is an SSML document, one `<speak>` element. `markdown`: an answer of a chat model."""
    language: LanguageTag | None = None
    """Language of the text, a tag of BCP 47 such as `es` or `fr-FR`; the voice's by default. Another one is read by its
    own rules and spoken with the voice's sounds."""
    pronunciations: Pronunciation = Field(default={}, description=_PRONUNCIATIONS)
    voices: Voices = Field(default={})


CONTROLS: Final = tuple(name for name in Speak.model_fields if name not in SampledSound.model_fields)
"""The fields of :class:`Speak` that are its own, in the order of recipes."""


class AudioRequest(SampledSound):
    """What every request for sound says: by whom, in which form."""

    model: str | None = Field(default=None, min_length=1, max_length=256)
    """The id of a model that `/v1/models` lists; the first that has the voice if absent."""
    voice: VoiceChoice
    """One of `/v1/audio/voices`, as a string or as an object with an id; or a mix of them with weights,
    `"heart(2)+joe(1)"` or `{"heart": 2, "joe": 1}`."""
    response_format: AudioFormat = "mp3"
    """pcm is 16-bit little-endian, mono; aac is ADTS, opus is Ogg; ulaw_8000 and alaw_8000 are G.711."""
    sample_rate: SampleRate | None = None
    """In hertz. The default is the model's `default_sample_rate`, but 24000 for pcm and 8000 for G.711."""

    @property
    def voice_id(self) -> str:
        """The voice or mix of voices, whichever form it came in."""
        if isinstance(self.voice, dict):
            return "+".join(f"{name}({repr(weight).removesuffix('.0')})" for name, weight in self.voice.items())
        return self.voice.id if isinstance(self.voice, VoiceReference) else self.voice


class SpokenRequest(AudioRequest, Speak):
    """What requests and sessions say that speak text."""

    pronunciations: Pronunciation = Field(default={}, max_length=MAX_PRONUNCIATIONS, description=_PRONUNCIATIONS)
    timestamps: Timestamps = Field(default=[])
    """Any of `word`, `phoneme` and `viseme`: say when they are spoken. Needs `stream_format` `sse` or `json`; of a job,
    `/v1/jobs/{id}/timestamps` tells the same."""


class Streamed(StrictRequest):
    """How the sound of a request is sent."""

    stream_format: Literal["audio", "sse", "json"] = "audio"
    """`sse` wraps the sound in server-sent events, base64 encoded; `json` answers with one JSON object when all of it
    has been sampled."""


class SpeechRequest(SpokenRequest, Streamed):
    """``POST /v1/audio/speech``: text to speak, and how."""

    model_config = example(
        model="wavenet-multilingual",
        voice="joe",
        input="The birch canoe slid on the smooth planks.",
        response_format="wav",
        seed=7,
    )
    capability: ClassVar = "speech"
    transport: ClassVar = frozenset({"timestamps", "stream_format", "stream", "user"})

    input: str = Field(min_length=1, max_length=MAX_INPUT_CHARACTERS)
    """The text to speak. `[[HH AH0 L OW1]]` gives phonemes (ARPAbet or IPA), `[pause:1.5s]` a pause, `[voice:joe]`
    another voice for what follows."""
    stream: bool | None = Field(default=None, description=NO_EFFECT + " The audio always streams.")
    user: str | None = Field(default=None, max_length=256, description=NO_EFFECT)


class GenerationRequest(AudioRequest, Streamed):
    """``POST /v1/audio/generations``: sound of nothing in particular, or the continuation of a recording."""

    model_config = example(model="wavenet-babble", voice="joe", duration=1.0, response_format="wav", seed=7)
    capability: ClassVar = "generation"
    upload: ClassVar = "prompt_audio"
    transport: ClassVar = frozenset({"stream_format"})

    duration: float = Field(gt=0.0, le=MAX_DURATION, allow_inf_nan=False)
    """Seconds of audio to generate, without the prompt."""
    prompt_audio: str | None = Field(default=None, min_length=1, json_schema_extra={"contentEncoding": "base64"})
    """A recording to continue: a WAV, FLAC, Ogg or MP3 file in base64. The body is what comes after it; the recording
    itself is not repeated."""


# Pictures.

ImageFormat = Literal["png", "webp", "jpeg"]
Background = Literal["auto", "transparent", "opaque"]
MAX_PICTURES: Final = 10
"""Most pictures sampled for one request."""
MAX_STEPS: Final = 16
_PICTURE: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAVUlEQVR4nNWPOw4AIAhDrfe/Mw5GwqeQODjYCXi0yhg/CVqJbwn0M7sq2CsU"
    "asIZzu5DDKKEYuqrWOmgfZJAc1yALjU7UUJvTE6UMBijEx3sFHPfaAEOaAshdQo8RQAAAABJRU5ErkJggg=="
)
"""A PNG file of 28 by 28 pixels, for an example."""
_FILE: Final = "A PNG, WebP or JPEG file in base64, or as a `data:` URL"
PROMPT_OF_EDIT: Final = (
    "Names that `/v1/images/classes` lists, of any attributes, separated by commas, in any case; or `any`: what the "
    "picture is to show. Of what is not named the network draws what suits the pixels that are kept. Either this or "
    "`class` is required."
)
_PARTIAL_IMAGES: Final = "Number of partial pictures that a stream sends before each finished one."
_Colour = Annotated[str, Field(pattern=pattern(r"^#[0-9a-fA-F]{6}$", "a colour like #00ff7f"))]
Palette = Annotated[str, Field(min_length=1, max_length=64)] | Annotated[list[_Colour], Field(max_length=MAX_COLOURS)]
PALETTE_NAME: Final = (
    "The pictures' colours become the nearest of this palette, after sampling and without dithering; what is "
    f"transparent stays so: {', '.join(f'`{name}`' for name in PALETTES)}."
)
_BEST_OF: Final = (
    "Candidates that are sampled for each picture; the one is returned that shows best what was named, by the model's "
    "classifier. Only of models that have one (capability `image_classification`). `usage` counts all candidates, and "
    "`n` times `best_of` is at most 10."
)
SIZE: Final = pattern(r"^(auto|[1-9][0-9]{0,3}x[1-9][0-9]{0,3})$", "auto, or WIDTHxHEIGHT in pixels, like 280x280")
Names = Annotated[str, Field(min_length=1, max_length=4096)]
_Number = Annotated[float, Field(allow_inf_nan=False, ge=-entries.MAX_NUMBER, le=entries.MAX_NUMBER)]
_Embedding = Annotated[list[_Number], Field(max_length=4096)]


class SampledPictures(StrictRequest):
    """What every picture that is sampled depends on."""

    background: Background = "auto"
    """For a model with a transparent colour: `opaque` makes that white. `auto` is `transparent` where model and format
    allow it."""
    palette: Palette | None = Field(
        default=None,
        description=f"{PALETTE_NAME} Or a list of 2 to {MAX_COLOURS} colours.",
        examples=["game-boy", ["#1a1c2c", "#f4f4f4"]],
    )
    seed: RequestSeed | None = None
    """The same seed gives the same pictures; the response has a seed for each. Drawn if absent."""
    temperature: float | None = Field(default=None, ge=0.0, le=entries.MAX_TEMPERATURE, allow_inf_nan=False)
    """Divides the logits; 0 takes the most likely level, 1 samples the model as it is. The default is the model's
    own."""


class PictureFile(StrictRequest):
    """The file that a picture becomes."""

    size: str | None = Field(default=None, pattern=SIZE)
    """`WIDTHxHEIGHT`: the model's own (`auto`, the default), or a whole multiple, each pixel a square."""
    fit: Literal["exact", "pad"] | None = None
    """What to do about another `size`: `exact` refuses it; `pad` draws the largest whole multiple that fits, in the
    middle of a file of that size, on the colour of the picture's edge. The default is `exact`, and `pad` if `model` is
    an alias."""
    output_format: ImageFormat = "png"
    """webp is lossless, jpeg is not."""


class Labelled(StrictRequest):
    """The fields of requests for pictures of a model that has classes or other attributes."""

    style: _Id | None = None
    """A style that `/v1/images/classes` lists, in any case; default `any`: unspecified."""
    guidance: float | None = Field(default=None, ge=0.0, le=entries.MAX_GUIDANCE, allow_inf_nan=False)
    """Strength of classifier-free guidance: 1 samples the model as it is; more gives pictures that show their class
    more clearly and differ less from each other. Anything but 1 takes twice as long. The default is the
    model's `guidance`, or its `edit_guidance` in edits and completions."""


def _palette(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    found = check_palette(value)
    return found if isinstance(found, str) else [*found]


class DrawOptions(SampledPictures, Labelled):
    """How pictures are drawn, by whichever model."""

    palette: Annotated[Palette | None, BeforeValidator(_palette)] = None
    """A name, 2 to 255 colours like `#00ff7f`, or a .gpl or .hex file; None leaves the pictures as sampled."""
    best_of: int = Field(default=1, ge=1, le=entries.MAX_BEST_OF)
    """Candidates of each picture, of which the one that shows best what was named is kept. Needs a classifier."""


class Draw(DrawOptions, PictureFile):
    """The same, and the file that they become."""


class DrawnRequest(SampledPictures):
    """What every request for pictures says: of which model."""

    model: str = Field(min_length=1, max_length=256)
    """The id of a model that `/v1/models` lists."""


class PictureRequest(DrawnRequest, PictureFile):
    """The fields of every request for files of pictures."""

    response_format: Literal["url", "b64_json"] | None = None
    """The default is `url`; it is `b64_json` if `model` is an alias that begins with `gpt-image` or `chatgpt-image`, as
    it is at OpenAI. A stream always uses `b64_json`."""


class ClassRequest(DrawnRequest, Labelled):
    """Pictures of a class, or of other attributes."""

    prompt: Names | None = None
    """Names that `/v1/images/classes` lists, of any attributes, separated by commas, in any case; or `any`. The seed
    draws what is not named. Either this or `class` is required by a model that has classes."""
    asked_class: Names | None = Field(default=None, alias="class")
    """The same as `prompt`."""
    n: int = Field(default=1, ge=1, le=MAX_PICTURES)
    """Number of pictures."""
    best_of: int = Field(default=1, ge=1, le=entries.MAX_BEST_OF, description=_BEST_OF)


class Growing(StrictRequest):
    """How pictures are sent while they are sampled."""

    stream: bool = False
    """Answer with server-sent events."""
    partial_images: int = Field(default=0, ge=0, le=3, description=_PARTIAL_IMAGES)


class ImageRequest(ClassRequest, PictureRequest, Growing):
    """``POST /v1/images/generations``: pictures of a class, or of other attributes."""

    model_config = example(model="pixelcnn-digits", prompt="7", n=2, size="280x280", seed=7)
    capability: ClassVar = "image_generation"
    # `class` is in a manifest as the prompt.
    transport: ClassVar = frozenset({"stream", "partial_images", "asked_class", "moderation", "quality", "user"})

    sheet: _Id | None = None
    """A sheet that the model lays out (`/v1/models` lists them): one character in all directions and frames, from one
    seed, in one file; with `atlas`. `size` is that of one frame."""
    moderation: Literal["auto", "low"] | None = Field(default=None, description=NO_EFFECT)
    quality: Literal["auto"] | None = Field(default=None, description=NO_EFFECT)
    user: str | None = Field(default=None, max_length=256, description=NO_EFFECT)


class CompletionRequest(ImageRequest):
    """``POST /v1/images/completions``: the rest of a picture whose first rows are given."""

    model_config = example({"model": "pixelcnn-digits", "class": "7", "rows": 14, "seed": 8, "image": _PICTURE})
    capability: ClassVar = "image_completion"
    upload: ClassVar = "image"

    image: str = Field(min_length=1, description=f"{_FILE}; of the model's size or a whole multiple.")
    rows: int | None = Field(default=None, ge=1)
    """Number of rows that are kept; half of them if absent."""


class EditRequest(ImageRequest):
    """``POST /v1/images/edits``, with the files as text, as manifests are verified."""

    capability: ClassVar = entries.EDIT_CAPABILITY
    upload: ClassVar = "image"
    transport: ClassVar = ImageRequest.transport | {"input_fidelity"}

    prompt: Names | None = Field(default=None, description=PROMPT_OF_EDIT)
    input_fidelity: Literal["high", "low"] | None = Field(default=None, description=NO_EFFECT)
    image: str = Field(min_length=1, description=f"{_FILE}.")
    mask: str = Field(min_length=1)
    """A PNG or WebP file in the same way: transparent where the picture is drawn anew."""


class InterpolationRequest(PictureRequest, Labelled):
    """``POST /v1/images/interpolations``: from one class or picture to another, one picture per step, one seed."""

    model_config = example({"model": "pixelcnn-fashion", "from": "sandal", "to": "ankle boot", "steps": 5, "seed": 7})
    capability: ClassVar = "image_interpolation"

    begin: Names | _Embedding = Field(alias="from")
    """Names as in a prompt, or a vector like those of `/v1/images/classes?embeddings=true`; of a model that draws from
    pictures, a vector of `/v1/images/encodings`."""
    end: Names | _Embedding = Field(alias="to")
    """The same."""
    steps: int = Field(default=8, ge=2, le=MAX_STEPS)
    """Number of pictures, both ends included."""


class DecodingRequest(PictureRequest, Growing):
    """The fields of requests for pictures of what an uploaded picture shows, but for that picture."""

    n: int = Field(default=1, ge=1, le=MAX_PICTURES)
    """Number of pictures, each with a seed of its own."""


class ReconstructionRequest(DecodingRequest):
    """``POST /v1/images/reconstructions``, with the picture as text, as manifests are verified."""

    capability: ClassVar = "image_reconstruction"
    upload: ClassVar = "image"
    transport: ClassVar = frozenset({"stream", "partial_images"})

    image: str = Field(min_length=1, description=f"{_FILE}.")


class PortraitRequest(ReconstructionRequest):
    """``POST /v1/images/portraits``: new pictures of the person on an uploaded one."""

    capability: ClassVar = "image_portrait"
