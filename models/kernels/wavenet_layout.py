"""The layout of a WaveNet's weights in the one flat array that the compiled sampler reads.

The order is the order of use, so that a step reads the array from front to back: most of a step's time is spent waiting
for these bytes. The two taps of a layer are adjacent, and so are its residual and skip matrices, which become one
product. Channels are padded with zeros to whole vectors; what is computed from them is zero again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.kernels.gemm import WIDTH, Precision, pack, words
from ancestral.models.spec import SYMBOLS

Array = NDArray[np.float32]

_HUGE_PAGE = 1 << 19
"""Floats in 2 MiB."""


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
        """The layout of a model."""
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

    def pack(self, tensors: Mapping[str, Array]) -> Array:
        """The flat array. The last layer gets a residual output of zeros, so that all layers have one shape."""
        residual, hidden, skip, head = self.residual, self.gate // 2, self.skip, self.head
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
        for layer in range(self.layers):
            parts += [pack(self.precision, taps[layer]), residual_bias[layer], pack(self.precision, onward[layer])]
        parts += [_filled(tensors["head_bias"], head), pack(self.precision, _filled(tensors["head"], skip, head))]
        parts += [tensors["output_bias"], pack(self.precision, _filled(tensors["output"], head, SYMBOLS))]
        parts += [self._gates(tensors["gate_bias"][:, None], 1), self._gates(tensors["gate_condition"], self.condition)]
        return aligned(np.concatenate([part.ravel() for part in parts]))

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


def _whole(channels: int) -> int:
    """Channels, padded to whole vectors."""
    return -(-channels // WIDTH) * WIDTH


def _filled(tensor: Array, *shape: int) -> Array:
    """The tensor, padded with zeros to ``shape``."""
    return np.pad(tensor, [(0, size - had) for size, had in zip(shape, tensor.shape, strict=True)])


def aligned(array: Array) -> Array:
    """A copy that begins on a huge page, which numpy requests from Linux for arrays of 4 MiB or more.

    Vector loads that straddle two cache lines cost a tenth of the speed; weights in small pages, which are scattered
    and may collide in a cache, another twentieth.
    """
    room = np.empty(len(array) + 2 * _HUGE_PAGE, np.float32)
    start = -(room.ctypes.data // room.itemsize) % _HUGE_PAGE
    copy = room[start : start + len(array)]
    copy[:] = array
    return copy
