"""Attempts at jobs of speech: to sample sound, and to score a recording (equation 1 of the WaveNet paper)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ancestral.catalog.sampler import Part
from ancestral.models.engines.base import Stream
from ancestral.service.jobs.attempt import ScoringAttempt
from ancestral.service.jobs.sampling_attempt import SamplingAttempt
from ancestral.service.speech.payloads import GenerationPayload, SpeechLikelihoodPayload, SpeechPayload
from ancestral.speech.sampler import SentencePart, SpeechSampler
from ancestral.speech.scoring import RecordingScorer

MIN_MEASURED_SECONDS = 0.5
"""Of sound: the real-time factor of less than that means nothing."""


class AudioAttempt(SamplingAttempt):
    """An attempt to sample sound."""

    sampler: SpeechSampler

    @property
    def rate(self) -> int:
        """See :class:`SamplingAttempt`."""
        return self.sampler.model.spec.sample_rate

    def on_sampled(self, symbols: int) -> None:
        """See :class:`SamplingAttempt`."""
        self.context.metrics.count_audio(self.sampler, symbols, self.rate)

    def on_finished(self, symbols: int, seconds: float) -> None:
        """See :class:`SamplingAttempt`."""
        if symbols >= MIN_MEASURED_SECONDS * self.rate and seconds > 0:
            self.context.metrics.factor(self.job, symbols / self.rate / seconds)


class SpeechAttempt(AudioAttempt):
    """Speech: one stream per sentence."""

    payload: SpeechPayload

    async def parts(self, first: int) -> Iterator[Part]:
        """See :class:`SamplingAttempt`."""
        self._sentence = first
        return self.sampler.parts(self.payload, first)

    def lengths_after(self, index: int) -> Iterator[int]:
        """See :class:`SamplingAttempt`."""
        return self.sampler.lengths(self.payload, index + 1)

    async def on_opened(self, part: Part, stream: Stream) -> None:
        """See :class:`SamplingAttempt`. Stores when the phonemes of the sentence are said."""
        assert isinstance(part, SentencePart)
        sentence = self._sentence
        self._sentence += 1
        await self.lease.store_timings(sentence, part.timing.dump())


class GenerationAttempt(AudioAttempt):
    """Sound without text: one stream, which continues the uploaded recording if there is one."""

    payload: GenerationPayload

    async def parts(self, first: int) -> Iterator[Part]:
        """See :class:`SamplingAttempt`."""
        prompt = b""
        if self.payload.prompt_sha256 is not None:
            prompt = await self.lease.upload()
        return iter([self.sampler.generation(self.payload, np.frombuffer(prompt, np.uint8))])


class SpeechScoringAttempt(ScoringAttempt):
    """ln p of every symbol of the upload, given those before it (and the text that is said in it)."""

    sampler: SpeechSampler
    payload: SpeechLikelihoodPayload

    async def work(self) -> dict[str, Any] | None:
        """See :class:`JobAttempt`. Between two blocks it can be stopped."""
        upload = await self.lease.upload()
        voice, sentences = self.payload.voice, self.payload.sentences
        scorer = await self.context.in_pool(lambda: RecordingScorer(self.sampler, voice, sentences, upload))
        await self.lease.set_total(len(scorer.symbols))
        blocks = scorer.blocks()
        while await self.context.in_pool(lambda: next(blocks, None)) is not None:
            if self.stopped is not None:
                return None
        return scorer.report()
