"""Sampling and scoring of a PixelCNN with cached activations: pixelcnn.c with the weights of one network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures.pixelcnn import PixelCNNSpec
from ancestral_models.kernels.shared import LEVELS, ChannelGroups, ImageLoop, byte_matrix, rounded, upsample
from ancestral_models.native import aligned
from ancestral_models.spec import input_table
from ancestral_models.tensors import of_conditions

# The layout of a PixelCNN's weights in the one flat array that the compiled sampler reads, in the order of use.
#
# First come the weights that are used once per row, for the rows above. Then those that are used once per sub-pixel,
# channel by channel: a channel's features see those of their own channel and of the channels before, so their weights
# for the others, which the network masks, are left out. Every channel has the same number of features, padded with
# zeros.

Array = NDArray[np.float32]

WIDTH = 16
"""Outputs of products of bytes are a multiple of this."""
ROW = 32
"""Bytes are read in rows of so many, so that what is read last needs as many behind it."""


class PixelCNNLayout:
    """The sizes of a network: all that the compiled loop depends on.

    Args:
        spec: of the network.
        int8: whether the large matrices and what they are multiplied by are bytes.
    """

    def __init__(self, spec: PixelCNNSpec, int8: bool) -> None:
        self.spec, self.bytes = spec, int8
        self.groups = ChannelGroups(spec.channels, WIDTH if int8 else 1)
        self.features = spec.features if spec.gated else spec.features // 2
        """Features of a layer that are convolved: p of the gated network, h of the original one."""
        self.first, self.above = spec.first_kernel_size // 2, spec.kernel_size // 2
        """Rows above the pixel that the first convolution sees, and the others."""
        self.condition = spec.condition_width if spec.conditioned else 0
        """Numbers that V is multiplied by; 0 without conditions."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """What the compiled loop has to know."""
        spec, each = self.spec, (self.groups.each(self.features), self.groups.each(self.spec.output_features))
        return (
            int(spec.gated), spec.layers, spec.width, spec.channels, spec.planes, spec.levels, self.padded_levels,
            self.features, *each, self.first, self.above, self.condition, int(self.bytes), int(self.fine),
        )  # fmt: skip

    @property
    def fine(self) -> bool:
        """Whether the matrix of the logits is two of bytes. Of many shades in colour the logits are so steep that one
        loses 0.044 bits a sub-pixel (``pixelcnn-avatars-rgb``; two lose 0.010), of a palette or in grey 0.0006."""
        return self.bytes and not self.spec.palette and self.spec.levels > WIDTH and self.spec.channels > 1

    @property
    def padded_levels(self) -> int:
        """Logits that are computed: in whole vectors."""
        return -(-self.spec.levels // WIDTH) * WIDTH if self.bytes else self.spec.levels

    @property
    def pixel_cells(self) -> int:
        """Numbers in a picture with its padding."""
        spec = self.spec
        return (spec.height + self.first) * (spec.width + 2 * self.first) * spec.channels * spec.planes

    @property
    def above_cells(self) -> int:
        """Numbers in the cached features of the last rows."""
        spec = self.spec
        features = self.features if spec.gated else spec.channels * self.groups.each(self.features)
        return (spec.layers - 1) * (self.above + 1) * (spec.width + 2 * self.above) * features + ROW

    def pack(self, tensors: Mapping[str, Array]) -> Array:
        """The flat array."""
        row = self._gated_row(tensors) if self.spec.gated else self._original_row(tensors)
        pixel = self._gated_pixel if self.spec.gated else self._original_pixel
        parts = [part.ravel() for part in row]
        for channel in range(self.spec.channels):
            parts += [part.ravel() for part in pixel(tensors, channel)]
            parts += [part.ravel() for part in self._head(tensors, channel)]
        return aligned(np.concatenate(parts))

    def _gated_row(self, tensors: Mapping[str, Array]) -> Iterator[Array]:
        for layer in range(self.spec.layers):
            taps = tensors["vertical_first"] if layer == 0 else tensors["vertical"][layer - 1]
            for line in taps.transpose(2, 3, 1, 0):
                yield line if layer == 0 else self._of_gates(line.reshape(-1, line.shape[-1]))
            for name in ("bias", "condition") if self.condition else ("bias",):
                both = [self.groups.fill_runs(tensors[f"horizontal_{name}"][layer], 2)]
                if layer < self.spec.layers - 1:
                    both.append(tensors[f"vertical_{name}"][layer])
                array = np.concatenate(both, axis=-1)
                yield array if name == "bias" else self._of_numbers(array)
            yield self._of_numbers(self.groups.fill_runs(tensors["link"][layer], 2))

    def _gated_pixel(self, tensors: Mapping[str, Array], channel: int) -> Iterator[Array]:
        own, skips = self.groups.own(self.features, channel), self.groups.own(self.spec.output_features, channel)
        seen = own.stop
        gates = slice(2 * own.start, 2 * own.stop)
        for layer in range(self.spec.layers):
            taps = tensors["horizontal_first"] if layer == 0 else tensors["horizontal"][layer - 1]
            grouped = self.groups.fill_runs(taps[:, :, 0].transpose(2, 1, 0), 2)
            if layer:
                grouped = self.groups.fill(grouped, 1)
            visible = channel * self.spec.planes if layer == 0 else seen
            whole = grouped[:-1, :, gates].reshape(-1, 2 * (own.stop - own.start))
            matrix = np.concatenate([whole, grouped[-1, :visible, gates]])
            yield matrix if layer == 0 else self._of_numbers(matrix)
            if layer < self.spec.layers - 1:
                yield self.groups.fill(tensors["residual_bias"][layer], 0)[own]
                yield self._of_gates(self.groups.fill(tensors["residual"][layer], 0, 1)[:seen, own])
        skip = self.groups.fill(tensors["skip"], 1, 2)[:, :seen, skips]
        yield self.groups.fill(tensors["skip_bias"], 0)[skips]
        # By channel first, so that what is seen is one run.
        by_channel = skip.reshape(self.spec.layers, channel + 1, -1, skip.shape[2]).swapaxes(0, 1)
        yield self._of_gates(by_channel.reshape(-1, skip.shape[2]))

    def _of_gates(self, matrix: Array) -> Array:
        """The words of a matrix whose inputs are outputs of gates: between -1 and 1."""
        return byte_matrix(matrix / np.float32(LEVELS)) if self.bytes else matrix

    def _of_numbers(self, matrix: Array) -> Array:
        """The words of a matrix whose inputs have units of their own in every product."""
        return byte_matrix(matrix) if self.bytes else matrix

    def _original_row(self, tensors: Mapping[str, Array]) -> Iterator[Array]:
        yield self.groups.fill(tensors["first_bias"], 0)
        yield self.groups.fill(tensors["first"].transpose(2, 3, 1, 0)[:-1], 3)
        for block in range(self.spec.layers - 1):
            yield self.groups.fill(tensors["masked_bias"][block], 0)
            if self.condition:
                yield self.groups.fill(tensors["condition"][block], 1)
            yield self.groups.fill(tensors["masked"][block].transpose(2, 3, 1, 0)[:-1], 2, 3)

    def _original_pixel(self, tensors: Mapping[str, Array], channel: int) -> Iterator[Array]:
        hidden, wide = self.groups.own(self.features, channel), self.groups.own(2 * self.features, channel)
        skips = self.groups.own(self.spec.output_features, channel)
        first = self.groups.fill(tensors["first"][:, :, -1].transpose(2, 1, 0), 2)
        yield from (first[: self.first, :, wide], first[self.first, : channel * self.spec.planes, wide])
        for block in range(self.spec.layers - 1):
            yield self.groups.fill(tensors["reduce_bias"][block], 0)[hidden]
            yield self.groups.fill(tensors["reduce"][block], 0, 1)[: wide.stop, hidden]
            taps = self.groups.fill(tensors["masked"][block][:, :, -1].transpose(2, 1, 0), 1, 2)
            yield from (taps[: self.above, :, hidden], taps[self.above, : hidden.stop, hidden])
            yield self.groups.fill(tensors["expand_bias"][block], 0)[wide]
            yield self.groups.fill(tensors["expand"][block], 0, 1)[: hidden.stop, wide]
        yield self.groups.fill(tensors["skip_bias"], 0)[skips]
        yield self.groups.fill(tensors["skip"][0], 0, 1)[: wide.stop, skips]

    def _head(self, tensors: Mapping[str, Array], channel: int) -> Iterator[Array]:
        own = self.groups.own(self.spec.output_features, channel)
        yield self.groups.fill(tensors["head_bias"], 0)[own]
        yield self._of_numbers(self.groups.fill(tensors["head"], 0, 1)[: own.stop, own])
        symbols = slice(channel * self.spec.levels, (channel + 1) * self.spec.levels)
        padding = (0, self.padded_levels - self.spec.levels)
        yield np.pad(tensors["output_bias"][symbols], padding)
        output = np.pad(self.groups.fill(tensors["output"], 0)[: own.stop, symbols], ((0, 0), padding))
        yield self._of_numbers(output)
        if self.fine:
            yield byte_matrix(output - rounded(output))


class PixelCNNKernel:
    """An ``ImageKernel`` (ancestral_models/engines/images/native.py).

    The state of a picture is the picture so far, from -1 to 1, with zeros around it (``[pixel_cells]``), and the
    features of its last rows, with zeros around them (``[above_cells]``).
    """

    def __init__(self, spec: PixelCNNSpec, tensors: Mapping[str, Array], int8: bool = False) -> None:
        self._spec, self._tensors, self._layout = spec, of_conditions(tensors), PixelCNNLayout(spec, int8)
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
        return np.zeros((spec.height * spec.width if spec.conditioning == "location" else 1, width), np.float32)

    def condition(self, h: Array, coarse: NDArray[np.uint8] | None) -> Array:
        """What V is multiplied by, ``[1 or H * W, condition]``, and the coarse pixels' map (:func:`upsample`)."""
        return upsample(self._spec, self._tensors, h, coarse)
