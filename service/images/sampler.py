"""A model of pictures with its weights: payloads to batches of pictures. Synchronous, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.engines.images.batch import BatchEngine, BatchRequest, ImageBatch
from models.engines.images.engine import ImageStreamRequest
from service.catalog.models import ImageModel
from service.catalog.sampler import Part, Sampler
from service.images.payloads import ImagePayload, InterpolationPayload, Label, Labels, PicturesPayload

_NO_PROMPT: Final = np.zeros(0, np.uint8)


@dataclass(frozen=True)
class ImageSampler(Sampler):
    """A model of pictures."""

    model: ImageModel
    engine: BatchEngine

    def part(self, payload: PicturesPayload, rows: NDArray[np.uint8] | None = None) -> Part:
        """The part that a job consists of.

        Args:
            payload: of the job.
            rows: the symbols of the rows that are kept, ``[rows * W * C]``.
        """
        spec = self.model.spec
        kept = None if rows is None else rows.reshape(-1, spec.width, spec.channels)
        guidance, unconditional = self._guidance(payload)
        pictures = [
            ImageStreamRequest(seed, payload.temperature, h, kept, guidance, unconditional)
            for seed, h in zip(payload.seeds, self._conditions(payload), strict=True)
        ]
        return Part(self.engine.request(pictures), _NO_PROMPT)

    def embed(self, labels: Labels) -> NDArray[np.float32] | None:
        """The conditioning vector h of these labels; None for a model without conditions."""
        return (
            self.engine.pictures.embed_labels([_array(label) for label in labels])
            if self.model.spec.conditions
            else None
        )

    def _conditions(self, payload: PicturesPayload) -> list[NDArray[np.float32] | None]:
        """h of every picture."""
        if isinstance(payload, ImagePayload):
            return [self.embed(labels) for labels in payload.labels]
        assert isinstance(payload, InterpolationPayload)
        begin, end = (self.embed(labels) for labels in payload.ends)
        assert begin is not None
        assert end is not None
        shares = np.linspace(0.0, 1.0, payload.count)
        return [np.asarray(begin * (1.0 - share) + end * share, np.float32) for share in shares]

    def _guidance(self, payload: PicturesPayload) -> tuple[float, NDArray[np.float32] | None]:
        """The strength of guidance, and h of the unconditional pass: any class, in the requested style."""
        requested = payload.requested_labels
        if payload.guidance == 1.0 or all(labels[0] is None for labels in requested):
            return 1.0, None
        return payload.guidance, self.engine.pictures.unconditional([_array(label) for label in requested[0]])

    def open(self, part: Part) -> ImageBatch:
        """See :class:`Sampler`."""
        return self.engine.open(_batch(part))

    def restore(self, part: Part, state: bytes) -> ImageBatch:
        """See :class:`Sampler`."""
        return self.engine.restore(_batch(part), state)

    def warm(self) -> None:
        """See :class:`Sampler`."""
        payload = ImagePayload(
            seed=0, temperature=1.0, guidance=1.0, style=None, size=self.model.size, scale=1,
            response_format="b64_json", output_format="png", token="", seeds=(0,), prompt=None, asked_class=None, n=1,
            labels=((None,) * len(self.model.spec.conditions),), subclasses=(None,),
        )  # fmt: skip
        self.engine.step([self.open(self.part(payload))], 1)


def _array(label: Label) -> int | NDArray[np.float32] | None:
    return np.array(label, np.float32) if isinstance(label, tuple) else label


def _batch(part: Part) -> BatchRequest:
    assert isinstance(part.request, BatchRequest)
    return part.request
