"""The times of what a job says, for clients: known sentence by sentence, before sampling."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ancestral.codecs import resampled_length
from ancestral.models.text import Sentence
from ancestral.models.text.visemes import viseme_of
from ancestral.service.broker.clients import Clients
from ancestral.service.broker.job import Job
from ancestral.service.speech.payloads import SpeechPayload
from ancestral.service.speech.schemas import PhonemeTime, Timestamps, VisemeTime, WordTime, WrittenWordTime
from ancestral.service.speech.text_parts import TextPart, written_parts
from ancestral.speech.timing import SampleSpan, Timing

_POLL_SECONDS: Final = 0.02


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
        spans = [word.span for word in self.sentence.words]
        pairs = zip(self.words, spans, strict=True)
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


class Timeline:
    """The sentences of one job.

    Args:
        broker: where the job is.
        job: that speaks.
        payload: of the job.
        model_rate: at which the job counts samples, in hertz.
        rate: at which the spans count them; the model's if None.
    """

    def __init__(
        self, broker: Clients, job: Job, payload: SpeechPayload, model_rate: int, rate: int | None = None
    ) -> None:
        self._broker = broker
        self._job = job
        self._payload = payload
        self._rates = (model_rate, model_rate if rate is None else rate)
        self.written = payload.written
        self._parts = written_parts(payload.written, payload.sentences)
        self._known: list[SentenceTimes] = []
        self._length = 0

    async def known(self) -> list[SentenceTimes]:
        """The sentences whose times are known so far, from the first one on."""
        if len(self._known) < len(self._payload.sentences):
            found = await self._broker.timings(self._job, len(self._payload.sentences))
            for text in found[len(self._known) :]:
                self._add(Timing.load(text))
        return self._known

    async def first(self, count: int) -> list[SentenceTimes]:
        """The first sentences; waits until they are known. Those that are known, if the job ends before that."""
        while len(found := await self.known()) < count:
            current = await self._broker.job(self._job.id)
            if current is None or current.status.terminal:
                break
            await asyncio.sleep(_POLL_SECONDS)
        return found[:count]

    async def all(self) -> list[SentenceTimes]:
        """All sentences; waits as :meth:`first` does."""
        return await self.first(len(self._payload.sentences))

    @property
    def complete(self) -> bool:
        """Whether all sentences are known."""
        return len(self._known) == len(self._payload.sentences)

    def _add(self, timing: Timing) -> None:
        index, offset = len(self._known), self._length
        sentence = self._payload.sentences[index]

        def moved(span: SampleSpan) -> SampleSpan:
            start, end = (resampled_length(offset + sample, *self._rates) for sample in span)
            return start, end

        self._length += timing.length
        self._known.append(
            SentenceTimes(
                sentence=sentence,
                speaker=self._payload.turn(index).speaker if self._payload.turns else None,
                written=self._parts[index],
                span=moved((0, timing.length)),
                word_spans=tuple(moved(span) for span in timing.words(sentence)),
                phoneme_spans=tuple((name, moved(span)) for name, span in timing.phonemes(sentence)),
            )
        )
