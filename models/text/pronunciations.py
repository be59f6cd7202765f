"""Lexicons: words that are said otherwise than the front-end would say them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, Self

from ancestral.models.text.characters import ENGLISH, UnsupportedText
from ancestral.models.text.g2p import plural
from ancestral.models.text.ipa import parse_phonemes
from ancestral.models.text.languages.language import LANGUAGES

Phones = tuple[str, ...]

MAX_WORD_CHARACTERS: Final = 64
"""Most characters of an entry's word."""

_WORD: Final = re.compile(r"[^\W_](?:\S*[^\s.,;:!?'’\"()\[\]<>])?")
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
                words = self._words[entry][language]
                if (possessive := _POSSESSIVE.match(text, end)) and language == ENGLISH.language:
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


def _checked(entry: str, phonemes: str) -> dict[str, tuple[Phones, ...]]:
    """The words of an entry by the language of the text that it is in."""
    if len(entry) > MAX_WORD_CHARACTERS or not _WORD.fullmatch(entry):
        shown = entry[:MAX_WORD_CHARACTERS]
        raise PronunciationError(
            f"{shown!r}: must be a word of at most {MAX_WORD_CHARACTERS} characters, without spaces, that begins with "
            "a letter or digit and does not end in a punctuation mark"
        )
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
