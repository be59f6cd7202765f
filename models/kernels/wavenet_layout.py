"""The layout of a WaveNet's weights in the one flat array that the compiled sampler reads.

The order is the order of use, so that a step reads the array from front to back: most of a step's time is spent waiting
for these bytes. The two taps of a layer are adjacent, and so are its residual and skip matrices, which become one
product. Channels are padded with zeros to whole vectors; what is computed from them is zero again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.kernels.gemm import LEVELS, Precision, pack, words
from ancestral.models.kernels.vectors import WIDTH
from ancestral.models.spec import SYMBOLS

Array = NDArray[np.float32]

_LEVELS = np.float32(LEVELS)
_HUGE_PAGE, _LINE = 1 << 19, 16
"""Floats in 2 MiB, and in a line of the cache."""


@dataclass(frozen=True)
class Layout:
    """The sizes of a network, in whole vectors, and its precision: all that a compiled kernel depends on.

    Two models of one layout share kernels.
    """

    precision: Precision
    layers: int
    cycle: int
    """Layers in a stack; the dilation of layer l is 2 ** (l % cycle)."""
    residual: int
    gate: int
    skip: int
    head: int
    condition: int

    @classmethod
    def of(cls, spec: WaveNetSpec, precision: Precision = Precision.FP32) -> Layout:
        return cls(
            precision=precision,
            layers=spec.layers,
            cycle=spec.layers // spec.stacks,
            residual=_whole(spec.residual_channels),
            gate=2 * _whole(spec.hidden_channels),
            skip=_whole(spec.skip_channels),
            head=_whole(spec.head_channels),
            condition=spec.conditioner_channels,
        )

    @property
    def ring(self) -> int:
        """Numbers in the ring buffers of one stream: ``dilation`` rows of ``residual`` for every layer, in order."""
        return self.residual * ((1 << self.cycle) - 1) * (self.layers // self.cycle)

    def pack(self, tensors: Mapping[str, Array], ranges: Sequence[float] = ()) -> Array:
        """The flat array. The last layer gets a residual output of zeros, so that all layers have one shape.

        Args:
            tensors: of the network.
            ranges: the spec's ``int8_ranges``; needed for int8.
        """
        residual, hidden, skip, head = self.residual, self.gate // 2, self.skip, self.head
        flows, skip_units, head_units = self._ranges(ranges)
        onward = np.concatenate(
            [
                _filled(tensors["residual"], self.layers, hidden, residual),
                _filled(tensors["skip"], self.layers, hidden, skip),
            ],
            axis=2,
        )
        taps = np.concatenate(
            [self._gates(tensors["past"], residual), self._gates(tensors["current"], residual)], axis=1
        )
        residual_bias = _filled(tensors["residual_bias"], self.layers, residual)
        parts = [_filled(tensors["embedding"], SYMBOLS, residual), _filled(tensors["skip_bias"], skip)]
        gated = np.full(hidden, 1 / _LEVELS, np.float32)  # a gate lets nothing through that is larger than 1
        for matrices in zip(taps, flows, residual_bias, onward, strict=True):
            past_and_current, flow, bias, to_all = matrices
            units = _balanced(np.tile(flow, 2), past_and_current)
            parts += [pack(self.precision, past_and_current, units), bias, pack(self.precision, to_all, gated)]
        parts += [_filled(tensors["head_bias"], head)]
        parts += [pack(self.precision, _filled(tensors["head"], skip, head), skip_units), tensors["output_bias"]]
        parts += [pack(self.precision, _filled(tensors["output"], head, SYMBOLS), head_units)]
        parts += [self._gates(tensors["gate_bias"][:, None], 1), self._gates(tensors["gate_condition"], self.condition)]
        return aligned(np.concatenate([part.ravel() for part in parts]))

    def _ranges(self, ranges: Sequence[float]) -> tuple[Array, Array, Array]:
        """Ranges of the residual path before every layer ``[layers, residual]``; the units of the head's two inputs."""
        if self.precision is not Precision.INT8:
            ranges = [1.0] * (self.layers * self.residual + 2)
        flows = np.asarray(ranges[:-2], np.float32).reshape(self.layers, -1)
        sizes = zip((self.skip, self.head), ranges[-2:], strict=True)
        skips, hidden = (np.full(size, x / _LEVELS, np.float32) for size, x in sizes)
        return _filled(flows, self.layers, self.residual), skips, hidden

    def _gates(self, tensor: Array, inputs: int) -> Array:
        """``[layers, inputs, gate]``, each half of the gates padded by itself."""
        halves = np.split(tensor, 2, axis=2)
        return np.concatenate([_filled(half, self.layers, inputs, self.gate // 2) for half in halves], axis=2)

    @property
    def taps_size(self) -> int:
        """Words of the matrix of both taps of a layer."""
        return words(self.precision, 2 * self.residual, self.gate)

    @property
    def layer_size(self) -> int:
        """Words of one layer, without those of its conditioning."""
        onward = words(self.precision, self.gate // 2, self.residual + self.skip)
        return self.taps_size + self.residual + onward

    @property
    def layers_at(self) -> int:
        """The index of the first layer, after the embedding and the bias of the skips."""
        return SYMBOLS * self.residual + self.skip

    @property
    def head_at(self) -> int:
        """The index of the head's bias."""
        return self.layers_at + self.layers * self.layer_size

    @property
    def output_at(self) -> int:
        """The index of the output's bias."""
        return self.head_at + self.head + words(self.precision, self.skip, self.head)

    @property
    def condition_at(self) -> int:
        """The index of the gate biases."""
        return self.output_at + SYMBOLS + words(self.precision, self.head, SYMBOLS)


def _balanced(ranges: Array, matrix: Array) -> Array:
    """The units of the inputs of a matrix ``[inputs, outputs]``, so that inputs and weights lose alike when they are
    rounded (SmoothQuant, Xiao et al. 2022, with alpha 0.5). Square roots have the same bits everywhere."""
    smallest = np.float32(1e-4)
    share = np.sqrt(np.maximum(ranges, smallest) / np.maximum(np.abs(matrix).max(axis=1), smallest))
    return np.asarray(share * ((ranges / share).max() / _LEVELS), np.float32)


def _whole(channels: int) -> int:
    """Channels, padded to whole vectors."""
    return -(-channels // WIDTH) * WIDTH


def _filled(tensor: Array, *shape: int) -> Array:
    """The tensor, padded with zeros to ``shape``."""
    return np.pad(tensor, [(0, size - had) for size, had in zip(shape, tensor.shape, strict=True)])


def aligned(array: Array) -> Array:
    """A copy that begins on a line of the cache; of a megabyte and more, on a huge page.

    Vector loads that straddle two lines cost a tenth of the speed; weights in small pages, which are scattered and may
    collide in a cache, another twentieth. numpy requests huge pages from Linux for arrays of 4 MiB or more, and a page
    that is begun takes 2 MiB, which is too much for a small network.
    """
    page = _HUGE_PAGE if len(array) > _HUGE_PAGE // 2 else _LINE
    room = np.empty(len(array) + 2 * page, np.float32)
    start = -(room.ctypes.data // room.itemsize) % page
    copy = room[start : start + len(array)]
    copy[:] = array
    return copy
