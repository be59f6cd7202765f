"""What networks are conditioned on: frames and a speaker (WaveNet), labels or a picture (pictures)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral.models.architectures.encoder import EncoderSpec
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


def applicable_labels(rows: Array, labels: Sequence[int]) -> list[int | None]:
    """Labels without those that are not applicable: that training left out wherever another one was, as a colour of no
    garment.

    Args:
        rows: as for :func:`draw_labels`.
        labels: an index for each attribute.
    """
    left_out = np.zeros(len(labels), bool)
    for column, label in enumerate(labels):
        own = rows[rows[:, column] == label, :-1]
        left_out |= (own < 0).all(axis=0) & (len(own) > 0)
    return [None if out else label for label, out in zip(labels, left_out, strict=True)]


def draw_matching_labels(spec: ImageSpec, rows: Array, labels: Sequence[int | None], seed: int) -> list[int | None]:
    """Draw labels as :func:`draw_labels` does, but none that never occurred with a given one, or is left out where one
    always did: it is drawn again, from the rows that have that one."""
    drawn = draw_labels(spec, rows, labels, seed)
    for index in (index for index, label in enumerate(labels) if label is None):
        for given, label in enumerate(labels):
            own = rows[rows[:, given] == label] if label is not None else rows[:0]
            if len(own) and not (own[:, index] == (-1 if drawn[index] is None else drawn[index])).any():
                drawn[index] = draw_labels(spec, own, [None] * len(labels), seed)[index]
                break
    return drawn


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


def input_planes(spec: PictureSpec, symbols: NDArray[np.uint8]) -> Array:
    """Symbols ``[H, W, C]`` as the network sees them, ``float32 [C * planes, H, W]``."""
    seen = input_table(spec)[symbols].reshape(*symbols.shape[:2], spec.channels * spec.planes)
    return np.ascontiguousarray(seen.transpose(2, 0, 1))


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
        chosen = windows(seen)[:, ::2, ::2]
        kernel = tensors[f"convolution_{layer}"].astype(np.float64)
        seen = np.maximum(np.tensordot(kernel, chosen, axes=([1, 2, 3], [0, 3, 4])) + bias, 0.0)
    h = seen.reshape(-1) @ tensors["code"].astype(np.float64) + tensors["code_bias"]
    if spec.normalised:
        h /= max(float(np.linalg.norm(h)), 1e-12)
    return h.astype(np.float32)


def windows(x: NDArray[_F], size: int = 3) -> NDArray[_F]:
    """What a kernel of size × size sees of ``x [in, H, W]``, with zeros around it: ``[in, H, W, size, size]``."""
    side = size // 2
    padded = np.pad(x, ((0, 0), (side, side), (side, side)))
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
