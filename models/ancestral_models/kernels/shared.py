"""What the compiled kernels share: matrices in bytes, groups of channels, conditioning, the call of image kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures.pixelcnn import CONTEXT_PREFIX, PixelCNNSpec
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.arithmetic import product, silu
from ancestral_models.conditioning import Speaker, input_planes, padded_frames, speaker_vector, windows
from ancestral_models.native import INTEGER, Function, array, room
from ancestral_models.spec import COARSE_STRIDE, ImageSpec
from ancestral_models.tensors import part

# Products of vectors that are rounded to bytes, each by itself, with a matrix in bytes.

LEVELS: Final = 127
"""Of a byte, on either side of zero."""
_INPUTS, _OUTPUTS, _ROW = 4, 16, 32
_MOST_INPUTS = 4096
_rounded_rows = Function("rounded_rows", array("f4"), INTEGER, INTEGER, INTEGER, array("i1"), array("f4"))
_byte_products = Function(
    "byte_products", array("i1"), array("i4"), INTEGER, INTEGER, array("i1"), INTEGER, array("i4")
)


def packed(levels: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """A matrix of whole numbers from -127 to 127 ``[inputs, outputs]``, inputs in fours, as vectors.h has it: what 128
    in every input would take from the sums of the outputs, and the numbers ``[inputs / 4, outputs, 4]``."""
    whole = levels.astype(np.int32)
    fours = whole.astype(np.int8).reshape(len(whole) // 4, 4, -1).transpose(0, 2, 1)
    return (-128 * whole.sum(axis=0)).astype(np.int32), np.ascontiguousarray(fours)


def levels_of(matrix: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """A matrix ``[inputs, outputs]`` in whole numbers of a unit of each output, and the units, in its own precision."""
    scales = np.abs(matrix).max(axis=0, initial=0.0) / matrix.dtype.type(LEVELS)
    return np.rint(matrix / np.where(scales, scales, matrix.dtype.type(1))), scales


def rounded(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the levels of :func:`byte_matrix` stand for."""
    levels, scales = levels_of(matrix)
    return np.asarray(levels * scales, np.float32)


def byte_matrix(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """A matrix ``[inputs, outputs]`` as images.h reads it, in an array of type float32: the scales of the outputs,
    and what :func:`packed` gives of the levels."""
    levels, scales = levels_of(np.pad(matrix, ((0, -len(matrix) % _INPUTS), (0, 0))))
    offset, fours = packed(levels)
    return np.concatenate([scales, offset.view(np.float32), fours.reshape(-1).view(np.float32)])


class ByteMatrix:
    """A matrix ``[inputs, outputs]`` in int8, each output in a unit of its own; one that :meth:`takes` allows."""

    @staticmethod
    def takes(matrix: NDArray[np.floating]) -> bool:
        """Whether a matrix has inputs in groups of 4 and outputs in groups of 16, and is not too large."""
        return len(matrix) % _INPUTS == 0 and len(matrix.T) % _OUTPUTS == 0 and len(matrix) <= _MOST_INPUTS

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        assert self.takes(matrix), matrix.shape
        self._inputs, self._outputs = matrix.shape
        levels, scales = levels_of(np.pad(matrix.astype(np.float64), ((0, -len(matrix) % _ROW), (0, 0))))
        self._offset, self._levels = packed(levels)
        self._scales = scales.astype(np.float32)

    def product(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """``x [N, inputs] @ matrix``, each row rounded to 127 levels on either side: ``float32 [N, outputs]``."""
        rows, padded = np.ascontiguousarray(x, np.float32), 4 * len(self._levels)
        assert rows.shape[1] == self._inputs, x.shape
        rounded, units = np.zeros((len(rows), padded), np.int8), np.empty((len(rows), 1), np.float32)
        sums = np.zeros((len(rows), self._outputs), np.int32)
        _rounded_rows(rows, len(rows), self._inputs, padded, rounded, units)
        _byte_products(self._levels, self._offset, padded, self._outputs, rounded, len(rows), sums)
        return np.asarray(sums.astype(np.float32) * (self._scales * units))


# The features of each channel of a pixel, as compiled kernels lay them out: groups of equal size, padded with zeros.
#
# A network divides its features among the channels in equal runs (networks/image.py). So that loops need no table of
# runs, every channel has the same number of features here; what a channel may see is then one run from the front.

Array = NDArray[np.float32]


@dataclass(frozen=True)
class ChannelGroups:
    """The groups of pixels with so many channels."""

    channels: int
    multiple: int = 1
    """The number of features of a channel is a multiple of this."""

    def each(self, features: int) -> int:
        """Features of one channel, with the padding."""
        return -(-features // (self.channels * self.multiple)) * self.multiple

    def own(self, features: int, channel: int) -> slice:
        return slice(channel * self.each(features), (channel + 1) * self.each(features))

    def fill(self, array: Array, *axes: int) -> Array:
        """``array`` with the features along these axes padded."""
        for axis in axes:
            features = array.shape[axis]
            index = np.arange(features)
            channel = index * self.channels // features
            place = index - np.searchsorted(channel, channel) + channel * self.each(features)
            shape = list(array.shape)
            shape[axis] = self.channels * self.each(features)
            filled = np.zeros(shape, np.float32)
            np.moveaxis(filled, axis, 0)[place] = np.moveaxis(array, axis, 0)
            array = filled
        return array

    def fill_runs(self, array: Array, runs: int) -> Array:
        """``array`` with the features of its last axis padded, in ``runs`` runs (gates): ``[…, channels, runs, each]``,
        flattened."""
        parted = self.fill(array.reshape(*array.shape[:-1], runs, -1), -1)
        grouped = parted.reshape(*parted.shape[:-1], self.channels, -1).swapaxes(-3, -2)
        return np.ascontiguousarray(grouped).reshape(*array.shape[:-1], -1)


# Networks that a stream runs once, when it is opened: frames and a speaker, labels or a picture to what kernels read.
#
# The first is the Conditioner of networks/wavenet.py, which replaces the upsampling network y = f(h) of WaveNet (van
# den Oord et al. 2016, section 2.5): small matrix products for a few thousand frames, against millions of steps.


def conditioning(
    spec: WaveNetSpec, tensors: Mapping[str, Array], frames: Array | None, speaker: Speaker | None
) -> Array:
    """h of every frame, or the one h of a model without frames.

    Args:
        spec: of the model.
        tensors: of its checkpoint.
        frames: ``[F, local_channels]``, where the model has local conditioning.
        speaker: where the model has speakers.

    Returns:
        ``float32 [F, conditioner_channels]``; F is 1 without frames.
    """
    h = tensors["conditioner.bias"][None]
    if speaker is not None:
        h = h + product(speaker_vector(tensors["conditioner.speaker"], speaker), tensors["conditioner.speaker_in"])
    if frames is None:
        return np.ascontiguousarray(h)
    h = h + product(padded_frames(spec, frames), tensors["conditioner.frames_in"])
    for taps, bias in zip(tensors["conditioner.taps"], tensors["conditioner.taps_bias"], strict=True):
        seen = np.concatenate([h[:-2], h[1:-1], h[2:]], axis=1)
        h = h[1:-1] + silu(product(seen, taps) + bias)
    return h


def upsample(
    spec: PixelCNNSpec, tensors: Mapping[str, Array], h: Array, coarse: NDArray[np.uint8] | None = None
) -> Array:
    """What V is multiplied by in a PixelCNN (section 2.4 of 1606.05328); networks/pixelcnn.py's Conditioner in numpy.

    Args:
        spec: of the network.
        tensors: of its checkpoint.
        h: ``[condition_channels]``, of :func:`embed_labels`; of the coarse pixels of an edit one for each.
        coarse: symbols of the coarse pixels ``[rows, columns, C]``, of a network in two scales.

    Returns:
        ``[1, condition_channels]``, h itself, or its map s = m(h), ``[H * W, location_channels]``, followed by the map
        of the coarse pixels for the vertical stack, so ``[H * W, location_channels + map_width]``.
    """
    if spec.conditioning != "location":
        return np.atleast_2d(h)
    pixels = None if coarse is None else input_planes(spec, coarse)
    rows, columns = spec.cells
    cells = (product(h, tensors["conditioner.map"]) + tensors["conditioner.map_bias"]).reshape(-1, rows, columns)
    if pixels is None:
        cells = silu(cells)
    else:
        cells = silu(cells + _convolved(pixels, tensors["conditioner.coarse_taps"]))
        cells = cells + silu(_convolved(cells, tensors["conditioner.neighbour_taps"]))
    if spec.map_channels:
        cells = _residual_convolutions(cells, tensors["conditioner.map_taps"], tensors["conditioner.map_taps_bias"])
    whole = _upsampled(cells, tensors["conditioner.upsampling"])[: spec.height, : spec.width]
    if spec.coarse_inputs:
        assert pixels is not None, "a network in two scales needs its coarse pixels"
        whole = np.concatenate([whole, coarse_map(tensors, pixels)], axis=2)
    return np.ascontiguousarray(whole.reshape(spec.height * spec.width, -1))


def coarse_map(tensors: Mapping[str, Array], pixels: Array) -> Array:
    """The map ``[H, W, n]`` of the coarse pixels ``[C * planes, rows, columns]``; networks/image.py's in numpy."""
    taps, neighbours = tensors["coarse_map.taps"], tensors["coarse_map.neighbour_taps"]
    cells = silu(_convolved(pixels, taps) + tensors["coarse_map.taps_bias"][:, None, None])
    cells = cells + silu(_convolved(cells, neighbours) + tensors["coarse_map.neighbour_bias"][:, None, None])
    return _upsampled(cells, tensors["coarse_map.upsampling"])


def edit_context(
    spec: ImageSpec, tensors: Mapping[str, Array], picture: NDArray[np.uint8], kept: NDArray[np.bool_]
) -> tuple[Array, Array] | None:
    """What a network sees of the pixels that an edit keeps; networks/image.py's ContextMap in numpy.

    Args:
        spec: of the network; of the coarse network, whose h has them already, the result is None.
        tensors: of its checkpoint.
        picture: symbols ``[H, W, C]``, of which those that are not kept have no effect.
        kept: ``[H, W]``.

    Returns:
        What is added to the result of :func:`upsample`, and what to h at every coarse pixel ``[rows * columns,
        condition_channels]``.
    """
    if not spec.draws_edits:
        return None
    own = part(tensors, CONTEXT_PREFIX)
    shown = kept[None].astype(np.float32)
    seen = np.concatenate([input_planes(spec, picture) * shown, shown])
    inputs, height, width = seen.shape
    size = COARSE_STRIDE
    blocks = seen.reshape(inputs, height // size, size, width // size, size).transpose(1, 3, 0, 2, 4)
    cells = product(blocks.reshape(-1, inputs * size * size), own["cell_taps"].reshape(-1, inputs * size * size).T)
    cells = silu(cells + own["cell_bias"]).T.reshape(-1, height // size, width // size)
    cells = _residual_convolutions(cells, own["taps"], own["taps_bias"])
    near = _convolved(seen, own["near_taps"]) + own["near_bias"][:, None, None]
    inner = silu(near.transpose(1, 2, 0) + _upsampled(cells, own["upsampling"]))
    fine = product(inner.reshape(height * width, -1), own["out"])
    return fine, product(cells.reshape(len(cells), -1).T, own["coarse_out"])


def _residual_convolutions(cells: Array, taps: Array, biases: Array) -> Array:
    """Layers over ``cells [n, rows, columns]``, by ``taps [layers, n, n, 3, 3]``; networks/image.py's in numpy."""
    for layer, bias in zip(taps, biases, strict=True):
        cells = cells + silu(_convolved(cells, layer) + bias[:, None, None])
    return cells


def _upsampled(cells: Array, weights: Array) -> Array:
    """Transposed convolution of ``cells [in, rows, columns]`` by ``weights [in, out, n, n]`` with stride n.

    Returns:
        ``[rows * n, columns * n, out]``.
    """
    inner, rows, columns = cells.shape
    _, outputs, n, _ = weights.shape
    fine = product(cells.reshape(inner, -1).T, weights.reshape(inner, -1))
    return fine.reshape(rows, columns, outputs, n, n).transpose(0, 3, 1, 4, 2).reshape(rows * n, columns * n, outputs)


def _convolved(x: Array, weights: Array) -> Array:
    """``x [in, H, W]`` by ``weights [out, in, n, n]``, with zeros around it."""
    seen = windows(x, weights.shape[-1])
    columns = seen.transpose(0, 3, 4, 1, 2).reshape(weights[0].size, -1)
    return product(weights.reshape(len(weights), -1), columns).reshape(-1, *seen.shape[1:3])


# The call of a compiled loop over pictures: what pixelcnn.c and pixelrnn.c are given besides their states.


class Lanes(NamedTuple):
    """What a call is given of every lane, in the order of the C parameters."""

    conditions: Array
    """``[lanes, …, n]``, as ``ImageKernel.condition`` made them."""
    rows: NDArray[np.int64]
    """``[lanes]``: the next row; it goes on."""
    seeds: NDArray[np.int64]
    temperatures: NDArray[np.float64]
    guidances: Array
    """``[lanes]``; used where the next lane is an unconditional pass."""
    unconditional: NDArray[np.bool_]
    """``[lanes]``: whether the lane is the unconditional pass of the one before."""
    noise_index: NDArray[np.int64]
    """``[lanes, rows, W]``: the index of each pixel's noise, in pixels; -1 for one that is given."""
    symbols: NDArray[np.uint8]
    """``[lanes, rows, W * C]``: read where they are given, else written."""
    likelihoods: NDArray[np.float64] | None
    """The same shape to score, else None: ln p of every symbol; written."""
    reaches: NDArray[np.int64]
    """``[R]``, for the intervals."""
    intervals: NDArray[np.float64] | None
    """``[lanes, rows, W * C, R, 2]``, or None if they are not wanted: of the noise that leads to the symbol, or to one
    at most as far from it as each of ``reaches``; written."""


class ImageLoop:
    """The functions ``<name>_run`` and ``<name>_scratch``.

    Args:
        name: of the architecture.
        sizes: of the network, in the order of the C structure ``Sizes``.
        weights: packed for them.
        state: the kinds of the arrays that a picture's state consists of.
        table: the numbers of each symbol, ``[levels, planes]``.
    """

    def __init__(self, name: str, sizes: Sequence[int], weights: Array, state: Sequence[str], table: Array) -> None:
        self._sizes, self._weights, self._table = np.array(sizes, np.int64), weights, table
        floats, integers, symbols = array("f4"), array("i8"), array("u1")
        states = [kind for one in state for kind in (array(one), INTEGER)]
        self._scratch = Function(f"{name}_scratch", integers, INTEGER, returns=INTEGER)
        self._run = Function(
            f"{name}_run", integers, floats, floats, integers, *states, floats, integers, integers, array("f8"), floats,
            array("?"), integers, symbols, array("f8"), integers, array("f8"), symbols,
        )  # fmt: skip

    def run(self, state: Sequence[NDArray[Any]], lanes: Lanes) -> None:
        """See ``ImageKernel.run`` (ancestral_models/engines/images/native.py)."""
        count, steps, _ = lanes.symbols.shape
        scratch = room(self._scratch(self._sizes, count))
        shape = np.array([count, steps, *lanes.conditions.shape[1:], len(lanes.reaches)], np.int64)
        states = [part for one in state for part in (one, one.shape[1])]
        self._run(self._sizes, self._weights, self._table, shape, *states, *lanes, scratch)
