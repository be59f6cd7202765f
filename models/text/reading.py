"""How a word is said where it stands: heteronyms, the articles, and the weak forms of function words.

The candidates are the lexicon's; the neighbouring words choose among them. It tells most heteronyms apart by part of
speech, which the tagger finds ("a live show", "we live here"). The few that have one part of speech and two meanings
(the bass that is played, and the one that is caught) are told apart by the words around them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ancestral.models.text.crf import part_of_speech
from ancestral.models.text.g2p import pronounce
from ancestral.models.text.lexicon import Pronunciation
from ancestral.models.text.phonemes import PAUSES, SILENCE, is_vowel, with_stress
from ancestral.models.text.tables import table

Phones = tuple[str, ...]


_WINDOW: Final = 2
_NEAR: Final = 5
_NOUN: Final = ("NN",)
_VERB: Final = ("VB", "VBD", "JJ")
_PAST: Final = ("VBD", "VB", "JJ")
_OTHER: Final = ("JJ", "RB")
_ROLES: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys(("NN", "NNS", "NNP", "NNPS"), _NOUN),
    **dict.fromkeys(("VB", "VBP", "VBZ", "VBG", "MD"), _VERB),
    **dict.fromkeys(("VBD", "VBN"), _PAST),
    **dict.fromkeys(("JJ", "JJR", "JJS", "RB", "RBR", "RP", "UH"), _OTHER),
}
"""The parts of speech in the lexicon for a tag of the tagger, likeliest first."""
_TABLE: Final = table("english")
_ONE_READING: Final = _TABLE.words("one_reading")
_WEAK_INSIDE: Final = _TABLE.words("weak_inside")
_WEAK_ALWAYS: Final = _TABLE.words("weak_always")


class _Sense(NamedTuple):
    """A reading, and what asks for it; without conditions it is the usual one."""

    phones: Phones
    tag: str = ""
    """Beginning of the word's tag."""
    near: frozenset[str] = frozenset()
    """Words not farther than five, "x-" for the word before and "-x" for the one after. One of them must be there."""


_PLACES: Final = {"before": "{}-", "after": "-{}", "near": "{}"}


def _sense(text: str) -> _Sense:
    """`B EY1 S; near fish river`."""
    phones, *conditions = text.split("; ")
    tag, near = "", set[str]()
    for kind, *words in map(str.split, conditions):
        if kind == "tag":
            (tag,) = words
        else:
            near |= {_PLACES[kind].format(word) for word in words}
    return _Sense(tuple(phones.split()), tag, frozenset(near))


def _senses() -> Mapping[str, Sequence[_Sense]]:
    found: dict[str, list[_Sense]] = {}
    for word, text in _TABLE.pairs("heteronyms"):
        found.setdefault(word, []).append(_sense(text))
    return found


_SENSES: Final = _senses()


def _fits(sense: _Sense, words: Sequence[str], i: int) -> bool:
    around = {f"{words[i - 1]}-" if i else "", f"-{words[i + 1]}" if i + 1 < len(words) else ""}
    if sense.near and sense.near.isdisjoint(around.union(words[max(0, i - _NEAR) : i + _NEAR + 1])):
        return False
    return not sense.tag or _tag(words, i).startswith(sense.tag)


def _parts(word: str) -> tuple[str, ...]:
    """A word as the tagger's treebanks write it: "i", "job's" and "don't" as "I", "job 's" and "do n't"."""
    if word in ("i", SILENCE):
        return ("I" if word == "i" else ",",)
    cut = len(word) - 3 if word.endswith("n't") else word.find("'")
    return (word[:cut], word[cut:]) if cut > 0 else (word,)


def _tag(words: Sequence[str], i: int) -> str:
    start = max(0, i - _WINDOW)
    before = [part for word in words[start:i] for part in _parts(word)]
    around = [*before, words[i], *(part for word in words[i + 1 : i + _WINDOW + 1] for part in _parts(word))]
    if not start:
        around[0] = around[0].capitalize()
    return part_of_speech(tuple(around), len(before))


def _choose(readings: Sequence[Pronunciation], words: Sequence[str], i: int) -> Phones:
    """The reading of a heteronym where it stands.

    Args:
        readings: those of the lexicon, the preferred one first; at least one.
        words: the sentence as `normalize` gives it, words and marks.
        i: which of them.
    """
    word = words[i]
    if word in _ONE_READING:
        return readings[0].phones
    for sense in _SENSES.get(word, ()):
        if _fits(sense, words, i):
            return sense.phones
    for role in _ROLES.get(_tag(words, i), ()):
        for reading in readings:
            if reading.role == role:
                return reading.phones
    return readings[0].phones


def _full(readings: Sequence[Pronunciation]) -> Phones:
    """The first reading with a stressed vowel."""
    return next((r.phones for r in readings if any(p.endswith("1") for p in r.phones)), readings[0].phones)


def _weak(readings: Sequence[Pronunciation]) -> Phones:
    """The least stressed reading that keeps all its consonants, its stress taken away.

    A reading of one phone ("er" for "or") is passed over: it belongs to faster speech than this.
    """
    consonants = [sum(not is_vowel(phone) or phone.startswith("ER") for phone in r.phones) for r in readings]
    most = max(consonants)
    whole = [r.phones for r, count in zip(readings, consonants, strict=True) if count == most and len(r.phones) > 1]
    best = min(whole or [readings[0].phones], key=lambda phones: sum(phone.endswith("1") for phone in phones))
    return tuple(with_stress(phone, "0") for phone in best)


def _starts_with_vowel(word: str | None) -> bool:
    return word is not None and is_vowel(pronounce(word)[0].phones[0])


def _article_or_to(word: str, after: str | None) -> Phones | None:
    if word == "the":
        return ("DH", "IY0") if _starts_with_vowel(after) else ("DH", "AX0")
    if word == "a":
        return ("AX0",) if after else ("EY1",)
    if word == "an":
        return ("AX0", "N")
    if word == "to":
        if after is None:
            return ("T", "UW1")
        return ("T", "UW0") if _starts_with_vowel(after) else ("T", "AX0")
    return None


def read(words: Sequence[str], i: int) -> Phones:
    """The phones of one word of a sentence.

    Args:
        words: the sentence as `normalize` gives it, words and marks.
        i: which of them to say; it must be a word.

    Returns:
        Members of `phonemes.PHONEMES`, at least one, no pauses.
    """
    word = words[i]
    after = words[i + 1] if i + 1 < len(words) and words[i + 1] not in PAUSES else None
    first = i == 0 or words[i - 1] in PAUSES
    special = _article_or_to(word, after)
    if special:
        return special
    readings = pronounce(word)
    if word in _WEAK_INSIDE:
        return _weak(readings) if after else _full(readings)
    if word in _WEAK_ALWAYS:
        return _full(readings) if first and after is None else _weak(readings)
    if len(readings) > 1 and any(reading.role for reading in readings):
        return _choose(readings, words, i)
    return readings[0].phones
