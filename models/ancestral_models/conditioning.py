"""What networks are conditioned on: frames and a speaker (WaveNet), labels or a picture (pictures)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures.classifier import EncoderSpec
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.categorical import uniforms
from ancestral_models.spec import LABEL_EMBEDDING, MAX_LABEL_ROWS, ImageSpec, PictureSpec, input_table

Array = NDArray[np.float32]
_F = TypeVar("_F", np.float32, np.float64)
Speaker = int | Mapping[int, float]
"""The index of a speaker; or a mix: the share of each speaker's embedding in the mean, which add up to 1."""
_ENOUGH = 128
"""Pictures to draw a label from, so that rare combinations do not always come with the same other labels."""


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
    """The labels of one picture: those that are unspecified are drawn, one attribute after the other, each given those
    that are known by then (:func:`label_shares`). Labels that are given stay. What no row knows is not drawn.

    An attribute is drawn with the noise of a position behind the last sub-pixel, the first one with the first of them,
    so that it depends on the seed as the symbols do.

    Args:
        spec: of the network.
        rows: the tensor ``LABEL_ROWS`` of its checkpoint, ``[label_rows, attributes + 1]``: for each
            attribute a label, -1 where there was none, and how often the row occurred.
        labels: an index, or None for "unspecified", for each of ``spec.conditions``.
        seed: of the picture.
    """
    found = list(labels)
    for index, label, _ in label_draws(spec, rows, labels, seed):
        found[index] = None if label < 0 else label
    return found


def label_draws(
    spec: ImageSpec, rows: Array, labels: Sequence[int | None], seed: int
) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """The draws of :func:`draw_labels`, one by one: the attribute, its label, and how often each label occurs."""
    known = {index: label for index, label in enumerate(labels) if label is not None}
    for index, names in enumerate(spec.conditions):
        if index not in known:
            shares = label_shares(rows, known, index, len(names))
            ends, known[index] = np.cumsum(shares), -1
            if ends[-1]:
                noise = uniforms(seed, spec.dims + index, 1)[0] * ends[-1]
                known[index] = int(np.searchsorted(ends, noise, side="right")) - 1
                yield index, known[index], shares


def label_shares(rows: Array, known: Mapping[int, int], index: int, values: int) -> NDArray[np.float64]:
    """How often each label of an attribute occurs beside known ones: ``[values + 1]``, the first of -1, "unspecified".

    Counted are pictures that agree with the first known label and with as many others as leave :data:`_ENOUGH`, but no
    label that never occurs beside one of the known labels: bald heads have no colour of hair.

    Args:
        rows: as for :func:`draw_labels`.
        known: labels by attribute, -1 for one that was left out.
        index: of the attribute.
        values: that it has.
    """
    column = rows[:, index].astype(np.intp) + 1  # in a browser 32 bits, which bincount insists on
    fitting, agreeing, first = np.ones(len(rows), bool), np.zeros(len(rows), np.int64), True
    for other, label in known.items():
        equal = rows[:, other] == label
        together = np.zeros(values + 1, bool)
        together[column[equal]] = True
        fitting &= (equal if first else True) & (together[column] | (not together.any()))
        agreeing, first = agreeing + equal, False
    counts, level = np.where(fitting, rows[:, -1], 0.0), int(agreeing[fitting].max(initial=0))
    while level > 1 and counts[agreeing >= level].sum() < _ENOUGH:
        level -= 1
    return np.bincount(column, np.where(agreeing >= level, counts, 0.0), values + 1).astype(np.float64)


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


def parents(rows: Array) -> dict[int, tuple[int, dict[int, int]]]:
    """The attributes whose every value occurs with one value of an earlier attribute alone, as subclasses of classes.

    Args:
        rows: as for :func:`draw_labels`.

    Returns:
        The indices of such attributes, each with the index of the earlier one and its label for every label of theirs.
    """
    found = {}
    labels, values = rows[:, :-1].astype(int), int(rows[:, :-1].max(initial=0)) + 1
    for child in range(labels.shape[1]):
        for parent in range(child):
            known = labels[(labels[:, [child, parent]] >= 0).all(axis=1)]
            pairs = np.unique(known[:, child] * values + known[:, parent])
            belongs = dict(zip((pairs // values).tolist(), (pairs % values).tolist(), strict=True))
            if len(pairs) == len(belongs) > len(set(belongs.values())):
                found[child] = (parent, belongs)
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
    """h ``[code]`` of a picture ``[H, W, C]``; networks/image.py in numpy.

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
