"""Our phonemes in the symbols of the teachers, who were trained on eSpeak's IPA or on one like it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from ancestral.models.text import Rest, Sentence, Word
from ancestral.models.text.phonemes import is_pause, is_vowel, without_stress


class Place(NamedTuple):
    """A phoneme of a sentence, and what is around it."""

    phone: str
    before: str
    """The phoneme before it in the same word; empty at its beginning."""
    after: str
    second: str
    """The phoneme after the next one, in the same word."""
    heard: str
    """The phoneme before it, in whatever word; `,` for any pause."""


Names = Callable[[Place], Iterator[str]]
"""What an alphabet may call the phoneme at a place, the names for special places first; the last are the phoneme itself
with its stress, and without."""


@dataclass(frozen=True)
class Alphabet:
    """The symbols of one teacher."""

    symbols: Mapping[str, str]
    """Symbols by the names of phonemes; vowels without their mark of stress."""
    names: Names


def _english(place: Place) -> Iterator[str]:
    phone, before, after, second, _ = place
    if phone == "T" and (is_vowel(before) or before == "R") and is_vowel(after) and after.endswith("0"):
        yield "flap"
    if phone == "R" and is_vowel(before) and not is_vowel(after):
        yield from (f"R after {without_stress(before)}", "silent R")
    if after == "R" and not is_vowel(second):
        yield f"{without_stress(phone)} before R"
    if is_vowel(after):
        yield from (f"{phone} before a vowel", f"{without_stress(phone)} before a vowel")


def _spanish(place: Place) -> Iterator[str]:
    phone, before, after, _, heard = place
    if phone in ("B", "D", "G") and (heard in (",", "M", "N", "ɲ") or (phone == "D" and heard == "L")):
        yield f"{phone} stopped"
    if phone == "Y" and (not before or (is_vowel(before) and is_vowel(after))):
        yield "Y as a consonant"
    if phone in ("Y", "W") and is_vowel(before) and not is_vowel(after):
        yield from (f"{phone} after {without_stress(before)}", f"{phone} after a vowel")
    if phone == "N" and after == "G":
        yield "N before G"


def _french(place: Place) -> Iterator[str]:
    if is_vowel(place.after):
        yield f"{place.phone} before a vowel"


def _italian(place: Place) -> Iterator[str]:
    phone, before, after, second, _ = place
    if phone == before:
        yield from (f"{phone} long", "long")
    if phone == after:
        yield f"{phone} twice"
    if before and not after:
        yield f"{phone} at the end"
    if phone in ("Y", "W"):
        yield f"{phone} after {without_stress(before)}"
        if after.endswith("0") and not second:
            yield f"{phone} before the end"


def _brazilian(place: Place) -> Iterator[str]:
    phone, before, after, second, _ = place
    plain = without_stress(phone)
    if not before and not after:
        yield f"{phone} alone"
    if not after or (after in ("S", "Z") and not second):
        yield f"{phone} at the end"
    if phone == "ɾ" and not is_vowel(after):
        yield "ɾ before a consonant" if after else "ɾ at the end"
    if phone == "ɾ" and before and not is_vowel(before) and before not in ("Y", "W"):
        yield "ɾ after a consonant"
    if phone in ("Y", "W"):
        yield f"{phone} after {without_stress(before)}"
    yield f"{plain} before {after}"
    if is_vowel(phone) and (not after or is_vowel(after) or after in ("M", "N", "ɲ")):
        yield f"{plain} before a vowel"


_CONSONANTS: Final[Mapping[str, str]] = {
    "B": "b", "D": "d", "DH": "ð", "F": "f", "G": "ɡ", "HH": "h", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ",
    "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
_VOWELS_OF_KOKORO: Final[Mapping[str, str]] = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "W", "AX": "ə", "AY": "I", "EH": "ɛ", "ER": "ɜɹ", "EY": "A",
    "IH": "ɪ", "IY": "i", "OW": "O", "OY": "Y", "UH": "ʊ", "UW": "u", "CH": "ʧ", "JH": "ʤ", "ER0": "əɹ", "flap": "T",
}  # fmt: skip
_NASAL: Final = {"ɐ̃": "ɐ̃", "ẽ": "A", "ĩ": "i", "õ": "o", "ũ": "ũ"}
"""Nasal vowels of Brazilian as eSpeak has them before a consonant."""
AMERICAN: Final = Alphabet({**_CONSONANTS, **_VOWELS_OF_KOKORO}, _english)
"""The alphabet of Kokoro's American voices, and of hibari-tts."""
BRITISH: Final = Alphabet(
    {
        **AMERICAN.symbols, "AA": "ɒ", "AA before R": "ɑ", "AE": "a", "AO": "ɔː", "AO before R": "ɔ", "ER": "ɜː",
        "ER0": "ə", "ER before a vowel": "ʌɹ", "ER0 before a vowel": "əɹ", "IY": "iː", "IY0": "i", "OW": "Q",
        "UW": "uː", "flap": "t", "silent R": "ə", "R after AA": "ː", "R after AO": "ː", "R after EH": "ː",
    },
    _english,
)  # fmt: skip
"""The alphabet of Kokoro's British voices. An R that they do not say is the length of its vowel, or a schwa."""
JOE: Final = Alphabet(
    {
        **_CONSONANTS, "AA": "ɑː", "AE": "æ", "AH": "ʌ", "AO": "ɔː", "AW": "aʊ", "AX": "ə", "AY": "aɪ", "EH": "ɛ",
        "ER": "ɜː", "EY": "eɪ", "IH": "ɪ", "IY": "iː", "OW": "oʊ", "OY": "ɔɪ", "UH": "ʊ", "UW": "uː", "CH": "tʃ",
        "JH": "dʒ", "ER0": "ɚ", "IY0": "i", "flap": "ɾ",
    },
    _english,
)  # fmt: skip
"""The alphabet of Piper's voice."""
SPANISH: Final = Alphabet(
    {
        **_CONSONANTS, "a": "a", "e": "e", "i": "i", "o": "o", "u": "u", "B": "β", "B stopped": "b", "CH": "ʧ",
        "D": "ð", "D stopped": "d", "G": "ɣ", "G stopped": "ɡ", "N before G": "ŋ", "W after a vowel": "ʊ",
        "Y after a vowel": "ɪ", "Y after u": "j", "Y as a consonant": "ʝ", "r": "r", "x": "x", "ɲ": "ɲ",
        "ɾ": "ɾ", "ʎ": "ʎ",
    },
    _spanish,
)  # fmt: skip
"""The alphabet of Kokoro's Spanish voices: b, d and g are stops only after a pause and after nasal consonants."""
FRENCH: Final = Alphabet(
    {
        **_CONSONANTS, **{v: v for v in ("a", "e", "ɛ", "i", "o", "ɔ", "u", "y", "ø", "œ", "ə", "ɑ̃", "ɛ̃", "ɔ̃", "œ̃")},
        "ɲ": "ɲ", "ɲ before a vowel": "nj", "ʁ": "ʁ", "ɥ": "y",
    },
    _french,
)  # fmt: skip
"""The alphabet of Kokoro's French voice."""
ITALIAN: Final = Alphabet(
    {
        **_CONSONANTS, **{phone: phone for phone in ("a", "e", "ɛ", "i", "o", "ɔ", "u", "r", "ɲ", "ʎ")},
        "i0 at the end": "ɪ", "u0": "ʊ", "CH": "ʧ", "JH": "ʤ", "ts": "ʦ", "dz": "ʣ", "W": "ʊ", "Y before the end": "i",
        **{f"Y after {vowel}": "i" for vowel in "eɛoɔ"}, **{f"W after {before}": "w" for before in ("", "K", "G", "L")},
        "long": "ː", "L long": "l", "M long": "m", "N long": "n", "F long": "f", "V long": "v", "r long": "ɾ",
        "S twice": "S", "S long": "",
    },
    _italian,
)  # fmt: skip
"""The alphabet of Kokoro's Italian voices."""
BRAZILIAN: Final = Alphabet(
    {
        **_CONSONANTS, **{phone: phone for phone in ("a", "e", "ɛ", "i", "o", "ɔ", "u", "x", "ɾ", "ɲ")},
        "ɐ": "æ", "i0 alone": "i", "i0 at the end": "y", "u0": "u", "u0 at the end": "ʊ", "ʎ": "lj",
        "CH": "ʧ", "JH": "ʤ", "ɾ after a consonant": "r", "ɾ at the end": "r", "ɾ before a consonant": "ɾə",
        "e before Y": "A", "Y after e": "", "a before Y": "I", "Y after a": "", "a before W": "W", "W after a": "",
        "ɔ before Y": "Y", "Y after ɔ": "", **{f"Y after {vowel}": "ɪ" for vowel in "oɛui"},
        **{f"W after {vowel}": "ʊ" for vowel in "eɛiɔ"},
        **{vowel: f"{symbol}ŋ" for vowel, symbol in _NASAL.items()},
        **{f"{vowel} before {stop}": f"{symbol}m" for vowel, symbol in _NASAL.items() for stop in "PB"},
        "ɐ̃ before a vowel": "ɐ̃", "ɐ̃ before W": "ɐ̃", "ɐ̃ before Y": "ɐ̃", "W after ɐ̃": "ʊ̃", "Y after ɐ̃": "y",
        "ẽ before Y": "A", "Y after ẽ": "ŋ", "õ before Y": "õ", "ũ before Y": "ũ", "Y after ũ": "ɪŋ",
    },
    _brazilian,
)  # fmt: skip
"""The alphabet of Kokoro's Brazilian voices: ei, ai, au and open oi are one symbol; nasal vowels end in a nasal
consonant."""
_MARKS: Final = {"1": "ˈ", "2": "ˌ"}


def spell(sentence: Sentence, alphabet: Alphabet) -> list[tuple[int, str]]:
    """A sentence in a teacher's symbols: ``(index into sentence.phones, symbol)``.

    A space belongs to the phoneme before it. An American t between vowels, the second unstressed, is flapped.
    """
    phones, symbols, index = sentence.phones, list[tuple[int, str]](), 1  # phones[0] is the opening silence
    for number, item in enumerate(sentence.items):
        if not isinstance(item, Word):
            mark = item.mark if isinstance(item, Rest) else item
            if mark == "sil":
                continue
            symbols.append((index, mark))
            index += 1
            continue
        if symbols and number:
            symbols.append((index - 1, " "))
        for i in range(len(item.phones)):
            symbols += [(index, symbol) for symbol in _spell(_place(item, i, phones[index - 1]), alphabet)]
            index += 1
    assert index == len(phones), (index, phones)
    return symbols


def _place(word: Word, i: int, heard: str) -> Place:
    before, after, second = ("".join(word.phones[j : j + 1]) if j >= 0 else "" for j in (i - 1, i + 1, i + 2))
    return Place(word.phones[i], before, after, second, "," if is_pause(heard) else heard)


def _spell(place: Place, alphabet: Alphabet) -> str:
    phone = place.phone
    names = (*alphabet.names(place), phone, without_stress(phone))
    mark = _MARKS.get(phone[-1], "") if is_vowel(phone) else ""
    spelled = next(alphabet.symbols[name] for name in names if name in alphabet.symbols)
    return unicodedata.normalize("NFD", mark + spelled)
