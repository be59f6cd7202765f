"""Text to sentences of phonemes: the one entrance to this package.

normalize (text → words and marks) → sentences of speakable length → reading (word in its place → phones)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from models.text.normalize import normalize
from models.text.phonemes import PAUSES, PHRASE_PAUSE, SENTENCE_ENDS, SILENCE
from models.text.reading import read

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
    """

    text: str
    phones: tuple[str, ...]


@dataclass(frozen=True)
class Sentence:
    """What is said in one breath, up to about 15 s.

    Attributes:
        text: the words and marks as they are spoken.
        items: words, and pauses as strings from `phonemes.PAUSES`; never two pauses in a row. The first
            is a word, the last is `.`, `?` or `!`.
    """

    text: str
    items: tuple[Word | str, ...]

    @property
    def phones(self) -> tuple[str, ...]:
        """The phoneme sequence, from `sil` to the sentence's end."""
        return tuple(phone for phone, _ in self._sequence)

    @property
    def word_starts(self) -> tuple[bool, ...]:
        """For each of `phones`, whether a word starts there."""
        return tuple(starts for _, starts in self._sequence)

    @cached_property
    def _sequence(self) -> tuple[tuple[str, bool], ...]:
        sequence = [(SILENCE, False)]
        for item in self.items:
            if isinstance(item, str):
                sequence.append((item, False))
            else:
                sequence.extend((phone, i == 0) for i, phone in enumerate(item.phones))
        return tuple(sequence)


def _sentences(tokens: list[str]) -> Iterator[list[str]]:
    start = 0
    for i, token in enumerate(tokens, 1):
        if token in SENTENCE_ENDS:
            yield tokens[start:i]
            start = i


def _word_count(items: list[Word | str]) -> int:
    return sum(isinstance(item, Word) for item in items)


def _is_short(items: list[Word | str]) -> bool:
    phones = sum(len(item.phones) for item in items if isinstance(item, Word))
    return _word_count(items) <= 1 or (_word_count(items) <= _MAX_WORDS and phones <= _MAX_PHONES)


def _cut(items: list[Word | str]) -> int:
    """Where to break a sentence that is too long: the index of the second part's first item.

    The best places are phrase pauses, then conjunctions, then any word; among equals the one nearest to the
    middle.
    """
    middle = len(items) / 2
    inner = range(1, len(items) - 1)
    pauses = [i + 1 for i in inner if items[i] == PHRASE_PAUSE]
    joints = [i for i in inner if isinstance(word := items[i], Word) and word.text in _CONJUNCTIONS]
    words = [i for i in inner if isinstance(items[i], Word)]
    for places in (pauses, joints):
        # A cut near the edge would leave a fragment and still too long a rest.
        central = [i for i in places if len(items) / 5 <= i <= len(items) * 4 / 5]
        if central:
            return min(central, key=lambda i: abs(i - middle))
    return min(words, key=lambda i: abs(i - middle))


def _fit(items: list[Word | str]) -> Iterator[list[Word | str]]:
    if _is_short(items):
        yield items
        return
    cut = _cut(items)
    first = items[: cut - 1] if items[cut - 1] in PAUSES else items[:cut]
    yield from _fit([*first, "."])
    yield from _fit(items[cut:])


def _text(items: list[Word | str]) -> str:
    text = ""
    for item in items:
        text += item if isinstance(item, str) else f" {item.text}" if text else item.text
    return text


def phonemize(text: str) -> list[Sentence]:
    """Turns written English into sentences of phonemes.

    Args:
        text: any Unicode string; numbers, abbreviations, addresses, emoji and the like are spoken as a
        reader would.

    Returns:
        At least one sentence, each with at least one word.

    Raises:
        UnsupportedText: if there is nothing to speak, or for characters that have no English reading (other
        scripts).
    """
    sentences: list[Sentence] = []
    for tokens in _sentences(normalize(text)):
        items = [token if token in PAUSES else Word(token, read(tokens, i)) for i, token in enumerate(tokens)]
        sentences.extend(Sentence(_text(part), tuple(part)) for part in _fit(items))
    return sentences
