"""PixelRNN (van den Oord et al. 2016, arXiv:1601.06759): Row LSTM and Diagonal BiLSTM.

Feature maps are ``[H, columns, B, features]``, flattened where they are multiplied, so that a row and a pixel of all
pictures lie together, as the recurrence reads them. Features are divided among the channels of a pixel
in equal runs, and see those of their own channel and of the channels before (mask B; mask A, for the picture itself,
only those before). States of other pixels are seen whole, because those pixels come before.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ancestral_models.architectures.pixelcnn import coarse_map_tensors
from ancestral_models.architectures.pixelrnn import GATES, PixelRNNSpec, tensors
from ancestral_models.native import INTEGER, Function
from ancestral_models.networks.image import CoarseMap, ImageNetwork, LabelEmbedding
from ancestral_models.spec import COARSE
from ancestral_models.tensors import own, part

# The recurrence of PixelRNN's LSTMs over a feature map (arXiv:1601.06759, section 3), step by step.
#
# A step holds positions whose states depend on those of the step before only: a row, or a diagonal. So a step is one
# product for all its positions and pictures, and one element-wise pass. What the gates see of the layer's input is
# computed before, for the whole map (equation 3: the input-to-state component).
#
# In autograd's own operations a layer makes thousands of small tensors, and most of the time goes into them. So on a
# CPU the element-wise passes are loops in C, with a backward pass of their own. Everywhere else, and in double
# precision, the same formulas are written in torch.

# Addresses, not arrays, whose checks would take longer than a step.
_ADDRESS = ctypes.c_void_p
_STEP = Function("recurrence_step", *[_ADDRESS] * 4, *[INTEGER] * 3, *[_ADDRESS] * 6)
_STEP_BACK = Function("recurrence_step_back", *[_ADDRESS] * 4, *[INTEGER] * 3, *[_ADDRESS] * 10)

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """The order in which the states of a map ``[H, W]`` are computed: positions are numbered step by step.

    With two directions, the second one is the mirror image of the first, from the right to the left.
    """

    steps: tuple[int, ...]
    """The first position of every step, and the number of positions."""
    pixels: Indices
    """``[directions, positions]``: the pixel, row * W + column, whose input a position has."""
    targets: Indices
    """``[directions, positions]``: the pixel that its output is added to; -1 for none."""
    before: Indices
    """``[positions, taps]``: the positions of the step before whose states the gates see; -1 for a state of zeros."""
    carried: int
    """Number of the tap whose cell is carried on."""


@cache
def row_order(height: int, width: int, kernel_size: int) -> Order:
    """Row LSTM: a step is a row, which sees ``kernel_size`` states of the row above (section 3.1)."""
    pixels = np.arange(height * width).reshape(height, width)
    half = kernel_size // 2
    above = np.pad(pixels[:-1], ((1, 0), (half, half)), constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(above, kernel_size, axis=1)
    flat = pixels.reshape(1, -1)
    return Order(tuple(range(0, height * width + 1, width)), flat, flat, windows.reshape(-1, kernel_size).copy(), half)


@cache
def diagonal_order(height: int, width: int) -> Order:
    """Diagonal BiLSTM: a step is a diagonal, which sees the pixel before and the one above (section 3.2).

    The output from the right is shifted down by a row, so that no pixel sees what is right of it.
    """
    rows, columns = np.divmod(np.arange(height * width), width)
    by_diagonal = np.lexsort((rows, rows + columns))
    row, column = rows[by_diagonal], columns[by_diagonal]
    number = np.full((height + 1, width + 1), -1)
    number[row + 1, column + 1] = np.arange(height * width)
    before = np.stack([number[row + 1, column], number[row, column + 1]], axis=1)
    mirrored = row * width + (width - 1 - column)
    below = np.where(row + 1 < height, mirrored + width, -1)
    starts = np.searchsorted(row + column, np.arange(height + width))
    return Order(
        steps=tuple(starts.tolist()),
        pixels=np.stack([by_diagonal, mirrored]),
        targets=np.stack([by_diagonal, below]),
        before=before,
        carried=0,
    )


def scan(z: Tensor, weights: Tensor, order: Order) -> Tensor:
    """The outputs of the LSTMs of a layer, summed over the directions.

    Args:
        z: ``[H * W, B, directions * 4 * h]``, what the gates see of the input; gates as in
            :data:`~ancestral_models.architectures.pixelrnn.GATES`.
        weights: ``[directions, taps * h, 4 * h]``, state to state.
        order: of the positions.

    Returns:
        ``[H * W, B, h]`` in the type of ``z``.
    """
    if z.device.type == "cpu" and z.dtype != torch.float64:
        # A copy in any case, because it is overwritten.
        gates = z.clone(memory_format=torch.contiguous_format) if z.dtype == torch.float32 else z.float().contiguous()
        scanned: Tensor = _FusedScan.apply(gates, weights.float(), order)
        return scanned.to(z.dtype)
    return _scan(z, weights.to(z.dtype), order)


def _scan(z: Tensor, weights: Tensor, order: Order) -> Tensor:
    """:func:`scan`, as autograd differentiates it."""
    pixels, before = (torch.from_numpy(indices).to(z.device) for indices in (order.pixels, order.before))
    directions, features = len(weights), weights.shape[2] // GATES
    inputs = z.view(*z.shape[:2], directions, -1)
    states, cells = (z.new_zeros(directions, 1, z.shape[1], features) for _ in range(2))
    found = []
    for start, (first, last) in _pairs(order.steps):
        # The last row of the states is zero: -1 is a position outside the map.
        seen = torch.where(before[first:last] < 0, -1, before[first:last] - start)
        windows = states[:, seen].permute(0, 1, 3, 2, 4).flatten(3)
        own = torch.stack([inputs[pixels[d, first:last], :, d] for d in range(directions)])
        gates = own + windows @ weights[:, None]
        candidate, into, out, keep = gates.chunk(GATES, dim=3)
        cell = torch.sigmoid(keep) * cells[:, seen[:, order.carried]] + torch.sigmoid(into) * torch.tanh(candidate)
        found.append(torch.sigmoid(out) * torch.tanh(cell))
        states, cells = (torch.cat([x, torch.zeros_like(x[:, :1])], dim=1) for x in (found[-1], cell))
    targets = torch.from_numpy(np.where(order.targets < 0, len(z), order.targets)).to(z.device).flatten()
    outputs = z.new_zeros(len(z) + 1, z.shape[1], features)
    return outputs.index_add(0, targets, torch.cat(found, dim=1).flatten(0, 1))[:-1]


def _pairs(steps: tuple[int, ...]) -> list[tuple[int, tuple[int, int]]]:
    """The first position of the step before, and the first and last ones of its own, for every step."""
    return [(steps[max(s - 1, 0)], (steps[s], steps[s + 1])) for s in range(len(steps) - 1)]


class _FusedScan(torch.autograd.Function):
    """The compiled passes. What the gates see of the input is overwritten with the gates, and these with their
    gradients: most of the time goes into reading and writing memory."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weights: Tensor, order: Order) -> Tensor:
        (positions, batch, _), (directions, seen, wide) = gates.shape, weights.shape
        features, taps = wide // GATES, order.before.shape[1]
        most = max(last - first for _, (first, last) in _pairs(order.steps)) * batch
        cells, states = (gates.new_empty(directions, positions * batch, features) for _ in range(2))
        windows, sums = gates.new_zeros(directions, most, seen), gates.new_empty(directions, most, wide)
        outputs = gates.new_zeros(positions, batch, features)
        sizes = np.array([directions, positions, batch, features, taps, order.carried, most])
        arrays = [tensor.data_ptr() for tensor in (gates, sums, cells, states, windows, outputs)]
        orders = [array.ctypes.data for array in (sizes, order.pixels, order.targets, order.before)]
        parts = _parts(order, batch, windows, sums)
        for first, last, following in _triples(order.steps):
            for (window, total), weight in zip(parts[last - first], weights, strict=True):
                torch.mm(window, weight, out=total)
            _STEP(*orders, first, last, following, *arrays)
        ctx.save_for_backward(cells, states, weights)
        ctx.order, ctx.sizes, ctx.gates = order, sizes, gates
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        cells, states, weights = ctx.saved_tensors
        order, gates, (directions, _, batch, features, taps, _, most) = ctx.order, ctx.gates, ctx.sizes
        ctx.gates = None  # it becomes its gradient, so there is no second backward pass
        grad_weights, transposed = torch.zeros_like(weights), weights.transpose(1, 2).contiguous()
        into_gates, windows, into_windows, into_states, into_cells, carried = (
            cells.new_empty(directions, most, size * features) for size in (GATES, taps, taps, 1, 1, 1)
        )
        tensors = (
            grads[0].contiguous(), gates, cells, states, windows, into_gates, into_windows, into_states, into_cells,
            carried,
        )  # fmt: skip
        arrays = [tensor.data_ptr() for tensor in tensors]
        orders = [array.ctypes.data for array in (ctx.sizes, order.pixels, order.targets, order.before)]
        parts = _parts(order, batch, into_gates, into_windows, windows)
        for first, last, following in reversed(_triples(order.steps)):
            _STEP_BACK(*orders, first, last, following, *arrays)
            ways = zip(parts[last - first], transposed, grad_weights, strict=True)
            for (into, into_window, window), weight, grad in ways:
                torch.mm(into, weight, out=into_window)
                grad.addmm_(window.t(), into)
        return gates, grad_weights, None


def _triples(steps: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """The first position of every step, that of the step that follows, and the end of that one."""
    return [*zip(steps, steps[1:], (*steps[2:], steps[-1]), strict=False)]


def _parts(order: Order, batch: int, *tensors: Tensor) -> dict[int, list[tuple[Tensor, ...]]]:
    """For every number of positions in a step the parts of ``tensors`` that such a step fills, of each direction."""
    counts = {last - first for _, (first, last) in _pairs(order.steps)}
    return {n: [tuple(t[: n * batch] for t in own) for own in zip(*tensors, strict=True)] for n in counts}


class PixelRNN(ImageNetwork):
    """Residual layers of LSTMs between a masked convolution and two 1 × 1 layers (table 1).

    Args:
        spec: of the network.
        is_part: whether it samples the coarse pixels of another network, which gives it h.
    """

    spec: PixelRNNSpec

    def __init__(self, spec: PixelRNNSpec, is_part: bool = False) -> None:
        super().__init__(spec)
        table = tensors(spec)
        if spec.coarse is not None:
            self.coarse = PixelRNN(spec.coarse, is_part=True)
            self.coarse_map = CoarseMap(coarse_map_tensors(spec, spec.coarse_channels, spec.coarse_channels))
        if spec.conditions and not is_part:
            self.conditioner = LabelEmbedding(spec, part(table, "conditioner."))
        self.add_parameters(own(table))

    def score_pixels(self, pixels: Tensor, h: Tensor | None, dtype: torch.dtype) -> Tensor:
        """The distribution of every symbol. The recurrence runs in single precision where ``dtype`` has fewer digits.

        In a network in two scales the coarse pixels precede all others.
        """
        spec, batch = self.spec, len(pixels)
        coarse = pixels[:, COARSE, COARSE] if spec.coarse_layers else None
        seen_of_coarse = None if coarse is None else self._map_of(coarse, dtype)
        stream = self._convolve(pixels.to(dtype))
        outputs = []
        for layer in range(spec.layers):
            z = self._inputs_of_gates(stream, layer, batch, h)
            if seen_of_coarse is not None:
                z = z + (seen_of_coarse @ self.coarse_condition[layer].to(dtype))
            outputs.append(scan(z, self.state_to_state[layer], self._order).flatten(0, 1))
            expand = self._masked(self.expand[layer], dtype)
            stream = stream + torch.addmm(self.expand_bias[layer].to(dtype), outputs[layer], expand)
        seen, skip = F.relu(self._pixels(stream, batch)), self._masked(self.skip, dtype)
        if spec.skip_connections:
            seen = torch.cat([seen, *(self._pixels(output, batch) for output in outputs)], dim=1)
            skip = torch.cat([skip, self._masked(self.layer_skip, dtype).flatten(0, 1)])
        skips = torch.addmm(self.skip_bias.to(dtype), seen, skip)
        return self._logits_of(skips, pixels, coarse, h, dtype)

    def _map_of(self, coarse: Tensor, dtype: torch.dtype) -> Tensor:
        """The map of the coarse pixels for the gates, ``[H * columns, B, coarse_channels]``, zero past the edge."""
        found = self.coarse_map(coarse).to(dtype).permute(1, 2, 0, 3)
        return F.pad(found, (0, 0, 0, 0, 0, self.spec.columns - self.spec.width)).flatten(0, 1)

    @property
    def _order(self) -> Order:
        spec = self.spec
        if spec.lstm == "row":
            return row_order(spec.height, spec.width, spec.kernel_size)
        return diagonal_order(spec.height, spec.columns)

    def _convolve(self, pixels: Tensor) -> Tensor:
        """The first convolution (mask A): ``[H * columns * B, 2h]``."""
        weights = self._masked_kernel(self.first.to(pixels.dtype), "A")
        _, _, rows, columns = weights.shape
        right = columns // 2 + self.spec.columns - self.spec.width
        padded = F.pad(pixels.permute(0, 3, 1, 2), (columns // 2, right, rows - 1, 0))
        return F.conv2d(padded, weights, self.first_bias.to(pixels.dtype)).permute(2, 3, 0, 1).flatten(0, 2)

    def _inputs_of_gates(self, stream: Tensor, layer: int, batch: int, h: Tensor | None) -> Tensor:
        """The input-to-state component of the whole map, ``[H * columns, B, gates]``, with bias and condition."""
        spec, weights = self.spec, self.input_to_state[layer].to(stream.dtype)
        inputs, outputs = stream.shape[1], weights.shape[1]
        if spec.input_taps > 1:
            rows = F.pad(stream.view(spec.height, -1, inputs), (0, 0, batch * (spec.input_taps - 1), 0))
            size = spec.width * batch
            taps = [rows[:, batch * tap : batch * tap + size] for tap in range(spec.input_taps)]
            stream = torch.cat(taps, dim=2).flatten(0, 1)
        if spec.channels > 1:
            here = self._mask(inputs, outputs, "B", weights, runs=spec.directions * GATES)
            weights = weights * torch.cat([torch.ones_like(here)] * (spec.input_taps - 1) + [here])
        bias = torch.cat([self.gate_bias[layer], self.forget_bias[layer]], dim=1).flatten().to(stream.dtype)
        z = torch.addmm(bias, stream, weights).view(-1, batch, outputs)
        return z if h is None else z + h.to(z.dtype) @ self.condition[layer].to(z.dtype)

    def _pixels(self, features: Tensor, batch: int) -> Tensor:
        """``[B * H * W, features]`` of a map, without the column past the right edge."""
        spec = self.spec
        features = features.view(spec.height, spec.columns, batch, -1)[:, : spec.width]
        return features.permute(2, 0, 1, 3).flatten(0, 2)
