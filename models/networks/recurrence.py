"""The recurrence of PixelRNN's LSTMs over a feature map (arXiv:1601.06759, section 3), step by step.

A step holds positions whose states depend on those of the step before only: a row, or a diagonal. So a step is one
product for all its positions and pictures, and one element-wise pass. What the gates see of the layer's input is
computed before, for the whole map (equation 3: the input-to-state component).

In autograd's own operations a layer makes thousands of small tensors, and most of the time goes into them. So on a CPU
the element-wise passes are numba loops, with a backward pass of their own. Everywhere else, and in double precision,
the same formulas are written in torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from models.architectures.pixelrnn import GATES
from models.kernels.scalar import tanh

_HALF = np.float32(0.5)
_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)

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
    """Which of the taps is the position whose cell goes on."""


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
            :data:`~models.architectures.pixelrnn.GATES`.
        weights: ``[directions, taps * h, 4 * h]``, state to state.
        order: of the positions.

    Returns:
        ``[H * W, B, h]`` in the type of ``z``.
    """
    if z.device.type == "cpu" and z.dtype != torch.float64:
        scanned: Tensor = _FusedScan.apply(z.float().contiguous(), weights.float(), order)  # type: ignore[no-untyped-call]
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
    """For every step: the first position of the step before, and its own first and last ones."""
    return [(steps[max(s - 1, 0)], (steps[s], steps[s + 1])) for s in range(len(steps) - 1)]


class _FusedScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, weights: Tensor, order: Order) -> Tensor:
        (positions, batch, _), (directions, seen, wide) = z.shape, weights.shape
        features, taps = wide // GATES, order.before.shape[1]
        rows = positions * batch
        gates, cells = z.new_empty(directions, rows, wide), z.new_empty(directions, rows, features)
        windows, outputs = z.new_zeros(directions, rows, seen), z.new_zeros(positions, batch, features)
        most = max(last - first for _, (first, last) in _pairs(order.steps)) * batch
        sums, states = z.new_empty(directions, most, wide), z.new_empty(directions, most, features)
        sizes = directions, positions, batch, features, taps, order.carried, most
        arrays = [t.numpy().reshape(-1) for t in (z, sums, gates, cells, states, windows, outputs)]
        steps = (*order.steps, order.steps[-1])
        for first, last, following in zip(steps, steps[1:], steps[2:], strict=False):
            for d in range(directions):
                torch.mm(windows[d, first * batch : last * batch], weights[d], out=sums[d, : (last - first) * batch])
            _step(sizes, order.pixels, order.targets, order.before, first, last, following, *arrays)
        ctx.save_for_backward(gates, cells, windows, weights)
        ctx.order, ctx.sizes = order, sizes
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        gates, cells, windows, weights = ctx.saved_tensors
        order, (directions, positions, batch, features, _, _, most) = ctx.order, ctx.sizes
        grad_outputs = grads[0].contiguous()
        wide = GATES * features
        grad_z = grad_outputs.new_empty(positions, batch, directions * wide)
        grad_weights, transposed = torch.zeros_like(weights), weights.transpose(1, 2).contiguous()
        into_gates, into_windows = (
            gates.new_empty(directions, most, wide),
            windows.new_empty(directions, most, weights.shape[1]),
        )
        into_states, into_cells, carried = (cells.new_empty(directions, most, features) for _ in range(3))
        tensors = grad_outputs, gates, cells, into_gates, into_windows, into_states, into_cells, carried, grad_z
        arrays = [t.numpy().reshape(-1) for t in tensors]
        steps = (*order.steps, order.steps[-1])
        for first, last, following in reversed([*zip(steps, steps[1:], steps[2:], strict=False)]):
            _step_back(ctx.sizes, order.pixels, order.targets, order.before, first, last, following, *arrays)
            for d in range(directions):
                into = into_gates[d, : (last - first) * batch]
                torch.mm(into, transposed[d], out=into_windows[d, : len(into)])
                grad_weights[d].addmm_(windows[d, first * batch : last * batch].t(), into)
        return grad_z, grad_weights, None


@njit(cache=True, fastmath=True, error_model="numpy", boundscheck=False, nogil=True)
def _activate(z, at, sums, begin, gates, to, size):  # type: ignore[no-untyped-def]  # numba infers the types
    """The four gates; all offsets are unsigned, see models/kernels/linear.py."""
    for j in range(size):
        gates[to + j] = tanh(z[at + j] + sums[begin + j])
    for j in range(size, np.uint64(4) * size):
        gates[to + j] = _HALF * tanh(_HALF * (z[at + j] + sums[begin + j])) + _HALF


@njit(cache=True, fastmath=True, error_model="numpy", boundscheck=False, nogil=True)
def _step(  # type: ignore[no-untyped-def]  # numba infers the types
    sizes, pixels, targets, before, first, last, following, z, sums, gates, cells, states, windows, outputs
):  # fmt: skip
    """The states of one step, and the windows of the one that follows."""
    directions, positions, batch, features, taps, carried, most = sizes
    size, wide = np.uint64(features), np.uint64(4 * features)
    for d in range(directions):
        for m in range(first, last):
            for b in range(batch):
                row, own = np.uint64((d * positions + m) * batch + b), np.uint64(d * most + (m - first) * batch + b)
                at = np.uint64((pixels[d, m] * batch + b) * directions + d)
                gate, cell, state = row * wide, row * size, own * size
                _activate(z, at * wide, sums, own * wide, gates, gate, size)
                into, out, keep = gate + size, gate + np.uint64(2) * size, gate + np.uint64(3) * size
                for j in range(size):
                    cells[cell + j] = gates[into + j] * gates[gate + j]
                if before[m, carried] >= 0:
                    old = np.uint64((d * positions + before[m, carried]) * batch + b) * size
                    for j in range(size):
                        cells[cell + j] += gates[keep + j] * cells[old + j]
                for j in range(size):
                    states[state + j] = gates[out + j] * tanh(cells[cell + j])
                if targets[d, m] >= 0:
                    target = np.uint64(targets[d, m] * batch + b) * size
                    for j in range(size):
                        outputs[target + j] += states[state + j]
        for m in range(last, following):
            for tap in range(taps):
                if before[m, tap] >= 0:
                    for b in range(batch):
                        state = np.uint64(d * most + (before[m, tap] - first) * batch + b) * size
                        window = np.uint64(((d * positions + m) * batch + b) * taps + tap) * size
                        for j in range(size):
                            windows[window + j] = states[state + j]


@njit(cache=True, fastmath=True, error_model="numpy", boundscheck=False, nogil=True)
def _step_back(  # type: ignore[no-untyped-def]  # numba infers the types
    sizes, pixels, targets, before, first, last, following,
    grad_outputs, gates, cells, into_gates, into_windows, into_states, into_cells, carried_back, grad_z,
):  # fmt: skip
    """The gradients of one step, from those of the one that follows (``into_windows``, ``carried_back``)."""
    directions, positions, batch, features, taps, carried, most = sizes
    size, wide = np.uint64(features), np.uint64(4 * features)
    for d in range(directions):
        for m in range(first, last):
            for b in range(batch):
                own, target = np.uint64(d * most + (m - first) * batch + b) * size, targets[d, m]
                source = np.uint64(max(target, 0) * batch + b) * size
                kept = _ONE if target >= 0 else _ZERO
                for j in range(size):
                    into_states[own + j] = kept * grad_outputs[source + j]
                    into_cells[own + j] = _ZERO
        for m in range(last, following):
            for tap in range(taps):
                if before[m, tap] >= 0:
                    for b in range(batch):
                        later = np.uint64(d * most + (m - last) * batch + b)
                        own = np.uint64(d * most + (before[m, tap] - first) * batch + b) * size
                        window = (later * np.uint64(taps) + np.uint64(tap)) * size
                        for j in range(size):
                            into_states[own + j] += into_windows[window + j]
                        if tap == carried:
                            for j in range(size):
                                into_cells[own + j] += carried_back[later * size + j]
        for m in range(first, last):
            for b in range(batch):
                row, own = np.uint64((d * positions + m) * batch + b), np.uint64(d * most + (m - first) * batch + b)
                at = np.uint64((pixels[d, m] * batch + b) * directions + d) * wide
                old = np.uint64((d * positions + max(before[m, carried], 0)) * batch + b) * size
                kept = _ONE if before[m, carried] >= 0 else _ZERO
                _cell_back(
                    gates, row * wide, cells, row * size, old, kept, into_states, into_cells, own * size,
                    into_gates, own * wide, carried_back, size,
                )  # fmt: skip
                for j in range(wide):
                    grad_z[at + j] = into_gates[own * wide + j]


@njit(cache=True, fastmath=True, error_model="numpy", boundscheck=False, nogil=True)
def _cell_back(  # type: ignore[no-untyped-def]  # numba infers the types
    gates, gate, cells, cell, old, kept, into_states, into_cells, own, into_gates, to, carried_back, size
):  # fmt: skip
    """From the gradients of a state and of its cell to those of its gates and of the cell before, times ``kept``."""
    two, three = np.uint64(2) * size, np.uint64(3) * size
    for j in range(size):
        candidate, into = gates[gate + j], gates[gate + size + j]
        out, keep = gates[gate + two + j], gates[gate + three + j]
        shown, grad = tanh(cells[cell + j]), into_states[own + j]
        grad_cell = into_cells[own + j] + grad * out * (_ONE - shown * shown)
        into_gates[to + j] = grad_cell * into * (_ONE - candidate * candidate)
        into_gates[to + size + j] = grad_cell * candidate * into * (_ONE - into)
        into_gates[to + two + j] = grad * shown * out * (_ONE - out)
        into_gates[to + three + j] = kept * grad_cell * cells[old + j] * keep * (_ONE - keep)
        carried_back[own + j] = grad_cell * keep
