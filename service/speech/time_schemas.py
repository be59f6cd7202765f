"""Times of words, phonemes and visemes, as clients see them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ancestral.service.jobs.schemas import Described


class WordSpan(Described):
    """When a word is said."""

    word: str
    """As it is read: numbers and abbreviations are written out."""
    start: int = Field(ge=0)
    """Its first sample."""
    end: int = Field(ge=0)
    """The first sample after it."""


class WordTime(WordSpan):
    """When a word is said, and by whom."""

    speaker: str | None = None
    """In a text of several voices: who says it, by a name of `voices` or by the id of the voice."""


class WrittenWordTime(WordTime):
    """When a word is said, and where it was written."""

    text_start: int = Field(ge=0)
    """Where it was written in `text`: its first character."""
    text_end: int = Field(ge=0)
    """The first character after it. What was written as one, such as a date, has several words."""


class PhonemeTime(Described):
    """When a phoneme is said."""

    phoneme: str
    """ARPAbet; a vowel has a digit for its stress: 1 primary, 2 secondary, 0 none."""
    start: int = Field(ge=0)
    """Its first sample."""
    end: int = Field(ge=0)
    """The first sample after it."""


class VisemeTime(Described):
    """When the mouth has a shape."""

    viseme: str
    """One of Oculus': PP, FF, TH, DD, kk, CH, SS, nn, RR, aa, E, ih, oh, ou."""
    viseme_id: int = Field(ge=1, le=21)
    """Azure's number of it."""
    start: int = Field(ge=0)
    """Its first sample."""
    end: int = Field(ge=0)
    """The first sample after it. Where none is, the mouth is at rest."""


class SpeechTimes(Described):
    """The words, phonemes and visemes of a job and when they are said. Pauses are in none of the lists."""

    object: Literal["timestamps"] = "timestamps"
    job: str
    sample_rate: int
    """In hertz, of the samples that are counted: the model's own."""
    text: str
    """The text as it was written, without directives and tags."""
    words: list[WrittenWordTime]
    phonemes: list[PhonemeTime]
    visemes: list[VisemeTime]
    complete: bool
    """Whether these are all words; a long text is planned sentence by sentence."""
