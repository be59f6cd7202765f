"""Frames and speaker to the vector h of every frame: the Conditioner of networks/wavenet.py, in numpy.

It stands for the upsampling network y = f(h) of WaveNet (van den Oord et al. 2016, section 2.5). A stream computes it
once, when it is opened: a few thousand frames of small matrix products, against millions of steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

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
        with np.errstate(over="ignore"):  # exp(-x) may become infinite: silu is 0 there
            h = h[1:-1] + seen / (np.float32(1.0) + np.exp(-seen))
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


def spread(spec: PixelCNNSpec, tensors: Mapping[str, Array], h: Array) -> Array:
    """What V is multiplied by (section 2.4 of 1606.05328): ``[1, condition_channels]``, h itself, or its map s = m(h),
    ``[H * W, location_channels]``; the Conditioner of networks/pixelcnn.py in numpy."""
    if spec.conditioning != "location":
        return h[None]
    rows, columns = -(-spec.height // LOCATION_STRIDE), -(-spec.width // LOCATION_STRIDE)
    coarse = h @ tensors["conditioner.coarse"] + tensors["conditioner.coarse_bias"]
    coarse = (coarse / (np.float32(1.0) + np.exp(-coarse))).reshape(-1, rows, columns)
    fine = np.einsum("iyx,ioab->yaxbo", coarse, tensors["conditioner.upsampling"])
    whole = fine.reshape(rows * LOCATION_STRIDE, columns * LOCATION_STRIDE, -1)[: spec.height, : spec.width]
    return np.ascontiguousarray(whole.reshape(spec.height * spec.width, -1))
