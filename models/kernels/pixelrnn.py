"""Sampling and scoring of a PixelRNN: pixelrnn.c with the weights of one network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ancestral.models.architectures.pixelrnn import PixelRNNSpec
from ancestral.models.conditioning import input_planes
from ancestral.models.kernels.conditioners import coarse_map
from ancestral.models.kernels.image_kernel import ImageLoop
from ancestral.models.kernels.pixelrnn_layout import PixelRNNLayout
from ancestral.models.palette import input_table
from ancestral.models.tensors import of_conditions

Array = NDArray[np.float32]


class PixelRNNKernel:
    """An ``ImageKernel`` (models/engines/images/native.py).

    The state of a picture is the picture so far, from -1 to 1, with zeros around it; and of the last row the states of
    all layers, with zeros around them, their cells, and the states from the right (none in a Row LSTM).
    """

    def __init__(self, spec: PixelRNNSpec, tensors: Mapping[str, Array]) -> None:
        self._spec, self._tensors, self._layout = spec, of_conditions(tensors), PixelRNNLayout(spec)
        weights, *starts = self._layout.pack(tensors)
        sizes = (*self._layout.sizes, *starts)
        self.run = ImageLoop("pixelrnn", sizes, weights, ["f4"] * 4, input_table(spec)).run

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
