"""What pictures show, by a committed classifier (ancestral_models/architectures/classifier.py): without torch, in a
worker.

All products are those of :mod:`ancestral_models.arithmetic`, so that machines with other processors agree on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures.classifier import ClassifierSpec, Shown
from ancestral_models.arithmetic import exp, product
from ancestral_models.spec import ENCODER_PREFIX, input_table
from ancestral_models.tensors import part

Array = NDArray[np.float32]


class PictureClassifier:
    """A classifier that is ready to use. Thread-safe.

    Args:
        spec: of the classifier.
        tensors: of its checkpoint.
    """

    def __init__(self, spec: ClassifierSpec, tensors: Mapping[str, Array]) -> None:
        self.spec = spec
        weights = part(tensors, ENCODER_PREFIX)
        self._convolutions = []
        for layer in range(spec.layers):
            kernel = weights[f"convolution_{layer}"]
            # [outputs, inputs, 3, 3] to [inputs * 3 * 3, outputs], as _windows lays out what a kernel sees.
            flat = np.ascontiguousarray(kernel.reshape(len(kernel), -1).T)
            self._convolutions.append((flat, weights[f"convolution_{layer}_bias"]))
        features, cells = spec.encoder.widths[-1], spec.encoder.cells
        # The encoder's vector is of all cells of one feature after the other, the array here of all features of a cell.
        code = weights["code"].reshape(features, cells, spec.code).swapaxes(0, 1)
        self._code = np.ascontiguousarray(code.reshape(cells * features, spec.code)), weights["code_bias"]
        self._head = tensors["head"], tensors["head_bias"]

    def features(self, symbols: NDArray[np.uint8]) -> Array:
        """The last hidden layer ``[N, code]`` for pictures ``[N, H, W, C]``."""
        count = len(symbols)
        seen = input_table(self.spec)[symbols].reshape(*symbols.shape[:3], -1)
        for kernel, bias in self._convolutions:
            windows = _windows(seen)
            rows, columns = windows.shape[1:3]
            outputs = product(windows.reshape(count * rows * columns, -1), kernel)
            seen = np.maximum(outputs + bias, 0.0).reshape(count, rows, columns, -1)
        weights, bias = self._code
        return np.asarray(np.maximum(product(seen.reshape(count, -1), weights) + bias, 0.0))

    def log_probabilities(self, symbols: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
        """ln p of every value of pictures ``[N, H, W, C]``: for each attribute ``[N, values]``."""
        return self.log_probabilities_of(self.features(symbols))

    def log_probabilities_of(self, features: Array) -> list[NDArray[np.float64]]:
        """ln p of every value, ``[N, values]`` for each attribute, from :meth:`features` ``[N, code]``."""
        weights, bias = self._head
        logits = (product(features, weights) + bias).astype(np.float64)
        ends = np.cumsum([len(values) for _, values in self.spec.attributes])
        return [_log_softmax(part) for part in np.split(logits, ends[:-1], axis=1)]

    def shown(self, symbols: NDArray[np.uint8]) -> list[list[Shown]]:
        """The most likely value of every attribute, for each picture of ``[N, H, W, C]``."""
        return self.shown_by(self.log_probabilities(symbols))

    def shown_by(self, logs: Sequence[NDArray[np.float64]]) -> list[list[Shown]]:
        """The most likely value of every attribute, from :meth:`log_probabilities`."""
        found = []
        for rows in zip(*logs, strict=True):
            named = zip(self.spec.attributes, rows, strict=True)
            found.append([_most_likely(values, row) for (_, values), row in named])
        return found


def _most_likely(values: Sequence[str], logs: NDArray[np.float64]) -> Shown:
    best = int(logs.argmax())
    return Shown(values[best], math.exp(logs[best]))


def _windows(x: Array) -> Array:
    """What kernels of 3 × 3 with stride 2 see of ``x [N, H, W, in]``, with zeros around it: ``[N, h, w, in, 3, 3]``."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    sums = [math.log(math.fsum(row)) for row in exp(shifted)]
    return np.asarray(shifted - np.array(sums)[:, None])
