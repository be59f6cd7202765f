"""The times of a job's sentences, as they become known."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from ancestral.speech.sampler import SampleSpan, Timing
from ancestral.speech.timestamps import SentenceTimes, written_parts
from ancestral.speech.utterance import Utterance
from ancestral_models.audio.resampler import resampled_length
from ancestral_service.broker.clients import Clients
from ancestral_service.broker.connection import PATIENCE_SECONDS, retry_while_unavailable
from ancestral_service.broker.job import Job
from ancestral_service.jobs.job_reader import redis_errors

POLL_SECONDS: Final = 0.02


class Timeline:
    """The sentences of one job.

    Args:
        broker: where the job is.
        job: that speaks.
        plan: of the job.
        model_rate: at which the job counts samples, in hertz.
        rate: at which the spans count them; the model's if None.
    """

    def __init__(self, broker: Clients, job: Job, plan: Utterance, model_rate: int, rate: int | None = None) -> None:
        self._broker = broker
        self._job = job
        self._plan = plan
        self._rates = (model_rate, model_rate if rate is None else rate)
        self.written = plan.written
        self._parts = written_parts(plan.written, plan.sentences)
        self._known: list[SentenceTimes] = []
        self._length = 0

    async def known(self) -> list[SentenceTimes]:
        """The sentences whose times are known so far, from the first one on."""
        if len(self._known) < len(self._plan.sentences):
            read = partial(self._broker.timings, self._job, len(self._plan.sentences))
            found = await retry_while_unavailable(read, PATIENCE_SECONDS)
            for text in found[len(self._known) :]:
                self._add(Timing.load(text))
        return self._known

    async def first(self, count: int) -> list[SentenceTimes]:
        """The first sentences; waits until they are known. Those that are known, if the job ends before that.

        Raises:
            NotReady: Redis stays unavailable.
        """
        with redis_errors():
            while len(found := await self.known()) < count:
                current = await self._broker.patient_job(self._job.id)
                if current is None or current.status.terminal:
                    break
                await asyncio.sleep(POLL_SECONDS)
        return found[:count]

    async def all(self) -> list[SentenceTimes]:
        """All sentences; waits as :meth:`first` does."""
        return await self.first(len(self._plan.sentences))

    @property
    def complete(self) -> bool:
        """Whether all sentences are known."""
        return len(self._known) == len(self._plan.sentences)

    def _add(self, timing: Timing) -> None:
        index, offset = len(self._known), self._length
        sentence = self._plan.sentences[index]

        def moved(span: SampleSpan) -> SampleSpan:
            start, end = (resampled_length(offset + sample, *self._rates) for sample in span)
            return start, end

        self._length += timing.length
        self._known.append(
            SentenceTimes(
                sentence=sentence,
                speaker=self._plan.turn(index).speaker if self._plan.turns else None,
                written=self._parts[index],
                span=moved((0, timing.length)),
                word_spans=tuple(moved(span) for span in timing.words(sentence)),
                phoneme_spans=tuple((name, moved(span)) for name, span in timing.phonemes(sentence)),
            )
        )
