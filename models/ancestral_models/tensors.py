"""Tensor tables: the name, the shape and the initial distribution of every weight of a network. No torch.

The table of an architecture (``Architecture.tensors``) is the only place that says what its weights are. Networks make
their parameters from it (ancestral_models/networks/__init__.py), checkpoints are checked against it, tests and the
exporter's parity check draw random weights from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral_models.spec import COARSE_PREFIX


@dataclass(frozen=True)
class Tensor:
    """A weight tensor before training: normal numbers, or with a standard deviation of 0 a constant."""

    shape: tuple[int, ...]
    mean: float = 0.0
    std: float = 0.0


_T = TypeVar("_T")
Table = dict[str, Tensor]
"""Tensors by their names in the network's ``state_dict``."""


def zeros(*shape: int) -> Tensor:
    """A bias."""
    return Tensor(shape)


def normal(*shape: int, std: float) -> Tensor:
    """Numbers of this standard deviation."""
    return Tensor(shape, std=std)


def matrix(*shape: int, gain: float = 1.0) -> Tensor:
    """Matrices ``[…, inputs, outputs]``: the standard deviation is gain / sqrt(inputs)."""
    return Tensor(shape, std=gain / math.sqrt(shape[-2]))


def convolution(*shape: int, gain: float = 1.0) -> Tensor:
    """Kernels ``[…, outputs, inputs, rows, columns]``: the deviation is gain / sqrt(inputs · rows · columns)."""
    return Tensor(shape, std=gain / math.sqrt(math.prod(shape[-3:])))


def prefixed(prefix: str, table: Mapping[str, Tensor]) -> Table:
    """The table of a part of a network, as a part of the whole network's."""
    return {prefix + name: tensor for name, tensor in table.items()}


def part(table: Mapping[str, _T], prefix: str) -> dict[str, _T]:
    """The inverse of :func:`prefixed`: the table, or the tensors, of one part."""
    return {name.removeprefix(prefix): tensor for name, tensor in table.items() if name.startswith(prefix)}


def own(table: Mapping[str, Tensor]) -> Table:
    """The tensors of a network that are in none of its parts."""
    return {name: tensor for name, tensor in table.items() if "." not in name}


def of_conditions(table: Mapping[str, _T]) -> dict[str, _T]:
    """What h, s and maps are made from: parts, but for the coarse network. Engines keep these, and their own form of
    the rest."""
    return {name: tensor for name, tensor in table.items() if "." in name and not name.startswith(COARSE_PREFIX)}


def shapes(table: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in table.items()}


def random_tensors(table: Mapping[str, Tensor], seed: int = 0, bias_std: float = 0.1) -> dict[str, NDArray[np.float32]]:
    """Weights as a network has them before training, but with biases that are not zero.

    Args:
        table: of the architecture.
        seed: of the random numbers.
        bias_std: standard deviation of every tensor whose name contains ``bias``.
    """
    rng = np.random.default_rng(seed)
    made = {}
    for name, tensor in table.items():
        std = bias_std if "bias" in name else tensor.std
        made[name] = rng.normal(tensor.mean, std, tensor.shape).astype(np.float32)
    return made
