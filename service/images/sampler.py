"""A job that draws: its request as a batch of pictures, and the symbols that come of it as pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.conditioning import draw_subclass
from models.engines.images.batch import BatchEngine, BatchRequest, ImageBatch
from models.engines.images.engine import ImageStreamRequest
from models.spec import ImageSpec
from service.catalog.models import ImageModel
from service.catalog.sampler import Part, Sampler
from service.catalog.seeds import part_seed
from service.images.encoding import Pixels

UNDRAWN = 127
"""The grey of pixels that are not there yet."""
_NO_ROWS = np.zeros(0, np.uint8)


def seeds_of(request: Mapping[str, Any]) -> list[int]:
    """The seed of each of a job's pictures. The steps of an interpolation share one: only what is asked for changes."""
    seed, count = request["seed"], request["pictures"]
    return [seed] * count if "from" in request else [part_seed(seed, index) for index in range(count)]


def labels_of(spec: ImageSpec, request: Mapping[str, Any]) -> list[list[int | None]]:
    """What each of a job's pictures is asked for, but for those between two classes.

    A picture of a class is of one of its kinds, which its seed draws; the rest of a picture is of any.
    """
    (asked,), seeds = request["labels"], seeds_of(request)
    if "rows" in request:
        return [asked] * len(seeds)
    return [draw_subclass(spec, asked, seed) for seed in seeds]


def kinds_of(spec: ImageSpec, request: Mapping[str, Any]) -> list[str | None]:
    """The kind that each picture's seed drew, if it did: that name and the seed ask for the same picture."""
    if not spec.subclasses or "from" in request:
        return [None] * request["pictures"]
    ((*_, asked),) = request["labels"]
    drawn = [labels[-1] if asked is None else None for labels in labels_of(spec, request)]
    return [None if kind is None else spec.subclasses[kind] for kind in drawn]


@dataclass(frozen=True)
class ImageSampler(Sampler):
    """A model that draws."""

    model: ImageModel
    engine: BatchEngine

    def part(self, request: Mapping[str, Any], given: NDArray[np.uint8] | None = None) -> Part:
        """What to sample for a job.

        Args:
            request: as it was accepted (service/images/requests.py).
            given: the symbols of the rows that are kept.
        """
        spec = self.model.spec
        rows = None if given is None else given.reshape(-1, spec.width, spec.channels)
        guidance, unconditional = self._guidance(request)
        pictures = [
            ImageStreamRequest(seed, request["temperature"], h, rows, guidance, unconditional)
            for seed, h in zip(seeds_of(request), self._asked(request), strict=True)
        ]
        return Part(self.engine.request(pictures), _NO_ROWS)

    def _asked(self, request: Mapping[str, Any]) -> list[NDArray[np.float32] | None]:
        """h of every picture."""
        count, engine = request["pictures"], self.engine.pictures
        if not self.model.spec.conditions:
            return [None] * count
        if "from" not in request:
            return [engine.embed_labels(labels) for labels in labels_of(self.model.spec, request)]
        begin, end = (engine.embed_labels([_row(label) for label in labels]) for labels in request["labels"])
        shares = np.linspace(0.0, 1.0, count)
        return [np.asarray(begin * (1.0 - share) + end * share, np.float32) for share in shares]

    def _guidance(self, request: Mapping[str, Any]) -> tuple[float, NDArray[np.float32] | None]:
        """How strongly pictures are led to their class, and away from what: any class, in their style."""
        # An older API process, whose request this may be, knew no guidance.
        guidance, labels = request.get("guidance", 1.0), request["labels"]
        if guidance == 1.0 or all(asked[0] is None for asked in labels):
            return 1.0, None
        return guidance, self.engine.pictures.unconditional([_row(label) for label in labels[0]])

    def open(self, part: Part) -> ImageBatch:
        """See :class:`Sampler`."""
        return self.engine.open(_batch(part))

    def restore(self, part: Part, state: bytes) -> ImageBatch:
        """See :class:`Sampler`."""
        return self.engine.restore(_batch(part), state)

    def warm(self) -> None:
        """See :class:`Sampler`."""
        labels = [[None] * len(self.model.spec.conditions)]
        nothing = {"seed": 0, "pictures": 1, "temperature": 1.0, "guidance": 1.0, "labels": labels}
        self.engine.step([self.open(self.part(nothing))], 1)


def _row(label: int | list[float] | None) -> int | NDArray[np.float32] | None:
    return np.array(label, np.float32) if isinstance(label, list) else label


def _batch(part: Part) -> BatchRequest:
    assert isinstance(part.request, BatchRequest)
    return part.request


class BatchDecoder:
    """The symbols of a batch, in order, to the pixels of its pictures.

    Args:
        spec: of the model.
        count: how many pictures there are.
    """

    def __init__(self, spec: ImageSpec, count: int) -> None:
        self.pixels: Pixels = np.full((count, spec.height, spec.width, spec.channels), UNDRAWN, np.uint8)
        """``[pictures, H, W, C]``; those of rows that are not there yet are grey."""
        self.rows = 0
        """That are there."""
        self._height = spec.height
        self._row = np.empty((0, count, spec.width, spec.channels), np.uint8)
        self._gain = np.uint8(255 // (spec.levels - 1))

    def __call__(self, symbols: NDArray[np.uint8]) -> Pixels:
        """Add the next symbols, which are whole rows; the pixels that they are, ``[rows, pictures, W, C]``."""
        fresh = symbols.reshape(-1, *self._row.shape[1:]) * self._gain
        self.pixels[:, self.rows : self.rows + len(fresh)] = fresh.swapaxes(0, 1)
        self.rows += len(fresh)
        return fresh

    @property
    def whole(self) -> bool:
        """Whether every row is there."""
        return self.rows == self._height
