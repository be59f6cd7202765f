"""The ``pictures.npz`` that every corpus of pictures ends in (its layout: training/data/images.py)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.training.data.images import ARCHIVE

Progress = Callable[[int], None]
"""Called with the number of pictures done."""
Attributes = Mapping[str, Sequence[str]]
"""The values of each attribute, by its name, in order."""


@dataclass(frozen=True)
class Part:
    """The training, the validation or the test set."""

    images: NDArray[np.uint8]
    """``[N, H, W]`` or ``[N, H, W, C]``."""
    labels: NDArray[np.int16]
    """``[N, attributes]``, -1 where an attribute is not known or does not apply."""
    more: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Further arrays, by the beginnings of their names: ``identity`` becomes ``identity_train``."""


def write_pictures(
    out: Path, attributes: Attributes, parts: Mapping[str, Part], source: str, palette: NDArray[np.uint8] | None = None
) -> None:
    """Write ``out/pictures.npz``.

    Args:
        out: created, or its pictures replaced.
        attributes: of all parts.
        parts: ``train``, ``test`` and, where there is one, ``valid``.
        source: credits and licences.
        palette: RGBA ``[P, 4]``, of indexed pictures.
    """
    arrays: dict[str, NDArray[Any]] = {"attributes": np.array(list(attributes)), "source": np.array(source)}
    arrays |= {f"values_{name}": np.array(values) for name, values in attributes.items()}
    if palette is not None:
        arrays["palette"] = palette
    for which, part in parts.items():
        arrays |= {f"x_{which}": part.images, f"labels_{which}": part.labels.astype(np.int16)}
        arrays |= {f"{name}_{which}": values for name, values in part.more.items()}
    out.mkdir(parents=True, exist_ok=True)
    save: Callable[..., None] = np.savez_compressed
    save(out / ARCHIVE, **arrays)


def part_of(name: str) -> str:
    """The set that a picture belongs to: one in ten is for the test, one in twenty for validation.

    It depends on ``name`` alone, so that pictures that must not be divided get one name.
    """
    number = int(hashlib.sha256(name.encode()).hexdigest(), 16)
    return "test" if number % 10 == 0 else "valid" if number % 20 == 1 else "train"
