"""Prepared corpora in parts of a limited size, for machines that accept only so much at a time.

A part is itself a prepared directory (:mod:`ancestral.training.data.speech`), so that training reads as many parts as
there are. Every part has its share of each speaker and of the held-out clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ancestral.training.data.speech import Dataset, PreparedClip, write_prepared

_INDEX_BYTES = 4096
"""Allowed for a clip's entry in ``clips.json``, and for the arrays' headers."""


def _size(dataset: Dataset, clip: PreparedClip) -> int:
    arrays = dataset.symbols(clip), dataset.frames(clip), dataset.wave(clip)
    return sum(array.nbytes for array in arrays) + _INDEX_BYTES + 64 * len(clip.phones)


def pack(prepared: Sequence[Path], out: Path, limit: int, seed: int = 0) -> list[Path]:
    """Divide prepared directories of one coding into ``part-000``, ``part-001``, … of at most ``limit`` bytes each.

    Args:
        prepared: the directories.
        out: the folder of the parts.
        limit: bytes of a part, its index included.
        seed: of the order in which clips are put into parts.

    Returns:
        The parts.

    Raises:
        ValueError: the directories are of different codings or features, a clip is larger than a part, or ``out`` is
            not empty.
    """
    datasets = [Dataset(path) for path in prepared]
    for path, dataset in zip(prepared, datasets, strict=True):
        if (dataset.coding, dataset.spec) != (datasets[0].coding, datasets[0].spec):
            raise ValueError(f"{path}: prepared with {dataset.coding}, but {prepared[0]} with {datasets[0].coding}")
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out}: not empty")
    every = [(dataset, clip) for dataset in datasets for clip in dataset.clips]
    groups: list[list[tuple[Dataset, PreparedClip]]] = [[]]
    room = limit
    for index in np.random.default_rng(seed).permutation(len(every)):
        size = _size(*every[index])
        if size > limit:
            raise ValueError(f"{every[index][1].id}: a clip of {size} bytes does not fit into a part of {limit}")
        if size > room:
            groups.append([])
            room = limit
        groups[-1].append(every[index])
        room -= size
    ranges = {name: found for dataset in datasets for name, found in dataset.pitch_ranges.items()}
    return [_write(group, out / f"part-{number:03d}", ranges) for number, group in enumerate(groups) if group]


def _write(group: Sequence[tuple[Dataset, PreparedClip]], out: Path, ranges: dict[str, tuple[float, float]]) -> Path:
    first = group[0][0]
    write_prepared(
        out,
        [dataset.symbols(clip) for dataset, clip in group],
        [dataset.frames(clip) for dataset, clip in group],
        [dataset.wave(clip) for dataset, clip in group],
        [clip for _, clip in group],
        first.spec,
        first.coding,
        ranges,
    )
    return out
