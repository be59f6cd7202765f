"""What networks are conditioned on, in numpy: frames and a speaker (WaveNet), labels or a picture (pictures).

The first is the Conditioner of networks/wavenet.py, which replaces the upsampling network y = f(h) of WaveNet (van den
Oord et al. 2016, section 2.5). A stream computes it once, when it is opened: small matrix products for a few thousand
frames, against millions of steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral.models.architectures.encoder import EncoderSpec
from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.noise import uniforms
from ancestral.models.palette import input_table
from ancestral.models.spec import LABEL_EMBEDDING, MAX_LABEL_ROWS, ImageSpec, PictureSpec

Array = NDArray[np.float32]
_F = TypeVar("_F", np.float32, np.float64)
Speaker = int | Mapping[int, float]
"""The index of a speaker; or a mix: the share of each speaker's embedding in the mean, which add up to 1."""
_ENOUGH = 8
"""Rows of labels to draw one from, so that rare combinations do not always come with the same other labels."""


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


def draw_labels(spec: ImageSpec, rows: Array, labels: Sequence[int | None], seed: int) -> list[int | None]:
    """The labels of one picture: those that are unspecified are drawn from what occurred together in training.

    A row of labels is drawn, with its frequency, among those that agree with all labels given. If there are fewer than
    :data:`_ENOUGH`, those that agree with the first one and with most of the others join them. If none agrees with the
    first one, nothing is drawn. Labels that are given stay. The row is drawn with the noise of the position behind the
    last sub-pixel, so that it depends on the seed as the symbols do.

    Args:
        spec: of the network.
        rows: the tensor ``LABEL_ROWS`` of its checkpoint, ``[label_rows, attributes + 1]``: for each
            attribute a label, -1 where there was none, and how often the row occurred.
        labels: an index, or None for "unspecified", for each of ``spec.conditions``.
        seed: of the picture.
    """
    given = [index for index, label in enumerate(labels) if label is not None]
    if not len(rows) or len(given) == len(labels):
        return list(labels)
    agreeing = np.ones(len(rows), np.int64)
    if given:
        equal = np.stack([rows[:, index] == labels[index] for index in given])
        agreeing = equal.sum(axis=0) * equal[0]
    level = max(int(agreeing.max()), 1)
    while level > 1 and (agreeing >= level).sum() < _ENOUGH:
        level -= 1
    cumulative = np.cumsum(np.where(agreeing >= level, rows[:, -1], 0), dtype=np.float64)
    if not cumulative[-1]:
        return list(labels)
    noise = uniforms(seed, spec.dims, 1)[0] * cumulative[-1]
    row = rows[np.searchsorted(cumulative, noise, side="right"), :-1].astype(int).tolist()
    drawn = [None if label < 0 else label for label in row]
    return [new if label is None else label for label, new in zip(labels, drawn, strict=True)]


def parents(rows: Array) -> dict[int, tuple[int, dict[int, int]]]:
    """The attributes whose every value occurs with one value of an earlier attribute alone, as subclasses of classes.

    Args:
        rows: as for :func:`draw_labels`.

    Returns:
        The indices of such attributes, each with the index of the earlier one and its label for every label of theirs.
    """
    found = {}
    labels = rows[:, :-1].astype(int)
    for child in range(labels.shape[1]):
        for parent in range(child):
            known = labels[(labels[:, [child, parent]] >= 0).all(axis=1)]
            pairs = dict(np.unique(known[:, [child, parent]], axis=0).tolist())
            combined = len(np.unique(known[:, [child, parent]], axis=0))
            if combined == len(pairs) > len(set(pairs.values())):
                found[child] = (parent, pairs)
                break
    return found


def label_rows(labels: NDArray[np.int64], conditions: Sequence[Sequence[str]]) -> Array:
    """The tensor ``LABEL_ROWS`` of a training set.

    Of more different rows than ``MAX_LABEL_ROWS``, those of so many pictures, chosen at random.

    Args:
        labels: ``[N, attributes]``; ``len(values)`` is "unspecified".
        conditions: the values of each attribute.
    """
    known = np.where(labels == [len(values) for values in conditions], -1, labels)
    rows, counts = np.unique(known, axis=0, return_counts=True)
    if len(rows) > MAX_LABEL_ROWS:
        chosen = np.random.default_rng(0).choice(len(known), MAX_LABEL_ROWS, replace=False)
        rows, counts = np.unique(known[chosen], axis=0, return_counts=True)
    return np.concatenate([rows, counts[:, None]], axis=1).astype(np.float32)


def encode(spec: EncoderSpec, tensors: Mapping[str, Array], symbols: NDArray[np.uint8]) -> Array:
    """h ``[code]`` of a picture ``[H, W, C]``; networks/encoder.py in numpy.

    The sums are in double precision, so that h, rounded, does not depend on their order.

    Args:
        spec: of the encoder.
        tensors: of its checkpoint.
        symbols: of the picture.
    """
    seen = input_planes(spec, symbols).astype(np.float64)
    for layer in range(spec.layers):
        bias = tensors[f"convolution_{layer}_bias"][:, None, None]
        seen = np.maximum(_convolved(seen, tensors[f"convolution_{layer}"], stride=2) + bias, 0.0)
    h = seen.reshape(-1) @ tensors["code"].astype(np.float64) + tensors["code_bias"]
    if spec.normalised:
        h /= max(float(np.linalg.norm(h)), 1e-12)
    return h.astype(np.float32)


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
        ``[1, condition_channels]``, h itself, or its map s = m(h), ``[H * W, location_channels]``, followed by the map
        of the coarse pixels for the vertical stack, so ``[H * W, location_channels + map_width]``.
    """
    if spec.conditioning != "location":
        return h[None]
    pixels = None if coarse is None else input_planes(spec, coarse)
    rows, columns = spec.cells
    cells = (h @ tensors["conditioner.map"] + tensors["conditioner.map_bias"]).reshape(-1, rows, columns)
    if pixels is None:
        cells = _silu(cells)
    else:
        cells = _silu(cells + _convolved(pixels, tensors["conditioner.coarse_taps"]))
        cells = cells + _silu(_convolved(cells, tensors["conditioner.neighbour_taps"]))
    whole = _upsampled(cells, tensors["conditioner.upsampling"])[: spec.height, : spec.width]
    if spec.coarse_inputs:
        assert pixels is not None, "a network in two scales needs its coarse pixels"
        whole = np.concatenate([whole, coarse_map(tensors, pixels)], axis=2)
    return np.ascontiguousarray(whole.reshape(spec.height * spec.width, -1))


def input_planes(spec: PictureSpec, symbols: NDArray[np.uint8]) -> Array:
    """Symbols ``[H, W, C]`` as the network sees them, ``float32 [C * planes, H, W]``."""
    seen = input_table(spec)[symbols].reshape(*symbols.shape[:2], spec.channels * spec.planes)
    return np.ascontiguousarray(seen.transpose(2, 0, 1))


def coarse_map(tensors: Mapping[str, Array], pixels: Array) -> Array:
    """The map ``[H, W, n]`` of the coarse pixels ``[C * planes, rows, columns]``; networks/image.py's in numpy."""
    taps, neighbours = tensors["coarse_map.taps"], tensors["coarse_map.neighbour_taps"]
    cells = _silu(_convolved(pixels, taps) + tensors["coarse_map.taps_bias"][:, None, None])
    cells = cells + _silu(_convolved(cells, neighbours) + tensors["coarse_map.neighbour_bias"][:, None, None])
    return _upsampled(cells, tensors["coarse_map.upsampling"])


def _upsampled(cells: Array, weights: Array) -> Array:
    """Transposed convolution of ``cells [in, rows, columns]`` by ``weights [in, out, n, n]`` with stride n.

    Returns:
        ``[rows * n, columns * n, out]``.
    """
    inner, rows, columns = cells.shape
    _, outputs, n, _ = weights.shape
    fine = cells.reshape(inner, -1).T @ weights.reshape(inner, -1)
    return fine.reshape(rows, columns, outputs, n, n).transpose(0, 3, 1, 4, 2).reshape(rows * n, columns * n, outputs)


def _silu(x: Array) -> Array:
    with np.errstate(over="ignore"):  # exp(-x) may become infinite: silu is 0 there
        return np.asarray(x / (np.float32(1.0) + np.exp(-x)), np.float32)


def _convolved(x: NDArray[_F], weights: Array, stride: int = 1) -> NDArray[_F]:
    """``x [in, H, W]`` by ``weights [out, in, 3, 3]``, with zeros around it, in the type of ``x``."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2))
    chosen = windows[:, ::stride, ::stride]
    return np.tensordot(weights.astype(x.dtype, copy=False), chosen, axes=([1, 2, 3], [0, 3, 4]))
