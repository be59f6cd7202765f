"""Frames and speaker to the vector h of every frame: the Conditioner of networks/wavenet.py, in numpy.

It stands for the upsampling network y = f(h) of WaveNet (van den Oord et al. 2016, section 2.5). A stream computes it
once, when it is opened: a few thousand frames of small matrix products, against millions of steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.noise import uniforms
from models.spec import LOCATION_STRIDE, PixelCNNSpec, WaveNetSpec

Array = NDArray[np.float32]


def padded_frames(spec: WaveNetSpec, frames: Array) -> Array:
    """The frames with those that the convolutions see beyond both ends: the first and the last frame, repeated.

    Args:
        frames: ``[F, local_channels]``.

    Returns:
        ``[F + 2 * conditioner_layers, local_channels]``.
    """
    margin = spec.conditioner_layers
    index = np.clip(np.arange(-margin, len(frames) + margin), 0, len(frames) - 1)
    return np.asarray(frames[index], np.float32)


def conditioning(spec: WaveNetSpec, tensors: Mapping[str, Array], frames: Array | None, speaker: int | None) -> Array:
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
        h = h + tensors["conditioner.speaker"][speaker] @ tensors["conditioner.speaker_in"]
    if frames is None:
        return np.ascontiguousarray(h)
    h = h + padded_frames(spec, frames) @ tensors["conditioner.frames_in"]
    for taps, bias in zip(tensors["conditioner.taps"], tensors["conditioner.taps_bias"], strict=True):
        seen = np.concatenate([h[:-2], h[1:-1], h[2:]], axis=1) @ taps + bias
        h = h[1:-1] + _silu(seen)
    return h


def asked(spec: PixelCNNSpec, tensors: Mapping[str, Array], labels: Sequence[int | Array | None]) -> Array:
    """h ``[condition_channels]`` of what is asked of a PixelCNN: the sum of one row for each condition.

    Args:
        spec: of the model.
        tensors: of its checkpoint.
        labels: an index for each of ``spec.conditions``, or a vector in the place of its row; None asks for nothing.
    """
    start, h = 0, np.zeros(spec.condition_channels, np.float32)
    for names, label in zip(spec.conditions, labels, strict=True):
        if isinstance(label, np.ndarray):
            h = h + label
        else:
            h = h + tensors["conditioner.embedding"][start + (len(names) if label is None else label)]
        start += len(names) + 1
    return h


def with_kind(spec: PixelCNNSpec, labels: Sequence[int | None], seed: int) -> list[int | None]:
    """What one picture is asked for: of a class that is told without a kind, one is drawn, as often as trained on.

    It is drawn with the number of the position behind the last sub-pixel, so that it is the seed's as those are.

    Args:
        spec: of the model.
        labels: an index, or None for nothing in particular, for each of ``spec.conditions``.
        seed: of the picture.
    """
    told = dict(zip(spec.named, labels, strict=True))
    if not spec.kinds or told["kind"] is not None or told["class"] is None:
        return list(labels)
    own = np.equal(spec.kind_classes, told["class"])
    until = np.cumsum(np.where(own, spec.kind_counts, 0))
    if until[-1]:
        drawn = uniforms(seed, spec.dims, 1)[0] * until[-1]
        told["kind"] = int(np.searchsorted(until, drawn, side="right"))
    return list(told.values())


def spread(
    spec: PixelCNNSpec, tensors: Mapping[str, Array], h: Array, outline: NDArray[np.uint8] | None = None
) -> Array:
    """What V is multiplied by (section 2.4 of 1606.05328); the Conditioner of networks/pixelcnn.py in numpy.

    Args:
        spec: of the model.
        tensors: of its checkpoint.
        h: ``[condition_channels]``, of :func:`asked`.
        outline: symbols ``[rows, columns, C]``, where the model draws one.

    Returns:
        ``[1, condition_channels]``, h itself, or its map s = m(h), ``[H * W, location_channels]``.
    """
    if spec.conditioning != "location":
        return h[None]
    rows, columns = -(-spec.height // LOCATION_STRIDE), -(-spec.width // LOCATION_STRIDE)
    coarse = (h @ tensors["conditioner.coarse"] + tensors["conditioner.coarse_bias"]).reshape(-1, rows, columns)
    if outline is None:
        coarse = _silu(coarse)
    else:
        shown = outline.transpose(2, 0, 1) * np.float32(2.0 / (spec.levels - 1)) - np.float32(1.0)
        coarse = _silu(coarse + _convolved(shown, tensors["conditioner.outline"]))
        coarse = coarse + _silu(_convolved(coarse, tensors["conditioner.around"]))
    fine = np.einsum("iyx,ioab->yaxbo", coarse, tensors["conditioner.upsampling"])
    whole = fine.reshape(rows * LOCATION_STRIDE, columns * LOCATION_STRIDE, -1)[: spec.height, : spec.width]
    return np.ascontiguousarray(whole.reshape(spec.height * spec.width, -1))


def _silu(x: Array) -> Array:
    with np.errstate(over="ignore"):  # exp(-x) may become infinite: silu is 0 there
        return np.asarray(x / (np.float32(1.0) + np.exp(-x)), np.float32)


def _convolved(x: Array, weights: Array) -> Array:
    """``x [in, H, W]`` by ``weights [out, in, 3, 3]``, with zeros around it."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2))
    found: Array = np.einsum("iyxab,oiab->oyx", windows, weights)
    return found
