"""Weights for the page in fewer bytes: columns of numbers, which deflate better than what the library reads.

deploy/browser/site.py packs, and the worker restores in Pyodide. Networks become the same again; an acoustic model
keeps of its matrices in bytes what :class:`~ancestral_models.kernels.shared.ByteMatrix` does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral_models.checkpoint import format_tensors, parse_tensors
from ancestral_models.kernels.shared import LEVELS as MOST_LEVEL
from ancestral_models.kernels.shared import levels_of

PACKED, LEVELS = "weights.compact", "levels.compact"
"""Names of packed files; the last, of an acoustic model, stays as it is."""
Columns = dict[str, NDArray[Any]]


def _planes(numbers: NDArray[Any]) -> NDArray[np.uint8]:
    """The first bytes of all numbers, then the second ones, and so on ``[bytes, *shape]``."""
    flat = np.ascontiguousarray(numbers).reshape(-1, 1).view(np.uint8)
    return np.ascontiguousarray(flat.T).reshape(-1, *numbers.shape)


def _joined(planes: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    """What :func:`_planes` was given."""
    return np.ascontiguousarray(planes.reshape(len(planes), -1).T).view(dtype).reshape(planes.shape[1:])


def packed_weights(data: bytes, in_bytes: Callable[[str, NDArray[Any]], bool] = lambda _name, _matrix: False) -> bytes:
    """A file of weights; the matrices for which ``in_bytes`` says so as levels and the largest weights of outputs."""
    found: Columns = {}
    for name, tensor in parse_tensors(data).items():
        assert tensor.dtype in (np.float16, np.float32)
        if in_bytes(name, tensor):
            levels, _ = levels_of(tensor.astype(np.float64))
            found[f"levels {name}"] = levels.astype(np.int8).view(np.uint8)
            found[f"most {name}"] = np.abs(tensor).max(axis=0)
        else:
            found[f"{tensor.dtype} {name}"] = _planes(tensor)
    return format_tensors(found)


def weights(data: bytes) -> Columns:
    """The tensors of :func:`packed_weights`: as they were, and in float32 what levels stand for."""
    found: Columns = {}
    for key, column in (columns := parse_tensors(data)).items():
        kind, name = key.split(" ")
        if kind == "levels":
            scales = columns[f"most {name}"].astype(np.float64) / MOST_LEVEL
            found[name] = (column.view(np.int8) * scales).astype(np.float32)
        elif kind != "most":
            found[name] = _joined(column, kind)
    return found


def restore(folder: str) -> None:
    """Make of every packed file below a folder the one that the library reads."""
    for path in sorted(Path(folder).rglob(PACKED)):
        path.with_suffix(".safetensors").write_bytes(format_tensors(weights(path.read_bytes())))
        path.unlink()
