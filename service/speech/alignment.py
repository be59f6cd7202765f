"""Times of single characters, made from those of words: what ElevenLabs' clients and players of captions expect.

The characters of a word share its time evenly. Marks and white space take the time up to the next word; the last
character of a sentence ends where the sentence does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ancestral.service.speech.text_parts import TextPart, read_parts
from ancestral.service.speech.timestamps import SentenceTimes
from ancestral.speech.timing import SampleSpan


@dataclass(frozen=True)
class Alignment:
    """Characters and their times."""

    characters: tuple[str, ...]
    spans: tuple[SampleSpan, ...]
    """Samples, one span per character; each begins where the one before it ends, or later."""


def written(sentences: Sequence[SentenceTimes]) -> Alignment:
    """The characters of the text as it was written."""
    return _aligned([(sentence.written, sentence) for sentence in sentences])


def normalized(sentences: Sequence[SentenceTimes]) -> Alignment:
    """The characters of the words as they are read, with a space after each."""
    return _aligned([(read_parts(sentence.sentence), sentence) for sentence in sentences])


def _aligned(shown: Sequence[tuple[Sequence[TextPart], SentenceTimes]]) -> Alignment:
    characters: list[str] = []
    spans: list[SampleSpan] = []
    for parts, sentence in shown:
        if not parts:  # what the sentence says is a part of the one before
            continue
        for part, span, end in _timed(parts, sentence):
            characters += part.text
            spans += [(span[0], span[0])] * part.before
            spans += _evenly(span, part.spoken)
            spans += _evenly((span[1], end), len(part.text) - part.before - part.spoken)
        spans[-1] = (spans[-1][0], sentence.span[1])
    return Alignment(tuple(characters), tuple(spans))


def _timed(parts: Sequence[TextPart], sentence: SentenceTimes) -> Iterator[tuple[TextPart, SampleSpan, int]]:
    """Each part with its span, and the start of the next one."""
    spans = [sentence.span_of(part) for part in parts]
    ends = [*(start for start, _ in spans[1:]), sentence.span[1]]
    yield from zip(parts, spans, ends, strict=True)


def _evenly(span: SampleSpan, count: int) -> list[SampleSpan]:
    start, end = span
    edges = [start + (end - start) * index // count for index in range(count + 1)] if count else []
    return list(pairwise(edges))
