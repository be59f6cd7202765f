"""How a word is said where it stands: heteronyms, the articles, and the weak forms of function words.

The candidates are the lexicon's; the neighbouring words choose among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ancestral.models.text.g2p import pronounce
from ancestral.models.text.heteronyms import choose
from ancestral.models.text.lexicon import Pronunciation
from ancestral.models.text.phonemes import PAUSES, is_vowel, with_stress

Phones = tuple[str, ...]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Prepositions, conjunctions and auxiliaries: weak before a word, full at the end of a phrase.
_WEAK_INSIDE: Final = _words(
    """of and for from at in on by with as than but or nor if into am is are was were be been can could would
    should will shall must my your his its our their he she we they that"""
)
# Pronouns that stay weak at the end as well ("I like it").
_WEAK_ALWAYS: Final = _words("it me him her us them you i")


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
        return choose(readings, words, i)
    return readings[0].phones
