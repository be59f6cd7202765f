"""The layout of a PixelCNN's weights in the one flat array that the compiled sampler reads, in the order of use.

First come the weights that are used once per row, for the rows above. Then those that are used once per sub-pixel,
channel by channel: a channel's features see those of their own channel and of the channels before, so their weights for
the others, which the network masks, are left out. Every channel has the same number of features, padded with zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.kernels.channel_groups import ChannelGroups
from ancestral.models.kernels.gemm import LEVELS, Precision, pack
from ancestral.models.kernels.vectors import WIDTH
from ancestral.models.kernels.wavenet_layout import aligned

Array = NDArray[np.float32]


@dataclass(frozen=True)
class PixelCNNLayout:
    """The sizes of a network: all that a compiled kernel depends on. Models of one layout share kernels."""

    height: int
    width: int
    channels: int
    planes: int
    """Numbers that a symbol enters the network as."""
    levels: int
    gated: bool
    layers: int
    features: int
    """Features of a layer that are convolved: p of the gated network, h of the original one."""
    first: int
    """Rows that the first convolution sees above the pixel."""
    above: int
    """Rows above that the others see."""
    outputs: int
    condition: int
    """Numbers that V is multiplied by; 0 without conditions."""
    located: bool
    """Whether each pixel has its own condition."""
    precision: Precision
    """Precision of the matrices that the outputs of gates are multiplied by."""

    @classmethod
    def of(cls, spec: PixelCNNSpec, precision: Precision = Precision.FP32) -> PixelCNNLayout:
        return cls(
            height=spec.height,
            width=spec.width,
            channels=spec.channels,
            planes=spec.planes,
            levels=spec.levels,
            gated=spec.gated,
            layers=spec.layers,
            features=spec.features if spec.gated else spec.features // 2,
            first=spec.first_kernel_size // 2,
            above=spec.kernel_size // 2,
            outputs=spec.output_features,
            condition=spec.condition_width if spec.conditioned else 0,
            located=spec.conditioning == "location",
            precision=precision,
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """What the compiled loop has to know."""
        numbers = (self.gated, self.layers, self.width, self.channels, self.planes, self.levels, self.features)
        each = (self.groups.each(self.features), self.groups.each(self.outputs))
        return (*map(int, numbers), *each, self.first, self.above, self.condition)

    @property
    def pixel_cells(self) -> int:
        """Numbers in a picture with its padding."""
        return (self.height + self.first) * (self.width + 2 * self.first) * self.channels * self.planes

    @property
    def above_cells(self) -> int:
        """Numbers in the cached features of the last rows."""
        features = self.features if self.gated else self.channels * self.groups.each(self.features)
        return (self.layers - 1) * (self.above + 1) * (self.width + 2 * self.above) * features

    @property
    def groups(self) -> ChannelGroups:
        return ChannelGroups(self.channels, WIDTH if self.precision is Precision.INT8 else 1)

    def pack(self, tensors: Mapping[str, Array]) -> Array:
        """The flat array."""
        row = self._gated_row(tensors) if self.gated else self._original_row(tensors)
        pixel = self._gated_pixel if self.gated else self._original_pixel
        parts = [part.ravel() for part in row]
        for channel in range(self.channels):
            parts += [part.ravel() for part in pixel(tensors, channel)]
            parts += [part.ravel() for part in self._head(tensors, channel)]
        return aligned(np.concatenate(parts))

    def _gated_row(self, tensors: Mapping[str, Array]) -> Iterator[Array]:
        for layer in range(self.layers):
            taps = tensors["vertical_first"] if layer == 0 else tensors["vertical"][layer - 1]
            for line in taps.transpose(2, 3, 1, 0):
                yield line if layer == 0 else self._of_gates(line.reshape(-1, line.shape[-1]))
            yield self.groups.fill_runs(tensors["horizontal_bias"][layer], 2)
            if self.condition:
                yield self.groups.fill_runs(tensors["horizontal_condition"][layer], 2)
            yield self._of_numbers(self.groups.fill_runs(tensors["link"][layer], 2))
            if layer < self.layers - 1:
                yield tensors["vertical_bias"][layer]
                if self.condition:
                    yield tensors["vertical_condition"][layer]

    def _gated_pixel(self, tensors: Mapping[str, Array], channel: int) -> Iterator[Array]:
        own, skips = self.groups.own(self.features, channel), self.groups.own(self.outputs, channel)
        seen = own.stop
        gates = slice(2 * own.start, 2 * own.stop)
        for layer in range(self.layers):
            taps = tensors["horizontal_first"] if layer == 0 else tensors["horizontal"][layer - 1]
            grouped = self.groups.fill_runs(taps[:, :, 0].transpose(2, 1, 0), 2)
            if layer:
                grouped = self.groups.fill(grouped, 1)
            visible = channel * self.planes if layer == 0 else seen
            whole = grouped[:-1, :, gates].reshape(-1, 2 * (own.stop - own.start))
            matrix = np.concatenate([whole, grouped[-1, :visible, gates]])
            yield matrix if layer == 0 else self._of_numbers(matrix)
            if layer < self.layers - 1:
                yield self.groups.fill(tensors["residual_bias"][layer], 0)[own]
                yield self._of_gates(self.groups.fill(tensors["residual"][layer], 0, 1)[:seen, own])
        skip = self.groups.fill(tensors["skip"], 1, 2)[:, :seen, skips]
        yield self.groups.fill(tensors["skip_bias"], 0)[skips]
        # By channel first, so that what is seen is one run.
        by_channel = skip.reshape(self.layers, channel + 1, -1, skip.shape[2]).swapaxes(0, 1)
        yield self._of_gates(by_channel.reshape(-1, skip.shape[2]))

    def _of_gates(self, matrix: Array) -> Array:
        """The words of a matrix whose inputs are outputs of gates: between -1 and 1."""
        return pack(self.precision, matrix, np.full(len(matrix), 1 / np.float32(LEVELS), np.float32))

    def _of_numbers(self, matrix: Array) -> Array:
        """The words of a matrix whose inputs have units of their own in every product."""
        return pack(self.precision, matrix, np.ones(len(matrix), np.float32))

    def _original_row(self, tensors: Mapping[str, Array]) -> Iterator[Array]:
        yield self.groups.fill(tensors["first_bias"], 0)
        yield self.groups.fill(tensors["first"].transpose(2, 3, 1, 0)[:-1], 3)
        for block in range(self.layers - 1):
            yield self.groups.fill(tensors["masked_bias"][block], 0)
            if self.condition:
                yield self.groups.fill(tensors["condition"][block], 1)
            yield self.groups.fill(tensors["masked"][block].transpose(2, 3, 1, 0)[:-1], 2, 3)

    def _original_pixel(self, tensors: Mapping[str, Array], channel: int) -> Iterator[Array]:
        hidden, wide = self.groups.own(self.features, channel), self.groups.own(2 * self.features, channel)
        skips = self.groups.own(self.outputs, channel)
        first = self.groups.fill(tensors["first"][:, :, -1].transpose(2, 1, 0), 2)
        yield from (first[: self.first, :, wide], first[self.first, : channel * self.planes, wide])
        for block in range(self.layers - 1):
            yield self.groups.fill(tensors["reduce_bias"][block], 0)[hidden]
            yield self.groups.fill(tensors["reduce"][block], 0, 1)[: wide.stop, hidden]
            taps = self.groups.fill(tensors["masked"][block][:, :, -1].transpose(2, 1, 0), 1, 2)
            yield from (taps[: self.above, :, hidden], taps[self.above, : hidden.stop, hidden])
            yield self.groups.fill(tensors["expand_bias"][block], 0)[wide]
            yield self.groups.fill(tensors["expand"][block], 0, 1)[: hidden.stop, wide]
        yield self.groups.fill(tensors["skip_bias"], 0)[skips]
        yield self.groups.fill(tensors["skip"][0], 0, 1)[: wide.stop, skips]

    def _head(self, tensors: Mapping[str, Array], channel: int) -> Iterator[Array]:
        own = self.groups.own(self.outputs, channel)
        yield self.groups.fill(tensors["head_bias"], 0)[own]
        yield self._of_numbers(self.groups.fill(tensors["head"], 0, 1)[: own.stop, own])
        symbols = slice(channel * self.levels, (channel + 1) * self.levels)
        yield tensors["output_bias"][symbols]
        output = self.groups.fill(tensors["output"], 0)[: own.stop, symbols]
        yield output if self.levels % WIDTH else self._of_numbers(output)
