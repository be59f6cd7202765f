"""Lexicons: words that are said otherwise than the front-end would say them, by their phonemes or as another text."""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn, Self
from xml.parsers import expat

from ancestral_models.text import phonemes
from ancestral_models.text.characters import ENGLISH, UnsupportedText
from ancestral_models.text.g2p import plural
from ancestral_models.text.languages.language import LANGUAGES
from ancestral_models.text.phonemes import ENGLISH_CONSONANTS, ENGLISH_IPA
from ancestral_models.text.tables import table

Phones = tuple[str, ...]

MAX_WORD_CHARACTERS: Final = 64
"""Most characters of an entry's word."""
ALIAS: Final = "alias:"
"""Begins what an entry is read as, where it gives no phonemes."""

_WORD: Final = re.compile(r"[^\W_](?:(?:\S| (?! ))*[^\s.,;:!?'’\"()\[\]<>])?")
_WORD_BEGIN: Final = re.compile(r"(?<!\w)[^\W_]")
_IN_ADDRESS: Final = re.compile(r"://|[@#\\]|\w\.|\.\w|^[~/]|/.*/")
"""The surroundings of a word that is a part of an address, a file or a tag, which are read by their own rules."""
_POSSESSIVE: Final = re.compile(r"['’]s(?!\w)")


class PronunciationError(ValueError):
    """A lexicon that cannot be used; the message names the entry."""


class Match(NamedTuple):
    """A word of a text that a lexicon has."""

    start: int
    end: int
    entry: str
    said: tuple[Phones, ...] | str
    """The phonemes of each word, or the text that is read for it."""


class Pronunciations:
    """A lexicon: words, and how they are said.

    An entry in lower case stands for its word in any case; one with capitals, for the word as it is written there. An
    ending ``'s`` is added where the text has one.

    Args:
        entries: a word, or several with one space between them, and its phonemes; or :data:`ALIAS` and the text that is
            read for it.

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

    def matches(self, text: str, language: str = ENGLISH.language) -> Iterator[Match]:
        """The words of a text that are in the lexicon, from left to right; the longest where several begin.

        IPA has the sounds of the text's language, or, if they lack a symbol of it, those of any other that is read.
        """
        at = 0
        while self._words and (begin := _WORD_BEGIN.search(text, at)):
            match = self._match(text, begin.start(), language)
            if match is not None:
                yield match
            at = begin.end() if match is None else match.end

    def _match(self, text: str, start: int, language: str) -> Match | None:
        for end in range(min(len(text), start + self._longest), start, -1):
            if end < len(text) and (text[end].isalnum() or text[end] == "_") and text[end - 1].isalnum():
                continue  # inside a word
            written = text[start:end]
            entry = written if written in self._words else written.lower()
            if entry in self._words:
                if _is_in_address(text, start, end):
                    return None
                found = self._words[entry]
                said = found if isinstance(found, str) else found[language]
                if (possessive := _POSSESSIVE.match(text, end)) and language == ENGLISH.language:
                    end = possessive.end()
                    said = said + possessive[0] if isinstance(said, str) else (*said[:-1], plural(said[-1]))
                return Match(start, end, entry, said)
        return None


def _is_in_address(text: str, start: int, end: int) -> bool:
    """Whether a word stands in an address; at most 64 characters before and after it are considered."""
    before = text[max(0, start - MAX_WORD_CHARACTERS) : start].split()
    after = text[end : end + MAX_WORD_CHARACTERS].split()
    left = before[-1] if before and not text[start - 1].isspace() else ""
    right = after[0] if after and not text[end].isspace() else ""
    return _IN_ADDRESS.search(left + right) is not None


@lru_cache(4096)  # up to 5 ms each, and clients send the same ones again
def _checked(entry: str, phonemes: str) -> dict[str, tuple[Phones, ...]] | str:
    """The words of an entry by the language of the text that it is in; or what is read for it."""
    if len(entry) > MAX_WORD_CHARACTERS or not _WORD.fullmatch(entry) or not entry.isprintable():
        shown = entry[:MAX_WORD_CHARACTERS]
        raise PronunciationError(
            f"{shown!r}: must be a word of at most {MAX_WORD_CHARACTERS} characters, or several with one space "
            "between them, that begins with a letter or digit and does not end in a punctuation mark"
        )
    if phonemes.startswith(ALIAS):
        if not (alias := phonemes.removeprefix(ALIAS).strip()):
            raise PronunciationError(f"{entry!r}: the alias is empty")
        if len(phonemes) > MAX_PHONEME_CHARACTERS or not alias.isprintable():
            most = MAX_PHONEME_CHARACTERS - len(ALIAS)
            raise PronunciationError(f"{entry!r}: the alias must have at most {most} characters, on one line")
        return alias
    read: dict[str, tuple[Phones, ...]] = {}
    refused: UnsupportedText | None = None
    for language in LANGUAGES:
        try:
            read[language] = parse_phonemes(phonemes, language=language)
        except UnsupportedText as error:
            refused = refused or error
    if not read:
        raise PronunciationError(f"{entry!r}: {refused}") from refused
    return {language: read.get(language) or next(iter(read.values())) for language in LANGUAGES}


NO_PRONUNCIATIONS: Final = Pronunciations({})
"""An empty lexicon."""


# Lexicons as W3C's Pronunciation Lexicon Specification 1.0 (PLS) writes them in XML.
#
# A ``<lexeme>`` is an entry for each of its ``<grapheme>``; of several readings the one with ``prefer`` counts, or else
# the first. ``<meta>``, ``<metadata>`` and ``<example>`` say nothing of how words are read.


class XmlReader(ABC):
    """The handlers of one document.

    Args:
        kind: of the document, for messages.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._data: list[str] = []
        """Text between tags; the handlers take it away."""
        # Whatever encoding the document declares: it is text already.
        self.parser = parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.text
        parser.StartDoctypeDeclHandler = self._refuser("a document type (<!DOCTYPE>)")
        parser.EntityDeclHandler = self._refuser("an entity declaration")
        parser.ExternalEntityRefHandler = self._refuser("an external entity")
        parser.ProcessingInstructionHandler = self._refuser("a processing instruction")

    @abstractmethod
    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    @abstractmethod
    def end(self, name: str) -> None:
        """An element ends."""

    def text(self, data: str) -> None:
        """Text between tags, or a part of it."""
        self._data.append(data)

    def read(self, document: str) -> None:
        """Call the handlers for what a document has.

        Raises:
            UnsupportedText: it is not well-formed, or it has a document type, an entity or a processing instruction.
        """
        try:
            self.parser.Parse(document.encode(), True)
        except expat.ExpatError as error:
            where = f"line {error.lineno}, column {error.offset + 1}"
            message = f"the {self._kind} is not well-formed: {expat.ErrorString(error.code)} ({where})"
            raise UnsupportedText(message) from error
        except UnicodeEncodeError as error:
            raise UnsupportedText(f"the {self._kind} contains an unpaired surrogate") from error

    def _refuser(self, what: str) -> Callable[..., Any]:
        def refuse(*args: object) -> NoReturn:
            raise UnsupportedText(f"{self._kind} may not have {what}")

        return refuse


_MAX_PLS_CHARACTERS: Final = 1 << 20
ARPABETS: Final = ("x-arpabet", "cmu-arpabet")
_WITHIN: Final[Mapping[str, tuple[str | None, ...]]] = {
    "lexicon": (None,),
    **dict.fromkeys(("lexeme", "meta", "metadata"), ("lexicon",)),
    **dict.fromkeys(("grapheme", "phoneme", "alias", "example"), ("lexeme",)),
}
"""The elements, and what each may stand in."""
_ANYTHING: Final = ""
"""An element in ``<metadata>``."""


def in_alphabet(phonemes: str, alphabet: str) -> str:
    """Phonemes as an entry has them.

    Raises:
        PronunciationError: the alphabet is not known, or they are written in another one.
    """
    if alphabet not in ("ipa", *ARPABETS):
        raise PronunciationError(f"alphabet: {alphabet[:40]!r} is none of ipa, {', '.join(ARPABETS)}")
    if is_arpabet(phonemes) != (alphabet != "ipa"):
        raise PronunciationError(f"{phonemes[:40]!r} is not written in the alphabet {alphabet}")
    return phonemes


def read_pls(document: str) -> dict[str, str]:
    """The entries of a document: words, and how they are said.

    Raises:
        PronunciationError: it is no such document; the message says why.
    """
    if len(document) > _MAX_PLS_CHARACTERS:
        raise PronunciationError(f"PLS may take {_MAX_PLS_CHARACTERS} characters, not {len(document)}")
    reader = _Reader()
    try:
        reader.read(document.removeprefix("\ufeff").strip())
    except UnsupportedText as error:
        raise PronunciationError(str(error)) from error
    return reader.entries


class _Reader(XmlReader):
    def __init__(self) -> None:
        super().__init__("PLS")
        self.entries: dict[str, str] = {}
        self._open: list[tuple[str, dict[str, str]]] = []
        self._graphemes: list[str] = []
        self._said: str | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        parent = self._open[-1][0] if self._open else None
        if parent in ("metadata", _ANYTHING):
            name = _ANYTHING
        elif parent not in _WITHIN.get(name, ()):
            raise PronunciationError(f"PLS may not have <{name[:40]}> {f'in <{parent}>' if parent else 'outside'}")
        self._open.append((name, attributes))
        self._data = []

    def end(self, name: str) -> None:
        name, attributes = self._open.pop()
        text = " ".join("".join(self._data).split())
        if name == "grapheme":
            self._graphemes.append(text)
        elif name in ("phoneme", "alias"):
            if name == "phoneme":
                alphabet = attributes.get("alphabet") or self._open[0][1].get("alphabet", "ipa")
                text = in_alphabet(text, alphabet)
            if self._said is None or attributes.get("prefer") == "true":
                self._said = ALIAS + text if name == "alias" else text
        elif name == "lexeme":
            if not self._graphemes or not self._said:
                where = f"line {self.parser.CurrentLineNumber}"
                raise PronunciationError(f"<lexeme> ({where}): <grapheme>, or <phoneme> and <alias>, are missing")
            for word in self._graphemes:
                self.entries.setdefault(word, self._said)
            self._graphemes, self._said = [], None


# Phonemes that people write, in ARPAbet or IPA.
#
# ARPAbet is that of ancestral_models/text/phonemes.py: capitals with stress digits, separated by spaces; so are its
# phonemes of other languages. Everything else is IPA: length marks and dots between syllables are ignored, a stress
# mark stands before its syllable or its vowel. What a symbol is depends on the language: an `a` is an English `AA` or a
# Spanish `a`.


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
_ROMANCE_IPA: Final = {
    **{symbol: phones for symbol, phones in ENGLISH_IPA.items() if phones[0] in ENGLISH_CONSONANTS},
    **table("phonemes").phones("romance_ipa"),
}
_ROMANCE_IPA.update({unicodedata.normalize("NFD", symbol): phones for symbol, phones in _ROMANCE_IPA.items()})
_LONG_CONSONANT: Final = re.compile(r"([^\W\d_aeɛioɔu])ː")
"""A consonant that Italian says twice, and that is here twice."""
_LONGEST_SYMBOL: Final = max(map(len, (*ENGLISH_IPA, *_ROMANCE_IPA)))


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
    known = ENGLISH_IPA if language == ENGLISH.language else _ROMANCE_IPA
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
    return _with_stresses(found, marked) if known is ENGLISH_IPA else _with_stress(found, marked, language)


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
        kind = "English " if known is ENGLISH_IPA else ""
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
