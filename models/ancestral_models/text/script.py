"""A script: texts with pauses and prosody between them; and the sentences made of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any, Final, NamedTuple, Self

from ancestral_models.text.characters import UnknownSpeaker, UnsupportedText
from ancestral_models.text.phonemes import (
    PAUSES,
    PHONEMES,
    PHRASE_PAUSE,
    PLAIN,
    SENTENCE_ENDS,
    SILENCE,
    Control,
    Prosody,
)
from ancestral_models.text.rules import Span, cover, disjoint

# A text with what its writer has said about how it is read: the common form of plain text and of SSML.
#
# This module and ancestral_models/text/ssml.py make it, ancestral_models/text/frontend.py reads it.

MAX_PAUSE_SECONDS: Final = 10.0
"""Longest single pause."""
MAX_SILENCE_SECONDS: Final = 120.0
"""Longest sum of all pauses of a text."""
MAX_ALIAS_CHARACTERS: Final = 8192
"""Most characters of all that lexicons have read for other words of a text."""
MIN_RATE, MAX_RATE = 0.25, 4.0
MAX_SEMITONES: Final = 12.0
MIN_DECIBELS, MAX_DECIBELS = -24.0, 12.0


@dataclass(frozen=True)
class Text:
    """Text that the front-end reads."""

    spoken: str
    written: str
    """What stands for it in captions and alignments: the text itself, unless it is read as something else."""
    start: int = 0
    """Position in the input, for messages."""
    language: str = "en"
    """The primary language whose rules read it."""
    entry: str | None = None
    """The entry of a lexicon that says what is read."""


@dataclass(frozen=True)
class Pronounced:
    """Words whose phonemes are given."""

    written: str
    words: tuple[tuple[str, tuple[str, ...]], ...]
    """The text of each, and its phonemes: at least one, no pauses."""
    entry: str | None = None
    """The entry of a lexicon that gave them."""


@dataclass(frozen=True)
class Pause:
    """A pause of exact length."""

    seconds: float


@dataclass(frozen=True)
class Speaker:
    """The speaker from here on."""

    name: str
    """Name in the text."""
    voice: str
    """The canonical form of a voice or of a mix."""
    language: str
    """Language of the voice, as a tag of BCP 47."""
    text_language: str
    """Language of their text, unless it says otherwise."""


@dataclass(frozen=True)
class Cast:
    """The speakers of a text."""

    default: Speaker
    """The speaker of all that nobody else is named for."""
    find: Callable[[str], Speaker]
    """Finds a speaker by name; raises :class:`UnknownSpeaker`."""
    names: tuple[str, ...] = ()
    """Names that begin a line of plain text, with a colon behind them."""

    @classmethod
    def of_one(cls, language: str, text_language: str | None = None) -> Cast:
        """A single voice, which no text names; the text is in its language if None."""

        def refuse(name: str) -> Speaker:
            raise UnknownSpeaker("here one voice speaks all of the text")

        return cls(Speaker("", "", language, text_language or language), refuse)


Cue = Pronounced | Pause | Prosody
Piece = Text | Cue | Speaker


@dataclass(frozen=True)
class Script:
    """A text in pieces, in the order in which they are spoken."""

    pieces: tuple[Piece, ...]
    left_out: tuple[str, ...] = ()
    """What Markdown has that is not read."""

    @property
    def written(self) -> str:
        """The text as it was written, without pauses, tags and the like."""
        return "".join(shown for _, shown, _ in self.placed())

    def placed(self) -> Iterator[tuple[Piece, str, int]]:
        """Each piece, what of :attr:`written` it is, and where that begins. A pause between two words is a space, and
        so is another voice."""
        last, start = " ", 0
        for piece in self.pieces:
            if isinstance(piece, Pause | Speaker):
                shown = "" if last.isspace() else " "
            else:
                shown = "" if isinstance(piece, Prosody) else piece.written
            yield piece, shown, start
            last, start = shown[-1:] or last, start + len(shown)

    def delivered(self, delivery: Prosody) -> Script:
        """This script with a delivery of all of it, which holds beside what it says itself."""
        if delivery == Prosody():
            return self
        pieces: list[Piece] = [delivery]
        for piece in self.pieces:
            pieces.append(delivery.beside(piece) if isinstance(piece, Prosody) else piece)
            if isinstance(piece, Speaker):
                pieces.append(delivery)
        return replace(self, pieces=tuple(pieces))

    def turns(self, default: Speaker) -> Iterator[tuple[Speaker, Script, int]]:
        """The speakers in turn, their text, and where it begins in :attr:`written`; at first the default."""
        speaker, said, begin = default, list[Piece](), 0
        for piece, shown, start in self.placed():
            if isinstance(piece, Speaker):
                yield speaker, Script(tuple(said)), begin
                speaker, said, begin = piece, [], start + len(shown)
            else:
                said.append(piece)
        yield speaker, Script(tuple(said)), begin

    @property
    def entries(self) -> tuple[str, ...]:
        """The entries of lexicons that are used, each once."""
        used = (piece.entry for piece in self.pieces if isinstance(piece, Pronounced | Text))
        return tuple(dict.fromkeys(entry for entry in used if entry is not None))

    def check(self) -> Script:
        """This script, if it has no more silence, and no more that is read for something else, than it may.

        Raises:
            UnsupportedText: it has.
        """
        aliases = sum(len(piece.spoken) for piece in self.pieces if isinstance(piece, Text) and piece.entry)
        if aliases > MAX_ALIAS_CHARACTERS:
            raise UnsupportedText(f"aliases of {aliases} characters; all together may have {MAX_ALIAS_CHARACTERS}")
        silence = sum(piece.seconds for piece in self.pieces if isinstance(piece, Pause))
        if silence > MAX_SILENCE_SECONDS:
            raise UnsupportedText(f"{silence:g} s of pauses; all together may take {MAX_SILENCE_SECONDS:g} s")
        return self


def check_prosody(prosody: Prosody, what: str) -> Prosody:
    """A prosody; raises UnsupportedText, which names ``what`` has it, if it goes too far."""
    if not MIN_RATE <= prosody.rate <= MAX_RATE:
        raise UnsupportedText(f"{what}: a rate of {prosody.rate:g} times; it must lie in {MIN_RATE:g} … {MAX_RATE:g}")
    if abs(prosody.semitones) > MAX_SEMITONES:
        raise UnsupportedText(f"{what}: {prosody.semitones:+g} semitones; at most {MAX_SEMITONES:g} up or down")
    if not MIN_DECIBELS <= prosody.decibels <= MAX_DECIBELS:
        raise UnsupportedText(f"{what}: {prosody.decibels:+g} dB; it must lie in {MIN_DECIBELS:g} … +{MAX_DECIBELS:g}")
    return prosody


def held(prosody: Prosody) -> Prosody:
    """What tags, elements and instructions come to together, as far as it may go."""
    return replace(
        prosody,
        rate=min(max(prosody.rate, MIN_RATE), MAX_RATE),
        semitones=min(max(prosody.semitones, -MAX_SEMITONES), MAX_SEMITONES),
        decibels=min(max(prosody.decibels, MIN_DECIBELS), MAX_DECIBELS),
    )


def pause_of(number: str, unit: str, shown: str) -> Pause | None:
    """A pause from its number and its unit, ``s`` or ``ms``; None if it is empty.

    Raises:
        UnsupportedText: it is too long; the message shows it.
    """
    seconds = round(float(number) / (1000.0 if unit.lower() == "ms" else 1.0), 3)
    if seconds > MAX_PAUSE_SECONDS:
        raise UnsupportedText(f"{shown!r}: a pause may take {MAX_PAUSE_SECONDS:g} s")
    return Pause(seconds) if seconds else None


# Tags in plain text for how it is said, as ElevenLabs' v3 has them: ``[whispers]``, ``[slowly]``. What rate, pitch,
# level and voicing can do is done, up to the next tag or voice; others are known, and left out.

_TAGS: Final[tuple[tuple[Prosody | Pause | None, str], ...]] = (
    (Prosody(), "normal normally neutral"),
    (Prosody(rate=0.85, whispered=True), "whisper whispers whispered whispering"),
    (Prosody(rate=0.75), "slow slowly slower drawn-out"),
    (Prosody(rate=1.25), "fast faster quickly rapidly rushed hurried"),
    (Prosody(decibels=-8.0), "quiet quietly softly soft gently gentle"),
    (Prosody(decibels=4.0, semitones=1.0), "loud loudly shout shouts shouting yells yelling"),
    (Prosody(rate=1.1, semitones=2.0), "excited excitedly cheerful cheerfully happy happily enthusiastic joyful"),
    (Prosody(rate=0.85, semitones=-1.0), "sad sadly sorrowful tired somber melancholic"),
    (Prosody(rate=0.9), "calm calmly"),
    (Pause(0.5), "pause pauses"),
    (Pause(0.25), "short-pause"),
    (Pause(1.0), "long-pause"),
    (None, "laugh laughs laughing giggles chuckles cries crying sobbing sigh sighs exhales inhales gasp gasps gulps"),
    (None, "coughs clears-throat sniffs snorts sings singing hums angry angrily annoyed sarcastic sarcastically"),
    (None, "curious nervous nervously mischievously surprised thoughtful confused frustrated hesitates stammers"),
    (None, "laughs-harder starts-laughing wheezing swallows hesitant deadpan playfully appalled dramatic-tone"),
)
DELIVERIES: Final[Mapping[str, Prosody | Pause | None]] = {word: how for how, words in _TAGS for word in words.split()}
"""What each word comes to; None if nothing does what it says. A space may stand for the hyphen."""
TAG: Final = re.compile(rf"\[(?P<delivery>{'|'.join(DELIVERIES).replace('-', '[ -]')})\]", re.IGNORECASE)
"""A tag. Any other word in brackets is text."""


_CLAUSE: Final = re.compile(r"[.,;:!?\n]|\bbut\b")
_NEGATION: Final = re.compile(r"\b(?:not?|never|without|avoid|less|hardly|barely|stop|tired of)\b|n['’]t\b")
_PLAIN: Final = (
    "a all an and as at be he her his in is it its like more of on or please read say she should sound speak speaking "
    "style talk text that the their they this to tone use using very voice way with you your"
)
"""Words of a description that say nothing of how."""


def read_instructions(text: str) -> tuple[Prosody | None, list[str]]:
    """How a description has a text said, and what of it nothing does: words, and clauses with a negation.

    Returns:
        None for a description that has nothing that can be done.
    """
    plain = _PLAIN.split()
    deliveries: dict[Prosody, None] = {}
    left: dict[str, None] = {}
    for clause in map(str.strip, _CLAUSE.split(text.lower())):
        if _NEGATION.search(clause):
            left[clause] = None
            continue
        for word in re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", clause):
            if isinstance(delivery := DELIVERIES.get(word), Prosody):
                deliveries[delivery] = None
            elif word not in plain:
                left[word] = None
    return (reduce(Prosody.beside, deliveries) if deliveries else None), list(left)


_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


def left_out(text: str) -> list[str]:
    """The tags of a text, or of a document in SSML, that nothing does."""
    return [match[0] for match in TAG.finditer(_COMMENT.sub("", text)) if delivery_of(match) is None]


def delivery_of(match: re.Match[str]) -> Prosody | Pause | None:
    """What one match of :data:`TAG` comes to."""
    return DELIVERIES[match["delivery"].lower().replace(" ", "-")]


# What is spoken: tokens of a text, word by word and mark by mark, and sentences of phonemes.
#
# A sentence travels to whatever speaks it.

_PHONEMES = frozenset(PHONEMES).difference(PAUSES)


@dataclass(frozen=True)
class Word:
    """A spoken word.

    Attributes:
        text: the word as normalised: lower case, or a capital for a letter spoken by name.
        phones: members of `phonemes.PHONEMES`, at least one, no pauses.
        span: where it stands in :attr:`Script.written`. What is written as one has one span: "5 km", "API".
        control: of each of its phones.
    """

    text: str
    phones: tuple[str, ...]
    span: Span
    control: Control = PLAIN


@dataclass(frozen=True)
class Rest:
    """A pause of exact length.

    Attributes:
        mark: the pause from `phonemes.PAUSES` that has this length; `sil` before the first word.
        seconds: its length.
    """

    mark: str
    seconds: float


Item = Word | Rest | str


@dataclass(frozen=True)
class Sentence:
    """What is said in one breath, up to about 15 s.

    Attributes:
        items: words, pauses as strings from `phonemes.PAUSES`, and pauses of exact length; never two pauses in a row.
            The last is a `.`, `?` or `!`, or the `,` of a clause with which a text ends that goes on; the first is a
            word, or a rest in place of the silence before it. A pause at the end of a text is a sentence without
            words: that rest alone.
    """

    items: tuple[Item, ...]

    @property
    def text(self) -> str:
        """The words and marks as they are spoken."""
        text = ""
        for item in self.items:
            if isinstance(item, Word):
                text += f" {item.text}" if text else item.text
            elif (mark := mark_of(item)) != SILENCE:
                text += mark or ""
        return text

    @property
    def words(self) -> tuple[Word, ...]:
        """The words alone."""
        return tuple(item for item in self.items if isinstance(item, Word))

    @property
    def phones(self) -> tuple[str, ...]:
        """The phoneme sequence, from `sil` to the sentence's end."""
        return tuple(phone for phone, _, _ in self._sequence)

    @property
    def word_starts(self) -> tuple[bool, ...]:
        """For each of `phones`, whether a word starts there."""
        return tuple(starts for _, starts, _ in self._sequence)

    @property
    def controls(self) -> tuple[Control, ...]:
        """For each of `phones` the change to the prediction; empty if there is none."""
        controls = tuple(control for _, _, control in self._sequence)
        return () if all(control == PLAIN for control in controls) else controls

    @cached_property
    def _sequence(self) -> tuple[tuple[str, bool, Control], ...]:
        control = next((item.control for item in self.items if isinstance(item, Word)), PLAIN)
        sequence = [] if mark_of(self.items[0]) == SILENCE else [(SILENCE, False, control)]
        for item in self.items:
            if isinstance(item, Word):
                control = item.control
                sequence.extend((phone, i == 0, control) for i, phone in enumerate(item.phones))
            elif isinstance(item, Rest):
                sequence.append((item.mark, False, replace(control, seconds=item.seconds)))
            else:
                sequence.append((item, False, control))
        return tuple(sequence)

    def as_json(self) -> list[Any]:
        """One value an item: ``"."``, ``[",", 1.5]`` (seconds), ``["cat", 4, 7, "K AE1 T"]`` (span); with a control
        ``["cat", 4, 7, "K AE1 T", 0.8, 2.0, 0.0, False]`` (rate, semitones, decibels, whispered)."""
        return [item if isinstance(item, str) else list(_values(item)) for item in self.items]

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> Self:
        """What :meth:`as_json` made.

        Raises:
            ValueError: it is something else, or has an unknown phoneme.
        """
        if not values:
            raise ValueError("a sentence has items")
        return cls(tuple(map(_item, values)))


def mark_of(item: Item) -> str | None:
    """The pause that an item is; None for a word."""
    return item if isinstance(item, str) else item.mark if isinstance(item, Rest) else None


def _values(item: Word | Rest) -> Iterator[Any]:
    if isinstance(item, Rest):
        yield from (item.mark, item.seconds)
        return
    yield from (item.text, *item.span, " ".join(item.phones))
    if item.control != PLAIN:
        yield from (item.control.rate, *item.control.changes)


def _item(values: Any) -> Item:
    match values:
        case str() if values in PAUSES:
            return values
        case [mark, float(seconds)] if mark in PAUSES:
            return Rest(mark, seconds)
        case [str(text), int(start), int(end), str(phones), *control] if _PHONEMES.issuperset(phones.split(" ")):
            return Word(text, tuple(phones.split(" ")), (start, end), Control(*control))
    raise ValueError(f"no item of a sentence: {values!r}")


class Token(NamedTuple):
    """What is spoken, and where it was written."""

    spoken: str | Cue
    """A word in lower case, apostrophes kept; in English, a capital for a letter spoken by name, with its ending
    (`I's`); one of the marks `,` `.` `?` `!`; or a cue."""
    span: Span
    """The place in :attr:`Script.written`."""
    language: str
    """The language whose rules have read it."""

    @property
    def is_word(self) -> bool:
        """Whether it is spoken, and no pause."""
        return isinstance(self.spoken, Pronounced) or (isinstance(self.spoken, str) and self.spoken not in PAUSES)


CLAUSE_END: Final = re.compile(r"[,;:—][\"'”’]*\s*\Z")


def _pause(gap: Sequence[Token]) -> list[Token]:
    """The pauses of exact length as one."""
    seconds = round(sum(token.spoken.seconds for token in gap if isinstance(token.spoken, Pause)), 3)
    return [Token(Pause(seconds), cover([token.span for token in gap]), gap[0].language)] if seconds else []


def _cues(gap: Sequence[Token]) -> list[Token]:
    """What stands before the first word: its pauses as one, and the last prosody."""
    return _pause(gap) + [token for token in gap if isinstance(token.spoken, Prosody)][-1:]


def _between(gap: list[Token]) -> list[Token]:
    """What stands between two words, in one form: a pause before the mark whose length it is, or after a sentence."""
    marks = [token for token in gap if isinstance(token.spoken, str)]
    end = next((i for i, token in enumerate(gap) if token.spoken in SENTENCE_ENDS), len(gap))
    found = _pause(gap[:end])
    if marks or found:
        # The strongest of them.
        mark = next((mark for mark in "?!." if any(token.spoken == mark for token in marks)), PHRASE_PAUSE)
        found.append(Token(mark, cover([token.span for token in marks or found]), gap[0].language))
    return found + _cues([token for i, token in enumerate(gap) if i >= end or isinstance(token.spoken, Prosody)])


def merge_marks(tokens: list[Token], *, goes_on: bool) -> list[Token]:
    """One mark where several stand together, none at the start, and at the end a sentence's, unless the text goes on.

    Args:
        tokens: of a text.
        goes_on: whether it ends with a clause, and not with a sentence.
    """
    merged: list[Token] = []
    gap: list[Token] = []
    for token in tokens:
        if not token.is_word:
            gap.append(token)
            continue
        if gap:
            merged += _between(gap) if merged else _cues(gap)
            gap = []
        merged.append(token)
    if not merged:
        return _cues(gap)
    if not any(token.spoken in SENTENCE_ENDS or (goes_on and token.spoken == PHRASE_PAUSE) for token in gap):
        end = merged[-1].span[1]
        gap.append(Token(".", gap[-1].span if gap else (end, end), merged[-1].language))
    return merged + [token for token in _between(gap) if not isinstance(token.spoken, Prosody)]


def apart(tokens: list[Token], written: str) -> Iterator[Token]:
    """Words that were written as one, or in another order than they are read, have one span together."""
    spans = iter(disjoint([token.span for token in tokens if token.is_word]))
    for token in tokens:
        if not token.is_word:
            yield token
            continue
        start, end = next(spans)
        text = written[start:end]
        yield token._replace(span=(end - len(text.lstrip()), start + len(text.rstrip())))
