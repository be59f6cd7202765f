"""Frames and speaker to the vector h of every frame: the Conditioner of networks/wavenet.py, in numpy.

It stands for the upsampling network y = f(h) of WaveNet (van den Oord et al. 2016, section 2.5). A stream computes it
once, when it is opened: a few thousand frames of small matrix products, against millions of steps.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.spec import WaveNetSpec

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
