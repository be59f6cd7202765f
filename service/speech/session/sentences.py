"""Text that arrives in pieces: which part of it is complete sentences, whatever comes next.

The front-end decides what a sentence is; here it is only asked. A place is a boundary if the text on both sides gives
the same words and marks apart as together, so a text that was cut here is spoken as if it had come in one piece. With
nothing but white space behind a mark, that has to hold for whatever may follow: some continuations stand for all. Where
it does not ("Dr. ", "5 p.m. ", "Well... "), the next word decides.

One thing comes too late: a mark that stands alone behind a sentence that was complete already ("Really. ?").
"""

from __future__ import annotations

import re
from typing import Final

from models.text.characters import UnsupportedText, fold
from models.text.normalize import normalize

_PLACE: Final = re.compile(
    # Marks, with what closes behind them; a paragraph's end; the start of an item of a list.
    r"(?<![.?!…])[.?!…]+[\"'”’)\]]*\s+|\n[ \t]*(?:\n\s*|(?=[-*#>]\s|\d+[.)]\s))"
)
# With the numbers before it: what a number is read as may depend on it.
_NEXT_WORD: Final = re.compile(r"\s*(?:[^\w\s]+\s+|[^\d\s]*\d\S*\s+)*[^\w\s]*[^\W\d][^\d\s]*\s")
_OPEN_TAG: Final = re.compile(r"</?[A-Za-z][^<>]{0,80}$")
_CONTINUATIONS: Final = ("the man ", "The man ", "Smith came ", "5 men ", "2020 came ", "A man ", "B. Smith ")
_CONTEXT: Final = 100
"""Characters before a place that may decide on it; the front-end looks back over fewer."""


def nothing_to_say(text: str) -> bool:
    """Whether a text has only marks and white space; false for what cannot be spoken."""
    try:
        fold(text)
    except UnsupportedText:
        return False
    try:
        normalize(text)
    except UnsupportedText:
        return True
    return False


class Sentences:
    """Pieces of text in, complete sentences out."""

    def __init__(self, pending: str = "") -> None:
        self.pending = pending
        """What is not complete yet."""
        self._decided = 0
        """Places before this one are no boundaries."""
        self._tried = -1
        """Of the places up to this one, those that no continuation could decide on wait for the next word."""

    def feed(self, text: str) -> str:
        """The next piece.

        Returns:
            Everything up to the last boundary; may be empty.
        """
        self.pending += text
        end = self._last_boundary()
        complete, self.pending = self.pending[:end], self.pending[end:]
        self._decided, self._tried = max(0, self._decided - end), self._tried - end
        return complete

    def flush(self) -> str:
        """The rest, complete or not."""
        rest, self.pending = self.pending, ""
        self._decided, self._tried = 0, -1
        return rest

    def _last_boundary(self) -> int:
        found, places, tried = 0, list(_PLACE.finditer(self.pending, self._decided)), self._tried
        if places:
            self._decided = places[-1].end()
        for place in reversed(places):
            word = _NEXT_WORD.match(self.pending, place.end())
            before = self.pending[max(0, place.end() - _CONTEXT) : place.end()]
            if (word or place.start() > tried) and _is_boundary(before, word and word[0]):
                found = place.end()
                break
            if word is None:
                self._decided, self._tried = place.start(), max(self._tried, place.start())
        return found


def _is_boundary(before: str, word: str | None) -> bool:
    """Whether sentences end with ``before``, seeing the next word or, without it, whatever it may be."""
    if not any(char.isalnum() for char in before) or _OPEN_TAG.search(before):
        return False
    if word is not None:
        try:
            return _together(before, word)
        except UnsupportedText:  # one of them will be refused; if it is the next word, this is as good as none
            pass
    try:
        return all(_together(before, after) for after in _CONTINUATIONS)
    except UnsupportedText:  # its neighbours need not be refused with it
        return True


def _together(before: str, after: str) -> bool:
    """Whether two texts say in one piece what they say apart."""
    return normalize(before + after) == normalize(before) + normalize(after)
