"""Attempts at jobs that give sound: speech from text, or sound without any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from service.broker import patiently
from service.broker.job import Kind
from service.catalog.sampler import Part
from service.jobs.sampling_attempt import SamplingAttempt
from service.speech.sampler import SpeechSampler
from service.speech.utterance import Utterance, prepare

MEASURED_SECONDS = 0.5
"""Of sound: how fast less than that was made says nothing."""


class SpeechAttempt(SamplingAttempt):
    """Speech from text, or sound without any."""

    sampler: SpeechSampler

    @property
    def rate(self) -> int:
        """See :class:`SamplingAttempt`."""
        return self.sampler.model.spec.sample_rate

    def count(self, symbols: int) -> None:
        """See :class:`SamplingAttempt`."""
        self.context.metrics.spoke(self.sampler, symbols, self.rate)

    def over(self, symbols: int, seconds: float) -> None:
        """See :class:`SamplingAttempt`."""
        if symbols >= MEASURED_SECONDS * self.rate and seconds > 0:
            self.context.metrics.factor(self.job, symbols / self.rate / seconds)

    async def parts(self, first: int) -> Iterator[Part]:
        """See :class:`SamplingAttempt`."""
        request = self.job.request
        if self.job.kind is Kind.GENERATION:
            prompt = b""
            if request["continues"]:
                prompt = await patiently(lambda: self.context.broker.upload(self.job))
            return iter([self.sampler.generation(request, np.frombuffer(prompt, np.uint8))])
        utterance = await self.context.in_pool(partial(self._utterance, request))
        return self.sampler.parts(utterance, first)

    def _utterance(self, request: Mapping[str, Any]) -> Utterance:
        names = ("model", "voice", "input", "seed")
        chosen = {name: request[name] for name in ("temperature", "speed")}
        return prepare(self.context.catalog, *(request[name] for name in names), **chosen)
