"""What networks are conditioned on, in numpy: frames and a speaker (WaveNet), labels (pictures).

The first is the Conditioner of networks/wavenet.py, which replaces the upsampling network y = f(h) of WaveNet (van den
Oord et al. 2016, section 2.5). A stream computes it once, when it is opened: small matrix products for a few thousand
frames, against millions of steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.architectures.pixelcnn import PixelCNNSpec
from models.architectures.wavenet import WaveNetSpec
from models.noise import uniforms
from models.spec import COARSE_STRIDE, LABEL_EMBEDDING, ImageSpec

Array = NDArray[np.float32]
Speaker = int | Mapping[int, float]
"""The index of a speaker; or a mix: the share of each speaker's embedding in the mean, which add up to 1."""


def padded_frames(spec: WaveNetSpec, frames: Array) -> Array:
    """The frames with the padding that the convolutions see at both ends: the first and the last frame, repeated.

    Args:
        frames: ``[F, local_channels]``.

    Returns:
        ``[F + 2 * conditioner_layers, local_channels]``.
    """
    margin = spec.conditioner_layers
    index = np.clip(np.arange(-margin, len(frames) + margin), 0, len(frames) - 1)
    return np.asarray(frames[index], np.float32)


def speaker_vector(table: Array, speaker: Speaker) -> Array:
    """The embedding of a speaker, or the weighted mean of several.

    Args:
        table: the embeddings ``[speakers, channels]``.
        speaker: see :data:`Speaker`.
    """
    if isinstance(speaker, int):
        return np.asarray(table[speaker])
    if len(speaker) == 1:
        return np.asarray(table[next(iter(speaker))])
    mean = sum(share * table[index].astype(np.float64) for index, share in speaker.items())
    return np.asarray(mean, table.dtype)


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
        h = h + speaker_vector(tensors["conditioner.speaker"], speaker) @ tensors["conditioner.speaker_in"]
    if frames is None:
        return np.ascontiguousarray(h)
    h = h + padded_frames(spec, frames) @ tensors["conditioner.frames_in"]
    for taps, bias in zip(tensors["conditioner.taps"], tensors["conditioner.taps_bias"], strict=True):
        seen = np.concatenate([h[:-2], h[1:-1], h[2:]], axis=1) @ taps + bias
        h = h[1:-1] + _silu(seen)
    return h


def embed_labels(spec: ImageSpec, tensors: Mapping[str, Array], labels: Sequence[int | Array | None]) -> Array:
    """h ``[condition_channels]`` of an image network: the sum of one embedding for each condition.

    Args:
        spec: of the network.
        tensors: of its checkpoint.
        labels: for each of ``spec.conditions`` an index, None for "unspecified", or a vector to use as the embedding.
    """
    start, h = 0, np.zeros(spec.condition_channels, np.float32)
    for names, label in zip(spec.conditions, labels, strict=True):
        if isinstance(label, np.ndarray):
            h = h + label
        else:
            h = h + tensors[LABEL_EMBEDDING][start + (len(names) if label is None else label)]
        start += len(names) + 1
    return h


def draw_subclass(spec: ImageSpec, labels: Sequence[int | None], seed: int) -> list[int | None]:
    """The labels of one picture: if they have a class and no subclass, a subclass of the class is drawn.

    Its probability is its share of the training pictures. It is drawn with the noise of the position behind the last
    sub-pixel, so that it depends on the seed as the symbols do.

    Args:
        spec: of the network.
        labels: an index, or None for "unspecified", for each of ``spec.conditions``.
        seed: of the picture.
    """
    named = dict(zip(spec.named, labels, strict=True))
    if not spec.subclasses or named["subclass"] is not None or named["class"] is None:
        return list(labels)
    of_class = np.equal(spec.subclass_classes, named["class"])
    cumulative = np.cumsum(np.where(of_class, spec.subclass_counts, 0))
    if cumulative[-1]:
        drawn = uniforms(seed, spec.dims, 1)[0] * cumulative[-1]
        named["subclass"] = int(np.searchsorted(cumulative, drawn, side="right"))
    return list(named.values())


def upsample(
    spec: PixelCNNSpec, tensors: Mapping[str, Array], h: Array, coarse: NDArray[np.uint8] | None = None
) -> Array:
    """What V is multiplied by in a PixelCNN (section 2.4 of 1606.05328); networks/pixelcnn.py's Conditioner in numpy.

    Args:
        spec: of the network.
        tensors: of its checkpoint.
        h: ``[condition_channels]``, of :func:`embed_labels`.
        coarse: symbols of the coarse pixels ``[rows, columns, C]``, of a network in two scales.

    Returns:
        ``[1, condition_channels]``, h itself, or its map s = m(h), ``[H * W, location_channels]``.
    """
    if spec.conditioning != "location":
        return h[None]
    rows, columns = spec.cells
    cells = (h @ tensors["conditioner.map"] + tensors["conditioner.map_bias"]).reshape(-1, rows, columns)
    if coarse is None:
        cells = _silu(cells)
    else:
        pixels = coarse.transpose(2, 0, 1) * np.float32(2.0 / (spec.levels - 1)) - np.float32(1.0)
        cells = _silu(cells + _convolved(pixels, tensors["conditioner.coarse_taps"]))
        cells = cells + _silu(_convolved(cells, tensors["conditioner.neighbour_taps"]))
    fine = np.einsum("iyx,ioab->yaxbo", cells, tensors["conditioner.upsampling"])
    whole = fine.reshape(rows * COARSE_STRIDE, columns * COARSE_STRIDE, -1)[: spec.height, : spec.width]
    return np.ascontiguousarray(whole.reshape(spec.height * spec.width, -1))


def _silu(x: Array) -> Array:
    with np.errstate(over="ignore"):  # exp(-x) may become infinite: silu is 0 there
        return np.asarray(x / (np.float32(1.0) + np.exp(-x)), np.float32)


def _convolved(x: Array, weights: Array) -> Array:
    """``x [in, H, W]`` by ``weights [out, in, 3, 3]``, with zeros around it."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2))
    found: Array = np.einsum("iyxab,oiab->oyx", windows, weights)
    return found
