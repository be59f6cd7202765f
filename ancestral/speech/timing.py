"""When phonemes and words are said: planned by the acoustic model before a sentence is sampled, and kept exactly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self

from numpy.typing import NDArray

from ancestral.models.text.phonemes import Phonemes, is_pause

SampleSpan = tuple[int, int]
"""The first sample, and the first one after it."""


@dataclass(frozen=True)
class Timing:
    """The phonemes of one sentence in time."""

    ends: tuple[int, ...]
    """The first sample after each phoneme ``[P]``, counted from the start of the sentence."""

    @classmethod
    def of(cls, ends: NDArray[Any]) -> Self:
        """The timing that ends each phoneme where ``ends`` says, in samples ``[P]``."""
        return cls(tuple(map(int, ends)))

    @property
    def length(self) -> int:
        """Samples of the sentence."""
        return self.ends[-1]

    def phonemes(self, sentence: Phonemes) -> list[tuple[str, SampleSpan]]:
        """The phonemes of the sentence, without its pauses."""
        spans = zip((0, *self.ends), self.ends, strict=False)
        return [(phone, span) for phone, span in zip(sentence.phones, spans, strict=True) if not is_pause(phone)]

    def words(self, sentence: Phonemes) -> list[SampleSpan]:
        """The words of the sentence. Pauses belong to no word."""
        found: list[SampleSpan] = []
        start = 0
        for phone, starts, end in zip(sentence.phones, sentence.word_starts, self.ends, strict=True):
            if starts:
                found.append((start, end))
            elif found and not is_pause(phone):
                found[-1] = (found[-1][0], end)
            start = end
        return found

    def dump(self) -> str:
        """JSON for :meth:`load`."""
        return json.dumps(self.ends, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> Self:
        """What :meth:`dump` wrote."""
        return cls(tuple(json.loads(text)))


@dataclass(frozen=True)
class TimedText:
    """A word, a phoneme or a viseme, and when it is said, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class TimedWord(TimedText):
    """A word as it is read, when it is said, and where it was written."""

    span: tuple[int, int]
    """The place in :attr:`Speech.text`: the first character, and the first one after it. Words that were written as
    one, such as a date, share it."""
    speaker: str
    """A name of the argument ``voices``, or the id of a voice."""
