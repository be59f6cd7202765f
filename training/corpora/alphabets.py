"""Our phonemes in the symbols of the teachers, who were trained on eSpeak's IPA or on one like it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from ancestral.models.text import Rest, Sentence, Word
from ancestral.models.text.phonemes import is_pause, is_vowel, without_stress
from ancestral.training.corpora.tables import table


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


_TABLE: Final = table("alphabets")


def _alphabet(names: Names, *sections: str) -> Alphabet:
    every = (_TABLE[name] for name in ("consonants", *sections))
    return Alphabet({phone: symbol for section in every for phone, symbol in section.items()}, names)


AMERICAN: Final = _alphabet(_english, "american")
"""The alphabet of Kokoro's American voices, and of hibari-tts."""
BRITISH: Final = _alphabet(_english, "american", "british")
JOE: Final = _alphabet(_english, "joe")
"""The alphabet of Piper's voice."""
SPANISH: Final = _alphabet(_spanish, "spanish")
FRENCH: Final = _alphabet(_french, "french")
ITALIAN: Final = _alphabet(_italian, "italian")
BRAZILIAN: Final = _alphabet(_brazilian, "brazilian")
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
