"""Sets of pictures: npz files as ``ancestral corpus build`` writes them, alone or as the ``pictures.npz`` of a folder,
and torchvision's folders. docs/training.md, Pictures, has the arrays of an npz."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ancestral_models.conditioning import label_rows
from ancestral_models.spec import WHITE, ImageSpec, PictureSpec, pixels_of, rgba

Images = NDArray[np.uint8]
ARCHIVE = "pictures.npz"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")


class PicturesError(ValueError):
    """A file or folder that is not a set of pictures; the message names it and says what is wrong."""


@dataclass(frozen=True)
class Pictures:
    """Pictures and their labels."""

    images: Images
    """``[N, H, W, C]``."""
    labels: NDArray[np.int64]
    """``[N, attributes]``: indices of values; ``len(values)`` is "unspecified"."""
    identities: NDArray[np.int64] | None = None
    """``[N]``: who or what a picture shows, as a number. None where the set does not say it."""

    @property
    def known_identities(self) -> NDArray[np.int64]:
        """The identities of a set that has them."""
        assert self.identities is not None
        return self.identities


@dataclass(frozen=True)
class PictureSet:
    """A training, a validation and a test set of equally large pictures."""

    attributes: tuple[tuple[str, tuple[str, ...]], ...]
    """The conditions: their names, and the names of their values."""
    train: Pictures
    valid: Pictures
    test: Pictures
    source: str = "Pictures of the person who trained this model"
    """What they are and their credits, for model cards."""
    palette: tuple[str, ...] = ()
    """Palette of indexed pictures, as in :class:`~ancestral_models.spec.ImageSpec`."""

    @property
    def shape(self) -> tuple[int, int, int]:
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @property
    def spec_fields(self) -> dict[str, Any]:
        """The fields of an :class:`~ancestral_models.spec.ImageSpec` that follow from the set, besides the shape."""
        fields = {"attributes": self.attributes, "palette": self.palette, "label_rows": len(self.label_rows)}
        return fields | ({"levels": len(self.palette)} if self.palette else {})

    @cached_property
    def label_rows(self) -> NDArray[np.float32]:
        """The labels that occur together in training; see :func:`ancestral_models.conditioning.label_rows`."""
        if len(self.attributes) < 2:
            return np.zeros((0, len(self.attributes) + 1), np.float32)
        return label_rows(self.train.labels, [values for _, values in self.attributes])


def read_pictures(path: Path) -> PictureSet:
    """Read an npz file or a folder.

    Raises:
        PicturesError: it is neither, or broken.
    """
    if (path / ARCHIVE).exists():
        return _read_npz(path / ARCHIVE)
    return _read_folder(path) if path.is_dir() else _read_npz(path)


def matching_pictures(path: Path, spec: PictureSpec) -> PictureSet:
    """The pictures that a network is trained on, read from a npz file or a folder.

    Raises:
        ValueError: they are not pictures, not of the size of the spec, or have another palette.
    """
    pictures, expected = read_pictures(path), (spec.height, spec.width, spec.channels)
    if pictures.shape != expected:
        raise ValueError(f"{path}: pictures of {pictures.shape}, but those of the model are {expected}")
    if pictures.palette != spec.palette:
        raise ValueError(f"{path}: its palette is not the model's")
    return pictures


def held_out(pictures: Pictures, spec: PictureSpec, seed: int, count: int | None = None) -> Pictures:
    """Pictures of a set, or all, as a model sees them in evaluation: binarised always in the same way.

    Args:
        pictures: of a test or validation set.
        spec: of the model.
        seed: of the binarisation.
        count: how many. They are spread evenly over the set, because some sets are sorted by what the pictures show.
    """
    images = binarise(pictures.images, np.random.default_rng(seed)) if spec.binary else pictures.images
    chosen = spread(len(images), count)
    identities = None if pictures.identities is None else pictures.identities[chosen]
    return Pictures(images[chosen], pictures.labels[chosen], identities)


def spread(size: int, count: int | None) -> NDArray[np.int64]:
    """``count`` of ``size`` indices, at equal distances; all of them if ``count`` is None or not smaller."""
    wanted = size if count is None else min(size, count)
    return np.arange(wanted) * size // max(wanted, 1)


def binarise(images: Images, rng: np.random.Generator) -> Images:
    """Draw every sub-pixel as 0 or 1, with its grey level as the probability of 1 (Salakhutdinov & Murray 2008)."""
    return (rng.random(images.shape, np.float32) * np.float32(255.0) < images).astype(np.uint8)


def _read_npz(path: Path) -> PictureSet:
    try:
        # Opened here, because numpy does not close a file that it cannot read.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files if name.split("_")[0] in _KEYS}
    except (OSError, ValueError, TypeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise PicturesError(f"{path}: not a npz file of plain arrays ({error})") from error
    for name in ("x_train", "x_test"):
        if name not in arrays:
            raise PicturesError(f"{path}: {name} is missing")
    attributes = _attributes(path, arrays)
    palette = _palette(path, arrays["palette"]) if "palette" in arrays else ()
    parts = {}
    for part in ("train", "valid", "test"):
        if f"x_{part}" in arrays:
            images = _images(path, arrays, part, len(palette))
            labels = _labels(path, arrays, part, len(images), attributes)
            parts[part] = Pictures(images, labels, _identities(path, arrays, part, len(images)))
    if len({pictures.images.shape[1:] for pictures in parts.values()}) > 1:
        raise PicturesError(f"{path}: the pictures of training and test differ in shape")
    _check_apart(path, parts)
    source = {"source": str(arrays["source"])} if "source" in arrays else {}
    valid = parts.get("valid", parts["test"])
    return PictureSet(attributes, parts["train"], valid, parts["test"], palette=palette, **source)


_KEYS = frozenset({"x", "attributes", "values", "labels", "identity", "palette", "source"})


def _attributes(path: Path, arrays: Mapping[str, Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for name in map(str, np.atleast_1d(arrays.get("attributes", ()))):
        if f"values_{name}" not in arrays:
            raise PicturesError(f"{path}: values_{name} is missing")
        found.append((name, tuple(map(str, np.atleast_1d(arrays[f"values_{name}"])))))
    return tuple(found)


def _palette(path: Path, colours: NDArray[np.uint8]) -> tuple[str, ...]:
    if colours.dtype != np.uint8 or colours.ndim != 2 or colours.shape[1] != 4:
        raise PicturesError(f"{path}: palette: expected uint8 [P, 4], not {colours.dtype} {list(colours.shape)}")
    if not np.isin(colours[:1, 3], (0, WHITE)).all() or (colours[1:, 3] != WHITE).any():
        raise PicturesError(f"{path}: palette: the first colour may be transparent, all others must be opaque")
    codes = ("#" + bytes(colour).hex() for colour in colours)
    return tuple(code.removesuffix("ff") if code.endswith("ff") else code for code in codes)


def _images(path: Path, arrays: Mapping[str, Any], part: str, colours: int) -> Images:
    images: Images = arrays[f"x_{part}"]
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or not len(images):
        raise PicturesError(f"{path}: x_{part}: expected uint8 [N, H, W, C], not {images.dtype} {list(images.shape)}")
    images = images if images.ndim == 4 else images[..., None]
    if images.shape[3] not in ((1,) if colours else (1, 3)):
        expected = "1 channel with a palette" if colours else "1 or 3 channels"
        raise PicturesError(f"{path}: x_{part}: pictures have {expected}, not {images.shape[3]}")
    if colours and images.max() >= colours:
        raise PicturesError(f"{path}: x_{part}: must lie in 0 … {colours - 1}, the indices of the palette")
    return images


def _labels(
    path: Path, arrays: Mapping[str, Any], part: str, count: int, attributes: tuple[tuple[str, tuple[str, ...]], ...]
) -> NDArray[np.int64]:
    """``[count, attributes]``; what is unknown becomes ``len(values)``."""
    if not attributes:
        return np.zeros((count, 0), np.int64)
    labels = arrays.get(f"labels_{part}")
    if labels is None or labels.shape != (count, len(attributes)) or labels.dtype.kind not in "iu":
        raise PicturesError(f"{path}: labels_{part}: expected whole numbers [{count}, {len(attributes)}]")
    for column, (name, values) in zip(labels.T, attributes, strict=True):
        if column.min() < -1 or column.max() >= len(values):
            raise PicturesError(f"{path}: labels_{part}: {name}: must lie in -1 … {len(values) - 1}")
    unknown = np.array([len(values) for _, values in attributes])
    return np.where(labels < 0, unknown, labels).astype(np.int64)


def _identities(path: Path, arrays: Mapping[str, Any], part: str, count: int) -> NDArray[np.int64] | None:
    found = arrays.get(f"identity_{part}")
    if found is None:
        return None
    if found.shape != (count,) or found.dtype.kind not in "iu":
        raise PicturesError(f"{path}: identity_{part}: expected whole numbers [{count}]")
    return np.asarray(found, np.int64)


def _check_apart(path: Path, parts: Mapping[str, Pictures]) -> None:
    """Raise unless all parts have identities or none, and no identity is in two of them."""
    known = {part: pictures.identities for part, pictures in parts.items()}
    if all(numbers is None for numbers in known.values()):
        return
    seen: dict[int, str] = {}
    for part, numbers in known.items():
        if numbers is None:
            raise PicturesError(f"{path}: identity_{part} is missing")
        for number in set(numbers.tolist()):
            if number in seen:
                raise PicturesError(f"{path}: identity_{part}: {number} is in identity_{seen[number]}, too")
            seen[number] = part


def _read_folder(path: Path) -> PictureSet:
    parts = [path / part for part in ("train", "valid", "test") if (path / part).is_dir()]
    if not {"train", "test"} <= {part.name for part in parts}:
        raise PicturesError(f"{path}: expected train/CLASS/ and test/CLASS/")
    classes = tuple(sorted(entry.name for entry in (path / "train").iterdir() if entry.is_dir()))
    read = {part.name: _read_classes(part, classes) for part in parts}
    if len({pictures.images.shape[1:] for pictures in read.values()}) > 1:
        raise PicturesError(f"{path}: the pictures of training and test differ in shape")
    return PictureSet((("class", classes),), read["train"], read.get("valid", read["test"]), read["test"])


def _read_classes(folder: Path, classes: tuple[str, ...]) -> Pictures:
    images: list[Images] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        for file in sorted((folder / name).glob("*")):
            if file.suffix.lower() not in SUFFIXES:
                continue
            images.append(read_image(file))
            labels.append(label)
            if images[-1].shape != images[0].shape:
                raise PicturesError(f"{file}: {images[-1].shape}, but the first picture is {images[0].shape}")
    if not images:
        raise PicturesError(f"{folder}: no picture in any class")
    return Pictures(np.stack(images), np.array(labels, np.int64)[:, None])


def read_image(file: Path) -> Images:
    """A picture as ``uint8 [H, W, C]``: grey if it is stored so, else RGB (transparent parts lose their transparency).

    Raises:
        PicturesError: it cannot be decoded.
    """
    image = decoded(file.read_bytes(), str(file))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[..., None]
    return np.asarray(image.convert("RGBA").convert("RGB"))


def decoded(data: bytes, name: str) -> Image.Image:
    """An encoded picture, or the first frame of an animation, called ``name`` in errors; 16 bits become 8.

    Raises:
        PicturesError: it cannot be decoded.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        image.load()
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error) as error:
        raise PicturesError(f"{name}: not a picture") from error
    except Image.DecompressionBombError as error:
        raise PicturesError(f"{name}: {error}") from error
    if image.mode == "I;16":  # the upper byte of each grey; Pillow's own conversion would cut off all above 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image


def png_size(symbols: Images, spec: ImageSpec) -> int:
    """Bytes of a picture ``[H, W, C]`` as Pillow's optimised PNG: with a palette, or one bit a pixel for two levels."""
    pixels = symbols if spec.palette else pixels_of(symbols, spec)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if spec.palette:
        image.putpalette(rgba(spec)[:, :3].tobytes())
    file = io.BytesIO()
    (image.convert("1") if spec.binary else image).save(file, "PNG", optimize=True)
    return len(file.getvalue())


def write_sheet(images: Images, columns: int, file: Path, border: int = 2) -> None:
    """Write pictures ``[N, H, W, C]`` as one PNG, ``columns`` a row, each framed in grey."""
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + border) + border, columns * (width + border) + border, 3), 128, np.uint8)
    for number, image in enumerate(images):
        top, left = (border + (height + border) * (number // columns), border + (width + border) * (number % columns))
        sheet[top : top + height, left : left + width] = image if channels == 3 else np.repeat(image, 3, axis=2)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(file, "PNG")


# What is drawn for one step of training: items epoch by epoch, pictures of the same identities, regions to redraw.


class Epochs:
    """The endless sequence of shuffled epochs. Any part of it follows from (seed, rank) alone, so that runs resume."""

    def __init__(self, count: int, seed: int) -> None:
        """Args:
        count: items of an epoch, at least one.
        seed: of the orders.
        """
        self._count, self._seed = count, seed
        self._orders: dict[tuple[int, int], NDArray[np.int64]] = {}

    def take(self, first: int, count: int, rank: int) -> NDArray[np.int64]:
        """The indices of ``count`` items from position ``first`` of a process's sequence."""
        places = range(first, first + count)
        return np.array([self._order(i // self._count, rank)[i % self._count] for i in places], np.int64)

    def _order(self, epoch: int, rank: int) -> NDArray[np.int64]:
        """The order of one epoch. Two are kept, because a batch can cross the end of an epoch."""
        if (epoch, rank) not in self._orders:
            if len(self._orders) > 1:
                self._orders.clear()
            self._orders[epoch, rank] = np.random.default_rng([self._seed, epoch, rank]).permutation(self._count)
        return self._orders[epoch, rank]


class IdentityBatches:
    """Batches of pictures in which everybody has company. Every identity comes once before any comes again.

    A batch follows from (seed, step, rank) alone, so that runs resume.
    """

    def __init__(self, identities: NDArray[np.int64], people: int, each: int, seed: int) -> None:
        """Group the pictures.

        Args:
            identities: ``[N]``, of all pictures. Those that are alone in their identity are never drawn.
            people: identities of a batch (P), at least two.
            each: pictures of each (K), at least two; fewer of an identity that has fewer.
            seed: of the order.

        Raises:
            ValueError: fewer than ``people`` identities have two pictures.
        """
        order = np.argsort(identities, kind="stable")
        starts = np.flatnonzero(np.diff(identities[order])) + 1
        self._groups = [group for group in np.split(order, starts) if len(group) > 1]
        if len(self._groups) < people:
            raise ValueError(f"only {len(self._groups)} identities have two pictures; a batch needs {people}")
        self._people, self._each, self._seed = people, each, seed
        self._epochs = Epochs(len(self._groups), seed)

    def batch(self, step: int, rank: int) -> NDArray[np.int64]:
        """The indices of the pictures of a batch, those of an identity beside each other."""
        rng = np.random.default_rng([self._seed, step, rank])
        chosen = np.unique(self._epochs.take(step * self._people, self._people, rank))
        groups = (self._groups[number] for number in chosen)
        return np.concatenate([rng.permutation(group)[: self._each] for group in groups])


def first_two(identities: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The indices of the first and of the second picture of every identity that has two: to ask with, and to find.

    Raises:
        ValueError: none has two.
    """
    order = np.argsort(identities, kind="stable")
    same = identities[order][1:] == identities[order][:-1]
    first = np.flatnonzero(same & ~np.concatenate([[False], same[:-1]]))
    if not len(first):
        raise ValueError("identity: nobody in the validation or test set has two pictures")
    return order[first], order[first + 1]


Mask = NDArray[np.bool_]
_Rng = np.random.Generator


def kept_pixels(rng: _Rng, count: int, height: int, width: int) -> Mask:
    """The pixels that stay, ``bool [count, H, W]``, around regions of many shapes and sizes; each has both."""
    masks = np.empty((count, height, width), np.bool_)
    for mask in masks:
        shape = _SHAPES[rng.choice(len(_SHAPES), p=_SHARES)]
        region = shape(rng, height, width)
        mask[:] = ~region if region.any() and not region.all() else np.arange(height)[:, None] < height // 2
    return masks


def _rectangle(rng: _Rng, height: int, width: int) -> Mask:
    region = np.zeros((height, width), np.bool_)
    (top, bottom), (left, right) = (_span(rng, size) for size in (height, width))
    region[top:bottom, left:right] = True
    return region


def _span(rng: _Rng, size: int) -> tuple[int, int]:
    length = int(rng.integers(max(size // 8, 1), size * 7 // 8 + 1))
    start = int(rng.integers(0, size - length + 1))
    return start, start + length


def _frame(rng: _Rng, height: int, width: int) -> Mask:
    """All but a rectangle."""
    return ~_rectangle(rng, height, width)


def _side(rng: _Rng, height: int, width: int) -> Mask:
    """All on one side of a line: the lower rows, the right columns, a corner."""
    angle = rng.choice([0.0, 0.5, 1.0, 1.5, *rng.uniform(0.0, 2.0, 2)]) * np.pi
    rows, columns = np.mgrid[:height, :width]
    distance = (rows - (height - 1) / 2) * np.sin(angle) + (columns - (width - 1) / 2) * np.cos(angle)
    return np.asarray(distance > rng.uniform(-0.4, 0.4) * min(height, width))


def _strokes(rng: _Rng, height: int, width: int) -> Mask:
    """A few strokes of a round brush, each going on in nearly its own direction."""
    rows, columns = np.mgrid[:height, :width]
    region = np.zeros((height, width), np.bool_)
    for _ in range(rng.integers(1, 4)):
        place, angle = rng.uniform(0, (height, width)), rng.uniform(0, 2 * np.pi)
        radius = rng.uniform(0.04, 0.16) * min(height, width)
        for _ in range(rng.integers(1, 12)):
            region |= (rows - place[0]) ** 2 + (columns - place[1]) ** 2 <= radius**2
            angle += rng.normal(0.0, 0.5)
            place = np.clip(place + radius * np.array([np.sin(angle), np.cos(angle)]), 0, (height - 1, width - 1))
    return region


_SHAPES: tuple[Callable[[_Rng, int, int], Mask], ...] = (_rectangle, _frame, _side, _strokes)
_SHARES = (0.4, 0.1, 0.2, 0.3)
