"""What a voice is to say: a text through the front-end, with everything else that its sound depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, get_args

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.mix import VoiceMix
from ancestral.catalog.models import SpeechModel
from ancestral.catalog.seeds import seed_or_drawn
from ancestral.errors import InvalidRequest, check_choice, check_range, check_type
from ancestral.models.entries import MAX_INTONATION, MAX_PITCH, MAX_TEMPERATURE, SPEEDS, Sampling
from ancestral.models.text import (
    InputFormat,
    PronunciationError,
    Pronunciations,
    Rest,
    Script,
    Sentence,
    UnsupportedText,
    parse_text,
)
from ancestral.models.text.languages.registry import primary
from ancestral.models.text.normalize import skipped
from ancestral.models.text.phonemes import PLAIN, SENTENCE_ENDS
from ancestral.models.text.script import Cast, Speaker
from ancestral.speech.cast import Turn, cast_of, spoken

PHONEMES_PER_SECOND: Final = 13.0
"""The rate of running speech, at speed 1."""
MAX_PHONEMES: Final = 32_768
"""Most phonemes of one text: 42 minutes, and more than 4 096 characters have in any reading of ours."""
CLOSING_PAUSE: Final = 0.25
"""Seconds of silence after a sentence, at speed 1; the next one begins with some of its own."""
_NO_ENTRIES: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, kw_only=True)
class SoundRequest:
    """Sound of one voice. It depends on nothing but these fields, those of a subclass, and the model."""

    seed: int
    temperature: float
    voice: str
    """The canonical form of a voice or of a mix."""
    sampling: Sampling

    def voice_of(self, index: int) -> str:
        """The voice of sentence number ``index``."""
        return self.voice


@dataclass(frozen=True, kw_only=True)
class Utterance(SoundRequest):
    """A text to speak. Each sentence is a stream of its own, with its own seed."""

    input: str
    """The text; samplers read :attr:`sentences`."""
    plain_input: str | None
    """The text without directives and tags; None if it has none."""
    input_format: InputFormat
    language: str
    """Language of the text, as a tag of BCP 47."""
    pronunciations: tuple[tuple[str, str], ...]
    """The entries of lexicons that the text uses, those of the deployment too."""
    speed: float
    pitch: float
    """Semitones by which F0 is higher than the model predicts."""
    intonation: float
    """Factor of the distance of log-F0 from its mean."""
    sentences: tuple[Sentence, ...]
    voices: tuple[tuple[str, str], ...] = ()
    """The request's names for voices, in their canonical form."""
    turns: tuple[Turn, ...] = ()
    """The sentences of each speaker in turn; empty if one voice says all of them."""

    def turn(self, index: int) -> Turn:
        """The turn of sentence number ``index``."""
        whole = Turn(0, self.voice, self.voice, self.sampling)
        return next((turn for turn in reversed(self.turns) if turn.first <= index), whole)

    def voice_of(self, index: int) -> str:
        return self.turn(index).voice

    @property
    def seconds(self) -> float:
        """The approximate duration of the sound."""
        controls = [
            control for sentence in self.sentences for control in sentence.controls or (PLAIN,) * len(sentence.phones)
        ]
        pauses = sum(control.seconds for control in controls if control.seconds is not None)
        phonemes = sum(1.0 / control.rate for control in controls if control.seconds is None)
        return phonemes / PHONEMES_PER_SECOND / self.speed + pauses

    @property
    def skipped(self) -> tuple[str, ...]:
        """What of the text is not said, as it is in another script; each once."""
        return skipped(self.written, self.language)

    @property
    def written(self) -> str:
        """The text as captions show it, in which the spans of the words count."""
        return self.input if self.plain_input is None else self.plain_input


@dataclass(frozen=True, kw_only=True)
class Generation(SoundRequest):
    """Sound without text."""

    samples: int
    """Samples to generate, after the recording that is continued, if there is one."""


def utterance(
    catalog: Catalog,
    model: SpeechModel,
    voice: VoiceMix,
    text: str,
    *,
    seed: int | str | None = None,
    pronunciations: Mapping[str, str] = _NO_ENTRIES,
    input_format: InputFormat = "text",
    language: str | None = None,
    temperature: float | None = None,
    speed: float = 1.0,
    pitch: float = 0.0,
    intonation: float = 1.0,
    voices: Mapping[str, str] = _NO_ENTRIES,
    param: str = "input",
) -> Utterance:
    """A text as phonemes. Takes milliseconds. Without a temperature the model's own is taken, a seed is drawn; the
    language is the voice's.

    The catalog, of which the model is one, has other names of voices and the lexicon of the deployment;
    ``pronunciations`` are those of the request, and ``voices`` its names for voices; ``param`` is the name of the text,
    for errors.

    Raises:
        InvalidRequest: a number is out of its range, the model's pitch cannot be changed, the text cannot be spoken, or
            there is no such voice; ``param`` names the argument.
    """
    check_type(param, text, str, "a text")
    check_type("pronunciations", pronunciations, Mapping, "words and their phonemes")
    check_type("voices", voices, Mapping, "names and their voices")
    check_choice("input_format", input_format, get_args(InputFormat))
    language = voice.language if language is None else language
    check_type("language", language, str, "a tag of BCP 47")
    check_range("speed", speed, *SPEEDS)
    check_range("pitch", pitch, -MAX_PITCH, MAX_PITCH)
    check_range("intonation", intonation, 0.0, MAX_INTONATION)
    check_range("temperature", 1.0 if temperature is None else temperature, 0.0, MAX_TEMPERATURE)
    check_pitch(model, pitch, intonation)
    seed = seed_or_drawn(seed)
    lexicon = catalog.pronunciations | read_pronunciations(pronunciations)
    check_language(language)
    cast = cast_of(partial(catalog.voice, model), voice, language, voices)
    script, said = read_cast(text, lexicon, param, cast, input_format)
    sentences = tuple(with_closing_pause(sentence, speed) for _, turn in said for sentence in turn)
    if not model.pitch_control and any(control.semitones for sentence in sentences for control in sentence.controls):
        message = f"{param}: <prosody pitch>: the pitch of {model.entry.id} cannot be changed"
        raise InvalidRequest(message, param=param, code="unsupported_parameter")
    return Utterance(
        seed=seed,
        temperature=model.entry.temperature if temperature is None else temperature,
        voice=voice.id,
        sampling=voice.sampling,
        input=text,
        plain_input=None if script.written == text else script.written,
        input_format=input_format,
        language=language,
        pronunciations=tuple(lexicon.only(script.entries).items()),
        speed=speed,
        pitch=pitch,
        intonation=intonation,
        sentences=sentences,
        voices=tuple((name, cast.find(name).voice) for name in cast.names),
        turns=_turns(model, cast, said),
    )


def _turns(model: SpeechModel, cast: Cast, said: Sequence[tuple[Speaker, list[Sentence]]]) -> tuple[Turn, ...]:
    found: list[Turn] = []
    first = 0
    for speaker, sentences in said:
        found.append(Turn(first, speaker.name, speaker.voice, model.mix(speaker.voice).sampling))
        first += len(sentences)
    return () if {speaker for speaker, _ in said} == {cast.default} else tuple(found)


def with_closing_pause(sentence: Sentence, speed: float) -> Sentence:
    """A sentence and the silence after it, unless it is a clause that goes on or the text gives its length.

    The acoustic model learnt from single sentences, whose outer silence was cut: a full stop would be as short as a
    comma.
    """
    *items, last = sentence.items
    if last not in SENTENCE_ENDS:
        return sentence
    assert isinstance(last, str)
    return Sentence((*items, Rest(last, round(CLOSING_PAUSE / speed, 3))))


def check_language(language: str | None) -> None:
    """Raise :class:`InvalidRequest` for a tag of a language that is not read."""
    try:
        primary(language or "en")
    except UnsupportedText as error:
        raise InvalidRequest(f"language: {error}", param="language", code="unsupported_language") from error


def check_pitch(model: SpeechModel, pitch: float, intonation: float) -> None:
    """Raise :class:`InvalidRequest` if the pitch of a model is to be changed that cannot be."""
    for param, changed in (("pitch", pitch != 0.0), ("intonation", intonation != 1.0)):
        if changed and not model.pitch_control:
            message = f"{param}: the pitch of {model.entry.id} cannot be changed"
            raise InvalidRequest(message, param=param, code="unsupported_parameter")


def read_pronunciations(entries: Mapping[str, str]) -> Pronunciations:
    """The lexicon of a request.

    Raises:
        InvalidRequest: an entry cannot be used; the message names it.
    """
    try:
        return Pronunciations(entries)
    except PronunciationError as error:
        message = f"pronunciations: {error}"
        raise InvalidRequest(message, param="pronunciations", code="unsupported_phonemes") from error


def read_text(
    text: str,
    lexicon: Pronunciations,
    param: str,
    voice_language: str,
    *,
    input_format: InputFormat = "text",
    language: str | None = None,
) -> tuple[Script, list[Sentence]]:
    """What the front-end makes of a text of one voice.

    Args:
        text: to read.
        lexicon: words that are read otherwise.
        param: the field that the text came in, for errors.
        voice_language: of the voice, whose sounds a text in another language is spoken with.
        input_format: of the text.
        language: of the text; the voice's by default.

    Raises:
        InvalidRequest: the text cannot be spoken, or its language is not read.
    """
    check_language(language)
    cast = Cast.of_one(voice_language, language)
    script, ((_, sentences),) = read_cast(text, lexicon, param, cast, input_format)
    return script, sentences


def read_cast(
    text: str, lexicon: Pronunciations, param: str, cast: Cast, input_format: InputFormat
) -> tuple[Script, list[tuple[Speaker, list[Sentence]]]]:
    """:func:`read_text` of a text that several voices can speak: the sentences of each in turn."""
    try:
        script = parse_text(text, input_format, lexicon, cast=cast)
        said = spoken(script, cast.default)
    except UnsupportedText as error:
        raise InvalidRequest(f"{param}: {error}", param=param, code=error.code) from error
    if (phonemes := sum(len(sentence.phones) for _, turn in said for sentence in turn)) > MAX_PHONEMES:
        message = f"{param}: {phonemes} phonemes, of which a text may have {MAX_PHONEMES}; split it"
        raise InvalidRequest(message, param=param, code="too_many_phonemes")
    return script, said
