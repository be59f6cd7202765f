"""WebVTT and SubRip of a book, from the times of its words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ancestral.service.books.parts import Part, PartsFolder
from ancestral.service.speech.captions import CaptionFormat, captions
from ancestral.service.speech.text_parts import written_parts
from ancestral.service.speech.timestamps import SentenceTimes
from ancestral.speech.cast import spoken


def book_captions(parts: Sequence[Part], folder: PartsFolder, form: CaptionFormat) -> str:
    """A file of captions for the sound of parts, in order, all of which are in the folder."""
    return captions(list(_sentences(parts, folder)), folder.sample_rate, form)


def _sentences(parts: Sequence[Part], folder: PartsFolder) -> Iterator[SentenceTimes]:
    before = 0
    for part in parts:
        turns = spoken(part.script, part.speaker)
        others = any(speaker != part.speaker for speaker, _ in turns)
        said = [(speaker.name if others else None, sentence) for speaker, turn in turns for sentence in turn]
        spans = iter([(before + start, before + end) for _, _, start, end in folder.words(part)])
        shown = written_parts(part.script.written, [sentence for _, sentence in said])
        for (name, sentence), written in zip(said, shown, strict=True):
            words = tuple(next(spans) for _ in sentence.words)
            whole = (words[0][0], words[-1][1]) if words else (before, before)
            yield SentenceTimes(sentence, written, whole, words, (), name)
        before += folder.samples(part) + folder.silence(part)
