"""Hindi, in Devanagari. Words in Latin letters are read as English, with the sounds of Hindi."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from ancestral_models.text import g2p
from ancestral_models.text.languages import language
from ancestral_models.text.rules import Match, number_rule, rule
from ancestral_models.text.tables import table

# How words are said: Devanagari is phonetic but for the vowel that every consonant without another one has, which is
# silent at the end of a word and in the middle of "VC_CV" (Ohala 1983, Aspects of Hindi phonology).

_TABLE: Final = table("hindi")
_CONSONANTS: Final = {letter: tuple(sounds.split()) for letter, sounds in _TABLE.pairs("consonants")}
_VOWELS: Final = {letter: tuple(sounds.split()) for letter, sounds in _TABLE.pairs("vowels")}
_VOWEL_SIGNS: Final = frozenset(letter for letter in _VOWELS if unicodedata.category(letter) != "Lo")
_NASAL: Final = _TABLE.entries("nasal")
_WORDS: Final = _TABLE.phones("words")
_VIRAMA, _NUKTA, _ANUSVARA, _CANDRABINDU, _VISARGA = "्", "़", "ं", "ँ", "ः"
_INHERENT: Final = "AX"
_SHORT: Final = ("AX", "IH", "UH")
_LABIAL: Final = ("P", "B", "M", "V")
_VELAR: Final = ("K", "G")
_SONORANT: Final = ("ɾ", "L", "M", "N", "NG", "Y", "V", "HH")
_KEPT_AFTER: Final = ("Y", "ɾ")
"""Last sounds of a cluster after which the vowel at the end is heard: mitra, satya."""
_SCRIPTS: Final = re.compile(r"[a-z](?:[a-z']*[a-z])?|[^a-z']+")


class _Sound(NamedTuple):
    """A consonant, or a vowel."""

    name: str
    vowel: bool = False
    inherent: bool = False
    """Whether it is a vowel that is not written."""


def _sounds(word: str) -> list[_Sound]:
    """The sounds of a word as it is written, with every inherent vowel."""
    found: list[_Sound] = []
    letters = unicodedata.normalize("NFC", word).replace("ज्ञ", "ग्य")
    for place, letter in enumerate(letters):
        after = letters[place + 1 : place + 2]
        if letter in _CONSONANTS:
            marked = letter + _NUKTA if after == _NUKTA and letter + _NUKTA in _CONSONANTS else letter
            found += [_Sound(name) for name in _CONSONANTS[marked]]
            after = letters[place + 2 : place + 3] if after == _NUKTA else after
            if after != _VIRAMA and after not in _VOWEL_SIGNS:
                found.append(_Sound(_INHERENT, vowel=True, inherent=True))
        elif letter in _VOWELS:
            *before, vowel = _VOWELS[letter]
            found += [*map(_Sound, before), _Sound(vowel, vowel=True)]
        elif letter == _CANDRABINDU or (letter == _ANUSVARA and _is_nasal_vowel(found, after)):
            if found and found[-1].vowel:
                found[-1] = _Sound(_NASAL.get(found[-1].name, found[-1].name), vowel=True)
        elif letter == _ANUSVARA:
            found.append(_Sound(_nasal_before(after)))
        elif letter == _VISARGA:
            found.append(_Sound("HH"))
    return found


def _is_nasal_vowel(found: Sequence[_Sound], after: str) -> bool:
    """Whether an anusvara makes a vowel nasal; else it is a consonant where the next one is, or m (evam): at the end of
    a word but after the inherent vowel, and after a long vowel but before d and t (kendra, shaanti)."""
    if not after:
        return not (found and found[-1].inherent)
    return bool(found) and found[-1].name not in _SHORT and after not in "तदथधटडज"


def _nasal_before(letter: str) -> str:
    (first, *_) = _CONSONANTS.get(letter, ("N",) if letter else ("M",))
    return "M" if first in _LABIAL else "NG" if first in _VELAR else "N"


def _without_silent(sounds: list[_Sound]) -> list[_Sound]:
    """The sounds without inherent vowels that are not heard, from the end of the word on."""
    kept = list(sounds)
    if kept and kept[-1].inherent and sum(sound.vowel for sound in kept) > 1 and not _is_heard_last(kept):
        kept.pop()
    for i in range(len(kept) - 3, 1, -1):
        alone = not kept[i - 1].vowel and not kept[i + 1].vowel
        if kept[i].inherent and alone and _vowel_before(kept, i - 1) and _vowel_after(kept, i + 1):
            del kept[i]
    return kept


def _vowel_before(sounds: Sequence[_Sound], i: int) -> bool:
    """Whether one consonant, perhaps with breath, is all between a vowel and what is behind place ``i``."""
    return sounds[i - 1 - (sounds[i].name == "ʰ" and i > 1)].vowel


def _vowel_after(sounds: Sequence[_Sound], i: int) -> bool:
    rest = sounds[i + 1 :]
    return bool(rest) and rest[rest[0].name == "ʰ" and len(rest) > 1].vowel


def _is_heard_last(sounds: Sequence[_Sound]) -> bool:
    """Whether the inherent vowel at the end is heard: after a cluster whose last sound could not end a word."""
    cluster = [sound.name for sound in sounds[-3:-1] if not sound.vowel]
    if len(cluster) < 2 or cluster[1] == "ʰ":
        return False
    return cluster[1] in _KEPT_AFTER or (cluster[1] in ("V", "N", "M") and cluster[0] not in _SONORANT)


def _stressed(sounds: Sequence[_Sound]) -> int:
    """The place of the stressed vowel: the last of the heaviest syllables; that at the end only if it is the
    heaviest, with a consonant behind a long vowel or two behind a short one."""
    places = [i for i, sound in enumerate(sounds) if sound.vowel]
    weights = []
    for number, place in enumerate(places):
        end = places[number + 1] if number + 1 < len(places) else len(sounds)
        behind = sum(sound.name != "ʰ" for sound in sounds[place + 1 : end])
        closing = min(behind, 2) if end == len(sounds) else behind > 1
        weights.append((sounds[place].name not in _SHORT) + closing)
    if len(places) == 1:
        return places[0]
    most = max(weights[:-1])
    if weights[-1] > max(most, 1):
        return places[-1]
    return places[max(number for number, weight in enumerate(weights[:-1]) if weight == most)]


@lru_cache(maxsize=16384)
def pronounce(word: str) -> language.Phones:
    """The phones of a word in Devanagari by its spelling; none if it has no letter."""
    sounds = _without_silent(_sounds(word))
    if not any(sound.vowel for sound in sounds):
        sounds = sounds and [*sounds, _Sound(_INHERENT, vowel=True)]
    if not sounds:
        return ()
    stressed = _stressed(sounds)
    return tuple(_phone(sound, stressed=i == stressed) for i, sound in enumerate(sounds))


def _phone(sound: _Sound, *, stressed: bool) -> str:
    if not sound.vowel:
        return sound.name
    if sound.name == _INHERENT:
        return "AH1" if stressed else "AX0"
    return sound.name + "01"[stressed]


def read(words: Sequence[str], i: int) -> language.Phones:
    """The phones of one word of a sentence; see `language.Read`."""
    phones: language.Phones = ()
    for part in _SCRIPTS.findall(words[i]):
        phones += _WORDS.get(part) or (g2p.read([part], 0) if part.isascii() else pronounce(part))
    return phones or ("AX0",)


# Numbers, dates and times.

_TENS: Final = _TABLE.entries("hundreds")
_THOUSAND: Final = re.compile(rf"^एक हज़ार ({'|'.join(_TENS)}) सौ(?= |$)")


def _hundreds(words: str) -> str:
    """Numbers from 1100 to 1999 are so many hundreds: unniis sau chauraasii."""
    return _THOUSAND.sub(lambda match: f"{_TENS[match[1]]} सौ", words)


_NUMBERS: Final = language.Numbers.of_table(_TABLE, thousands=",", genders=False, rewrite=_hundreds)
_NUMERALS: Final = language.Numerals(_NUMBERS)
_LAKHS: Final = r"\d{1,2}(?:,\d\d)+,\d{3}(?!\d)"
_SIGN: Final = r"(?:[₹$€£]|रु\.?|\bRs\.?)"
_OWN_HALVES: Final = {1: "डेढ़", 2: "ढाई"}
"""One and a half, and two and a half, which have words of their own."""
_STEMS: Final = {1: "पहल", 2: "दूसर", 3: "तीसर", 4: "चौथ", 6: "छठ"}
"""Of ordinals that are not the number with an ending."""


def _and_half(number: int) -> str:
    return _OWN_HALVES.get(number) or f"साढ़े {_NUMERALS.cardinal(number)}"


def _time(hour: int, minute: int) -> str:
    """Quarters and halves have words: saaRhe chaar, paune paanch."""
    hour = hour or 12
    if minute == 30:
        return f"{_and_half(hour)} बजे"
    if minute == 15:
        return f"सवा {_NUMERALS.cardinal(hour)} बजे"
    if minute == 45:
        return f"पौने {_NUMERALS.cardinal(hour % 12 + 1 if hour <= 12 else hour + 1)} बजे"
    hours = _NUMERALS.cardinal(hour)
    return f"{hours} बजकर {_NUMERALS.cardinal(minute)} मिनट" if minute else f"{hours} बजे"


def _ordinal(match: Match) -> str:
    """`5वीं`, and `1ला`, `6वाँ`, whose words are others."""
    number, ending = int(match[1]), match[2] or match[3]
    if number in _STEMS:
        return _STEMS[number] + ending.strip("वँं")
    return _NUMERALS.cardinal(number) + (match[2] or "")


LANGUAGE: Final = language.Language.of_table(
    _TABLE,
    read=language.by_word(read),
    numbers=_NUMBERS,
    time=_time,
    gender=lambda _: None,
    rules=(
        number_rule("", r"(?<=OTP |PIN )(\d{4,8})\b|(?<=कोड )(\d{4,8})\b", lambda m: _NUMERALS.digits(m[0])),
        number_rule("/", r"(?<![\d/.,])(\d{1,3}) 1/2-(?=\d)", lambda m: f"{_and_half(int(m[1]))} से"),
        number_rule("/", r"(?<![\d/.,])(\d{1,3}) 1/2(?![\d/])", lambda m: _and_half(int(m[1]))),
        # Groups of two: ₹12,34,567; a count of 12,34,567.
        rule(",", rf"({_SIGN}\s?|(?<=\d)-|(?={_LAKHS}-))({_LAKHS})", lambda m: m[1] + m[2].replace(",", "")),
        number_rule(",", rf"(?<![\d,]){_LAKHS}(?:\.\d+)?", lambda m: _NUMERALS.number(m[0].replace(",", ""))),
        rule("", r"(?<![\w.,])(\d{1,4})(?:(व[ाीे][ँं]?)|[लरथठ]([ाीे]))(?![\u0900-\u097f])", _ordinal),
    ),
)
