"""Splits text that arrives in pieces: which part of it is complete sentences, whatever follows.

The text front-end defines what a sentence is. A position is a boundary if normalising the text before and after it
separately gives the same words and marks as normalising it as a whole, so that a text that is split there is spoken as
if it had arrived in one piece. If only white space follows a mark, this must hold for anything that may follow, which a
few continuations represent. Where it does not ("Dr. ", "5 p.m. ", "Well... "), the next word decides.

A clause of an incomplete sentence can be cut off at a comma, semicolon, colon or dash that is followed by a word, if
the two parts are read as the whole is. It is spoken as a clause that goes on, though not with the very samples that it
has in its sentence.

Known limit: a mark on its own after a sentence that was already complete ("Really. ?") arrives too late.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from typing import Final

from ancestral.models.text.characters import ENGLISH, NothingToSpeak, UnsupportedText
from ancestral.models.text.directives import ends_in_open_directive
from ancestral.models.text.languages.registry import table
from ancestral.models.text.markup import ends_in_open_tag
from ancestral.models.text.normalize import normalize
from ancestral.models.text.script import Cue

_PLACE: Final = re.compile(
    # Marks with closing quotes and brackets; the end of a paragraph; the start of a list item.
    r"(?<![.?!…])[.?!…]+[\"'”’)\]]*\s+|\n[ \t]*(?:\n\s*|(?=[-*#>]\s|\d+[.)]\s))"
)
# With the numbers before it: how a number is read may depend on it.
_NEXT_WORD: Final = re.compile(r"\s*(?:[^\w\s]+\s+|[^\d\s]*\d\S*\s+)*[^\w\s]*[^\W\d][^\d\s]*\s")
_CLAUSE: Final = re.compile(r"[,;:—][\"'”’]*\s+")
_END: Final = re.compile(r"[.?!…][\"'”’)\]]*\s*\Z")
_CONTINUATIONS: Final = ("the man ", "The man ", "Smith came ", "5 men ", "2020 came ", "A man ", "B. Smith ")
"""In English; in other languages, with a conjunction of theirs in place of other words."""
_PLACES_TRIED: Final = 3
_CONTEXT: Final = 100
"""Characters before a position that are considered; the front-end looks back over fewer."""


def nothing_to_say(text: str, language: str = ENGLISH.language) -> bool:
    """Whether a text in a primary language has only marks and white space; false if it cannot be spoken."""
    try:
        normalize(text, language)
    except NothingToSpeak:
        return True
    except UnsupportedText:
        return False
    return False


@cache
def _continuations(language: str) -> tuple[str, ...]:
    if language == ENGLISH.language:
        return _CONTINUATIONS
    word = min(table(language).conjunctions)
    return (
        f"{word} {word} ",
        f"{word.capitalize()} {word} ",
        f"Smith {word} ",
        f"5 {word} ",
        f"2020 {word} ",
        "B. Smith ",
    )


class Sentences:
    """Takes pieces of text in a primary language, returns complete sentences."""

    def __init__(self, pending: str = "", language: str = ENGLISH.language) -> None:
        self._language = language
        self.pending = pending
        """Text that is not complete yet."""
        self._decided = 0
        """Positions before this one are no boundaries."""
        self._tried = -1
        """Positions up to this one are undecided until the next word arrives."""

    def feed(self, text: str) -> str:
        """Add a piece of text.

        Returns:
            Everything up to the last boundary; may be empty.
        """
        self.pending += text
        return self._cut(self._last_boundary())

    def _cut(self, end: int) -> str:
        complete, self.pending = self.pending[:end], self.pending[end:]
        self._decided, self._tried = max(0, self._decided - end), self._tried - end
        return complete

    def flush(self) -> str:
        """The remaining text, complete or not."""
        rest, self.pending = self.pending, ""
        self._decided, self._tried = 0, -1
        return rest

    def first(self, complete: str) -> str:
        """What of a complete text is spoken as one utterance: all of it."""
        return complete

    def clause(self, least: int) -> str:
        """Cut off what the incomplete sentence begins with, up to a clause's end; empty if it has no clause's end after
        at least so many characters."""
        least += len(self.pending) - len(self.pending.lstrip())
        places = [place.end() for place in _CLAUSE.finditer(self.pending) if place.end() >= least]
        for end in reversed(places[-_PLACES_TRIED:]):
            word, before = _NEXT_WORD.match(self.pending, end), self.pending[self._context_start(end) : end]
            if word is None or ends_in_open_directive(self.pending[:end]) or ends_in_open_tag(before):
                continue
            with suppress(UnsupportedText):
                if _is_separable(before, word[0], self._language):
                    return self._cut(end)
        return ""

    @property
    def seems_complete(self) -> bool:
        """Whether the incomplete text ends with a sentence's mark, after which only white space or nothing has come."""
        return _END.search(self.pending) is not None and not ends_in_open_directive(self.pending)

    @property
    def is_certain(self) -> bool:
        """Whether a sentence ends there, whatever follows; false after "Dr.", "5 p.m." and the like."""
        return _is_boundary(f"{self.pending[self._context_start(len(self.pending)) :]} ", None, self._language)

    def _context_start(self, end: int) -> int:
        """Where the context of a position begins: not inside phonemes."""
        start = max(0, end - _CONTEXT)
        opening = self.pending.rfind("[[", 0, start + 1)
        return opening if opening > self.pending.rfind("]]", 0, start) else start

    def _last_boundary(self) -> int:
        found, places, tried = 0, list(_PLACE.finditer(self.pending, self._decided)), self._tried
        if places:
            self._decided = places[-1].end()
        for place in reversed(places):
            if ends_in_open_directive(self.pending[: place.end()]):
                continue
            word = _NEXT_WORD.match(self.pending, place.end())
            before = self.pending[self._context_start(place.end()) : place.end()]
            if (word or place.start() > tried) and _is_boundary(before, word and word[0], self._language):
                found = place.end()
                break
            if word is None:
                self._decided, self._tried = place.start(), max(self._tried, place.start())
        return found


def _is_boundary(before: str, word: str | None, language: str) -> bool:
    """Whether a sentence ends with ``before``, given the next word or, without one, whatever the word may be."""
    if not any(char.isalnum() for char in before) or ends_in_open_tag(before):
        return False
    if word is not None:
        try:
            return _is_separable(before, word, language)
        except UnsupportedText:  # one of them will be refused; if it is the next word, it decides nothing
            pass
    try:
        return all(_is_separable(before, after, language) for after in _continuations(language))
    except UnsupportedText:  # refused by itself, and not together with its neighbours
        return True


def _is_separable(before: str, after: str, language: str) -> bool:
    """Whether two texts are spoken the same separately and as one."""
    return _read(before + after, language) == _read(before, language) + _read(after, language)


def _read(text: str, language: str) -> list[str | Cue]:
    return [token.spoken for token in normalize(text, language)]
