"""The layers of a PixelCNN as compiled functions: the part of a row that depends on the rows above, one channel of a
pixel.

Each channel of a pixel computes its own features: weights that the masks of networks/pixelcnn.py set to zero are not
read. Weights are read from front to back (pixelcnn_layout.py); every function returns how many it has read.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ancestral.models.kernels.byte_products import gate, products
from ancestral.models.kernels.image_sampling import add, copy, rectify
from ancestral.models.portable import add_to_each

_ZERO = np.float32(0.0)


@njit(fastmath={"contract"}, error_model="numpy")
def _biases(condition, inputs, first, weights, outputs, out, width):  # type: ignore[no-untyped-def]  # inferred
    """b + V·h, or b + V * s, of a row's pixels; b is followed by V. Returns the number of weights.

    h or s are the first ``inputs`` numbers of each row of ``condition``.
    """
    count = width if len(condition) > 1 else 1
    for x in range(count):
        copy(weights, out[x], outputs)
    own = condition[first if count > 1 else 0 :].reshape(-1)
    add_to_each(own, condition.shape[1], weights[outputs:], inputs, outputs, out, count)
    for x in range(count, width):
        copy(out[0], out[x], outputs)
    return outputs * (1 + inputs)


@njit(fastmath={"contract"}, error_model="numpy")
def row_gated(sizes, weights, pixels, above, condition, row, base):  # type: ignore[no-untyped-def]  # inferred
    """The vertical stack of a row; ``base`` gets its inputs to the horizontal stack, ``[layers, W, gates]``.

    Where a row of ``condition`` goes on behind h or s, the rest is the coarse pixels' map for the first layer.
    """
    _, layers, width, channels, planes, _, p, each, _, first, reach, inner = sizes
    inputs = channels * planes
    z, biases = np.empty((width, 2 * p), np.float32), np.empty((width, 2 * p), np.float32)
    line, window, kept = (width + 2 * first) * inputs, (2 * first + 1) * inputs, (width + 2 * reach) * p
    gates, at = 2 * channels * each, 0
    for layer in range(layers):
        z[:] = _ZERO
        for dy in range(first if layer == 0 else reach + 1):
            if layer == 0:
                add_to_each(pixels[(row + dy) * line :], inputs, weights[at:], window, 2 * p, z, width)
                at += window * 2 * p
            else:
                slot = (layer - 1) * (reach + 1) + (row + 1 + dy) % (reach + 1)
                at += products(above[slot * kept :], p, weights[at:], (2 * reach + 1) * p, 2 * p, z, width, above)
        if layer == 0 and condition.shape[1] > inner:
            for x in range(width):
                add(condition[row * width + x, inner:], z[x], 2 * p)
        target = base[layer * width * gates : (layer + 1) * width * gates].reshape((width, gates))
        at += _biases(condition, inner, row * width, weights[at:], gates, target, width)
        at += products(z.reshape(-1), 2 * p, weights[at:], 2 * p, gates, target, width, above)
        if layer < layers - 1:
            at += _biases(condition, inner, row * width, weights[at:], 2 * p, biases, width)
            cell = (layer * (reach + 1) + row % (reach + 1)) * kept + reach * p
            for x in range(width):
                add(biases[x], z[x], 2 * p)
                gate(z[x], z[x, p:], above[cell + x * p :], p)
    return at


@njit(fastmath={"contract"}, error_model="numpy")
def pixel_gated(sizes, weights, x, c, base, window, beside, gated, out):  # type: ignore[no-untyped-def]  # inferred
    """The horizontal stack of one channel of a pixel, all lanes together.

    ``beside`` holds the row so far, ``[layers - 1, reach + W, features]`` a lane; ``gated`` the outputs of all gates,
    by layer first, for the residuals; ``out`` the same by channel first, for the skips.
    """
    _, layers, width, channels, planes, _, _, each, _, first, reach, _ = sizes
    lanes, features, seen, at = len(base), channels * each, (c + 1) * each, 0
    sums, passed = np.empty((lanes, 2 * each), np.float32), np.empty((lanes, each), np.float32)
    flat, flat_window, flat_gated = beside.reshape(-1), window.reshape(-1), gated.reshape(-1)
    line = (reach + width) * features
    for layer in range(layers):
        for lane in range(lanes):
            copy(base[lane, (layer * width + x) * 2 * features + 2 * c * each :], sums[lane], 2 * each)
        if layer == 0:
            size = (first * channels + c) * planes
            add_to_each(flat_window, window.shape[1], weights, size, 2 * each, sums, lanes)
            at += size * 2 * each
        else:
            size, begin = reach * features + seen, (layer - 1) * line + x * features
            at += products(flat[begin:], beside.shape[1], weights[at:], size, 2 * each, sums, lanes, gated)
        for lane in range(lanes):
            own = layer * features + c * each
            gate(sums[lane], sums[lane, each:], gated[lane, own:], each)
            copy(gated[lane, own:], out[lane, (c * layers + layer) * each :], each)
        if layer < layers - 1:
            here = layer * line + (reach + x) * features + c * each
            for lane in range(lanes):
                copy(weights[at:], passed[lane], each)
                if layer > 0:
                    add(beside[lane, here - line :], passed[lane], each)
            begin = layer * features
            at += each
            at += products(flat_gated[begin:], gated.shape[1], weights[at:], seen, each, passed, lanes, gated)
            for lane in range(lanes):
                copy(passed[lane], beside[lane, here:], each)
    return at


@njit(fastmath={"contract"}, error_model="numpy")
def row_original(sizes, weights, pixels, above, condition, row, base):  # type: ignore[no-untyped-def]  # inferred
    """The convolutions over the rows above; ``base`` gets ``[W, 2h]`` of the first, then ``[blocks, W, h]``."""
    _, layers, width, channels, planes, _, h, each, _, first, reach, inner = sizes
    inputs, hidden = channels * planes, channels * each
    line, window = (width + 2 * first) * inputs, (2 * first + 1) * inputs
    flow = channels * (-(-2 * h // channels))
    target = base[: width * flow].reshape((width, flow))
    for x in range(width):
        copy(weights, target[x], flow)
    at, kept = flow, (width + 2 * reach) * hidden
    for dy in range(first):
        add_to_each(pixels[(row + dy) * line :], inputs, weights[at:], window, flow, target, width)
        at += window * flow
    for block in range(layers - 1):
        begin = width * flow + block * width * hidden
        onto = base[begin : begin + width * hidden].reshape((width, hidden))
        at += _biases(condition, inner, row * width, weights[at:], hidden, onto, width)
        for dy in range(reach):
            slot = block * (reach + 1) + (row + 1 + dy) % (reach + 1)
            add_to_each(above[slot * kept :], hidden, weights[at:], (2 * reach + 1) * hidden, hidden, onto, width)
            at += (2 * reach + 1) * hidden * hidden
    return at


@njit(fastmath={"contract"}, error_model="numpy")
def pixel_original(sizes, weights, x, c, rows, base, window, above, convolved, out):  # type: ignore[no-untyped-def]  # inferred
    """All blocks of one channel of a pixel, all lanes together.

    ``convolved`` holds the outputs of the blocks' convolutions, ``out`` the blocks' inputs and behind them the last
    one's output, all rectified and of all channels: the channels to come see them.
    """
    _, layers, width, channels, planes, _, h, each, _, first, reach, _ = sizes
    lanes, both, hidden, at = len(base), -(-2 * h // channels), channels * each, 0
    flow, sums = np.empty((lanes, both), np.float32), np.empty((lanes, each), np.float32)
    seen = np.empty((lanes, (reach + 1) * hidden), np.float32)
    flat_out, flat_convolved, flat_seen = out.reshape(-1), convolved.reshape(-1), seen.reshape(-1)
    size, all_flow, kept = (first * channels + c) * planes, channels * both, (width + 2 * reach) * hidden
    for lane in range(lanes):
        copy(base[lane, x * all_flow + c * both :], flow[lane], both)
    add_to_each(window.reshape(-1), window.shape[1], weights, size, both, flow, lanes)
    at += size * both
    for block in range(layers - 1):
        for lane in range(lanes):
            rectify(flow[lane], out[lane, block * all_flow + c * both :], both)
            copy(weights[at:], sums[lane], each)
        size = (c + 1) * both
        add_to_each(flat_out[block * all_flow :], out.shape[1], weights[at + each :], size, each, sums, lanes)
        at += each + size * each
        size = reach * hidden + (c + 1) * each
        for lane in range(lanes):
            line = (block * (reach + 1) + rows[lane] % (reach + 1)) * kept + x * hidden
            rectify(sums[lane], above[lane, line + reach * hidden + c * each :], each)
            copy(above[lane, line:], seen[lane], size)
            copy(base[lane, width * all_flow + (block * width + x) * hidden + c * each :], sums[lane], each)
        add_to_each(flat_seen, seen.shape[1], weights[at:], size, each, sums, lanes)
        at += size * each
        for lane in range(lanes):
            rectify(sums[lane], convolved[lane, block * hidden + c * each :], each)
            add(weights[at:], flow[lane], both)
        size = (c + 1) * each
        begin = block * hidden
        add_to_each(flat_convolved[begin:], convolved.shape[1], weights[at + both :], size, both, flow, lanes)
        at += both + size * both
    for lane in range(lanes):
        rectify(flow[lane], out[lane, (layers - 1) * all_flow + c * both :], both)
    return at
