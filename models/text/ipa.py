"""Phonemes that people write, in ARPAbet or IPA.

ARPAbet is that of models/text/phonemes.py: capitals with stress digits, separated by spaces; so are its phonemes of
other languages. Everything else is IPA: length marks and dots between syllables are ignored, a stress mark stands
before its syllable or its vowel. What a symbol is depends on the language: an `a` is an English `AA` or a Spanish `a`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from ancestral.models.text import phonemes
from ancestral.models.text.characters import ENGLISH, UnsupportedText
from ancestral.models.text.phonemes import ENGLISH_CONSONANTS
from ancestral.models.text.tables import table

Phones = tuple[str, ...]

MAX_PHONES: Final = 64
"""Most phones of one word."""
MAX_PHONEME_CHARACTERS: Final = 256

_ARPABET: Final = re.compile(r"[A-Z0-9\s]+")
_VOWEL_NAMES: Final = frozenset(vowel[:-1] for vowel in phonemes.ENGLISH_VOWELS)
_SOUNDS: Final = frozenset(phonemes.PHONEMES).difference(phonemes.PAUSES)
_STRESSED: Final = re.compile(r"[012](?!\S)")
_ALL_VOWEL_NAMES: Final = frozenset(map(phonemes.without_stress, phonemes.VOWELS))
_STRESS: Final = {"ˈ": "1", "'": "1", "ˌ": "2"}
_IGNORED: Final = frozenset("ː.ˑ͡‿|")
_ENGLISH_IPA: Final = table("phonemes").phones("english_ipa")
_ROMANCE_IPA: Final = {
    **{symbol: phones for symbol, phones in _ENGLISH_IPA.items() if phones[0] in ENGLISH_CONSONANTS},
    **table("phonemes").phones("romance_ipa"),
}
_ROMANCE_IPA.update({unicodedata.normalize("NFD", symbol): phones for symbol, phones in _ROMANCE_IPA.items()})
_LONG_CONSONANT: Final = re.compile(r"([^\W\d_aeɛioɔu])ː")
"""A consonant that Italian says twice, and that is here twice."""
_LONGEST_SYMBOL: Final = max(map(len, (*_ENGLISH_IPA, *_ROMANCE_IPA)))


def parse_phonemes(text: str, alphabet: str | None = None, language: str = ENGLISH.language) -> tuple[Phones, ...]:
    """The phonemes of one word in ARPAbet, or of the words of a text in IPA.

    Args:
        text: for example ``EH1 N JH IH0 N EH1 K S`` or ``ˌɛndʒɪnˈɛks``.
        alphabet: ``x-arpabet`` or ``ipa``; by default, capitals and digits are ARPAbet, phonemes of this package with a
            stress are themselves, and anything else is IPA.
        language: whose sounds the symbols of the IPA are.

    Returns:
        For each word, members of `phonemes.PHONEMES`: at least one, no pauses.

    Raises:
        UnsupportedText: there are none, too many, or one is unknown.
    """
    if len(text) > MAX_PHONEME_CHARACTERS:
        raise UnsupportedText(f"phonemes may take {MAX_PHONEME_CHARACTERS} characters, not {len(text)}")
    arpabet = is_arpabet(text) if alphabet is None else alphabet == "x-arpabet"
    symbols = text.split()
    if alphabet is None and _STRESSED.search(text) and _SOUNDS.issuperset(symbols):
        words: tuple[Phones, ...] = (tuple(symbols),)
    elif arpabet:
        words = (_arpabet(text.upper().split()),)
    else:
        words = tuple(_ipa(word, language) for word in symbols)
    if not words or not all(words):
        raise UnsupportedText(f"{text!r}: there are no phonemes in it")
    if any(len(word) > MAX_PHONES for word in words):
        raise UnsupportedText(f"a word may have {MAX_PHONES} phonemes")
    return words


def is_arpabet(text: str) -> bool:
    """Whether phonemes are written in ARPAbet, if nothing says so: in capitals and digits."""
    return _ARPABET.fullmatch(text) is not None


def _arpabet(symbols: list[str]) -> Phones:
    names = [symbol[:-1] if symbol[-1] in "012" else symbol for symbol in symbols]
    for symbol, name in zip(symbols, names, strict=True):
        if name not in (_VOWEL_NAMES.union(ENGLISH_CONSONANTS) if name == symbol else _VOWEL_NAMES):
            known = (
                f"vowels {', '.join(sorted(_VOWEL_NAMES))} with a stress of 0, 1 or 2; {', '.join(ENGLISH_CONSONANTS)}"
            )
            raise UnsupportedText(f"{symbol!r} is no phoneme of ARPAbet; there are the {known}")
    stressed = [name if name not in _VOWEL_NAMES else symbol for symbol, name in zip(symbols, names, strict=True)]
    return _with_stresses(stressed, marked=any(symbol[-1] in "012" for symbol in symbols))


def _ipa(word: str, language: str) -> Phones:
    known = _ENGLISH_IPA if language == ENGLISH.language else _ROMANCE_IPA
    if language == "it":
        word = _LONG_CONSONANT.sub(r"\1\1", word)
    found: list[str] = []
    stress, at = "", 0
    marked = any(mark in word for mark in _STRESS)
    while at < len(word):
        if word[at] in _STRESS or word[at] in _IGNORED:
            stress = _STRESS.get(word[at], stress)
            at += 1
            continue
        symbol, at = _ipa_symbol(word, at, known)
        for phone in known[symbol]:
            is_vowel = phone in _ALL_VOWEL_NAMES
            found.append(phone + stress if is_vowel else phone)
            stress = "" if is_vowel else stress
    return _with_stresses(found, marked) if known is _ENGLISH_IPA else _with_stress(found, marked, language)


def _with_stress(phones: list[str], marked: bool, language: str) -> Phones:
    """Vowels with their stress, as in :func:`_with_stresses`; these languages know no secondary stress. If none is
    marked, French stresses the last full vowel, the others the last but one."""
    full = [i for i, phone in enumerate(phones) if phone in _ALL_VOWEL_NAMES and phone != "ə"]
    stressed = -1 if marked or not full else full[-1] if language == "fr" else full[-2:][0]
    found = []
    for i, phone in enumerate(phones):
        plain = phone.rstrip("012")
        is_stressed = plain != "ə" and (phone[-1] == "1" or i == stressed)
        found.append(f"{plain}{int(is_stressed)}" if plain in _ALL_VOWEL_NAMES else phone)
    return tuple(found)


def _ipa_symbol(word: str, at: int, known: Mapping[str, Phones]) -> tuple[str, int]:
    """The longest symbol at a position, whatever ties and length marks it has, and the position after it."""
    taken, end = "", at
    best = ("", at)
    while end < len(word) and len(taken) < _LONGEST_SYMBOL:
        if word[end] not in _IGNORED:
            taken += word[end]
        elif word[end] == "." and taken:
            break
        end += 1
        if taken in known:
            best = (taken, end)
    if not best[0]:
        kind = "English " if known is _ENGLISH_IPA else ""
        raise UnsupportedText(f"{word[at]!r} (U+{ord(word[at]):04X}, in {word!r}) is no {kind}sound of the IPA")
    return best


def _with_stresses(phones: list[str], marked: bool) -> Phones:
    """Vowels with their stress, which is 0 if they have none. If none is marked, the first full vowel is stressed."""
    first = next((i for i, phone in enumerate(phones) if phone in _VOWEL_NAMES and phone != "AX"), None)
    found = []
    for i, phone in enumerate(phones):
        if phone.rstrip("012") not in _VOWEL_NAMES:
            found.append(phone)
            continue
        whole = phone if phone[-1] in "012" else phone + ("1" if not marked and i == first else "0")
        # The schwa carries no stress; the sound that people make then is AH.
        found.append(phonemes.with_stress("AH0", whole[-1]) if whole in ("AX1", "AX2") else whole)
    return tuple(phonemes.SCHWA if phone == "AX0" else phone for phone in found)
