"""Jobs of pictures in a worker's hands: drawing, and scoring."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from service.broker import patiently
from service.broker.job import Kind
from service.catalog.sampler import Part
from service.images.sampler import ImageSampler
from service.jobs.attempt import ScoringAttempt
from service.jobs.sampling_attempt import SamplingAttempt


class ImageAttempt(SamplingAttempt):
    """All pictures of a job, as one batch."""

    sampler: ImageSampler

    @property
    def rate(self) -> int:
        """See :class:`SamplingAttempt`. A client is content with its pictures in a second: idle time makes them
        sooner, and no sound has to wait for it."""
        return int(self.job.request["pictures"]) * self.sampler.model.spec.dims

    def count(self, symbols: int) -> None:
        """See :class:`SamplingAttempt`."""
        self.context.metrics.drew(self.sampler, symbols, self.sampler.model.spec.channels)

    def over(self, symbols: int, seconds: float) -> None:
        """See :class:`SamplingAttempt`."""
        if self.stopped is None:
            self.context.metrics.finished(self.sampler, self.job.request["pictures"])

    async def parts(self, first: int) -> Iterator[Part]:
        """See :class:`SamplingAttempt`."""
        given = None
        if self.job.kind is Kind.COMPLETION:
            given = np.frombuffer(await patiently(lambda: self.context.broker.upload(self.job)), np.uint8)
        return iter([self.sampler.part(self.job.request, given)])


class ImageScoringAttempt(ScoringAttempt):
    """ln p of every sub-pixel of an upload, given those before it."""

    sampler: ImageSampler

    async def work(self) -> dict[str, Any] | None:
        """See :class:`JobAttempt`."""
        spec, engine, labels = self.sampler.model.spec, self.sampler.engine.pictures, self.job.request["labels"]
        upload = await patiently(lambda: self.context.broker.upload(self.job))
        await patiently(lambda: self.context.broker.set_total(self.job, spec.dims))
        image = np.frombuffer(upload, np.uint8).reshape(1, spec.height, spec.width, spec.channels)
        h = engine.embed_labels(labels)[None] if spec.conditions else None
        scores = await self.context.in_pool(partial(engine.score, image, h))
        bits = -scores[0] / math.log(2.0)
        return {
            "bits_per_dim": round(float(bits.mean()), 6),
            "nats": round(float(-scores.sum()), 3),
            "dims": spec.dims,
            "bits": [[round(float(pixel), 3) for pixel in row] for row in bits.sum(axis=2)],
        }
