"""The compiled loop that samples or scores a PixelCNN with cached activations (after Ramachandran et al. 2017).

Everything that a row of pixels needs to know of the rows above is computed once, for the whole row; then every pixel
costs its own features only (pixelcnn_layers.py). Weights are read from front to back (pixelcnn_layout.py); ``at`` is
the index of the next. The sizes of the network are an argument (``PixelCNNLayout.sizes``), so that one compiled loop
serves all networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.kernels.byte_products import ZERO
from ancestral.models.kernels.conditioners import upsample
from ancestral.models.kernels.gemm import Precision
from ancestral.models.kernels.image_sampling import copy, distribution, take_symbols
from ancestral.models.kernels.pixelcnn_layers import pixel_gated, pixel_original, row_gated, row_original
from ancestral.models.kernels.pixelcnn_layout import PixelCNNLayout
from ancestral.models.kernels.sources import sources
from ancestral.models.palette import input_table
from ancestral.models.tensors import of_conditions

Array = NDArray[np.float32]


@cache
def _sampler() -> Callable[..., None]:
    """The loop; its first call compiles it, or loads it from the cache."""
    SOURCES = sources()

    @njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy", boundscheck=False)
    def loop(  # type: ignore[no-untyped-def]  # numba infers the types
        sizes, weights, table, pixels, above, conditions, rows, seeds,
        temperatures, guidances, unconditional, noise_index, symbols, likelihoods, reaches, intervals,
    ):  # fmt: skip
        _ = SOURCES  # a free variable, so that the key of the cache changes with the files
        gated, layers, width, channels, planes, levels, features, each, outputs, first, reach, _ = sizes
        lanes, grouped, flow = len(rows), channels * each, channels * (-(-2 * features // channels))
        inputs = channels * planes
        if gated:
            base = np.empty((lanes, layers * width * 2 * grouped), np.float32)
            beside = np.zeros((lanes, (layers - 1) * (reach + width) * grouped), np.float32)
            # Outputs of gates are bytes where those of the rows above are.
            inner, out = (
                np.empty((lanes, layers * grouped), above.dtype),
                np.empty((lanes, layers * grouped), above.dtype),
            )
        else:
            base = np.empty((lanes, width * (flow + (layers - 1) * grouped)), np.float32)
            beside = np.empty((lanes, 0), np.float32)
            inner, out = (
                np.empty((lanes, (layers - 1) * grouped), above.dtype),
                np.empty((lanes, layers * flow), above.dtype),
            )
        skips = np.empty((lanes, channels * outputs), np.float32)
        hidden, window = np.empty_like(skips), np.empty((lanes, (first + 1) * inputs), np.float32)
        logits, cumulative = np.empty((lanes, levels), np.float32), np.empty(levels, np.float64)
        line, once = (width + 2 * first) * inputs, 0
        for t in range(symbols.shape[1]):
            for lane in range(lanes):
                own = pixels[lane], above[lane], conditions[lane], rows[lane], base[lane]
                once = row_gated(sizes, weights, *own) if gated else row_original(sizes, weights, *own)
            for x in range(width):
                at = once
                for c in range(channels):
                    for lane in range(lanes):
                        start = (rows[lane] + first) * line + x * inputs
                        copy(pixels[lane, start:], window[lane], first * inputs + c * planes)
                    if gated:
                        at += pixel_gated(sizes, weights[at:], x, c, base, window, beside, inner, out)
                        begin, size = 0, (c + 1) * layers * each
                    else:
                        at += pixel_original(sizes, weights[at:], x, c, rows, base, window, above, inner, out)
                        begin, size = (layers - 1) * flow, (c + 1) * (flow // channels)
                    at += distribution(
                        channels, levels, outputs, weights[at:], c, out, begin, size, skips, hidden, logits
                    )
                    take_symbols(
                        t, x, c, channels, logits, cumulative, seeds,
                        temperatures, guidances, unconditional, noise_index, symbols, likelihoods, reaches, intervals,
                    )  # fmt: skip
                    for lane in range(lanes):
                        cell = (rows[lane] + first) * line + first * inputs + (x * channels + c) * planes
                        copy(table[np.int64(symbols[lane, t, x * channels + c])], pixels[lane, cell:], planes)
            for lane in range(lanes):
                rows[lane] += 1

    compiled: Callable[..., None] = loop
    return compiled


class PixelCNNKernel:
    """The loop with the weights of one network: an ``ImageKernel`` (models/engines/images/native.py).

    The state of a picture is the picture so far, from -1 to 1, with zeros around it (``[pixel_cells]``), and the
    features of its last rows, with zeros around them (``[above_cells]``).
    """

    def __init__(self, spec: PixelCNNSpec, tensors: Mapping[str, Array], precision: Precision = Precision.FP32) -> None:
        self._spec, self._tensors = spec, of_conditions(tensors)
        self._layout = PixelCNNLayout.of(spec, precision)
        self._weights = self._layout.pack(tensors)

    def blank(self) -> tuple[NDArray[Any], ...]:
        """The state of a picture without rows."""
        layout = self._layout
        if layout.precision is Precision.INT8:
            return np.zeros(layout.pixel_cells, np.float32), np.full(layout.above_cells, ZERO, np.uint8)
        return np.zeros(layout.pixel_cells, np.float32), np.zeros(layout.above_cells, np.float32)

    def blank_condition(self) -> Array:
        spec, layout = self._spec, self._layout
        width = layout.condition + spec.map_width
        return np.zeros((spec.height * spec.width if layout.located else 1, width), np.float32)

    def condition(self, h: Array, coarse: NDArray[np.uint8] | None) -> Array:
        """What V is multiplied by, ``[1 or H * W, condition]``, and the coarse pixels' map (:func:`upsample`)."""
        return upsample(self._spec, self._tensors, h, coarse)

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
            self._layout.sizes, self._weights, input_table(self._spec), *state, conditions, rows, seeds,
            temperatures, guidances, unconditional, noise_index, symbols, likelihoods, reaches, intervals,
        )  # fmt: skip
