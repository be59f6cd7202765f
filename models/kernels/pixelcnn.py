"""The compiled loop that samples or scores a PixelCNN with cached activations (Ramachandran et al. 2017 as the idea).

All that a row of pixels has to know of those above it is computed once, for the whole row; then every pixel costs its
own features only (stacks.py). Weights are read from front to back (picture_layout.py); ``at`` says where. The sizes of
the network are ``PixelCNNLayout.sizes``, so that one loop, compiled once, serves all.
"""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models import noise
from models.kernels import scalar as shared
from models.kernels.categorical import draw, log_likelihood
from models.kernels.noise import uniform
from models.kernels.pixelcnn_layers import (
    copy,
    distribution,
    pixel_gated,
    pixel_original,
    row_gated,
    row_original,
)

_ONE = np.float32(1.0)


class Drawer(Protocol):
    """The compiled loop; each lane is a picture at its own row."""

    def __call__(
        self,
        sizes: tuple[int, ...],
        weights: NDArray[np.float32],
        pixels: NDArray[np.float32],
        above: NDArray[np.float32],
        conditions: NDArray[np.float32],
        rows: NDArray[np.int64],
        kept: NDArray[np.int64],
        seeds: NDArray[np.int64],
        temperatures: NDArray[np.float64],
        guidances: NDArray[np.float32],
        shadows: NDArray[np.bool_],
        places: NDArray[np.int64],
        symbols: NDArray[np.uint8],
        likelihoods: NDArray[np.float64],
    ) -> None:
        """Move every lane on by as many rows as ``symbols`` has.

        Args:
            sizes: as :attr:`PixelCNNLayout.sizes` tells them.
            weights: as :meth:`PixelCNNLayout.pack` lays them.
            pixels: ``[lanes, pixel_cells]``, in and out: the picture so far, from -1 to 1, with zeros around it.
            above: ``[lanes, above_cells]``, in and out: the features of the last rows, with zeros around them.
            conditions: ``[lanes, 1 or H * W, condition]``: what V is multiplied by.
            rows: ``[lanes]``, in and out: the next row.
            kept: ``[lanes]``: the rows before this one are given.
            seeds: ``[lanes]``.
            temperatures: ``[lanes]``.
            guidances: ``[lanes]``; counts where the next lane is a shadow.
            shadows: ``[lanes]``: whether the lane shows the symbols of the one before, led away from its own logits.
            places: ``[H, W]``: where in the noise each pixel is, in pixels; -1 for one that is given.
            symbols: ``[lanes, rows, W * C]``: read where they are given, else written.
            likelihoods: the same shape to score, ``[lanes, 0, 0]`` else: ln p of every symbol, written.
        """


@njit(fastmath={"contract"}, error_model="numpy")
def _lead(away, guidance, logits, levels):  # type: ignore[no-untyped-def]  # numba infers the types
    """Logits of a guided picture: those it is led away from, and so many times the difference."""
    for j in range(levels):
        logits[j] = away[j] + guidance * (logits[j] - away[j])


@cache
def _sources() -> int:
    """A checksum of every file that the loop is made of; numba itself watches only the file the loop is in."""
    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(shared.__file__), Path(noise.__file__)]
    return zlib.crc32(b"".join(file.read_bytes() for file in files))


@cache
def drawer() -> Drawer:
    """The loop; its first call compiles it, or loads it from the cache."""
    SOURCES = _sources()

    @njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy", boundscheck=False)
    def loop(  # type: ignore[no-untyped-def]  # numba infers the types
        sizes, weights, pixels, above, conditions, rows, kept, seeds,
        temperatures, guidances, shadows, places, symbols, likelihoods,
    ):  # fmt: skip
        _ = SOURCES  # a free variable, so that the key of the cache changes with the files
        gated, layers, width, channels, levels, features, each, outputs, first, reach = sizes
        lanes, grouped, flow = len(rows), channels * each, channels * (-(-2 * features // channels))
        if gated:
            base = np.empty((lanes, layers * width * 2 * grouped), np.float32)
            beside = np.zeros((lanes, (layers - 1) * (reach + width) * grouped), np.float32)
            inner, out = (
                np.empty((lanes, layers * grouped), np.float32),
                np.empty((lanes, layers * grouped), np.float32),
            )
        else:
            base = np.empty((lanes, width * (flow + (layers - 1) * grouped)), np.float32)
            beside = np.empty((lanes, 0), np.float32)
            inner, out = (
                np.empty((lanes, (layers - 1) * grouped), np.float32),
                np.empty((lanes, layers * flow), np.float32),
            )
        skips = np.empty((lanes, channels * outputs), np.float32)
        hidden, window = np.empty_like(skips), np.empty((lanes, (first + 1) * channels), np.float32)
        logits, cumulative = np.empty((lanes, levels), np.float32), np.empty(levels, np.float64)
        line, scale, once = (width + 2 * first) * channels, np.float32(2.0 / (levels - 1)), 0
        for t in range(symbols.shape[1]):
            for lane in range(lanes):
                place = pixels[lane], above[lane], conditions[lane], rows[lane], base[lane]
                once = row_gated(sizes, weights, *place) if gated else row_original(sizes, weights, *place)
            for x in range(width):
                at = once
                for c in range(channels):
                    for lane in range(lanes):
                        start = (rows[lane] + first) * line + x * channels
                        copy(pixels[lane, start:], window[lane], first * channels + c)
                    if gated:
                        at += pixel_gated(sizes, weights[at:], x, c, base, window, beside, inner, out)
                        begin, size = 0, (c + 1) * layers * each
                    else:
                        at += pixel_original(sizes, weights[at:], x, c, rows, base, window, above, inner, out)
                        begin, size = (layers - 1) * flow, (c + 1) * (flow // channels)
                    at += distribution(sizes, weights[at:], c, out, begin, size, skips, hidden, logits)
                    for lane in range(1, lanes):
                        if shadows[lane]:
                            _lead(logits[lane], guidances[lane - 1], logits[lane - 1], levels)
                    for lane in range(lanes):
                        i = x * channels + c
                        if shadows[lane]:
                            symbols[lane, t, i] = symbols[lane - 1, t, i]
                        elif rows[lane] >= kept[lane] and places[rows[lane], x] >= 0:
                            u = uniform(seeds[lane], places[rows[lane], x] * channels + c)
                            symbols[lane, t, i] = draw(logits[lane], temperatures[lane], u, cumulative)
                        if likelihoods.shape[1] > 0:
                            symbol = np.int64(symbols[lane, t, i])
                            likelihoods[lane, t, i] = log_likelihood(logits[lane], symbol, cumulative)
                        cell = (rows[lane] + first) * line + first * channels + i
                        pixels[lane, cell] = np.float32(symbols[lane, t, i]) * scale - _ONE
            for lane in range(lanes):
                rows[lane] += 1

    compiled: Drawer = loop
    return compiled
