"""Pronunciation of any word: the lexicon, then word parts that the lexicon has, then a statistical guess.

The guess comes from the conditional random field that ships with `gruut_lang_en` (MIT; models/text/crf.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from ancestral.models.text import crf, lexicon
from ancestral.models.text.lexicon import Pronunciation
from ancestral.models.text.phonemes import SCHWA, from_ipa, is_vowel, with_stress
from ancestral.models.text.tables import table

Phones = tuple[str, ...]

_MIN_PART: Final = 3
# Shorter first halves find compounds where there are none (ing-rain).
_MIN_FIRST_HALF: Final = 4
_MAX_GUESSED: Final = 24
_SIBILANTS: Final = frozenset({"S", "Z", "SH", "ZH", "CH", "JH"})
_VOICELESS: Final = frozenset({"P", "T", "K", "F", "TH", "S", "SH", "CH", "HH"})
_SONORANTS: Final = "RLMN"
_VOWEL_LETTERS: Final = frozenset("aeiouy")
_PREFIXES: Final = table("english").phones("prefixes")
_SUFFIXES: Final = table("english").phones("suffixes")
_CLITICS: Final = table("english").phones("clitics")
# Plurals that add a syllable are the only ones spelled -es after the stem.
_SYLLABIC_PLURAL: Final = ("ses", "xes", "zes", "ches", "shes", "ies")

_BRITISH_IZE: Final = re.compile(r"is(?=(?:e[drs]?|ers|ing|ations?|able)$)")

_ONE_SHORT_SYLLABLE: Final = re.compile(r"[^aeiouy]*[aeiouy][^aeiouywx]")


def _stressed(phones: Phones) -> Phones:
    """The phones with a main stress on the first full vowel if nothing in them is stressed."""
    if any(phone.endswith("1") for phone in phones):
        return phones
    vowels = [i for i, phone in enumerate(phones) if is_vowel(phone)]
    full = [i for i in vowels if phones[i] != SCHWA]
    if not vowels:
        return phones
    place = full[0] if full else vowels[0]
    strong = with_stress(phones[place], "1") if full else "AH1"
    return (*phones[:place], strong, *phones[place + 1 :])


def guess(word: str) -> Phones:
    """The statistical model's pronunciation; it may have no vowel, if the model finds letters silent.

    Args:
        word: lower-case letters `a` to `z`.
    """
    phones = tuple(map(from_ipa, crf.sounds(word)))
    if word.endswith("ed") and phones[-2:] in (("T", "D"), ("D", "D")):
        phones = _past(phones[:-1])  # the model tends to forget the vowel of "-ted"
    return _stressed(_syllabic(phones))


def _syllabic(phones: Phones) -> Phones:
    """The phones with a vowel for each sonorant that would stand between consonants, as in "-gre" or "-sm"."""
    found: list[str] = []
    for i, phone in enumerate(phones):
        after, before = phones[:i][-1:], phones[i + 1 : i + 2]
        # "Carl" and "film" are one syllable: their second sonorant is the weaker one.
        apart = after and not is_vowel(after[0]) and after[0] not in _SONORANTS[: _SONORANTS.find(phone)]
        if phone in _SONORANTS and apart and not any(map(is_vowel, before)):
            found += ("ER0",) if phone == "R" else (SCHWA, phone)
        else:
            found.append(phone)
    return tuple(found)


def spell(word: str) -> Phones:
    """The names of a word's letters, one after the other."""
    return tuple(phone for letter in word for phone in letter_name(letter))


def letter_name(letter: str) -> Phones:
    """The name of one letter (`a` is EY1), either case."""
    # The lexicon lists the letter "a" after the article.
    return lexicon.lookup(letter.lower())[-1].phones


def plural(stem: Phones) -> Phones:
    """A word with the ending of a plural, or of a possessive."""
    if stem[-1] in _SIBILANTS:
        return (*stem, "IH0", "Z")
    return (*stem, "S" if stem[-1] in _VOICELESS else "Z")


def _past(stem: Phones) -> Phones:
    if stem[-1] in ("T", "D"):
        return (*stem, "IH0", "D")
    return (*stem, "T" if stem[-1] in _VOICELESS else "D")


def _stems(word: str, ending: str) -> Iterator[str]:
    """Spellings that `word` may have had before `ending`: bak(e)ing, stop(p)ing, happi(y)ly."""
    stem = word.removesuffix(ending)
    if len(stem) < _MIN_PART:
        return
    if stem[-1] == "i":
        yield stem[:-1] + "y"
    if ending[0] in "aei" and _ONE_SHORT_SYLLABLE.fullmatch(stem):
        yield stem + "e"  # "cased" is from "case": "cas" would have given "cassed"
    yield stem
    if ending[0] in "aei":
        yield stem + "e"
        if stem[-1] == stem[-2]:
            yield stem[:-1]


def _first_known(words: Iterator[str]) -> Phones | None:
    return next((found[0].phones for word in words if (found := lexicon.lookup(word))), None)


def _inflected(word: str) -> Phones | None:
    if word.endswith("s") and not word.endswith("ss"):
        endings = ("es", "s") if word.endswith(_SYLLABIC_PLURAL) else ("s",)
        stem = next((stem for ending in endings if (stem := _first_known(_stems(word, ending)))), None)
        if stem:
            return plural(stem)
    if (american := _BRITISH_IZE.sub("iz", word)) != word and (found := lexicon.lookup(american)):
        return found[0].phones
    if word.endswith("ed") and (stem := _first_known(_stems(word, "ed"))):
        return _past(stem)
    for ending, phones in _SUFFIXES.items():
        if word.endswith(ending) and (stem := _first_known(_stems(word, ending))):
            return (*stem, *phones)
    for beginning, phones in _PREFIXES.items():
        rest = word.removeprefix(beginning)
        if rest != word and len(rest) > _MIN_PART and (found := lexicon.lookup(rest)):
            return (*phones, *found[0].phones)
    return None


def _compound(word: str) -> Phones | None:
    """Two known words written as one, split as evenly as can be; the second's stress becomes secondary."""
    middle = len(word) / 2
    for cut in sorted(range(_MIN_FIRST_HALF, len(word) - _MIN_PART + 1), key=lambda i: abs(i - middle)):
        first, second = lexicon.lookup(word[:cut]), lexicon.lookup(word[cut:])
        if first and second:
            weak = (with_stress(phone, "2") if phone.endswith("1") else phone for phone in second[0].phones)
            return (*first[0].phones, *weak)
    return None


def _with_apostrophe(word: str) -> Phones:
    if word.endswith("'s"):
        return plural(pronounce(word.removesuffix("'s"))[0].phones)
    for clitic, phones in _CLITICS.items():
        if word.endswith(clitic) and len(word) > len(clitic):
            return (*pronounce(word.removesuffix(clitic))[0].phones, *phones)
    return pronounce(word.replace("'", ""))[0].phones


def _unknown(word: str) -> Phones:
    if "'" in word:
        return _with_apostrophe(word)
    if not _VOWEL_LETTERS.intersection(word):
        return spell(word)
    if len(word) > _MAX_GUESSED:
        # No English word is this long: say it in pieces, as a reader would.
        pieces = (word[i : i + _MAX_GUESSED] for i in range(0, len(word), _MAX_GUESSED))
        return tuple(phone for piece in pieces for phone in pronounce(piece)[0].phones)
    known = _inflected(word) or _compound(word)
    if known:
        return known
    guessed = guess(word)
    return guessed if any(map(is_vowel, guessed)) else spell(word)


@lru_cache(maxsize=16384)
def pronounce(word: str) -> tuple[Pronunciation, ...]:
    """All pronunciations of a word, the preferred one first.

    Args:
        word: a word as `normalize` writes it: lower-case letters with apostrophes inside (at least one
            letter), or one capital for a letter spoken by its name (`B`, or `B's` with an ending).

    Returns:
        At least one pronunciation; each has at least one phone.
    """
    if word[0].isupper():
        name = letter_name(word[0])
        return (Pronunciation(plural(name) if word[1:] else name, ""),)
    return lexicon.lookup(word) or (Pronunciation(_unknown(word), ""),)
