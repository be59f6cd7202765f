"""Spanish."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from ancestral_models.text.languages.language import Language, Numbers, Numerals, by_word, letters_of
from ancestral_models.text.phonemes import PAUSES
from ancestral_models.text.tables import table

# Spanish words to phonemes, by rules alone: it is spelled as it is spoken. The sounds are those of Spain.

Phones = tuple[str, ...]

_TABLE: Final = table("spanish")
_WEAK: Final = _TABLE.words("weak")
_ACCENTED: Final = dict(zip("áéíóú", "aeiou", strict=True))
_VOWEL: Final = "aeiouáéíóúü"
_CONSONANT: Final = tuple((key, tuple(phones.split())) for key, phones in _TABLE.pairs("consonants"))
_GRAPHEME: Final = re.compile("|".join(f"({pattern})" for pattern, _ in _CONSONANT))
_PENULTIMATE: Final = re.compile(rf"[{_VOWEL}][ns]?\Z")
_MENTE: Final = re.compile(r"(.+[aelrzns])(mente)")
_NO_ADVERBS: Final = _TABLE.words("no_adverbs")
_WORDS: Final = _TABLE.phones("words")


def read(sentence: Sequence[str], i: int) -> Phones:
    """The phones of one word of a sentence; see `language.Read`."""
    word = sentence[i]
    after = sentence[i + 1] if i + 1 < len(sentence) and sentence[i + 1] not in PAUSES else None
    phones = _pronounce(word)
    if after is None:
        return phones
    if word in _WEAK:
        phones = tuple(phone.replace("1", "0") for phone in phones)
    if phones[-1] == "N" and after[0] in "bvp":
        return (*phones[:-1], "M")
    return phones


@lru_cache(maxsize=16384)
def _pronounce(word: str) -> Phones:
    if word in _WORDS:
        return _WORDS[word]
    if (adverb := _MENTE.fullmatch(word)) and word not in _NO_ADVERBS:
        return (*_by_rule(adverb[1]), *_by_rule(adverb[2]))
    return _by_rule(word) or _by_rule("hache")  # an h by itself is silent


def _by_rule(word: str) -> Phones:
    sounds = letters_of(word, lambda at: (_vowel(word, at),) if _is_vowel(word, at) else None, _GRAPHEME, _CONSONANT)
    nuclei = [i for i, (sound, _) in enumerate(sounds) if sound in _VOWEL]
    written = [i for i in nuclei if word[sounds[i].at] in _ACCENTED]
    if written:
        stressed = written[-1]
    elif nuclei:
        stressed = nuclei[-2] if len(nuclei) > 1 and _PENULTIMATE.search(word) else nuclei[-1]
    else:
        stressed = -1
    return tuple(f"{sound}{int(i == stressed)}" if sound in _VOWEL else sound for i, (sound, _) in enumerate(sounds))


def _is_vowel(word: str, at: int) -> bool:
    """Whether a letter is a vowel or a glide; a y before a vowel is a consonant."""
    return word[at] in _VOWEL or (word[at] == "y" and word[at + 1 : at + 2] not in tuple("aeiouáéíóú"))


def _vowel(word: str, at: int) -> str:
    """A vowel, or the glide that an i or u beside another vowel is."""
    letter = {"ü": "u", "y": "i"}.get(word[at], word[at])
    if letter in _ACCENTED:
        return _ACCENTED[letter]
    if letter not in "iu":
        return letter
    before, after = _neighbour(word, at, -1), _neighbour(word, at, 1)
    glide = "Y" if letter == "i" else "W"
    if after and after not in ("i", "u", "y", letter):
        return glide
    if after in ("i", "u") and after != letter and not before:
        return glide  # ciudad, ruido: the second is the vowel
    if before and before not in ("í", "ú", letter) and not (before in "iuü" and not _neighbour(word, at - 1, -1)):
        return glide
    return letter


def _neighbour(word: str, at: int, step: int) -> str:
    """The vowel next to a place, an h between them or not; empty if there is none."""
    near = at + step
    if word[near : near + 1] == "h" and 0 < near < len(word) - 1 and word[near - 1] != "c":
        near += step
    found = word[near] if 0 <= near < len(word) else ""
    silent = found == "u" and near > 0 and word[near - 1] in "qg" and step < 0 and word[near + 1] in "eiéí"
    return found if found in tuple(_VOWEL) and not silent else ""


# Spanish as it is read in Spain.

_NUMBERS: Final = Numbers.of_table(_TABLE, thousands=". ", of_millions=lambda noun: f"de {noun}")
_NUMERALS: Final = Numerals(_NUMBERS)
_QUARTERS: Final = {0: "", 15: " y cuarto", 30: " y media"}


def _time(hour: int, minute: int) -> str:
    hours = _NUMERALS.cardinal(hour, "f") if hour % 10 == 1 else _NUMERALS.cardinal(hour)
    if hour > 12 or hour == 0:
        return f"{hours} {_NUMERALS.cardinal(minute)}" if minute else f"{hours} horas"
    return hours + _QUARTERS.get(minute, f" y {_NUMERALS.cardinal(minute)}")


LANGUAGE: Final = Language.of_table(_TABLE, read=by_word(read), numbers=_NUMBERS, time=_time)
