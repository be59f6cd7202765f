"""Where each weight of a WaveNet lies in the one flat array that the compiled sampler reads.

The order is the order of use, so that a step reads the array from front to back: most of a step's time is the wait for
these bytes. The two taps of a layer lie together, and so do its residual and skip products, which become one product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.spec import SYMBOLS, WaveNetSpec

Array = NDArray[np.float32]

_LINE = 16
"""Floats in a cache line."""


@dataclass(frozen=True)
class Layout:
    """The sizes of a network: all that a compiled kernel depends on. Two models of one layout share kernels."""

    layers: int
    cycle: int
    """Layers in a stack; the dilation of layer l is 2 ** (l % cycle)."""
    residual: int
    gate: int
    skip: int
    head: int
    condition: int

    @classmethod
    def of(cls, spec: WaveNetSpec) -> Layout:
        """The layout of a model."""
        return cls(
            layers=spec.layers,
            cycle=spec.layers // spec.stacks,
            residual=spec.residual_channels,
            gate=spec.gate_channels,
            skip=spec.skip_channels,
            head=spec.head_channels,
            condition=spec.conditioner_channels,
        )

    @property
    def ring(self) -> int:
        """Numbers in the ring buffers of one stream: ``dilation`` rows of ``residual`` for every layer, in order."""
        return self.residual * ((1 << self.cycle) - 1) * (self.layers // self.cycle)

    def pack(self, tensors: Mapping[str, Array]) -> Array:
        """The flat array. The last layer gets a residual output of zeros, so that all layers are alike."""
        layers, hidden, residual = self.layers, self.gate // 2, self.residual
        into_residual = np.zeros((layers, hidden, residual), np.float32)
        into_residual[:-1] = tensors["residual"]
        residual_bias = np.zeros((layers, residual), np.float32)
        residual_bias[:-1] = tensors["residual_bias"]
        taps = np.concatenate([tensors["past"], tensors["current"]], axis=1)
        onward = np.concatenate([into_residual, tensors["skip"]], axis=2)
        parts = [tensors["embedding"], tensors["skip_bias"]]
        for layer in range(layers):
            parts += [taps[layer], residual_bias[layer], onward[layer]]
        parts += [tensors["head_bias"], tensors["head"], tensors["output_bias"], tensors["output"]]
        parts += [tensors["gate_bias"], tensors["gate_condition"]]
        return aligned(np.concatenate([part.ravel() for part in parts]))

    @property
    def layer_size(self) -> int:
        """Weights of one layer, without those of its conditioning."""
        return 2 * self.residual * self.gate + self.residual + self.gate // 2 * (self.residual + self.skip)

    @property
    def layers_at(self) -> int:
        """Where the first layer begins, after the embedding and the bias of the skips."""
        return SYMBOLS * self.residual + self.skip

    @property
    def head_at(self) -> int:
        """Where the head's bias begins."""
        return self.layers_at + self.layers * self.layer_size

    @property
    def output_at(self) -> int:
        """Where the output's bias begins."""
        return self.head_at + self.head + self.skip * self.head

    @property
    def condition_at(self) -> int:
        """Where the gate biases begin."""
        return self.output_at + SYMBOLS + self.head * SYMBOLS


def aligned(array: Array) -> Array:
    """A copy that begins on a cache line: a vector load that straddles two costs a tenth of the speed."""
    room = np.empty(len(array) + _LINE, np.float32)
    start = -(room.ctypes.data // room.itemsize) % _LINE
    copy = room[start : start + len(array)]
    copy[:] = array
    return copy
