"""Words, phonemes and visemes in time, in seconds."""

from __future__ import annotations

from dataclasses import dataclass


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
