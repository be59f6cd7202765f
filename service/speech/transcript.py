"""Which part of a text, as it was written, each spoken word is: for captions and timestamps of characters.

The front-end keeps no positions: "$5" is read as "five dollars", and only the words remain. The text is cut into
pieces (runs of letters and digits, and symbols); pieces that are read as they are written are matched with their words
(longest common subsequence), and between two of those the words are shared out in proportion to the pieces' lengths.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate
from typing import Final

from ancestral.models.text import Rest, Script, Sentence, Word, phonemize

_TOKEN: Final = re.compile(r"\S+\s*")
_PIECE: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]")


@dataclass(frozen=True)
class Token:
    """A part of a text up to the next white space, which belongs to it."""

    text: str
    before: int
    """How many of its characters come before what is spoken."""
    spoken: int
    """How many are spoken."""
    first: int
    """Its first word in the sentence."""
    last: int
    """The word after its last one; the same as :attr:`first` if nothing of it is spoken."""


@dataclass(frozen=True)
class SentenceText:
    """One sentence of a text."""

    words: tuple[str, ...]
    """As they are read."""
    written: tuple[Token, ...]
    """As it was written: all sentences together are the whole text."""
    normalized: tuple[Token, ...]
    """As it is read, with its marks, and a space at the end: one token per word."""


def transcribe(script: Script) -> list[SentenceText]:
    """The sentences of a text. Takes milliseconds: call it off the event loop.

    Args:
        script: that :func:`ancestral.models.text.phonemize` can read. Of its directives and tags nothing is written.
    """
    sentences = phonemize(script)
    words = [[item.text for item in sentence.items if isinstance(item, Word)] for sentence in sentences]
    starts = list(accumulate(map(len, words), initial=0))
    tokens: list[list[Token]] = [[] for _ in sentences]
    for token in _tokens(script.written, [word for of_sentence in words for word in of_sentence]):
        # The sentence of its first word; a token without words stays with the word before it.
        anchor = token.first if token.last > token.first else max(0, token.first - 1)
        index = bisect_right(starts, anchor) - 1
        first, last = (min(max(0, word - starts[index]), len(words[index])) for word in (token.first, token.last))
        tokens[index].append(Token(token.text, token.before, token.spoken, first, last))
    return [
        SentenceText(tuple(of_sentence), tuple(written), _normalized(sentence))
        for sentence, of_sentence, written in zip(sentences, words, tokens, strict=True)
    ]


def _normalized(sentence: Sentence) -> tuple[Token, ...]:
    found: list[Token] = []
    for item in sentence.items:
        if isinstance(item, Word):
            found.append(Token(f"{item.text} ", 0, len(item.text), len(found), len(found) + 1))
        elif found:  # else it is the silence before the first word
            last, mark = found[-1], item.mark if isinstance(item, Rest) else item
            found[-1] = Token(f"{last.text[:-1]}{mark} ", 0, last.spoken, last.first, last.last)
    return tuple(found)


def _tokens(text: str, words: Sequence[str]) -> list[Token]:
    """The tokens of a text; their words are counted over all sentences."""
    spans = [match.span() for match in _TOKEN.finditer(text)]
    if spans:
        spans[0] = (0, spans[0][1])  # white space at the start
    pieces = [(match.span(), index) for index, span in enumerate(spans) for match in _PIECE.finditer(text, *span)]
    pieces = [piece for piece in pieces if _may_be_spoken(text[slice(*piece[0])])]
    ranges = _words_of([text[slice(*span)] for span, _ in pieces], words)
    found: list[Token] = []
    at, word = 0, 0
    for index, (start, end) in enumerate(spans):
        mine = []
        while at < len(pieces) and pieces[at][1] == index:
            mine.append((pieces[at][0], ranges[at]))
            at += 1
        spoken = [(span, found_words) for span, found_words in mine if found_words[0] < found_words[1]]
        if spoken:
            before, after = spoken[0][0][0] - start, spoken[-1][0][1] - start
            first, word = spoken[0][1][0], spoken[-1][1][1]
            found.append(Token(text[start:end], before, after - before, first, word))
        else:
            found.append(Token(text[start:end], 0, 0, word, word))
    return found


def _may_be_spoken(piece: str) -> bool:
    return piece[0].isalnum() or unicodedata.category(piece[0])[0] == "S" or piece in "&%@#/*"


def _words_of(pieces: Sequence[str], words: Sequence[str]) -> list[tuple[int, int]]:
    """For each piece its first word, and the one after its last; every word belongs to a piece, in order."""
    ranges: list[tuple[int, int]] = []
    matcher = SequenceMatcher(None, list(map(_key, pieces)), list(map(_key, words)), autojunk=False)
    piece = word = 0
    for start, first, length in matcher.get_matching_blocks():
        ranges += _shared_out(pieces[piece:start], word, first)
        ranges += [(first + offset, first + offset + 1) for offset in range(length)]
        piece, word = start + length, first + length
    # A word that is left between two pieces goes to the one before it; the words before all pieces go to the first.
    begins = [0, *(begin for begin, _ in ranges[1:])]
    return list(zip(begins, [*begins[1:], len(words)], strict=True)) if ranges else []


def _shared_out(pieces: Sequence[str], first: int, last: int) -> list[tuple[int, int]]:
    """Words ``first`` to ``last`` in proportion to the lengths of the pieces."""
    total = sum(map(len, pieces))
    ends = [first + round((last - first) * length / total) for length in accumulate(map(len, pieces))]
    return list(zip([first, *ends], ends, strict=False))


def _key(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold() or text
