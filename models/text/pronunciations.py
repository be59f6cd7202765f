"""Phonemes that people write, in ARPAbet or IPA, and lexicons: words that are said otherwise than the front-end would.

ARPAbet is that of models/text/phonemes.py: capitals with stress digits, separated by spaces. Everything else is IPA, as
far as it has English sounds: length marks and dots between syllables are ignored, a stress mark stands before its
syllable or its vowel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, Self

from ancestral.models.text.characters import UnsupportedText
from ancestral.models.text.g2p import plural
from ancestral.models.text.phonemes import ENGLISH_CONSONANTS, ENGLISH_VOWELS, SCHWA, with_stress

Phones = tuple[str, ...]

MAX_PHONES: Final = 64
"""Of one word."""
MAX_WORD_CHARACTERS: Final = 64
MAX_PHONEME_CHARACTERS: Final = 256

_ARPABET: Final = re.compile(r"[A-Z0-9\s]+")
_VOWEL_NAMES: Final = frozenset(vowel[:-1] for vowel in ENGLISH_VOWELS)
_WORD: Final = re.compile(r"[^\W_](?:\S*[^\s.,;:!?'’\"()\[\]<>])?")
_WORD_BEGIN: Final = re.compile(r"(?<!\w)[^\W_]")
_IN_ADDRESS: Final = re.compile(r"://|[@#\\]|\w\.|\.\w|^[~/]|/.*/")
"""In what surrounds a word: it is a part of an address, a file or a tag, which are read by their own rules."""
_POSSESSIVE: Final = re.compile(r"['’]s(?!\w)")
_STRESS: Final = {"ˈ": "1", "'": "1", "ˌ": "2"}
_IGNORED: Final = frozenset("ː.ˑ͡‿|")
_IPA: Final[dict[str, Phones]] = {
    # Vowels, without stress.
    "ɑ": ("AA",), "a": ("AA",), "ɒ": ("AA",), "æ": ("AE",), "ʌ": ("AH",), "ɐ": ("AH",), "ɔ": ("AO",),
    "aʊ": ("AW",), "aw": ("AW",), "aɪ": ("AY",), "aj": ("AY",), "ɛ": ("EH",), "e": ("EH",), "ɝ": ("ER",),
    "ɜ": ("ER",), "ɚ": ("ER",), "əɹ": ("ER",), "ɜɹ": ("ER",), "eɪ": ("EY",), "ej": ("EY",), "ɪ": ("IH",),
    "ɨ": ("IH",), "ᵻ": ("IH",), "i": ("IY",), "oʊ": ("OW",), "əʊ": ("OW",), "ow": ("OW",), "o": ("OW",),
    "ɔɪ": ("OY",), "oɪ": ("OY",), "ɔj": ("OY",), "ʊ": ("UH",), "u": ("UW",), "ʉ": ("UW",), "ə": ("AX",),
    # Consonants.
    "b": ("B",), "tʃ": ("CH",), "ʧ": ("CH",), "d": ("D",), "ɾ": ("D",), "ð": ("DH",), "f": ("F",), "ɡ": ("G",),
    "g": ("G",), "h": ("HH",), "dʒ": ("JH",), "ʤ": ("JH",), "k": ("K",), "l": ("L",), "ɫ": ("L",), "m": ("M",),
    "n": ("N",), "ŋ": ("NG",), "p": ("P",), "ɹ": ("R",), "r": ("R",), "s": ("S",), "ʃ": ("SH",), "t": ("T",),
    "θ": ("TH",), "v": ("V",), "w": ("W",), "ʍ": ("W",), "j": ("Y",), "z": ("Z",), "ʒ": ("ZH",),
    # Syllabic consonants.
    "l̩": ("AX", "L"), "n̩": ("AX", "N"), "m̩": ("AX", "M"),
}  # fmt: skip
_LONGEST: Final = max(map(len, _IPA))


class PronunciationError(ValueError):
    """A lexicon that cannot be used; the message names the entry."""


def parse_phonemes(text: str, alphabet: str | None = None) -> tuple[Phones, ...]:
    """The phonemes of one word in ARPAbet, or of the words of a text in IPA.

    Args:
        text: for example ``EH1 N JH IH0 N EH1 K S`` or ``ˌɛndʒɪnˈɛks``.
        alphabet: ``x-arpabet`` or ``ipa``; by default, capitals and digits are ARPAbet, and anything else is IPA.

    Returns:
        For each word, members of `phonemes.PHONEMES`: at least one, no pauses.

    Raises:
        UnsupportedText: there are none, too many, or one is unknown.
    """
    if len(text) > MAX_PHONEME_CHARACTERS:
        raise UnsupportedText(f"phonemes may take {MAX_PHONEME_CHARACTERS} characters, not {len(text)}")
    arpabet = _ARPABET.fullmatch(text) is not None if alphabet is None else alphabet == "x-arpabet"
    words = (_arpabet(text.upper().split()),) if arpabet else tuple(_ipa(word) for word in text.split())
    if not words or not all(words):
        raise UnsupportedText(f"{text!r}: there are no phonemes in it")
    if any(len(word) > MAX_PHONES for word in words):
        raise UnsupportedText(f"a word may have {MAX_PHONES} phonemes")
    return words


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


def _ipa(word: str) -> Phones:
    found: list[str] = []
    stress, at = "", 0
    marked = any(mark in word for mark in _STRESS)
    while at < len(word):
        if word[at] in _STRESS or word[at] in _IGNORED:
            stress = _STRESS.get(word[at], stress)
            at += 1
            continue
        symbol, at = _ipa_symbol(word, at)
        for phone in _IPA[symbol]:
            is_vowel = phone in _VOWEL_NAMES
            found.append(phone + stress if is_vowel else phone)
            stress = "" if is_vowel else stress
    return _with_stresses(found, marked)


def _ipa_symbol(word: str, at: int) -> tuple[str, int]:
    """The longest symbol at a position, whatever ties and length marks it has, and the position after it."""
    taken, end = "", at
    best = ("", at)
    while end < len(word) and len(taken) < _LONGEST:
        if word[end] not in _IGNORED:
            taken += word[end]
        elif word[end] == "." and taken:
            break
        end += 1
        if taken in _IPA:
            best = (taken, end)
    if not best[0]:
        raise UnsupportedText(f"{word[at]!r} (U+{ord(word[at]):04X}, in {word!r}) is no English sound of the IPA")
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
        found.append(with_stress("AH0", whole[-1]) if whole in ("AX1", "AX2") else whole)
    return tuple(SCHWA if phone == "AX0" else phone for phone in found)


class Match(NamedTuple):
    """A word of a text that a lexicon has."""

    start: int
    end: int
    entry: str
    words: tuple[Phones, ...]


class Pronunciations:
    """A lexicon: words, and how they are said.

    An entry in lower case stands for its word in any case; one with capitals, for the word as it is written there. An
    ending ``'s`` is added where the text has one.

    Args:
        entries: a word without spaces, and its phonemes.

    Raises:
        PronunciationError: an entry cannot be used.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self.entries = dict(entries)
        self._words = {entry: _checked(entry, phonemes) for entry, phonemes in self.entries.items()}
        self._longest = max(map(len, self._words), default=0)

    def __or__(self, other: Pronunciations) -> Self:
        """Both; where both have a word, the other's."""
        merged = type(self)({})
        merged.entries = self.entries | other.entries
        merged._words = self._words | other._words
        merged._longest = max(self._longest, other._longest)
        return merged

    def only(self, entries: tuple[str, ...]) -> dict[str, str]:
        """Some of the entries."""
        return {entry: self.entries[entry] for entry in entries}

    def matches(self, text: str) -> Iterator[Match]:
        """The words of a text that are in the lexicon, from left to right; the longest where several begin."""
        at = 0
        while self._words and (begin := _WORD_BEGIN.search(text, at)):
            match = self._match(text, begin.start())
            if match is not None:
                yield match
            at = begin.end() if match is None else match.end

    def _match(self, text: str, start: int) -> Match | None:
        for end in range(min(len(text), start + self._longest), start, -1):
            if end < len(text) and (text[end].isalnum() or text[end] == "_") and text[end - 1].isalnum():
                continue  # inside a word
            written = text[start:end]
            entry = written if written in self._words else written.lower()
            if entry in self._words:
                if _is_in_address(text, start, end):
                    return None
                words = self._words[entry]
                if possessive := _POSSESSIVE.match(text, end):
                    return Match(start, possessive.end(), entry, (*words[:-1], plural(words[-1])))
                return Match(start, end, entry, words)
        return None


def _is_in_address(text: str, start: int, end: int) -> bool:
    """Whether a word stands in an address; at most 64 characters before and after it are considered."""
    before = text[max(0, start - MAX_WORD_CHARACTERS) : start].split()
    after = text[end : end + MAX_WORD_CHARACTERS].split()
    left = before[-1] if before and not text[start - 1].isspace() else ""
    right = after[0] if after and not text[end].isspace() else ""
    return _IN_ADDRESS.search(left + right) is not None


def _checked(entry: str, phonemes: str) -> tuple[Phones, ...]:
    if len(entry) > MAX_WORD_CHARACTERS or not _WORD.fullmatch(entry):
        shown = entry[:MAX_WORD_CHARACTERS]
        raise PronunciationError(
            f"{shown!r}: must be a word of at most {MAX_WORD_CHARACTERS} characters, without spaces, that begins with "
            "a letter or digit and does not end in a punctuation mark"
        )
    try:
        return parse_phonemes(phonemes)
    except UnsupportedText as error:
        raise PronunciationError(f"{entry!r}: {error}") from error


NO_PRONUNCIATIONS: Final = Pronunciations({})
"""An empty lexicon."""
