"""Captions of a job: WebVTT (W3C) and SubRip, with the text as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ancestral.service.speech.timestamps import SentenceTimes
from ancestral.speech.timing import SampleSpan

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
