"""The layers of a PixelRNN as compiled functions: what a row needs of the row above, one channel of a pixel, and the
LSTMs that come from the right.

Each channel of a pixel computes its own features. Weights are read from front to back (pixelrnn_layout.py); every
function returns how many it has read. The feature maps of a layer, a line each: ``hidden``, the states of the row above
and, left of the pixel, of its own row, with a margin on both sides; ``cells``, with a margin of one on the left;
``right``, the states that came from the right in the row above, with a margin of one on the right; ``streams``, the
layer's inputs in this row, with a margin on the left where a Row LSTM looks there.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ancestral.models.kernels.image_sampling import add, copy, rectify
from ancestral.models.portable import add_to_each, add_to_one, tanh

_HALF = np.float32(0.5)
_ZERO = np.float32(0.0)


@njit(fastmath={"contract"}, error_model="numpy")
def _lstm(gates, old, cells, states, size):  # type: ignore[no-untyped-def]  # numba infers the types
    """New cells and states of the old cells; ``cells`` may be ``old``."""
    into, out, keep = gates[size:], gates[2 * size :], gates[3 * size :]
    for j in range(size):
        new = (_HALF * tanh(_HALF * into[j]) + _HALF) * tanh(gates[j])
        cell = (_HALF * tanh(_HALF * keep[j]) + _HALF) * old[j] + new
        states[j] = (_HALF * tanh(_HALF * out[j]) + _HALF) * tanh(cell)
        cells[j] = cell


@njit(fastmath={"contract"}, error_model="numpy")
def _biases(condition, weights, outputs, out, width):  # type: ignore[no-untyped-def]  # numba infers the types
    """b + V·h for every pixel of a row; b is followed by V. h is that of all or each has its own (:func:`of_row`).

    Returns the number of weights.
    """
    count, inputs = condition.shape
    copy(weights, out, outputs)
    if count == 1:
        add_to_one(condition[0], weights[outputs:], inputs, outputs, out)
    for x in range(1, width):
        copy(out, out[x * outputs :], outputs)
    if count > 1:
        each = condition.reshape(-1)
        add_to_each(each, inputs, weights[outputs:], inputs, outputs, out.reshape((width, outputs)), width)
    return outputs * (1 + inputs)


@njit(error_model="numpy")
def of_row(conditions, row, columns):  # type: ignore[no-untyped-def]  # numba infers the types
    """The part of ``[1 or H * columns, n]`` that a row sees: ``[1, n]``, or one h for each of its pixels."""
    if len(conditions) == 1:
        return conditions
    return conditions[row * columns : (row + 1) * columns]


@njit(fastmath={"contract"}, error_model="numpy")
def row_above(sizes, weights, pixels, hidden, condition, row, convolved, base):  # type: ignore[no-untyped-def]  # inferred
    """What a row sees of the rows above: ``convolved`` gets ``[columns, 2h]`` of the first convolution, ``base`` the
    gates of every layer, ``[layers, columns, gates]``."""
    diagonal, layers, _, columns, channels, _, each, wide, _, first, half, _ = sizes
    state, stream, gates, at = channels * each, channels * wide, 4 * channels * each, channels * wide
    line, window = (columns + 2 * first) * channels, (2 * first + 1) * channels
    target = convolved.reshape((columns, stream))
    for x in range(columns):
        copy(weights, target[x], stream)
    for dy in range(first):
        add_to_each(pixels[(row + dy) * line :], channels, weights[at:], window, stream, target, columns)
        at += window * stream
    margin = 1 if diagonal else half
    begin, seen = (state, state) if diagonal else (0, (2 * half + 1) * state)
    for layer in range(layers):
        own = base[layer * columns * gates : (layer + 1) * columns * gates]
        at += _biases(condition, weights[at:], gates, own, columns)
        states = hidden[layer * (columns + 2 * margin) * state + begin :]
        add_to_each(states, state, weights[at:], seen, gates, own.reshape((columns, gates)), columns)
        at += seen * gates
    return at


@njit(fastmath={"contract"}, error_model="numpy")
def pixel(sizes, weights, x, c, convolved, base, window, streams, hidden, cells, right, shown, out):  # type: ignore[no-untyped-def]  # inferred
    """All layers of one channel of a pixel, all lanes together.

    ``shown`` gets the outputs of the layers, ``[layers, state]`` a lane; ``out`` the inputs of the layers behind them,
    channel by channel: the rectified stream and, with skip connections, the outputs of all layers.
    """
    diagonal, layers, _, columns, channels, _, each, wide, _, first, half, skips = sizes
    lanes, state, stream, size = len(base), channels * each, channels * wide, first * channels + c
    margin, left = (1, 0) if diagonal else (half, half)
    flow, gates = np.empty((lanes, wide), np.float32), np.empty((lanes, 4 * each), np.float32)
    flat_streams, flat_hidden, flat_shown = streams.reshape(-1), hidden.reshape(-1), shown.reshape(-1)
    run = wide + skips * layers * each
    for lane in range(lanes):
        copy(convolved[lane, x * stream + c * wide :], flow[lane], wide)
    add_to_each(window.reshape(-1), window.shape[1], weights, size, wide, flow, lanes)
    at = size * wide
    for layer in range(layers):
        here = (layer * (left + columns) + left + x) * stream
        for lane in range(lanes):
            copy(flow[lane], streams[lane, here + c * wide :], wide)
            copy(base[lane, (layer * columns + x) * 4 * state + c * 4 * each :], gates[lane], 4 * each)
        states = (layer * (columns + 2 * margin) + margin + x) * state
        if diagonal:
            beside = state
            add_to_each(flat_hidden[states - state :], hidden.shape[1], weights[at:], beside, 4 * each, gates, lanes)
        else:
            beside = half * stream
            begin = here - beside
            add_to_each(flat_streams[begin:], streams.shape[1], weights[at:], beside, 4 * each, gates, lanes)
        at += beside * 4 * each
        add_to_each(flat_streams[here:], streams.shape[1], weights[at:], (c + 1) * wide, 4 * each, gates, lanes)
        at += (c + 1) * wide * 4 * each
        new, own = (layer * (columns + 1) + 1 + x) * state + c * each, layer * state + c * each
        old = new - state if diagonal else new
        for lane in range(lanes):
            made = hidden[lane, states + c * each :]
            _lstm(gates[lane], cells[lane, old:], cells[lane, new:], made, each)
            copy(made, shown[lane, own:], each)
            if diagonal:
                add(right[lane, new - state :], shown[lane, own:], each)
            if skips:
                copy(shown[lane, own:], out[lane, c * run + wide + layer * each :], each)
            add(weights[at:], flow[lane], wide)
        seen, begin = (c + 1) * each, layer * state
        add_to_each(flat_shown[begin:], shown.shape[1], weights[at + wide :], seen, wide, flow, lanes)
        at += wide + seen * wide
    for lane in range(lanes):
        rectify(flow[lane], out[lane, c * run :], wide)
    return at


@njit(fastmath={"contract"}, error_model="numpy")
def row_from_right(sizes, weights, condition, streams, right):  # type: ignore[no-untyped-def]  # numba infers the types
    """The LSTMs from the right of a complete row; ``right`` holds the states of the row above, and then its own."""
    _, layers, _, columns, channels, _, each, wide, _, _, _, _ = sizes
    state, stream, gates, at = channels * each, channels * wide, 4 * channels * each, 0
    flat, cells = np.empty(columns * gates, np.float32), np.empty(state, np.float32)
    sums = flat.reshape((columns, gates))
    for layer in range(layers):
        at += _biases(condition, weights[at:], gates, flat, columns)
        states = right[layer * (columns + 1) * state :]
        add_to_each(streams[layer * columns * stream :], stream, weights[at:], stream, gates, sums, columns)
        at += stream * gates
        add_to_each(states, state, weights[at:], state, gates, sums, columns)
        at += state * gates
        cells[:] = _ZERO
        for x in range(columns - 1, -1, -1):
            add_to_one(states[(x + 1) * state :], weights[at:], state, gates, sums[x])
            for c in range(channels):
                old = cells[c * each :]
                _lstm(sums[x, 4 * c * each :], old, old, states[x * state + c * each :], each)
        at += state * gates
    return at
