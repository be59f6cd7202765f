"""What is spoken, word by word and mark by mark, and where it was written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ancestral.models.text.phonemes import PAUSES, PHRASE_PAUSE, SENTENCE_ENDS
from ancestral.models.text.script import Cue, Pause, Pronounced, Prosody
from ancestral.models.text.spans import Span, cover, disjoint


class Token(NamedTuple):
    """What is spoken, and where it was written."""

    spoken: str | Cue
    """A word in lower case, apostrophes kept; in English, a capital for a letter spoken by name, with its ending
    (`I's`); one of the marks `,` `.` `?` `!`; or a cue."""
    span: Span
    """The place in :attr:`Script.written`."""
    language: str
    """The language whose rules have read it."""

    @property
    def is_word(self) -> bool:
        """Whether it is spoken, and no pause."""
        return isinstance(self.spoken, Pronounced) or (isinstance(self.spoken, str) and self.spoken not in PAUSES)


CLAUSE_END: Final = re.compile(r"[,;:—][\"'”’]*\s*\Z")


def _strongest(marks: list[Token]) -> str:
    return next((mark for mark in "?!." if any(token.spoken == mark for token in marks)), PHRASE_PAUSE)


def _pause(gap: Sequence[Token]) -> list[Token]:
    """The pauses of exact length as one."""
    seconds = round(sum(token.spoken.seconds for token in gap if isinstance(token.spoken, Pause)), 3)
    return [Token(Pause(seconds), cover([token.span for token in gap]), gap[0].language)] if seconds else []


def _cues(gap: Sequence[Token]) -> list[Token]:
    """What stands before the first word: its pauses as one, and the last prosody."""
    return _pause(gap) + [token for token in gap if isinstance(token.spoken, Prosody)][-1:]


def _between(gap: list[Token]) -> list[Token]:
    """What stands between two words, in one form: a pause before the mark whose length it is, or after a sentence."""
    marks = [token for token in gap if isinstance(token.spoken, str)]
    end = next((i for i, token in enumerate(gap) if token.spoken in SENTENCE_ENDS), len(gap))
    found = _pause(gap[:end])
    if marks or found:
        found.append(Token(_strongest(marks), cover([token.span for token in marks or found]), gap[0].language))
    return found + _cues([token for i, token in enumerate(gap) if i >= end or isinstance(token.spoken, Prosody)])


def merge_marks(tokens: list[Token], *, goes_on: bool) -> list[Token]:
    """One mark where several stand together, none at the start, and at the end a sentence's, unless the text goes on.

    Args:
        tokens: of a text.
        goes_on: whether it ends with a clause, and not with a sentence.
    """
    merged: list[Token] = []
    gap: list[Token] = []
    for token in tokens:
        if not token.is_word:
            gap.append(token)
            continue
        if gap:
            merged += _between(gap) if merged else _cues(gap)
            gap = []
        merged.append(token)
    if not merged:
        return _cues(gap)
    if not any(token.spoken in SENTENCE_ENDS or (goes_on and token.spoken == PHRASE_PAUSE) for token in gap):
        end = merged[-1].span[1]
        gap.append(Token(".", gap[-1].span if gap else (end, end), merged[-1].language))
    return merged + [token for token in _between(gap) if not isinstance(token.spoken, Prosody)]


def apart(tokens: list[Token], written: str) -> Iterator[Token]:
    """Words that were written as one, or in another order than they are read, have one span together."""
    spans = iter(disjoint([token.span for token in tokens if token.is_word]))
    for token in tokens:
        if not token.is_word:
            yield token
            continue
        start, end = next(spans)
        text = written[start:end]
        yield token._replace(span=(end - len(text.lstrip()), start + len(text.rstrip())))
