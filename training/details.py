"""Details of pictures to begin with: embeddings that are alike where details look alike, so that few pictures of each
are enough; and networks that were trained without them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral.models.architectures import tensor_table
from ancestral.models.checkpoint import Checkpoint, Tensors
from ancestral.models.palette import input_table
from ancestral.models.spec import COUNTED, LABEL_EMBEDDING, ImageSpec
from ancestral.training.data.images import Pictures, held_out

_PICTURES: Final = 40_000
"""That are looked at, at most."""
_RIDGE: Final = 3.0
"""Pictures by which the mean is counted for each detail."""
_CHUNK: Final = 2000
_STD: Final = 0.3
"""Of the numbers, as of other embeddings."""


def detail_codes(train: Pictures, spec: ImageSpec, channels: int) -> NDArray[np.float32]:
    """What each value of each detail adds to a picture on average, in ``channels`` numbers.

    A linear model predicts the pixels of a picture from its details (ridge regression); the principal components of
    its coefficients are the numbers. Those of an unspecified detail are 0.

    Args:
        train: with details.
        spec: of the network.
        channels: of which those above the number of pixels, or of details, are 0.

    Returns:
        ``[sum of len(values) + 1, channels]``: details after details, values after values, "unspecified" last.
    """
    seen, sizes = held_out(train, spec, 0, _PICTURES), np.array([len(v) + 1 for v in spec.detail_values])
    assert seen.details is not None
    rows = seen.details + np.cumsum(sizes) - sizes
    table = input_table(spec)
    mean = table[seen.images[:_CHUNK]].mean(axis=0).ravel()
    gram, products = np.zeros((sizes.sum(), sizes.sum())), np.zeros((sizes.sum(), mean.size))
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        present = np.zeros((len(rows[part]), sizes.sum()), np.float32)
        np.put_along_axis(present, rows[part], 1.0, axis=1)
        gram += present.T @ present
        products += present.T @ (table[seen.images[part]].reshape(len(present), -1) - mean).astype(np.float32)
    coefficients = np.linalg.solve(gram + _RIDGE * np.eye(len(gram)), products)
    coefficients[np.cumsum(sizes) - 1] = 0.0
    left, strengths, _ = np.linalg.svd(coefficients, full_matrices=False)
    codes = np.zeros((len(left), channels))
    # The square root lifts what differs little, but not to the height of the rest.
    codes[:, : len(strengths)] = (left * np.sqrt(strengths))[:, :channels]
    codes[np.cumsum(sizes) - 1] = 0.0  # as their coefficients, but for rounding
    return np.asarray(codes * (_STD / max(codes.std(), 1e-12)), np.float32)


def with_details(start: Checkpoint, spec: ImageSpec, train: Pictures) -> Tensors:
    """The weights of a network without details for one with details and a longer h.

    What is new of h holds the codes of details, and has no effect yet: the network is the one that it was.

    Args:
        start: the network without details.
        spec: of the other one, which differs from it in the details and in ``condition_channels``.
        train: the pictures to train on.

    Raises:
        ValueError: the network has other details, or h is not longer.
    """
    old = start.spec_as(ImageSpec)
    if old.details or spec.condition_channels <= old.condition_channels:
        raise ValueError(f"{start.path}: a network without details, and fewer condition_channels, is needed")
    made = {}
    for name, tensor in tensor_table(spec).items():
        if name in start.tensors and name not in COUNTED:
            made[name] = np.zeros(tensor.shape, np.float32)
            made[name][tuple(map(slice, start.tensors[name].shape))] = start.tensors[name]
    codes = detail_codes(train, spec, spec.condition_channels - old.condition_channels)
    made[LABEL_EMBEDDING][old.embedding_rows :, old.condition_channels :] = codes
    return made
