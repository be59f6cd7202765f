"""Attempts at jobs of speech: to sample sound, and to score a recording (equation 1 of the WaveNet paper)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ancestral.catalog.sampler import Part
from ancestral.formats import LENGTH_IN_HEADER
from ancestral.models.engines.base import Stream
from ancestral.service.jobs.attempt import ScoringAttempt
from ancestral.service.jobs.sampling_attempt import SamplingAttempt
from ancestral.service.speech.payloads import AudioPayload, GenerationPayload, SpeechLikelihoodPayload, SpeechPayload
from ancestral.speech.sampler import RecordingScorer, SentencePart, SpeechSampler
from ancestral.speech.timing import Timing

MIN_MEASURED_SECONDS = 0.5
"""Least sound whose real-time factor means anything."""


class AudioAttempt(SamplingAttempt):
    sampler: SpeechSampler
    payload: AudioPayload

    @property
    def rate(self) -> int:
        return self.sampler.model.spec.sample_rate

    @property
    def total_awaited(self) -> bool:
        return self.payload.response_format in LENGTH_IN_HEADER

    def on_sampled(self, symbols: int) -> None:
        self.context.metrics.count_audio(self.sampler, symbols, self.rate)

    def on_finished(self, symbols: int, seconds: float) -> None:
        if symbols >= MIN_MEASURED_SECONDS * self.rate and seconds > 0:
            self.context.metrics.factor(self.job, symbols / self.rate / seconds)


class SpeechAttempt(AudioAttempt):
    """Speech: one stream per sentence."""

    payload: SpeechPayload

    @property
    def total_awaited(self) -> bool:
        return super().total_awaited or self.payload.times_first

    async def parts(self, first: int) -> Iterator[Part]:
        self._sentence = self._timed = first
        return self.sampler.parts(self.payload, first)

    async def on_opened(self, part: Part, stream: Stream) -> None:
        assert isinstance(part, SentencePart)
        self._sentence += 1
        self._note_timing(self._sentence - 1, part.timing)

    async def plan(self, index: int) -> int | None:
        """Planning takes little from what is sampled, unless a client waits for it."""
        if index == len(self.payload.sentences):
            return None
        awaited = self.payload.total_first or self.payload.times_first
        run = self.context.in_pool if awaited else self.context.planned
        timing = await run(partial(self.sampler.timing, self.payload, index))
        self._note_timing(index, timing)
        return timing.length

    def _note_timing(self, sentence: int, timing: Timing) -> None:
        """Note when the phonemes of a sentence are said, if it is the first for which they are known."""
        if sentence >= self._timed:
            self.lease.note(timings={sentence: timing.dump()})
            self._timed = sentence + 1


class GenerationAttempt(AudioAttempt):
    """Sound without text: one stream, which continues the uploaded recording if there is one."""

    payload: GenerationPayload

    async def parts(self, first: int) -> Iterator[Part]:
        prompt = b""
        if self.payload.prompt_sha256 is not None:
            prompt = await self.lease.upload()
        return iter([self.sampler.generation(self.payload, np.frombuffer(prompt, np.uint8))])


class SpeechScoringAttempt(ScoringAttempt):
    """ln p of every symbol of the upload, given those before it (and the text that is said in it)."""

    sampler: SpeechSampler
    payload: SpeechLikelihoodPayload

    async def work(self) -> dict[str, Any] | None:
        """Stoppable between two blocks."""
        upload = await self.lease.upload()
        voice, sentences = self.payload.voice, self.payload.sentences
        scorer = await self.context.in_pool(lambda: RecordingScorer(self.sampler, voice, sentences, upload))
        self.lease.note(total=len(scorer.symbols))
        await self.lease.store()
        blocks = scorer.blocks()
        while await self.context.in_pool(lambda: next(blocks, None)) is not None:
            if self.stopped is not None:
                return None
        return scorer.report()
