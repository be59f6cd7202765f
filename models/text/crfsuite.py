"""Models of CRFsuite (its format ``FOMC``): linear chains of labels. The sums are those of CRFsuite, in its order."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Features = Mapping[str, str | bool | float]
_HEADER: Final = struct.Struct("<4sI4s9I")
_TABLE: Final = struct.Struct("<4s5I")
"""The header of a table of keys, which ends with where the offsets of its entries are listed."""
_CHUNK: Final = 12
"""Bytes before the entries of other chunks: a name, a size, and how many there are."""
_FEATURE: Final = np.dtype([("kind", "<u4"), ("source", "<u4"), ("target", "<u4"), ("weight", "<f8")])


class Tagger:
    """Labels sequences.

    Args:
        path: of a model.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._data: Final = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        *_, labels, attributes, features, names, keys, sources, self._references = _HEADER.unpack_from(self._data)
        (count,) = struct.unpack_from("<I", self._data, features + _CHUNK - 4)
        self._features: Final = np.frombuffer(self._data, _FEATURE, count, features + _CHUNK)
        self._labels: Final = self._keys(names, labels)
        self._attributes: Final = {key: number for number, key in enumerate(self._keys(keys, attributes))}
        self._transitions: Final = np.zeros((labels, labels))
        for label in range(labels):
            found = self._of(sources, label)
            self._transitions[label, found["target"]] = found["weight"]
        self._found = lru_cache(maxsize=1 << 14)(self._look_up)

    def tag(self, sequence: Sequence[Features]) -> list[str]:
        """The likeliest labels of a sequence of items.

        Args:
            sequence: of each item the attributes: of a text as value ``name:text`` with the weight 1, else ``name``
                with the value as its weight.
        """
        if not sequence:
            return []
        scores, *states = self._states(sequence)
        before: list[NDArray[np.intp]] = []
        for state in states:
            ways = scores[:, None] + self._transitions
            before.append(ways.argmax(axis=0))
            scores = ways.max(axis=0) + state
        best = [int(scores.argmax())]
        for ways_to in reversed(before):
            best.append(int(ways_to[best[-1]]))
        return [self._labels[label] for label in reversed(best)]

    def _states(self, sequence: Sequence[Features]) -> NDArray[np.float64]:
        """What the attributes of every item say of every label, ``[items, labels]``."""
        places, weights = [np.zeros(0, np.intp)], [np.zeros(0)]
        for number, item in enumerate(sequence):
            for name, value in item.items():
                targets, of_targets = self._found(f"{name}:{value}" if isinstance(value, str) else name)
                places.append(targets + number * len(self._labels))
                weights.append(of_targets if isinstance(value, str) else of_targets * float(value))
        whole = len(sequence) * len(self._labels)
        sums = np.bincount(np.concatenate(places), np.concatenate(weights), whole).astype(np.float64)
        return sums.reshape(len(sequence), -1)

    def _look_up(self, attribute: str) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The labels that an attribute speaks for or against, and its weights; none of one that the model lacks."""
        if attribute not in self._attributes:
            return np.zeros(0, np.intp), np.zeros(0)
        found = self._of(self._references, self._attributes[attribute])
        return found["target"].astype(np.intp), found["weight"].copy()

    def _of(self, chunk: int, number: int) -> NDArray[np.void]:
        """The features that entry ``number`` of a chunk of references names."""
        (offset,) = struct.unpack_from("<I", self._data, chunk + _CHUNK + 4 * number)
        (count,) = struct.unpack_from("<I", self._data, offset)
        found: NDArray[np.void] = self._features[np.frombuffer(self._data, "<u4", count, offset + 4)]
        return found

    def _keys(self, table: int, count: int) -> list[str]:
        """The keys of a table by their numbers."""
        *_, listed = _TABLE.unpack_from(self._data, table)
        found = []
        for offset in np.frombuffer(self._data, "<u4", count, table + listed).tolist():
            begin = table + offset + 8
            (size,) = struct.unpack_from("<I", self._data, begin - 4)
            found.append(self._data[begin : begin + size - 1].decode())  # without the zero behind it
        return found
