"""Sampling and scoring of a PixelRNN: pixelrnn.c with the weights of one network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures.pixelrnn import GATES, PixelRNNSpec
from ancestral_models.conditioning import input_planes
from ancestral_models.kernels.shared import ChannelGroups, ImageLoop, coarse_map
from ancestral_models.native import aligned
from ancestral_models.spec import input_table
from ancestral_models.tensors import of_conditions

# The layout of a PixelRNN's weights in the one flat array that the compiled sampler reads, in the order of use.
#
# Three parts: what is used once per row, before its pixels; what is used once per sub-pixel, channel by channel, first
# of all layers, then of the layers from there to the logits; and, of the Diagonal BiLSTM, what is used once per row
# after its pixels, for the LSTMs that come from the right. Masked weights of sub-pixels are left out
# (shared.py).

Array = NDArray[np.float32]


@dataclass(frozen=True)
class PixelRNNLayout:
    """The sizes of a network: all that the compiled loop depends on."""

    spec: PixelRNNSpec

    @property
    def groups(self) -> ChannelGroups:
        return ChannelGroups(self.spec.channels)

    @property
    def sizes(self) -> tuple[int, ...]:
        """What the compiled loop has to know."""
        spec, each = self.spec, self.groups.each
        features = (each(spec.features), each(2 * spec.features), each(spec.output_features))
        return (
            int(spec.lstm == "diagonal"), spec.layers, spec.width, spec.columns, spec.channels, spec.levels, *features,
            spec.first_kernel_size // 2, spec.kernel_size // 2, int(spec.skip_connections),
        )  # fmt: skip

    @property
    def condition(self) -> int:
        """Numbers of h, and of the coarse pixels' map at one pixel."""
        spec = self.spec
        return spec.condition_channels * bool(spec.conditions) + spec.coarse_channels * bool(spec.coarse_layers)

    @property
    def state_cells(self) -> tuple[int, int, int, int]:
        """Numbers in the state of a picture (PixelRNNKernel)."""
        spec, first = self.spec, self.spec.first_kernel_size // 2
        state = spec.channels * self.groups.each(spec.features)
        margin = spec.kernel_size // 2 if spec.lstm == "row" else 1
        return (
            (spec.height + first) * (spec.columns + 2 * first) * spec.channels,
            spec.layers * (spec.columns + 2 * margin) * state,
            spec.layers * (spec.columns + 1) * state,
            spec.layers * (spec.columns + 1) * state if spec.lstm == "diagonal" else 0,
        )

    def pack(self, tensors: Mapping[str, Array]) -> tuple[Array, int, int]:
        """The flat array, and where its second and its third part begin."""
        channels = range(self.spec.channels)
        before = [*self._row(tensors)]
        pixels = [part for channel in channels for part in self._layers(tensors, channel)]
        heads = [part for channel in channels for part in self._head(tensors, channel)]
        after = [*self._from_right(tensors)] if self.spec.lstm == "diagonal" else []
        starts = np.cumsum([sum(part.size for part in parts) for parts in (before, pixels, heads)])
        flat = np.concatenate([part.ravel() for part in (*before, *pixels, *heads, *after)])
        return aligned(flat), int(starts[1]), int(starts[2])

    def _gates(self, tensors: Mapping[str, Array], layer: int, direction: int) -> dict[str, Array]:
        """The weights of one LSTM, in groups: bias and condition, input ``[taps, 2h, gates]``, states ``[taps, …]``."""
        spec, groups = self.spec, self.groups

        def parted(array: Array) -> Array:
            wide = GATES * spec.features
            return groups.fill_runs(array[..., direction * wide : (direction + 1) * wide], GATES)

        bias = np.concatenate([tensors[f"{name}_bias"][layer, direction] for name in ("gate", "forget")])
        inputs = parted(tensors["input_to_state"][layer]).reshape(spec.input_taps, 2 * spec.features, -1)
        states = groups.fill_runs(tensors["state_to_state"][layer, direction], GATES)
        seen = [parted(tensors[name][layer]) for name in ("condition", "coarse_condition") if name in tensors]
        return {
            "bias": np.concatenate([groups.fill_runs(bias.reshape(-1), GATES), *(part.ravel() for part in seen)]),
            "input": groups.fill(inputs, 1),
            "state": groups.fill(states.reshape(spec.state_taps, spec.features, -1), 1),
        }

    def _row(self, tensors: Mapping[str, Array]) -> Iterator[Array]:
        yield self.groups.fill(tensors["first_bias"], 0)
        yield self.groups.fill(tensors["first"].transpose(2, 3, 1, 0)[:-1], 3)
        for layer in range(self.spec.layers):
            gates = self._gates(tensors, layer, 0)
            yield gates["bias"]
            yield gates["state"] if self.spec.lstm == "row" else gates["state"][1]

    def _layers(self, tensors: Mapping[str, Array], channel: int) -> Iterator[Array]:
        spec, groups, side = self.spec, self.groups, self.spec.first_kernel_size // 2
        state, stream = groups.own(spec.features, channel), groups.own(2 * spec.features, channel)
        own = slice(GATES * state.start, GATES * state.stop)
        first = groups.fill(tensors["first"][:, :, -1].transpose(2, 1, 0), 2)
        yield from (first[:side, :, stream], first[side, :channel, stream])
        for layer in range(spec.layers):
            gates = self._gates(tensors, layer, 0)
            beside = gates["input"][:-1] if spec.lstm == "row" else gates["state"][0]
            yield from (beside[..., own], gates["input"][-1, : stream.stop, own])
            yield groups.fill(tensors["expand_bias"][layer], 0)[stream]
            yield groups.fill(tensors["expand"][layer], 0, 1)[: state.stop, stream]

    def _head(self, tensors: Mapping[str, Array], channel: int) -> Iterator[Array]:
        spec, groups = self.spec, self.groups
        own, levels = groups.own(spec.output_features, channel), spec.levels
        outputs = spec.channels * groups.each(spec.output_features)
        # By channel first, so that what is seen is one run.
        seen = [groups.fill(tensors["skip"], 0, 1).reshape(spec.channels, -1, outputs)]
        if spec.skip_connections:
            skips = groups.fill(tensors["layer_skip"], 1, 2).reshape(spec.layers, spec.channels, -1, outputs)
            seen.append(skips.swapaxes(0, 1).reshape(spec.channels, -1, outputs))
        yield groups.fill(tensors["skip_bias"], 0)[own]
        yield np.concatenate(seen, axis=1)[: channel + 1, :, own]
        yield groups.fill(tensors["head_bias"], 0)[own]
        yield groups.fill(tensors["head"], 0, 1)[: own.stop, own]
        symbols = slice(channel * levels, (channel + 1) * levels)
        yield tensors["output_bias"][symbols]
        yield groups.fill(tensors["output"], 0)[: own.stop, symbols]

    def _from_right(self, tensors: Mapping[str, Array]) -> Iterator[Array]:
        spec = self.spec
        channel = np.arange(spec.channels)
        visible = (channel[:, None] <= channel).astype(np.float32)[:, None, :, None]
        for layer in range(spec.layers):
            gates = self._gates(tensors, layer, 1)
            yield gates["bias"]
            inputs = gates["input"][0].reshape(
                spec.channels, -1, spec.channels, GATES * self.groups.each(spec.features)
            )
            yield from (inputs * visible, gates["state"][1], gates["state"][0])


class PixelRNNKernel:
    """An ``ImageKernel`` (ancestral_models/engines/images/native.py).

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
