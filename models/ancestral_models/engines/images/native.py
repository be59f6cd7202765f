"""The CPU engine of pictures: C with cached activations (ancestral_models/kernels). It never imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures import architecture, load_object
from ancestral_models.checkpoint import Checkpoint
from ancestral_models.engines.images import engine
from ancestral_models.kernels.shared import Lanes
from ancestral_models.spec import COARSE


class ImageKernel(Protocol):
    """Compiled sampling of one network's pictures (``Architecture.kernel``): made from its spec and its tensors."""

    def blank(self) -> tuple[engine.Array, ...]:
        """The state of a picture without rows: arrays that the kernel keeps its activations in."""

    def blank_condition(self) -> engine.Array:
        """The condition of a model without conditions, which says how large it is."""

    def condition(self, h: engine.Array, coarse: engine.Pixels | None) -> engine.Array:
        """``[1, n]``, or one row for each pixel, of h (see :meth:`ImageEngine._condition`) and the coarse pixels."""

    def run(self, state: Sequence[engine.Array], lanes: Lanes) -> None:
        """Advance every lane by as many rows as ``lanes.symbols`` has. It must not hold the GIL.

        Args:
            state: as in :meth:`blank`, with an axis of lanes in front; in and out.
            lanes: conditions, seeds and the like; in and out.
        """


@dataclass
class NativeImageStream(engine.ImageStream):
    """A picture with the state of its kernel."""

    state: tuple[engine.Array, ...]


class NativeImageEngine(engine.ImageEngine):
    """Samples and scores on one core per call, without the GIL.

    Args:
        checkpoint: of an image architecture with a kernel.
        int8: whether large matrices are bytes, which is part of the engine's name; None: where the network has that.
    """

    # In one call a weight that is read serves four pictures.
    lanes = 4

    def __init__(self, checkpoint: Checkpoint, int8: bool | None = None) -> None:
        own = architecture(checkpoint.spec.kind)
        int8 = own.has_int8(checkpoint.spec) if int8 is None else int8
        super().__init__(checkpoint, self.of_coarse_pixels(checkpoint, int8))
        self.name = "native-int8" if int8 else "native"
        assert own.kernel is not None, f"{self.spec.kind}: the architecture has no compiled kernel"
        self._kernel: ImageKernel = load_object(own.kernel)(self.spec, checkpoint.tensors, *([True] if int8 else []))

    @classmethod
    def of_coarse_pixels(cls, checkpoint: Checkpoint, int8: bool = False) -> NativeImageEngine | None:
        """What samples the coarse pixels of a network in two scales, whatever engine samples the rest."""
        coarse = engine.coarse_checkpoint(checkpoint)
        return None if coarse is None else cls(coarse, int8)

    def _blank(self) -> NativeImageStream:
        spec = self.spec
        return NativeImageStream(
            symbols=np.zeros((spec.height, spec.width, spec.channels), np.uint8),
            condition=self._kernel.blank_condition(),
            state=self._kernel.blank(),
        )

    def _condition(self, h: engine.Array, coarse: engine.Pixels | None) -> engine.Array:
        return self._kernel.condition(h, coarse)

    def intervals(
        self, images: engine.Pixels, requests: Sequence[engine.ImageStreamRequest], reaches: Sequence[int]
    ) -> NDArray[np.float64]:
        """The noise that leads to the symbols of pictures: at least, and below what.

        Args:
            images: ``[N, H, W, C]``.
            requests: what each is taken to be sampled with; seeds and given rows do not matter.
            reaches: of the neighbours of a symbol whose intervals are taken together with its own; ``(0,)``: alone.

        Returns:
            ``float64 [N, H, W, C, len(reaches), 2]``. The noise of a sub-pixel is that of its place in raster order.

        Raises:
            RequestError: a picture or a request does not fit the model.
        """
        pictures, found = [], np.empty((*images.shape, len(reaches), 2))
        for image, request in zip(images, requests, strict=True):
            given = replace(request, given=image)
            engine.check_request(self.spec, given)
            pictures.append(self._prepared(given, None if self.coarse is None else image[COARSE, COARSE], None))
            pictures[-1].symbols[:] = image
        for group in self._groups(pictures, range(len(pictures))):
            lanes = [lane for i in group for lane in pictures[i].lanes]
            wanted = np.flatnonzero(~engine.unconditional_lanes(lanes))
            (_, made) = self._advance(lanes, self.spec.height, score=False, reaches=reaches)
            found[group] = made[wanted].reshape(len(group), *found.shape[1:])
        if isinstance(self.coarse, NativeImageEngine):
            found[:, COARSE, COARSE] = self.coarse.intervals(images[:, COARSE, COARSE], requests, reaches)
        return found

    def _run(self, lanes: Sequence[engine.ImageStream], rows: int, *, score: bool) -> NDArray[np.float64]:
        return self._advance(lanes, rows, score=score)[0]

    def _advance(
        self, lanes: Sequence[engine.ImageStream], rows: int, *, score: bool, reaches: Sequence[int] = ()
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gather the pictures' states, run the kernel, scatter the states; ln p if wanted, and the intervals of the
        reaches ``[lanes, rows, W * C, R, 2]``."""
        pictures = [p for p in lanes if isinstance(p, NativeImageStream)]
        assert len(pictures) == len(lanes), "a picture of another engine"
        size = self.spec.width * self.spec.channels
        symbols = np.stack([p.symbols[p.rows : p.rows + rows].reshape(rows, size) for p in pictures])
        state = [np.stack(arrays) for arrays in zip(*(p.state for p in pictures), strict=True)]
        likelihoods = np.empty(symbols.shape if score else (len(pictures), 0, 0))
        intervals = np.empty((*(symbols.shape if reaches else (len(pictures), 0, 0)), len(reaches), 2))
        call = Lanes(
            conditions=_stacked([p.condition for p in pictures]),
            rows=np.array([p.rows for p in pictures], np.int64),
            seeds=np.array([p.request.seed for p in pictures], np.int64),
            temperatures=np.array([float(p.request.temperature) for p in pictures]),
            guidances=np.array([p.request.guidance for p in pictures], np.float32),
            unconditional=engine.unconditional_lanes(pictures),
            noise_index=np.stack([self.noise_index_of(p.request)[p.rows : p.rows + rows] for p in pictures]),
            symbols=symbols,
            likelihoods=likelihoods if score else None,
            reaches=np.array(reaches, np.int64),
            intervals=intervals if reaches else None,
        )
        self._kernel.run(state, call)
        for lane, p in enumerate(pictures):
            p.symbols[p.rows : p.rows + rows] = symbols[lane].reshape(rows, *p.symbols.shape[1:])
            p.rows += rows
            p.state = tuple(array[lane] for array in state)
        return likelihoods, intervals


def _stacked(conditions: Sequence[engine.Array]) -> engine.Array:
    """``[lanes, …, n]``. Of coarse pixels an edit has one row for each, which other pictures have for all of them."""
    rows = max(map(len, conditions))
    return np.stack([np.broadcast_to(condition, (rows, condition.shape[1])) for condition in conditions])
