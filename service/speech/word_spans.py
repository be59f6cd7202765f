"""When words are said: planned by the acoustic model before a sentence is sampled, and kept exactly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self

from numpy.typing import NDArray

from models.text.phonemes import Phonemes, is_pause


@dataclass(frozen=True)
class WordSpans:
    """The words of one sentence."""

    spans: tuple[tuple[int, int], ...]
    """Of each word: its first sample in the sentence, and the first one after it."""
    length: int
    """Samples of the sentence."""

    @classmethod
    def of(cls, sentence: Phonemes, ends: NDArray[Any]) -> Self:
        """From the end of every phoneme ``[P]``, in samples."""
        spans: list[tuple[int, int]] = []
        start = 0
        for phone, starts, end in zip(sentence.phones, sentence.word_starts, map(int, ends), strict=True):
            if starts:
                spans.append((start, end))
            elif spans and not is_pause(phone):
                spans[-1] = (spans[-1][0], end)
            start = end
        return cls(tuple(spans), start)

    def dump(self) -> str:
        """As JSON."""
        return json.dumps([self.length, *self.spans])

    @classmethod
    def load(cls, text: str) -> Self:
        """What :meth:`dump` wrote."""
        length, *spans = json.loads(text)
        return cls(tuple((start, end) for start, end in spans), length)
