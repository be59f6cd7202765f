"""Sampling and scoring of a PixelCNN with cached activations: pixelcnn.c with the weights of one network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.kernels.conditioners import upsample
from ancestral.models.kernels.image_kernel import ImageLoop
from ancestral.models.kernels.pixelcnn_layout import PixelCNNLayout
from ancestral.models.palette import input_table
from ancestral.models.tensors import of_conditions

Array = NDArray[np.float32]


class PixelCNNKernel:
    """An ``ImageKernel`` (models/engines/images/native.py).

    The state of a picture is the picture so far, from -1 to 1, with zeros around it (``[pixel_cells]``), and the
    features of its last rows, with zeros around them (``[above_cells]``).
    """

    def __init__(self, spec: PixelCNNSpec, tensors: Mapping[str, Array], int8: bool = False) -> None:
        self._spec, self._tensors, self._layout = spec, of_conditions(tensors), PixelCNNLayout.of(spec, int8)
        self._cells = "i1" if self._layout.bytes else "f4"
        loop = ImageLoop(
            "pixelcnn", self._layout.sizes, self._layout.pack(tensors), ("f4", self._cells), input_table(spec)
        )
        self.run = loop.run

    def blank(self) -> tuple[NDArray[Any], ...]:
        """The state of a picture without rows."""
        return np.zeros(self._layout.pixel_cells, np.float32), np.zeros(self._layout.above_cells, self._cells)

    def blank_condition(self) -> Array:
        spec, layout = self._spec, self._layout
        width = layout.condition + spec.map_width
        return np.zeros((spec.height * spec.width if layout.located else 1, width), np.float32)

    def condition(self, h: Array, coarse: NDArray[np.uint8] | None) -> Array:
        """What V is multiplied by, ``[1 or H * W, condition]``, and the coarse pixels' map (:func:`upsample`)."""
        return upsample(self._spec, self._tensors, h, coarse)
