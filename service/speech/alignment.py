"""Times of single characters, made from those of words: what ElevenLabs' clients and players of captions expect.

The characters of a word share its time evenly. Marks and white space take the time up to the next word; the last
character of a sentence ends where the sentence does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ancestral.service.speech.timestamps import SentenceTimes
from ancestral.service.speech.timing import Span
from ancestral.service.speech.transcript import Token


@dataclass(frozen=True)
class Alignment:
    """Characters in time."""

    characters: tuple[str, ...]
    spans: tuple[Span, ...]
    """In samples, one per character; each begins where the one before it ends, or later."""


def written(sentences: Sequence[SentenceTimes]) -> Alignment:
    """The characters of the text as it was written."""
    return _aligned([(sentence.text.written, sentence) for sentence in sentences])


def normalized(sentences: Sequence[SentenceTimes]) -> Alignment:
    """The characters of the words as they are read, with a space after each."""
    return _aligned([(sentence.text.normalized, sentence) for sentence in sentences])


def token_spans(tokens: Sequence[Token], sentence: SentenceTimes) -> list[Span]:
    """When each token is spoken. One without words has an empty span, where the next word begins."""
    found: list[Span] = []
    after = sentence.span[1]
    for token in reversed(tokens):
        if token.last > token.first:
            found.append((sentence.word_spans[token.first][0], sentence.word_spans[token.last - 1][1]))
        else:
            found.append((after, after))
        after = found[-1][0]
    return found[::-1]


def _aligned(parts: Sequence[tuple[Sequence[Token], SentenceTimes]]) -> Alignment:
    characters: list[str] = []
    spans: list[Span] = []
    for tokens, sentence in parts:
        if not tokens:  # the words of the sentence belong to a token of the one before
            continue
        for token, span, end in _timed(tokens, sentence):
            before, spoken = token.text[: token.before], token.text[token.before : token.before + token.spoken]
            rest = token.text[token.before + token.spoken :]
            characters += token.text
            spans += [(span[0], span[0])] * len(before)
            spans += _evenly(span, len(spoken))
            spans += _evenly((span[1], end), len(rest))
        spans[-1] = (spans[-1][0], sentence.span[1])
    return Alignment(tuple(characters), tuple(spans))


def _timed(tokens: Sequence[Token], sentence: SentenceTimes) -> Iterator[tuple[Token, Span, int]]:
    """Each token with its span, and the start of the next one."""
    spans = token_spans(tokens, sentence)
    ends = [*(start for start, _ in spans[1:]), sentence.span[1]]
    yield from zip(tokens, spans, ends, strict=True)


def _evenly(span: Span, count: int) -> list[Span]:
    start, end = span
    edges = [start + (end - start) * index // count for index in range(count + 1)] if count else []
    return list(pairwise(edges))
