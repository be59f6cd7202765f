"""Several pictures as one stream: the first row of each of them, then the second row of each, and so on.

So the pictures of a request share the engine's lanes, grow side by side, and are delivered like sound: as symbols with
a position. The rows sampled so far are all that is needed to resume them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ancestral.models.engines.base import RequestError, Symbols
from ancestral.models.engines.images.engine import ImageEngine, ImageStream
from ancestral.models.engines.images.request import ImageStreamRequest, Pixels
from ancestral.models.engines.snapshots import pack, unpack
from ancestral.models.spec import COARSE, ImageSpec


@dataclass(frozen=True)
class BatchRequest:
    """Pictures to be sampled side by side; all have the same number of given rows."""

    pictures: tuple[ImageStreamRequest, ...]
    length: int
    """Symbols of all pictures together, including given rows."""


@dataclass
class ImageBatch:
    request: BatchRequest
    pictures: list[ImageStream]
    row: int
    """Rows returned so far. Given rows come with the first call."""
    row_size: int
    """Symbols of one row of all pictures."""

    @property
    def position(self) -> int:
        """Symbols returned so far."""
        return self.row * self.row_size

    @property
    def coarse(self) -> Pixels:
        """The coarse pixels ``[pictures, rows, columns, C]``, which a model in two scales samples first."""
        return np.stack([picture.symbols[COARSE, COARSE] for picture in self.pictures])


class BatchEngine:
    """An ``ImageEngine`` as a scheduler's engine; as thread-safe as that one."""

    def __init__(self, pictures: ImageEngine) -> None:
        self.pictures = pictures
        self.name, self.lanes = pictures.name, pictures.lanes
        self._sha256 = pictures.sha256

    @property
    def spec(self) -> ImageSpec:
        return self.pictures.spec

    def request(self, pictures: Sequence[ImageStreamRequest]) -> BatchRequest:
        """A request for these pictures.

        Raises:
            RequestError: there are none, or some have more given rows than others.
        """
        if not pictures:
            raise RequestError("pictures: a batch needs at least one")
        if len({0 if p.given is None else len(p.given) for p in pictures}) > 1:
            raise RequestError("given: all pictures of a batch need the same number of rows")
        return BatchRequest(tuple(pictures), len(pictures) * self.spec.dims)

    def open(self, request: BatchRequest) -> ImageBatch:
        """Start a batch at its first row.

        Raises:
            RequestError: a picture does not fit this model.
        """
        return self._opened(request, 0, [self.pictures.open(picture) for picture in request.pictures])

    def weights_of(self, batch: ImageBatch) -> object:
        return self

    def step(self, batches: Sequence[ImageBatch], samples: int) -> list[Symbols]:
        """Sample ``samples`` more symbols of every batch, together: rounded up to whole rows, and at most what is left.

        Returns:
            One ``uint8 [T]`` for each batch, in order: rows of ``[pictures, W, C]``.
        """
        ends = [min(batch.row - (-samples // batch.row_size), self.spec.height) for batch in batches]
        # Given rows are available at once.
        ends = [max(end, batch.pictures[0].rows) for batch, end in zip(batches, ends, strict=True)]
        pictures = [(picture, end) for batch, end in zip(batches, ends, strict=True) for picture in batch.pictures]
        self.pictures.sample_until([picture for picture, _ in pictures], [end for _, end in pictures])
        made = []
        for batch, end in zip(batches, ends, strict=True):
            rows = np.stack([picture.symbols[batch.row : end] for picture in batch.pictures], axis=1)
            made.append(rows.reshape(-1))
            batch.row = end
        return made

    @property
    def loaded(self) -> bool:
        return self.pictures.loaded

    def unload(self, idle_seconds: float) -> bool:
        return self.pictures.unload(idle_seconds)

    def snapshot(self, batch: ImageBatch) -> bytes:
        """The rows returned so far; the rest of the pictures is zero."""
        symbols = np.stack([picture.symbols for picture in batch.pictures])
        symbols[:, batch.row :] = 0
        return pack(self.name, self._sha256, batch.position, symbols)

    def restore(self, request: BatchRequest, snapshot: bytes) -> ImageBatch:
        """The batch that :meth:`snapshot` was taken of.

        Raises:
            RequestError: the bytes are no snapshot of such a batch.
        """
        position, flat = unpack(self.name, self._sha256, request.length, request.length, snapshot)
        spec, count = self.spec, len(request.pictures)
        symbols: Pixels = flat.reshape(count, spec.height, spec.width, spec.channels)
        row = position // (request.length // spec.height)
        if row == 0:
            return self.open(request)
        resumed = [replace(p, given=rows[:row]) for p, rows in zip(request.pictures, symbols, strict=True)]
        return self._opened(request, row, [self.pictures.open(picture) for picture in resumed])

    def _opened(self, request: BatchRequest, row: int, pictures: list[ImageStream]) -> ImageBatch:
        return ImageBatch(request, pictures, row, request.length // self.spec.height)
