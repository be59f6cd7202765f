"""Sets of pictures: npz files as ``ancestral corpus build`` writes them, and torchvision's folders.

An npz, alone or as the ``pictures.npz`` of a folder, holds ``x_train`` and ``x_test`` (``uint8 [N, H, W]`` or
``[N, H, W, C]``), ``y_train`` and ``y_test`` (indices into ``classes``), and, where there are further conditions,
``style_train``, ``style_test`` and ``styles``, or ``kind_train``, ``kind_test`` and ``kinds``, each kind one of a
class and -1 for a picture that is of none. ``x_valid``, ``y_valid``, … are optional: without them the test set stands
in; so is ``source``, which says whom the pictures are owed to. torchvision's folders hold ``train/CLASS/*.png``,
``test/CLASS/*.png`` and, if they like, ``valid/CLASS/*.png``.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]
ARCHIVE = "pictures.npz"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")


class PicturesError(ValueError):
    """A file or folder that is no set of pictures; the message names it and what is wrong."""


@dataclass(frozen=True)
class Pictures:
    """Pictures and what they show."""

    images: Images
    """``[N, H, W, C]``."""
    labels: NDArray[np.int64]
    """``[N, conditions]``: indices into the names of the set, classes first, kinds last; ``len(kinds)`` is none."""


@dataclass(frozen=True)
class PictureSet:
    """A training, a validation and a test set of equally large pictures."""

    classes: tuple[str, ...]
    styles: tuple[str, ...]
    kinds: tuple[str, ...]
    """Both empty where there is no such condition."""
    train: Pictures
    valid: Pictures
    test: Pictures
    source: str = "Pictures of the person who trained this model"
    """What they are and whom they are owed to, for model cards."""

    @property
    def conditions(self) -> dict[str, tuple[Any, ...]]:
        """What the spec of a network is told of them."""
        told: dict[str, tuple[Any, ...]] = {"classes": self.classes, "styles": self.styles, "kinds": self.kinds}
        if self.kinds:
            _, where, counts = np.unique(self.train.labels[:, -1], return_index=True, return_counts=True)
            told["kind_classes"] = tuple(map(int, self.train.labels[where, 0]))[: len(self.kinds)]
            told["kind_counts"] = tuple(map(int, counts))[: len(self.kinds)]
        return told


def read_pictures(path: Path) -> PictureSet:
    """Read an npz file or a folder.

    Raises:
        PicturesError: it is neither, or broken.
    """
    if (path / ARCHIVE).exists():
        return _read_npz(path / ARCHIVE)
    return _read_folder(path) if path.is_dir() else _read_npz(path)


def binarise(images: Images, rng: np.random.Generator) -> Images:
    """Every level drawn to be 0 or 1 with its grey as the probability of 1 (Salakhutdinov & Murray 2008)."""
    return (rng.random(images.shape, np.float32) * np.float32(255.0) < images).astype(np.uint8)


def _read_npz(path: Path) -> PictureSet:
    try:
        # Opened here: numpy would leave a file that it cannot read to the garbage collector.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files if name.split("_")[0] in _KEYS}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise PicturesError(f"{path}: not a npz file of plain arrays ({error})") from error
    for name in ("x_train", "y_train", "x_test", "y_test", "classes"):
        if name not in arrays:
            raise PicturesError(f"{path}: {name} is missing")
    classes, styles, kinds = (tuple(map(str, arrays.get(name, ()))) for name in ("classes", "styles", "kinds"))
    conditions = [("y", classes), *((key, names) for key, names in (("style", styles), ("kind", kinds)) if names)]
    parts = {}
    for part in ("train", "valid", "test"):
        if f"x_{part}" in arrays:
            parts[part] = _part(path, arrays, part, conditions)
    if len({pictures.images.shape[1:] for pictures in parts.values()}) > 1:
        raise PicturesError(f"{path}: the pictures of training and test differ in shape")
    source = {"source": str(arrays["source"])} if "source" in arrays else {}
    valid = parts.get("valid", parts["test"])
    found = PictureSet(classes, styles, kinds, parts["train"], valid, parts["test"], **source)
    if kinds:
        _check_kinds(path, found)
    return found


def _check_kinds(path: Path, found: PictureSet) -> None:
    """Every kind is trained on, and of one class alone."""
    labels = np.concatenate([part.labels for part in (found.train, found.valid, found.test)])
    trained = set(found.train.labels[:, -1])
    for kind, name in enumerate(found.kinds):
        if kind not in trained:
            raise PicturesError(f"{path}: no picture to train on is of kind {name!r}")
        if len(set(labels[labels[:, -1] == kind, 0])) > 1:
            raise PicturesError(f"{path}: {name!r} is a kind of two classes")


_KEYS = frozenset({"x", "y", "style", "kind", "classes", "styles", "kinds", "source"})


def _part(path: Path, arrays: Mapping[str, Any], part: str, conditions: list[tuple[str, tuple[str, ...]]]) -> Pictures:
    images = arrays[f"x_{part}"]
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or not len(images):
        raise PicturesError(f"{path}: x_{part}: expected uint8 [N, H, W, C], not {images.dtype} {list(images.shape)}")
    images = images if images.ndim == 4 else images[..., None]
    if images.shape[3] not in (1, 3):
        raise PicturesError(f"{path}: x_{part}: pictures have 1 or 3 channels, not {images.shape[3]}")
    columns = []
    for key, names in conditions:
        labels = arrays.get(f"{key}_{part}")
        if labels is None or labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            raise PicturesError(f"{path}: {key}_{part}: expected {len(images)} whole numbers")
        least = -1 if key == "kind" else 0
        if labels.min() < least or labels.max() >= len(names):
            raise PicturesError(f"{path}: {key}_{part}: must lie in {least} … {len(names) - 1}")
        columns.append(np.where(labels < 0, len(names), labels).astype(np.int64))
    return Pictures(images, np.stack(columns, axis=1))


def _read_folder(path: Path) -> PictureSet:
    parts = [path / part for part in ("train", "valid", "test") if (path / part).is_dir()]
    if not {"train", "test"} <= {part.name for part in parts}:
        raise PicturesError(f"{path}: expected train/CLASS/ and test/CLASS/")
    classes = tuple(sorted(entry.name for entry in (path / "train").iterdir() if entry.is_dir()))
    read = {part.name: _read_classes(part, classes) for part in parts}
    if len({pictures.images.shape[1:] for pictures in read.values()}) > 1:
        raise PicturesError(f"{path}: the pictures of training and test differ in shape")
    return PictureSet(classes, (), (), read["train"], read.get("valid", read["test"]), read["test"])


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
    if image.mode == "I;16":  # the upper byte of each grey; Pillow's own conversion would cut off all above 255
        return (np.asarray(image)[..., None] >> 8).astype(np.uint8)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[..., None]
    return np.asarray(image.convert("RGBA").convert("RGB"))


def decoded(data: bytes, name: str) -> Image.Image:
    """An encoded picture, or the first of those that move, called ``name`` in errors.

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
    return image


def shown(symbols: Images, levels: int) -> Images:
    """Symbols as they look: the highest level is white."""
    return symbols * np.uint8(255 // (levels - 1))


def png_size(symbols: Images, levels: int) -> int:
    """Bytes of a picture ``[H, W, C]`` as Pillow's optimised PNG, which has one bit a pixel for two levels."""
    pixels = shown(symbols, levels)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    file = io.BytesIO()
    (image.convert("1") if levels == 2 else image).save(file, "PNG", optimize=True)
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
