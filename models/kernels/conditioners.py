"""Networks that a stream runs once, when it is opened: frames and a speaker, labels or a picture to what kernels read.

The first is the Conditioner of networks/wavenet.py, which replaces the upsampling network y = f(h) of WaveNet (van den
Oord et al. 2016, section 2.5): small matrix products for a few thousand frames, against millions of steps.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ancestral.models.architectures.context import CONTEXT_PREFIX
from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.arithmetic import product, silu
from ancestral.models.conditioning import Speaker, input_planes, padded_frames, speaker_vector, windows
from ancestral.models.spec import COARSE_STRIDE, ImageSpec
from ancestral.models.tensors import part

Array = NDArray[np.float32]


def conditioning(
    spec: WaveNetSpec, tensors: Mapping[str, Array], frames: Array | None, speaker: Speaker | None
) -> Array:
    """h of every frame, or the one h of a model without frames.

    Args:
        spec: of the model.
        tensors: of its checkpoint.
        frames: ``[F, local_channels]``, where the model has local conditioning.
        speaker: where the model has speakers.

    Returns:
        ``float32 [F, conditioner_channels]``; F is 1 without frames.
    """
    h = tensors["conditioner.bias"][None]
    if speaker is not None:
        h = h + product(speaker_vector(tensors["conditioner.speaker"], speaker), tensors["conditioner.speaker_in"])
    if frames is None:
        return np.ascontiguousarray(h)
    h = h + product(padded_frames(spec, frames), tensors["conditioner.frames_in"])
    for taps, bias in zip(tensors["conditioner.taps"], tensors["conditioner.taps_bias"], strict=True):
        seen = np.concatenate([h[:-2], h[1:-1], h[2:]], axis=1)
        h = h[1:-1] + silu(product(seen, taps) + bias)
    return h


def upsample(
    spec: PixelCNNSpec, tensors: Mapping[str, Array], h: Array, coarse: NDArray[np.uint8] | None = None
) -> Array:
    """What V is multiplied by in a PixelCNN (section 2.4 of 1606.05328); networks/pixelcnn.py's Conditioner in numpy.

    Args:
        spec: of the network.
        tensors: of its checkpoint.
        h: ``[condition_channels]``, of :func:`embed_labels`; of the coarse pixels of an edit one for each.
        coarse: symbols of the coarse pixels ``[rows, columns, C]``, of a network in two scales.

    Returns:
        ``[1, condition_channels]``, h itself, or its map s = m(h), ``[H * W, location_channels]``, followed by the map
        of the coarse pixels for the vertical stack, so ``[H * W, location_channels + map_width]``.
    """
    if spec.conditioning != "location":
        return np.atleast_2d(h)
    pixels = None if coarse is None else input_planes(spec, coarse)
    rows, columns = spec.cells
    cells = (product(h, tensors["conditioner.map"]) + tensors["conditioner.map_bias"]).reshape(-1, rows, columns)
    if pixels is None:
        cells = silu(cells)
    else:
        cells = silu(cells + _convolved(pixels, tensors["conditioner.coarse_taps"]))
        cells = cells + silu(_convolved(cells, tensors["conditioner.neighbour_taps"]))
    if spec.map_channels:
        cells = _residual_convolutions(cells, tensors["conditioner.map_taps"], tensors["conditioner.map_taps_bias"])
    whole = _upsampled(cells, tensors["conditioner.upsampling"])[: spec.height, : spec.width]
    if spec.coarse_inputs:
        assert pixels is not None, "a network in two scales needs its coarse pixels"
        whole = np.concatenate([whole, coarse_map(tensors, pixels)], axis=2)
    return np.ascontiguousarray(whole.reshape(spec.height * spec.width, -1))


def coarse_map(tensors: Mapping[str, Array], pixels: Array) -> Array:
    """The map ``[H, W, n]`` of the coarse pixels ``[C * planes, rows, columns]``; networks/image.py's in numpy."""
    taps, neighbours = tensors["coarse_map.taps"], tensors["coarse_map.neighbour_taps"]
    cells = silu(_convolved(pixels, taps) + tensors["coarse_map.taps_bias"][:, None, None])
    cells = cells + silu(_convolved(cells, neighbours) + tensors["coarse_map.neighbour_bias"][:, None, None])
    return _upsampled(cells, tensors["coarse_map.upsampling"])


def edit_context(
    spec: ImageSpec, tensors: Mapping[str, Array], picture: NDArray[np.uint8], kept: NDArray[np.bool_]
) -> tuple[Array, Array] | None:
    """What a network sees of the pixels that an edit keeps; networks/image.py's ContextMap in numpy.

    Args:
        spec: of the network; of the coarse network, whose h has them already, the result is None.
        tensors: of its checkpoint.
        picture: symbols ``[H, W, C]``, of which those that are not kept have no effect.
        kept: ``[H, W]``.

    Returns:
        What is added to the result of :func:`upsample`, and what to h at every coarse pixel ``[rows * columns,
        condition_channels]``.
    """
    if not spec.draws_edits:
        return None
    own = part(tensors, CONTEXT_PREFIX)
    shown = kept[None].astype(np.float32)
    seen = np.concatenate([input_planes(spec, picture) * shown, shown])
    inputs, height, width = seen.shape
    size = COARSE_STRIDE
    blocks = seen.reshape(inputs, height // size, size, width // size, size).transpose(1, 3, 0, 2, 4)
    cells = product(blocks.reshape(-1, inputs * size * size), own["cell_taps"].reshape(-1, inputs * size * size).T)
    cells = silu(cells + own["cell_bias"]).T.reshape(-1, height // size, width // size)
    cells = _residual_convolutions(cells, own["taps"], own["taps_bias"])
    near = _convolved(seen, own["near_taps"]) + own["near_bias"][:, None, None]
    inner = silu(near.transpose(1, 2, 0) + _upsampled(cells, own["upsampling"]))
    fine = product(inner.reshape(height * width, -1), own["out"])
    return fine, product(cells.reshape(len(cells), -1).T, own["coarse_out"])


def _residual_convolutions(cells: Array, taps: Array, biases: Array) -> Array:
    """Layers over ``cells [n, rows, columns]``, by ``taps [layers, n, n, 3, 3]``; networks/image.py's in numpy."""
    for layer, bias in zip(taps, biases, strict=True):
        cells = cells + silu(_convolved(cells, layer) + bias[:, None, None])
    return cells


def _upsampled(cells: Array, weights: Array) -> Array:
    """Transposed convolution of ``cells [in, rows, columns]`` by ``weights [in, out, n, n]`` with stride n.

    Returns:
        ``[rows * n, columns * n, out]``.
    """
    inner, rows, columns = cells.shape
    _, outputs, n, _ = weights.shape
    fine = product(cells.reshape(inner, -1).T, weights.reshape(inner, -1))
    return fine.reshape(rows, columns, outputs, n, n).transpose(0, 3, 1, 4, 2).reshape(rows * n, columns * n, outputs)


def _convolved(x: Array, weights: Array) -> Array:
    """``x [in, H, W]`` by ``weights [out, in, n, n]``, with zeros around it."""
    seen = windows(x, weights.shape[-1])
    columns = seen.transpose(0, 3, 4, 1, 2).reshape(weights[0].size, -1)
    return product(weights.reshape(len(weights), -1), columns).reshape(-1, *seen.shape[1:3])
