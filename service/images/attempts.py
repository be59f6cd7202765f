"""Attempts at jobs of pictures: to sample them, and to score one (equation 1 of 1601.06759)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ancestral.catalog.sampler import Part
from ancestral.images.sampler import ImageSampler, report
from ancestral.models.engines.base import Stream
from ancestral.models.engines.images.batch import ImageBatch
from ancestral.service.images.payloads import EncodingPayload, ImageLikelihoodPayload, PicturesPayload
from ancestral.service.jobs.attempt import ScoringAttempt
from ancestral.service.jobs.sampling_attempt import SamplingAttempt


class ImageAttempt(SamplingAttempt):
    """All pictures of a job, as one batch."""

    sampler: ImageSampler
    payload: PicturesPayload
    _batch: ImageBatch | None = None
    """All pictures, once they have been opened."""

    @property
    def rate(self) -> int:
        """All pictures in one second: idle time makes them sooner, and no audio stream has to wait for them."""
        return self.payload.count * self.sampler.model.spec.dims

    def on_sampled(self, symbols: int) -> None:
        self.context.metrics.count_pixels(self.sampler, symbols, self.sampler.model.spec.channels)

    def on_finished(self, symbols: int, seconds: float) -> None:
        if self.stopped is None:
            self.context.metrics.finished(self.sampler, self.payload.count)

    async def parts(self, first: int) -> Iterator[Part]:
        return iter([self.sampler.part(self.payload)])

    async def on_opened(self, part: Part, stream: Stream) -> None:
        """Publish the coarse scale, which has been sampled: clients may show it."""
        assert isinstance(stream, ImageBatch)
        self._batch = stream
        if self.sampler.model.spec.coarse is not None:
            await self.lease.preview(stream.coarse.tobytes())

    async def result(self) -> dict[str, Any] | None:
        """The choice of pictures, and what they show: half a millisecond each."""
        assert self._batch is not None
        symbols = np.stack([picture.symbols for picture in self._batch.pictures])
        found = await self.context.in_pool(partial(self.sampler.judge, self.payload, symbols))
        if found is None:
            return None
        shown = [{name: value._asdict() for name, value in one.items()} for one in found.shown]
        return {"chosen": found.chosen, "shown": shown}


class UploadAttempt(ImageAttempt):
    """Pictures whose first rows, or the picture that they are drawn from, were uploaded."""

    async def parts(self, first: int) -> Iterator[Part]:
        upload = np.frombuffer(await self.lease.upload(), np.uint8)
        # In the pool: a vector takes a few milliseconds.
        return iter([await self.context.in_pool(partial(self.sampler.part, self.payload, upload))])


class ImageScoringAttempt(ScoringAttempt):
    """ln p of every sub-pixel of the upload, given those before it and, of a model that draws from pictures, its own
    vector."""

    sampler: ImageSampler
    payload: ImageLikelihoodPayload

    async def work(self) -> dict[str, Any] | None:
        spec = self.sampler.model.spec
        upload = await self.lease.upload()
        self.lease.note(total=spec.dims)
        await self.lease.store()
        image = np.frombuffer(upload, np.uint8).reshape(1, spec.height, spec.width, spec.channels)
        scores = await self.context.in_pool(partial(self.sampler.score, image, self.payload.labels))
        return report(scores)


class EncodingAttempt(ScoringAttempt):
    """The vector of the upload (1606.05328, section 3.4)."""

    sampler: ImageSampler
    payload: EncodingPayload

    async def work(self) -> dict[str, Any] | None:
        upload = await self.lease.upload()
        self.lease.note(total=len(upload))
        await self.lease.store()
        h = await self.context.in_pool(partial(self.sampler.encode, np.frombuffer(upload, np.uint8)))
        return {"embedding": [float(number) for number in h], "dims": len(upload)}
