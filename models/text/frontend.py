"""Text to sentences of phonemes: the one entrance to this package.

normalize (text → words and marks) → sentences of speakable length → reading (word in its place → phones)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from ancestral.models.text.directives import read_plain
from ancestral.models.text.normalize import Token, normalize
from ancestral.models.text.phonemes import PAUSES, PHRASE_PAUSE, PLAIN, SENTENCE_ENDS, SILENCE, Control, is_vowel
from ancestral.models.text.pronunciations import NO_PRONUNCIATIONS, Pronunciations
from ancestral.models.text.reading import read
from ancestral.models.text.script import Cue, Pause, Pronounced, Prosody, Script
from ancestral.models.text.spans import Span
from ancestral.models.text.ssml import read_ssml

InputFormat = Literal["text", "ssml"]

# Running speech has about 13 phones a second: 200 phones are 15 s, and 40 words are about as long.
_MAX_WORDS = 40
_MAX_PHONES = 200
_CONJUNCTIONS = frozenset(
    ("and", "but", "or", "because", "which", "while", "although", "when", "where", "so", "that", "who", "if", "then")
)


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
        text: the words and marks as they are spoken.
        items: words, pauses as strings from `phonemes.PAUSES`, and pauses of exact length; never two pauses in a row.
            The last is a `.`, `?` or `!`; the first is a word, or a rest in place of the silence before it. A pause
            at the end of a text is a sentence without words: that rest alone.
    """

    text: str
    items: tuple[Item, ...]

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
        """For each of `phones` how it differs from the prediction; empty if none does."""
        controls = tuple(control for _, _, control in self._sequence)
        return () if all(control == PLAIN for control in controls) else controls

    @cached_property
    def _sequence(self) -> tuple[tuple[str, bool, Control], ...]:
        control = next((item.control for item in self.items if isinstance(item, Word)), PLAIN)
        sequence = [] if _mark(self.items[0]) == SILENCE else [(SILENCE, False, control)]
        for item in self.items:
            if isinstance(item, Word):
                control = item.control
                sequence.extend((phone, i == 0, control) for i, phone in enumerate(item.phones))
            elif isinstance(item, Rest):
                sequence.append((item.mark, False, replace(control, seconds=item.seconds)))
            else:
                sequence.append((item, False, control))
        return tuple(sequence)


def _mark(item: Item) -> str | None:
    """The pause that an item is; None for a word."""
    return item if isinstance(item, str) else item.mark if isinstance(item, Rest) else None


def _sentences(tokens: list[Token]) -> Iterator[list[Token]]:
    start = 0
    for i, token in enumerate(tokens, 1):
        if token.spoken in SENTENCE_ENDS or i == len(tokens):
            yield tokens[start:i]
            start = i


def _word_count(items: list[Item]) -> int:
    return sum(isinstance(item, Word) for item in items)


def _is_short(items: list[Item]) -> bool:
    phones = sum(len(item.phones) for item in items if isinstance(item, Word))
    return _word_count(items) <= 1 or (_word_count(items) <= _MAX_WORDS and phones <= _MAX_PHONES)


def _cut(items: list[Item]) -> int:
    """Where to break a sentence that is too long: the index of the second part's first item.

    The best places are phrase pauses, then conjunctions, then any word; among equals the one nearest to the
    middle.
    """
    middle = len(items) / 2
    inner = range(1, len(items) - 1)
    pauses = [i + 1 for i in inner if _mark(items[i]) == PHRASE_PAUSE]
    joints = [i for i in inner if isinstance(word := items[i], Word) and word.text in _CONJUNCTIONS]
    words = [i for i in inner if isinstance(items[i], Word)]
    for places in (pauses, joints):
        # A cut near the edge would leave a fragment and still too long a rest.
        central = [i for i in places if len(items) / 5 <= i <= len(items) * 4 / 5]
        if central:
            return min(central, key=lambda i: abs(i - middle))
    return min(words, key=lambda i: abs(i - middle))


def _fit(items: list[Item]) -> Iterator[list[Item]]:
    if _is_short(items):
        yield items
        return
    cut = _cut(items)
    last = items[cut - 1]
    if isinstance(last, Word):
        yield from _fit([*items[:cut], "."])
    else:
        yield from _fit([*items[: cut - 1], Rest(".", last.seconds) if isinstance(last, Rest) else "."])
    yield from _fit(items[cut:])


def _text(items: list[Item]) -> str:
    text = ""
    for item in items:
        if isinstance(item, Word):
            text += f" {item.text}" if text else item.text
        elif (mark := _mark(item)) is not None and mark != SILENCE:
            text += mark
    return text


def _as_read(spoken: str | Cue) -> str:
    """A token as its neighbours see it. Given phonemes are a letter whose name begins with the same kind of sound."""
    if isinstance(spoken, str):
        return spoken
    if isinstance(spoken, Pronounced):
        return "A" if is_vowel(spoken.words[0][1][0]) else "B"
    return SILENCE


def _items(tokens: Sequence[Token], prosody: Prosody) -> tuple[list[Item], Prosody]:
    """The items of one sentence, and the prosody at its end."""
    spoken = [token.spoken for token in tokens]
    rests = {i + 1: token for i, token in enumerate(spoken) if isinstance(token, Pause)}
    heard = {i: n for n, i in enumerate(i for i, t in enumerate(spoken) if not isinstance(t, Pause | Prosody))}
    words = [_as_read(spoken[i]) for i in heard]
    items: list[Item] = []
    for i, (token, span) in enumerate(tokens):
        control = Control(None, prosody.rate, prosody.semitones)
        if isinstance(token, Prosody):
            prosody = token
        elif isinstance(token, Pronounced):
            items += [Word(text, phones, span, control) for text, phones in token.words]
        elif isinstance(token, Pause):
            if spoken[i + 1 : i + 2] and spoken[i + 1] in PAUSES:
                continue  # the next token is the mark whose length it is
            items.append(Rest(SILENCE, token.seconds))
        elif token in PAUSES:
            items.append(Rest(token, rests[i].seconds) if i in rests else token)
        else:
            items.append(Word(token, read(words, heard[i]), span, control))
    return items, prosody


def parse_text(text: str, input_format: InputFormat = "text", lexicon: Pronunciations = NO_PRONUNCIATIONS) -> Script:
    """What is written, and how it is to be read.

    Args:
        text: any Unicode string, or an SSML document.
        input_format: which of the two.
        lexicon: words that are read otherwise.

    Raises:
        UnsupportedText: it has a directive or a tag that cannot be followed.
    """
    return read_ssml(text, lexicon) if input_format == "ssml" else read_plain(text, lexicon)


def phonemize(text: str | Script) -> list[Sentence]:
    """Turns written English into sentences of phonemes.

    Args:
        text: any Unicode string; numbers, abbreviations, addresses, emoji and the like are spoken as a
            reader would. Or what :func:`parse_text` has made of one.

    Returns:
        At least one sentence. Each has at least one word, but for the last one, which may be a pause.

    Raises:
        UnsupportedText: if there is nothing to speak, or for characters that have no English reading (other
        scripts).
    """
    sentences: list[Sentence] = []
    prosody = Prosody()
    for tokens in _sentences(normalize(text)):
        items, prosody = _items(tokens, prosody)
        sentences.extend(Sentence(_text(part), tuple(part)) for part in _fit(items))
    return sentences
