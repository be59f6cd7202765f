"""The CPU engine of networks that draw: compiled loops with cached activations. It never imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.checkpoint import Checkpoint
from models.engines.images.engine import (
    Array,
    ImageEngine,
    ImageStream,
    ImageStreamRequest,
    outlining,
    shadows_among,
)
from models.kernels.pixelcnn import drawer
from models.kernels.pixelcnn_layout import PixelCNNLayout


@dataclass
class NativeImageStream(ImageStream):
    """A picture with the state that the loop carries (models/kernels/pixelcnn.py)."""

    pixels: Array
    above: Array


class NativeImageEngine(ImageEngine):
    """Draws and scores on one core a call, without the GIL. Its loops are compiled, or loaded, when it is made."""

    name = "native"
    # A weight that is read serves four.
    lanes = 4

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint, self.of_outlines(checkpoint))
        self._layout = PixelCNNLayout.of(self.spec)
        self._weights = self._layout.pack(checkpoint.tensors)
        self._loop([self._blank()], 0, score=False)

    @classmethod
    def of_outlines(cls, checkpoint: Checkpoint) -> NativeImageEngine | None:
        """What draws the outlines of a network's pictures, whatever engine draws the rest: they are small."""
        within = outlining(checkpoint)
        return None if within is None else cls(within)

    def _blank(self) -> NativeImageStream:
        layout, spec = self._layout, self.spec
        return NativeImageStream(
            request=ImageStreamRequest(0),
            rows=0,
            symbols=np.zeros((spec.height, spec.width, spec.channels), np.uint8),
            condition=np.zeros((spec.height * spec.width if layout.located else 1, layout.condition), np.float32),
            pixels=np.zeros(layout.pixel_cells, np.float32),
            above=np.zeros(layout.above_cells, np.float32),
        )

    def _loop(self, pictures: Sequence[ImageStream], rows: int, *, score: bool) -> NDArray[np.float64]:
        """Gather the pictures' states, run the loop over ``rows`` rows, scatter the states; returns the scores."""
        row = np.array([p.rows for p in pictures])
        kept = np.array([0 if p.request.given is None else len(p.request.given) for p in pictures])
        size = self.spec.width * self.spec.channels
        symbols = np.stack([p.symbols[p.rows : p.rows + rows].reshape(rows, size) for p in pictures])
        drawn = [_native(p) for p in pictures]
        pixels, above = np.stack([p.pixels for p in drawn]), np.stack([p.above for p in drawn])
        conditions = np.stack([p.condition for p in pictures])
        seeds = np.array([p.request.seed for p in pictures])
        temperatures = np.array([float(p.request.temperature) for p in pictures])
        guidances = np.array([p.request.guidance for p in pictures], np.float32)
        likelihoods = np.empty(symbols.shape if score else (len(pictures), 0, 0))
        given = self._layout.sizes, self._weights, pixels, above, conditions, row, kept, seeds, temperatures
        drawer()(*given, guidances, shadows_among(pictures), self.places, symbols, likelihoods)
        for lane, p in enumerate(drawn):
            p.symbols[p.rows : p.rows + rows] = symbols[lane].reshape(rows, *p.symbols.shape[1:])
            p.rows += rows
            p.pixels, p.above = pixels[lane], above[lane]
        return likelihoods


def _native(picture: ImageStream) -> NativeImageStream:
    assert isinstance(picture, NativeImageStream), "a picture of another engine"
    return picture
