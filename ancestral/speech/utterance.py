"""What a voice is to say: a text through the front-end, with everything else that its sound depends on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Final, Literal

from pydantic import PlainSerializer, PlainValidator

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.descriptions import Plan, SpeechModel
from ancestral.catalog.seeds import seed_or_drawn
from ancestral.catalog.voices import VoiceMix
from ancestral.errors import InvalidRequest, check_type
from ancestral.requests import CONTROLS, MAX_NAME_CHARACTERS, MAX_NAMES, Described, Speak, example
from ancestral_models.entries import Sampling
from ancestral_models.text import (
    InputFormat,
    PronunciationError,
    Pronunciations,
    Rest,
    Script,
    Sentence,
    UnsupportedText,
    Word,
    parse_text,
    phonemize,
)
from ancestral_models.text.characters import NothingToSpeak, UnknownSpeaker, Unread
from ancestral_models.text.frontend import skipped
from ancestral_models.text.languages.language import primary
from ancestral_models.text.phonemes import PLAIN, SENTENCE_ENDS, SILENCE, Prosody
from ancestral_models.text.script import Cast, Speaker, read_instructions

_NAME: Final = re.compile(r"[^\s\[\]:](?:[^\[\]:\r\n]*[^\s\[\]:])?")


@dataclass(frozen=True)
class Turn:
    """Sentences of one voice, up to the next turn."""

    first: int
    """The number of its first sentence."""
    speaker: str
    """What the text calls the voice: by a name of the request, or by an id."""
    voice: str
    """The canonical form of a voice or of a mix."""
    sampling: Sampling


NO_NAMES: Final[Mapping[str, str]] = {}


def cast_of(find: Callable[[str], VoiceMix], default: VoiceMix, language: str, voices: Mapping[str, str]) -> Cast:
    """Who can speak in a text: every voice, by its own name or by one of ``voices``.

    Args:
        find: a voice of the model by its id or an alias, or a mix; raises InvalidRequest.
        default: who speaks what nobody else is named for.
        language: of what the default voice says; every other one speaks its own.
        voices: names for the text, and their voices.

    Raises:
        InvalidRequest: a name cannot be used, or there is no such voice.
    """
    if len(voices) > MAX_NAMES:
        raise InvalidRequest(f"voices: at most {MAX_NAMES} names", param="voices", code="invalid_value")
    named: dict[str, VoiceMix] = {}
    for name, voice in voices.items():
        if len(name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(name):
            what = f"a name has up to {MAX_NAME_CHARACTERS} characters, none of them a colon or a bracket"
            message = f"voices: {name[:MAX_NAME_CHARACTERS]!r}: {what}"
            raise InvalidRequest(message, param="voices", code="invalid_value")
        check_type("voices", voice, str, "voices by their names")
        try:
            named[name] = find(voice)
        except InvalidRequest as error:
            reason = error.message.removeprefix("voice: ")
            raise InvalidRequest(f"voices: {name}: {reason}", param="voices", code=error.code) from error

    def speaker(name: str) -> Speaker:
        try:
            found = named.get(name) or find(name)
        except InvalidRequest as error:
            raise UnknownSpeaker(error.message.removeprefix("voice: ")) from error
        text_language = language if found.id == default.id else found.language
        return Speaker(name if name in named else found.id, found.id, found.language, text_language)

    return Cast(Speaker(default.id, default.id, default.language, language), speaker, tuple(named))


def spoken(script: Script, default: Speaker) -> list[tuple[Speaker, list[Sentence]]]:
    """What each speaker says in turn: at least one sentence, as if it were a text of its own.

    Raises:
        UnsupportedText: some of it cannot be spoken, or nothing is said. A turn of which all letters are of scripts
            that are not read is left out.
    """
    found: list[tuple[Speaker, list[Sentence]]] = []
    nothing: UnsupportedText | None = None
    for speaker, said, begin in script.turns(default):
        try:
            sentences = phonemize(said, speaker.language)
        except (NothingToSpeak, Unread) as error:  # the white space between two voices is a turn
            nothing = error if isinstance(error, Unread) else nothing or error
            continue
        found.append((speaker, [_moved(sentence, begin) for sentence in sentences]))
    if not found and nothing is not None:
        raise nothing
    return found


def _moved(sentence: Sentence, by: int) -> Sentence:
    """The sentence of a turn with the spans that it has in the whole text."""
    items = (
        replace(item, span=(item.span[0] + by, item.span[1] + by)) if isinstance(item, Word) else item
        for item in sentence.items
    )
    return Sentence(tuple(items))


_AS_IT_IS: Final = Prosody()
PHONEMES_PER_SECOND: Final = 13.0
"""The rate of running speech, at speed 1."""
MAX_PHONEMES: Final = 32_768
"""Most phonemes of one text: 42 minutes. Of 4 096 characters only rows of signs with long names have more."""
CLOSING_PAUSE: Final = 0.25
"""Seconds of silence after a sentence, at speed 1; the next one begins with some of its own."""
SHORT_TEXT_PHONEMES: Final = 600
"""About 45 s of speech, whose length is predicted in 50 ms."""


Sentences = tuple[Annotated[Sentence, PlainValidator(Sentence.from_json), PlainSerializer(Sentence.as_json)], ...]
"""A text as its sentences, with the words and their phonemes."""
Entries = Annotated[
    tuple[tuple[str, str], ...], PlainValidator(lambda entries: tuple(entries.items())), PlainSerializer(dict)
]
"""Words and their phonemes, or names and their voices. In JSON they are one object."""


@dataclass(frozen=True, kw_only=True)
class SoundPlan(Plan):
    """Sound of one voice in one format. It depends on nothing but these fields, those of a subclass, and the model."""

    seed: int
    temperature: float
    prompt_sha256: str | None = None
    """Hash of the symbols that came with the request and that the samples continue."""
    voice: str
    """The canonical form of a voice or of a mix."""
    sampling: Sampling
    response_format: str = "wav"
    sample_rate: int | None = None
    """Rate of the encoded bytes, in hertz; None is the format's default."""
    deemphasis_state: float = 0.0
    """The last value of the recording that the first symbols continue; 0 after silence."""

    @property
    def input_tokens(self) -> int:
        """What the request is charged for its input."""
        return 0

    @property
    def length_before_sound(self) -> bool:
        """Whether the length of all sound is known before any of it is sent, for formats whose header has it."""
        return True

    @property
    def times_before_sound(self) -> bool:
        """Whether the times of all sentences are known before any sound is sent, as clients of sessions want it."""
        return False

    def voice_of(self, index: int) -> str:
        """The voice of sentence number ``index``."""
        return self.voice


@dataclass(frozen=True, kw_only=True)
class Utterance(SoundPlan):
    """A text to speak. Each sentence is a stream of its own, with its own seed."""

    kind = "speech"
    input: str
    """The text; samplers read :attr:`sentences`."""
    plain_input: str | None
    """The text without directives and tags; None if it has none."""
    input_format: InputFormat
    language: str
    """Language of the text, as a tag of BCP 47."""
    pronunciations: Entries
    """The entries of lexicons that the text uses, those of the deployment too."""
    sentences: Sentences
    speed: float = 1.0
    pitch: float = 0.0
    """Semitones by which F0 is higher than the model predicts."""
    intonation: float = 1.0
    """Factor of the distance of log-F0 from its mean."""
    sentence_pause: float | None = None
    """Seconds of silence after a sentence, which :attr:`sentences` have."""
    lead_in: int | None = None
    """Milliseconds of silence before the first word, which :attr:`sentences` have."""
    tail: int | None = None
    """Milliseconds of silence after the last word, which :attr:`sentences` have."""
    voices: Entries = ()
    """The request's names for voices, in their canonical form."""
    turns: tuple[Turn, ...] = ()
    """The sentences of each speaker in turn; empty if one voice says all of them."""
    instructions: str = ""
    """How the text is said."""
    skipped: tuple[str, ...] = ()
    """What of the text is not said, as it is in another script, or a tag that nothing does, and what of the
    instructions nothing does; each once."""
    times_before_sound: bool = False

    @property
    def excerpt(self) -> str:
        return self.input

    @property
    def input_tokens(self) -> int:
        """Phonemes of all sentences."""
        return sum(len(sentence.phones) for sentence in self.sentences)

    @property
    def length_before_sound(self) -> bool:
        """True of a short text; the first byte of a long one does not wait."""
        return self.input_tokens <= SHORT_TEXT_PHONEMES

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
    def written(self) -> str:
        """The text as captions show it, in which the spans of the words count."""
        return self.input if self.plain_input is None else self.plain_input


@dataclass(frozen=True, kw_only=True)
class Generation(SoundPlan):
    """Sound without text, from silence or from the end of an uploaded recording."""

    kind = "generation"
    duration: float
    """Requested seconds."""
    samples: int
    """Samples to generate, after the recording that is continued, if there is one."""


@dataclass(frozen=True, kw_only=True)
class RecordingScore(Plan):
    """A recording to score. Uploaded are its symbols or, for a model with linear prediction, 16-bit sound."""

    kind = "likelihood"
    voice: str
    sentences: Sentences
    """What is said in it; empty for a model without text."""

    @property
    def excerpt(self) -> str | None:
        """The words of all sentences, as they are read."""
        return " ".join(word.text for sentence in self.sentences for word in sentence.words) or None


def utterance(
    catalog: Catalog, model: SpeechModel, voice: VoiceMix, text: str, request: Speak, param: str = "input"
) -> Utterance:
    """A text as phonemes. Takes milliseconds. Without a temperature the model's own is taken, a seed is drawn; the
    language is the voice's.

    Args:
        catalog: of the model; it has other names of voices, and the lexicon of the deployment.
        model: that speaks.
        voice: of the model.
        text: that is said.
        request: how.
        param: the name of the text, for errors.

    Raises:
        InvalidRequest: the text cannot be spoken, or there is no such voice; ``param`` names the field.
    """
    seed, language = seed_or_drawn(request.seed), voice.language if request.language is None else request.language
    lexicon = catalog.pronunciations | read_pronunciations(request.pronunciations)
    check_language(language)
    cast = cast_of(partial(catalog.voice, model), voice, language, request.voices)
    script, said = read_cast(text, lexicon, param, cast, request.input_format, read_delivery(request.instructions))
    sentences = _between_silences([part for _, turn in said for part in turn], request.lead_in, request.tail)
    left = (*skipped(script, text), *read_instructions(request.instructions)[1])
    return Utterance(
        seed=seed,
        temperature=model.entry.temperature if request.temperature is None else request.temperature,
        voice=voice.id,
        sampling=voice.sampling,
        input=text,
        plain_input=None if script.written == text else script.written,
        language=language,
        pronunciations=tuple(lexicon.only(script.entries).items()),
        sentences=tuple(with_closing_pause(sentence, request) for sentence in sentences),
        voices=tuple((name, cast.find(name).voice) for name in cast.names),
        turns=_turns(model, cast, said),
        skipped=tuple(dict.fromkeys(left)),
        **request.model_dump(include={*CONTROLS} - {"language", "pronunciations", "voices"}),
    )


def read_delivery(instructions: str) -> Prosody:
    """How instructions have a text said; raises InvalidRequest if nothing of them can be done."""
    delivery, _ = read_instructions(instructions)
    if delivery is None and instructions.strip():
        message = (
            "instructions: there is no word of tags in them, such as whisper, slow, fast, quiet, loud, excited, calm"
        )
        raise InvalidRequest(message, param="instructions", code="unsupported_parameter")
    return delivery or _AS_IT_IS


def _turns(model: SpeechModel, cast: Cast, said: Sequence[tuple[Speaker, list[Sentence]]]) -> tuple[Turn, ...]:
    found: list[Turn] = []
    first = 0
    for speaker, sentences in said:
        found.append(Turn(first, speaker.name, speaker.voice, model.mix(speaker.voice).sampling))
        first += len(sentences)
    return () if [speaker for speaker, _ in said] == [cast.default] else tuple(found)


def with_closing_pause(sentence: Sentence, request: Speak) -> Sentence:
    """A sentence and the silence after it, unless it is a clause that goes on or the text gives its length.

    The acoustic model learnt from single sentences, whose outer silence was cut: a full stop would be as short as a
    comma.
    """
    *items, last = sentence.items
    if last not in SENTENCE_ENDS:
        return sentence
    assert isinstance(last, str)
    given = request.sentence_pause
    return Sentence((*items, Rest(last, round(CLOSING_PAUSE / request.speed if given is None else given, 3))))


def _between_silences(sentences: list[Sentence], lead_in: int | None, tail: int | None) -> list[Sentence]:
    """Sentences with milliseconds of silence around them, beside the pauses that are written there."""
    if lead_in is not None:
        first, *others = sentences[0].items
        silence = _lengthened(first, lead_in) if isinstance(first, Rest) else Rest(SILENCE, lead_in / 1000)
        sentences[0] = Sentence((silence, *others) if isinstance(first, Rest) else (silence, first, *others))
    if tail is not None:
        *others, last = sentences[-1].items
        assert not isinstance(last, Word), "a sentence ends with a pause"
        sentences[-1] = Sentence((*others, _lengthened(last, tail)))
    return sentences


def _lengthened(pause: Rest | str, milliseconds: int) -> Rest:
    written, mark = (0.0, pause) if isinstance(pause, str) else (pause.seconds, pause.mark)
    return Rest(mark, round(written + milliseconds / 1000, 3))


def check_language(language: str | None) -> None:
    """Raise :class:`InvalidRequest` for a tag of a language that is not read."""
    try:
        primary(language or "en")
    except UnsupportedText as error:
        raise InvalidRequest(f"language: {error}", param="language", code="unsupported_language") from error


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
    text: str, lexicon: Pronunciations, param: str, cast: Cast, input_format: InputFormat, delivery: Prosody = _AS_IT_IS
) -> tuple[Script, list[tuple[Speaker, list[Sentence]]]]:
    """:func:`read_text` of a text that several voices can speak: the sentences of each in turn."""
    check_type(param, text, str, "a text")
    try:
        script = parse_text(text, input_format, lexicon, cast=cast).delivered(delivery)
        said = spoken(script, cast.default)
    except UnsupportedText as error:
        raise InvalidRequest(f"{param}: {error}", param=param, code=error.code) from error
    if (phonemes := sum(len(sentence.phones) for _, turn in said for sentence in turn)) > MAX_PHONEMES:
        message = f"{param}: {phonemes} phonemes, of which a text may have {MAX_PHONEMES}; split it"
        raise InvalidRequest(message, param=param, code="too_many_phonemes")
    return script, said


# How a text is read: the sentences, words, phonemes and pauses of :func:`read_text`.


class PhonemizedWord(Described):
    """A word as it is read."""

    type: Literal["word"] = "word"
    text: str
    """As it is read; numbers and abbreviations are written out."""
    phonemes: str
    """Separated by spaces; in English ARPAbet. `[[…]]` around them gives the sounds."""
    rate: float
    """How many times as fast as the rest of the text."""
    pitch: float
    """Semitones by which it is higher."""
    decibels: float
    """By which its level is higher."""
    whispered: bool


class PhonemizedPause(Described):
    """A pause."""

    type: Literal["pause"] = "pause"
    mark: str
    """`,`, `.`, `?`, `!`; `sil` before the first word of a sentence."""
    seconds: float | None
    """Its length, if the text gives it; null if the model decides."""


class PhonemizedSentence(Described):
    """A sentence, which is sampled as a whole."""

    text: str
    """Its words and marks as they are read."""
    phonemes: str
    """All that the model reads, from `sil` on."""
    items: list[PhonemizedWord | PhonemizedPause]


class Phonemized(Described):
    """What the front-end makes of a text."""

    model_config = example(
        {
            "object": "phonemes",
            "sentences": [
                {
                    "text": "hello.",
                    "phonemes": "sil HH EH0 L OW1 .",
                    "items": [
                        {
                            "type": "word", "text": "hello", "phonemes": "HH EH0 L OW1",
                            "rate": 1.0, "pitch": 0.0, "decibels": 0.0, "whispered": False,
                        },
                        {"type": "pause", "mark": ".", "seconds": None},
                    ],
                }
            ],
            "skipped": [],
        }
    )  # fmt: skip

    object: Literal["phonemes"] = "phonemes"
    sentences: list[PhonemizedSentence]
    skipped: list[str]
    """Words in other scripts, which are not said; each once."""


def phonemized(script: Script, sentences: Sequence[Sentence], text: str) -> Phonemized:
    """How a text is read, from what :func:`read_text` made of it."""
    return Phonemized(
        skipped=list(skipped(script, text)),
        sentences=[
            PhonemizedSentence(text=sentence.text, phonemes=" ".join(sentence.phones), items=list(_items(sentence)))
            for sentence in sentences
        ],
    )


def _items(sentence: Sentence) -> Iterator[PhonemizedWord | PhonemizedPause]:
    for item in sentence.items:
        if isinstance(item, Word):
            pitch, decibels, whispered = item.control.changes
            yield PhonemizedWord(
                text=item.text, phonemes=" ".join(item.phones), rate=item.control.rate, pitch=pitch, decibels=decibels,
                whispered=whispered,
            )  # fmt: skip
        elif isinstance(item, Rest):
            yield PhonemizedPause(mark=item.mark, seconds=item.seconds)
        else:
            yield PhonemizedPause(mark=item, seconds=None)
