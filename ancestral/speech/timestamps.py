"""What is said when: times of words, phonemes and visemes, parts of the written text, characters, captions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field

from ancestral.requests import Described, Timestamps
from ancestral.speech.sampler import SampleSpan
from ancestral_models.text import Sentence, Word
from ancestral_models.text.phonemes import viseme_of
from ancestral_models.text.rules import Span
from ancestral_models.text.script import mark_of

_OPENING: Final = re.compile(r"(?<=\s)\S*\Z")
_SENTENCE_ENDS: Final = re.compile(r"[.?!…。？！।][\"'”’»)\]]*\s+"), re.compile(r"\n\s*")
"""A mark, or else the end of a line."""


# Times of words, phonemes and visemes, as clients see them.


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
        written: the text that spans count in, :attr:`ancestral_models.text.Script.written`.
        sentences: all that are made of it.
    """
    parts: list[list[TextPart]] = [[] for _ in sentences]
    units, begin = _units(sentences), 0
    for index, ((start, stop), sentence, first, last) in enumerate(units):
        end = len(written) if index + 1 == len(units) else _begin(written, units[index], units[index + 1])
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


def _begin(written: str, before: _Unit, unit: _Unit) -> int:
    """Where the part of a unit begins: a word that is skipped belongs to the sentence in which it stands."""
    end, start = before.span[1], unit.span[0]
    between = written[end:start]
    ends = (pattern.search(between) for pattern in _SENTENCE_ENDS)
    if before.sentence != unit.sentence and (ended := next(filter(None, ends), None)):
        return end + ended.end()
    opening = _OPENING.search(between)
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


@dataclass(frozen=True)
class SentenceTimes:
    """One sentence in the sound of a job. Every span is counted from the start of the job."""

    sentence: Sentence
    written: Sequence[TextPart]
    span: SampleSpan
    word_spans: tuple[SampleSpan, ...]
    """One per word of :attr:`sentence`."""
    phoneme_spans: tuple[tuple[str, SampleSpan], ...]
    """Phonemes and their spans, without pauses."""
    speaker: str | None = None
    """The speaker, in a text of several voices."""

    @property
    def words(self) -> list[WordTime]:
        """The words, as they are read."""
        pairs = zip(self.sentence.words, self.word_spans, strict=True)
        times = [WordTime(word=word.text, start=start, end=end) for word, (start, end) in pairs]
        if self.speaker is None:  # what is not set is not sent
            return times
        return [time.model_copy(update={"speaker": self.speaker}) for time in times]

    @property
    def written_words(self) -> list[WrittenWordTime]:
        """The words, and where they were written."""
        pairs = zip(self.words, (word.span for word in self.sentence.words), strict=True)
        return [WrittenWordTime(**vars(word), text_start=start, text_end=end) for word, (start, end) in pairs]

    @property
    def phonemes(self) -> list[PhonemeTime]:
        return [PhonemeTime(phoneme=name, start=start, end=end) for name, (start, end) in self.phoneme_spans]

    @property
    def visemes(self) -> list[VisemeTime]:
        """The mouth shape of each phoneme."""
        return [
            VisemeTime(viseme=shape.oculus, viseme_id=shape.azure, start=start, end=end)
            for shape, (start, end) in ((viseme_of(name), span) for name, span in self.phoneme_spans)
        ]

    def span_of(self, part: TextPart) -> SampleSpan:
        """When a part of the sentence is said: from its first to its last word."""
        return self.word_spans[part.first][0], self.word_spans[part.last - 1][1]


def times_of(sentences: Sequence[SentenceTimes], timestamps: Timestamps) -> dict[str, Any]:
    """The requested ones of the fields ``words``, ``phonemes`` and ``visemes``."""
    names = [f"{kind}s" for kind in timestamps]
    return {name: [time for sentence in sentences for time in getattr(sentence, name)] for name in names}


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
        starts = [sentence.span_of(part) for part in parts]
        ends = [*(start for start, _ in starts[1:]), sentence.span[1]]
        for part, span, end in zip(parts, starts, ends, strict=True):
            characters += part.text
            spans += [(span[0], span[0])] * part.before
            spans += _evenly(span, part.spoken)
            spans += _evenly((span[1], end), len(part.text) - part.before - part.spoken)
        spans[-1] = (spans[-1][0], sentence.span[1])
    return Alignment(tuple(characters), tuple(spans))


def _evenly(span: SampleSpan, count: int) -> list[SampleSpan]:
    start, end = span
    edges = [start + (end - start) * index // count for index in range(count + 1)] if count else []
    return list(pairwise(edges))


CaptionFormat = Literal["vtt", "srt"]
MEDIA_TYPES: Final[dict[str, str]] = {"vtt": "text/vtt; charset=utf-8", "srt": "application/x-subrip; charset=utf-8"}
_LINE_CHARACTERS: Final = 42
"""The longest line, as broadcasters recommend."""
_CUE_CHARACTERS: Final = 2 * _LINE_CHARACTERS
_CUE_SECONDS: Final = 6.0


@dataclass(frozen=True)
class Cue:
    """Text that is shown at once."""

    text: str
    start: float
    """Seconds."""
    end: float
    speaker: str | None
    """The speaker, in a text of several voices."""


def cues(sentences: Sequence[SentenceTimes], sample_rate: int) -> Iterator[Cue]:
    """The captions of sentences: a new one for each sentence, and where one becomes too long."""
    for sentence in sentences:
        words: list[str] = []
        first = last = 0.0
        for word, (start, end) in _words(sentence):
            begins, ends = start / sample_rate, end / sample_rate
            too_long = len(" ".join([*words, word])) > _CUE_CHARACTERS or ends - first > _CUE_SECONDS
            if words and too_long:
                yield Cue(_lines(words), first, last, sentence.speaker)
                words = []
            if not words:
                first = begins
            words.append(word)
            last = ends
        if words:
            yield Cue(_lines(words), first, last, sentence.speaker)


def _words(sentence: SentenceTimes) -> Iterator[tuple[str, SampleSpan]]:
    """What is written between white space, which is never parted, and when it is said."""
    text, starts = "", 0
    for index, part in enumerate(sentence.written, 1):
        start, end = sentence.span_of(part)
        text, starts = text + part.text, start if not text else starts
        if text[-1].isspace() or index == len(sentence.written):
            yield " ".join(text.split()), (starts, end)
            text = ""


def _lines(words: Sequence[str]) -> str:
    """One line, or two of about the same length."""
    whole = " ".join(words)
    if len(whole) <= _LINE_CHARACTERS or len(words) < 2:
        return whole
    splits = [(" ".join(words[:index]), " ".join(words[index:])) for index in range(1, len(words))]
    first, second = min(splits, key=lambda split: abs(len(split[0]) - len(split[1])))
    return f"{first}\n{second}"


def captions(sentences: Sequence[SentenceTimes], sample_rate: int, form: CaptionFormat) -> str:
    """A file of captions.

    Args:
        sentences: of the job, in order.
        sample_rate: at which their spans count, in hertz.
        form: of the file.
    """
    found = list(cues(sentences, sample_rate))
    if form == "vtt":
        blocks = [
            f"{_time(cue.start, '.')} --> {_time(cue.end, '.')}\n"
            f"{'' if cue.speaker is None else f'<v {_escaped(cue.speaker)}>'}{_escaped(cue.text)}\n"
            for cue in found
        ]
        return "\n".join(["WEBVTT\n", *blocks])
    return "\n".join(
        f"{number}\n{_time(cue.start, ',')} --> {_time(cue.end, ',')}\n"
        f"{'' if cue.speaker is None else f'{cue.speaker}: '}{cue.text}\n"
        for number, cue in enumerate(found, 1)
    )


def _time(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
