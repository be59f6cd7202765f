"""The compiled loop that samples or scores a PixelRNN: a pixel costs one step of each layer.

What a row of pixels needs to know of the rows above is computed once, for the whole row; so are the LSTMs that come
from the right, once a row is complete. Then every pixel costs its own features only (pixelrnn_layers.py). Weights are
read from front to back (pixelrnn_layout.py); the sizes of the network are an argument, so that one compiled loop serves
all networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ancestral.models.architectures.pixelrnn import PixelRNNSpec
from ancestral.models.conditioning import input_planes
from ancestral.models.kernels.conditioners import coarse_map
from ancestral.models.kernels.image_sampling import copy, distribution, take_symbols
from ancestral.models.kernels.pixelrnn_layers import of_row, pixel, row_above, row_from_right
from ancestral.models.kernels.pixelrnn_layout import PixelRNNLayout
from ancestral.models.kernels.sources import sources
from ancestral.models.tensors import of_conditions

Array = NDArray[np.float32]

_ONE = np.float32(1.0)


@cache
def _sampler() -> Callable[..., None]:
    """The loop; its first call compiles it, or loads it from the cache."""
    SOURCES = sources()

    @njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy", boundscheck=False)
    def loop(  # type: ignore[no-untyped-def]  # numba infers the types
        sizes, weights, heads, after, pixels, hidden, cells, right, conditions, rows, seeds,
        temperatures, guidances, unconditional, noise_index, symbols, likelihoods, reaches, intervals,
    ):  # fmt: skip
        _ = SOURCES  # a free variable, so that the key of the cache changes with the files
        diagonal, layers, width, columns, channels, levels, each, wide, outputs, first, half, with_skips = sizes
        lanes, state, run = len(rows), channels * each, wide + with_skips * layers * each
        left = 0 if diagonal else half
        convolved = np.empty((lanes, columns * channels * wide), np.float32)
        base = np.empty((lanes, layers * columns * 4 * state), np.float32)
        streams = np.zeros((lanes, layers * (left + columns) * channels * wide), np.float32)
        shown, out = np.empty((lanes, layers * state), np.float32), np.empty((lanes, channels * run), np.float32)
        skips = np.empty((lanes, channels * outputs), np.float32)
        last, window = np.empty_like(skips), np.empty((lanes, (first + 1) * channels), np.float32)
        logits, cumulative = np.empty((lanes, levels), np.float32), np.empty(levels, np.float64)
        line, scale, once = (columns + 2 * first) * channels, np.float32(2.0 / (levels - 1)), 0
        for t in range(symbols.shape[1]):
            for lane in range(lanes):
                condition = of_row(conditions[lane], rows[lane], columns)
                own = pixels[lane], hidden[lane], condition, rows[lane], convolved[lane], base[lane]
                once = row_above(sizes, weights, *own)
            for x in range(columns):
                at, head = once, heads
                for c in range(channels):
                    for lane in range(lanes):
                        start = (rows[lane] + first) * line + x * channels
                        copy(pixels[lane, start:], window[lane], first * channels + c)
                    at += pixel(
                        sizes, weights[at:], x, c, convolved, base, window, streams, hidden, cells, right, shown, out
                    )
                    if x == width:  # the column past the edge, which only the LSTMs from the right need
                        continue
                    size = (c + 1) * run
                    head += distribution(
                        channels, levels, outputs, weights[head:], c, out, 0, size, skips, last, logits
                    )
                    take_symbols(
                        t, x, c, channels, logits, cumulative, seeds,
                        temperatures, guidances, unconditional, noise_index, symbols, likelihoods, reaches, intervals,
                    )  # fmt: skip
                    for lane in range(lanes):
                        cell = (rows[lane] + first) * line + first * channels + x * channels + c
                        pixels[lane, cell] = np.float32(symbols[lane, t, x * channels + c]) * scale - _ONE
            for lane in range(lanes):
                if diagonal:
                    condition = of_row(conditions[lane], rows[lane], columns)
                    row_from_right(sizes, weights[after:], condition, streams[lane], right[lane])
                rows[lane] += 1

    compiled: Callable[..., None] = loop
    return compiled


class PixelRNNKernel:
    """The loop with the weights of one network: an ``ImageKernel`` (models/engines/images/native.py).

    The state of a picture is the picture so far, from -1 to 1, with zeros around it; and of the last row the states of
    all layers, with zeros around them, their cells, and the states from the right (none in a Row LSTM).
    """

    def __init__(self, spec: PixelRNNSpec, tensors: Mapping[str, Array]) -> None:
        self._spec, self._tensors, self._layout = spec, of_conditions(tensors), PixelRNNLayout(spec)
        self._weights, self._heads, self._after = self._layout.pack(tensors)

    def blank(self) -> tuple[Array, ...]:
        """The state of a picture without rows."""
        return tuple(np.zeros(cells, np.float32) for cells in self._layout.state_cells)

    def blank_condition(self) -> Array:
        spec = self._spec
        return np.zeros((spec.height * spec.columns if spec.coarse_layers else 1, self._layout.condition), np.float32)

    def condition(self, h: Array, coarse: NDArray[np.uint8] | None) -> Array:
        """h, ``[1, condition_channels]``; in two scales ``[H * columns, n]``, h followed by the coarse pixels' map."""
        if coarse is None:
            return h[None]
        spec, condition = self._spec, self.blank_condition().reshape(self._spec.height, self._spec.columns, -1)
        condition[..., : len(h)] = h
        condition[:, : spec.width, len(h) :] = coarse_map(self._tensors, input_planes(spec, coarse))
        return condition.reshape(-1, condition.shape[2])

    def run(
        self,
        state: Sequence[Array],
        conditions: Array,
        rows: NDArray[np.int64],
        seeds: NDArray[np.int64],
        temperatures: NDArray[np.float64],
        guidances: Array,
        unconditional: NDArray[np.bool_],
        noise_index: NDArray[np.int64],
        symbols: NDArray[np.uint8],
        likelihoods: NDArray[np.float64],
        reaches: NDArray[np.int64],
        intervals: NDArray[np.float64],
    ) -> None:
        _sampler()(
            self._layout.sizes, self._weights, self._heads, self._after, *state, conditions, rows, seeds,
            temperatures, guidances, unconditional, noise_index, symbols, likelihoods, reaches, intervals,
        )  # fmt: skip
