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

from ancestral.models.architectures.pixelrnn import GATES
from ancestral.models.portable import tanh

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
            :data:`~ancestral.models.architectures.pixelrnn.GATES`.
        weights: ``[directions, taps * h, 4 * h]``, state to state.
        order: of the positions.

    Returns:
        ``[H * W, B, h]`` in the type of ``z``.
    """
    if z.device.type == "cpu" and z.dtype != torch.float64:
        # A copy in any case, because it is overwritten.
        gates = z.clone(memory_format=torch.contiguous_format) if z.dtype == torch.float32 else z.float().contiguous()
        scanned: Tensor = _FusedScan.apply(gates, weights.float(), order)  # type: ignore[no-untyped-call]
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
        sizes = directions, positions, batch, features, taps, order.carried, most
        arrays = [t.numpy().reshape(-1) for t in (gates, sums, cells, states, windows, outputs)]
        parts = _parts(order, batch, windows, sums)
        for first, last, following in _triples(order.steps):
            for (window, total), weight in zip(parts[last - first], weights, strict=True):
                torch.mm(window, weight, out=total)
            _step(sizes, order.pixels, order.targets, order.before, first, last, following, *arrays)
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
        arrays = [t.numpy().reshape(-1) for t in tensors]
        parts = _parts(order, batch, into_gates, into_windows, windows)
        for first, last, following in reversed(_triples(order.steps)):
            _step_back(ctx.sizes, order.pixels, order.targets, order.before, first, last, following, *arrays)
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


@njit(cache=True, fastmath=True, error_model="numpy", boundscheck=False, nogil=True)
def _see(sizes, before, first, last, states, windows):  # type: ignore[no-untyped-def]  # numba infers the types
    """The states that the gates of one step see."""
    directions, positions, batch, features, taps, _, most = sizes
    size = np.uint64(features)
    for d in range(directions):
        for m in range(first, last):
            for tap in range(taps):
                for b in range(batch):
                    window = np.uint64((d * most + (m - first) * batch + b) * taps + tap) * size
                    if before[m, tap] >= 0:
                        state = np.uint64((d * positions + before[m, tap]) * batch + b) * size
                        for j in range(size):
                            windows[window + j] = states[state + j]
                    else:
                        for j in range(size):
                            windows[window + j] = _ZERO


@njit(cache=True, fastmath=True, error_model="numpy", boundscheck=False, nogil=True)
def _activate(gates, gate, sums, begin, size):  # type: ignore[no-untyped-def]  # numba infers the types
    """The four gates, in place; all offsets are unsigned, see models/portable.py."""
    for j in range(size):
        gates[gate + j] = tanh(gates[gate + j] + sums[begin + j])
    for j in range(size, np.uint64(4) * size):
        gates[gate + j] = _HALF * tanh(_HALF * (gates[gate + j] + sums[begin + j])) + _HALF


@njit(cache=True, fastmath=True, error_model="numpy", boundscheck=False, nogil=True)
def _step(  # type: ignore[no-untyped-def]  # numba infers the types
    sizes, pixels, targets, before, first, last, following, gates, sums, cells, states, windows, outputs
):  # fmt: skip
    """The states of one step, and the windows of the one that follows."""
    directions, positions, batch, features, _, carried, most = sizes
    size, wide = np.uint64(features), np.uint64(4 * features)
    for d in range(directions):
        for m in range(first, last):
            for b in range(batch):
                cell = np.uint64((d * positions + m) * batch + b) * size
                gate = np.uint64((pixels[d, m] * batch + b) * directions + d) * wide
                _activate(gates, gate, sums, np.uint64(d * most + (m - first) * batch + b) * wide, size)
                into, out, keep = gate + size, gate + np.uint64(2) * size, gate + np.uint64(3) * size
                for j in range(size):
                    cells[cell + j] = gates[into + j] * gates[gate + j]
                if before[m, carried] >= 0:
                    old = np.uint64((d * positions + before[m, carried]) * batch + b) * size
                    for j in range(size):
                        cells[cell + j] += gates[keep + j] * cells[old + j]
                for j in range(size):
                    states[cell + j] = gates[out + j] * tanh(cells[cell + j])
                if targets[d, m] >= 0:
                    target = np.uint64(targets[d, m] * batch + b) * size
                    for j in range(size):
                        outputs[target + j] += states[cell + j]
    _see(sizes, before, last, following, states, windows)


@njit(cache=True, fastmath=True, error_model="numpy", boundscheck=False, nogil=True)
def _step_back(  # type: ignore[no-untyped-def]  # numba infers the types
    sizes, pixels, targets, before, first, last, following,
    grad_outputs, gates, cells, states, windows, into_gates, into_windows, into_states, into_cells, carried_back,
):  # fmt: skip
    """The gradients of one step, from those of the one that follows (``into_windows``, ``carried_back``)."""
    directions, positions, batch, features, taps, carried, most = sizes
    size, wide = np.uint64(features), np.uint64(4 * features)
    _see(sizes, before, first, last, states, windows)
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
                cell = np.uint64((d * positions + m) * batch + b) * size
                own = np.uint64(d * most + (m - first) * batch + b)
                gate = np.uint64((pixels[d, m] * batch + b) * directions + d) * wide
                old = np.uint64((d * positions + max(before[m, carried], 0)) * batch + b) * size
                kept = _ONE if before[m, carried] >= 0 else _ZERO
                _cell_back(
                    gates, gate, cells, cell, old, kept, into_states, into_cells, own * size,
                    into_gates, own * wide, carried_back, size,
                )  # fmt: skip
                for j in range(wide):
                    gates[gate + j] = into_gates[own * wide + j]


@njit(cache=True, fastmath=True, error_model="numpy", boundscheck=False, nogil=True)
def _cell_back(  # type: ignore[no-untyped-def]  # numba infers the types
    gates, gate, cells, cell, old, kept, into_states, into_cells, own, into_gates, to, carried_back, size
):  # fmt: skip
    """The gradients of the gates and of the cell before, times ``kept``, from those of a state and of its cell."""
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
