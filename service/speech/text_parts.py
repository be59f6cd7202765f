"""The parts that a sentence is shown in: of the text as it was written, and of the words as they are read.

A part is a span of the front-end (models/text/spans.py) with the marks and white space around it. Marks belong to the
word before them, or to the one after them if white space comes first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, NamedTuple

from ancestral.models.text import Sentence, Word
from ancestral.models.text.sentence import mark_of
from ancestral.models.text.spans import Span

_OPENING: Final = re.compile(r"(?<=\s)\S*\Z")


@dataclass(frozen=True)
class TextPart:
    """A part of a text, and the words that are spoken for it: at least one."""

    text: str
    before: int
    """Number of its characters before those that are spoken."""
    spoken: int
    """Number of characters that are spoken."""
    first: int
    """Index of its first word in the sentence."""
    last: int
    """Index of the word after its last one."""


class _Unit(NamedTuple):
    """Words of a sentence with one span."""

    span: Span
    sentence: int
    first: int
    last: int


def written_parts(written: str, sentences: Sequence[Sentence]) -> list[list[TextPart]]:
    """The parts of each sentence: all together are the whole text.

    A span that several sentences share, such as a very long number, is a part of the first one.

    Args:
        written: the text that spans count in, :attr:`ancestral.models.text.Script.written`.
        sentences: all that are made of it.
    """
    parts: list[list[TextPart]] = [[] for _ in sentences]
    units, begin = _units(sentences), 0
    for index, ((start, stop), sentence, first, last) in enumerate(units):
        end = len(written) if index + 1 == len(units) else _begin(written, stop, units[index + 1].span[0])
        parts[sentence].append(TextPart(written[begin:end], start - begin, stop - start, first, last))
        begin = end
    return parts


def _units(sentences: Sequence[Sentence]) -> list[_Unit]:
    found: list[_Unit] = []
    for number, sentence in enumerate(sentences):
        for span, group in groupby(enumerate(sentence.words), lambda pair: pair[1].span):
            words = [index for index, _ in group]
            # <sub> may have no text.
            if span[0] < span[1] and not (found and found[-1].span == span):
                found.append(_Unit(span, number, words[0], words[-1] + 1))
    return found


def _begin(written: str, end: int, start: int) -> int:
    """Where the part of a span that starts at ``start`` begins, if the one before it ends at ``end``."""
    opening = _OPENING.search(written[end:start])
    return start if opening is None else end + opening.start()


def read_parts(sentence: Sentence) -> list[TextPart]:
    """The words of a sentence as they are read, each with its mark and a space."""
    found: list[TextPart] = []
    for item in sentence.items:
        if isinstance(item, Word):
            found.append(TextPart(f"{item.text} ", 0, len(item.text), len(found), len(found) + 1))
        elif found:  # else it is the silence before the first word
            found[-1] = replace(found[-1], text=f"{found[-1].text[:-1]}{mark_of(item)} ")
    return found
