"""Sets of pictures: npz files as ``ancestral corpus build`` writes them, and torchvision's folders.

An npz, alone or as the ``pictures.npz`` of a folder, holds ``x_train`` and ``x_test`` (``uint8 [N, H, W]`` or
``[N, H, W, C]``), ``y_train`` and ``y_test`` (indices into ``classes``), and, where there are further conditions,
``style_train``, ``style_test`` and ``styles``, or ``subclass_train``, ``subclass_test`` and ``subclasses``, each
subclass of one class and -1 for a picture of none. ``x_valid``, ``y_valid``, … are optional: without them the test set
is used; so is ``source``, the credits of the pictures. torchvision's folders hold ``train/CLASS/*.png``,
``test/CLASS/*.png`` and optionally ``valid/CLASS/*.png``.
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
    """A file or folder that is not a set of pictures; the message names it and says what is wrong."""


@dataclass(frozen=True)
class Pictures:
    """Pictures and their labels."""

    images: Images
    """``[N, H, W, C]``."""
    labels: NDArray[np.int64]
    """``[N, conditions]``: indices into the set's names, classes first, subclasses last; ``len(names)`` is none."""


@dataclass(frozen=True)
class PictureSet:
    """A training, a validation and a test set of equally large pictures."""

    classes: tuple[str, ...]
    styles: tuple[str, ...]
    subclasses: tuple[str, ...]
    """These two are empty where there is no such condition."""
    train: Pictures
    valid: Pictures
    test: Pictures
    source: str = "Pictures of the person who trained this model"
    """What they are and their credits, for model cards."""

    @property
    def conditions(self) -> dict[str, tuple[Any, ...]]:
        """The fields of an :class:`~models.spec.ImageSpec` that follow from them."""
        fields: dict[str, tuple[Any, ...]] = {
            "classes": self.classes, "styles": self.styles, "subclasses": self.subclasses,
        }  # fmt: skip
        if self.subclasses:
            _, where, counts = np.unique(self.train.labels[:, -1], return_index=True, return_counts=True)
            fields["subclass_classes"] = tuple(map(int, self.train.labels[where, 0]))[: len(self.subclasses)]
            fields["subclass_counts"] = tuple(map(int, counts))[: len(self.subclasses)]
        return fields


def read_pictures(path: Path) -> PictureSet:
    """Read an npz file or a folder.

    Raises:
        PicturesError: it is neither, or broken.
    """
    if (path / ARCHIVE).exists():
        return _read_npz(path / ARCHIVE)
    return _read_folder(path) if path.is_dir() else _read_npz(path)


def binarise(images: Images, rng: np.random.Generator) -> Images:
    """Draw every sub-pixel as 0 or 1, with its grey level as the probability of 1 (Salakhutdinov & Murray 2008)."""
    return (rng.random(images.shape, np.float32) * np.float32(255.0) < images).astype(np.uint8)


def _read_npz(path: Path) -> PictureSet:
    try:
        # Opened here, because numpy does not close a file that it cannot read.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files if name.split("_")[0] in _KEYS}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise PicturesError(f"{path}: not a npz file of plain arrays ({error})") from error
    for name in ("x_train", "y_train", "x_test", "y_test", "classes"):
        if name not in arrays:
            raise PicturesError(f"{path}: {name} is missing")
    classes, styles, subclasses = (
        tuple(map(str, arrays.get(name, ()))) for name in ("classes", "styles", "subclasses")
    )
    optional = (("style", styles), ("subclass", subclasses))
    conditions = [("y", classes), *((key, names) for key, names in optional if names)]
    parts = {}
    for part in ("train", "valid", "test"):
        if f"x_{part}" in arrays:
            parts[part] = _part(path, arrays, part, conditions)
    if len({pictures.images.shape[1:] for pictures in parts.values()}) > 1:
        raise PicturesError(f"{path}: the pictures of training and test differ in shape")
    source = {"source": str(arrays["source"])} if "source" in arrays else {}
    valid = parts.get("valid", parts["test"])
    found = PictureSet(classes, styles, subclasses, parts["train"], valid, parts["test"], **source)
    if subclasses:
        _check_subclasses(path, found)
    return found


def _check_subclasses(path: Path, found: PictureSet) -> None:
    """Every subclass needs training pictures, and belongs to one class."""
    labels = np.concatenate([part.labels for part in (found.train, found.valid, found.test)])
    trained = set(found.train.labels[:, -1])
    for subclass, name in enumerate(found.subclasses):
        if subclass not in trained:
            raise PicturesError(f"{path}: no training picture is of subclass {name!r}")
        if len(set(labels[labels[:, -1] == subclass, 0])) > 1:
            raise PicturesError(f"{path}: the subclass {name!r} belongs to two classes")


_KEYS = frozenset({"x", "y", "style", "subclass", "classes", "styles", "subclasses", "source"})


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
        least = -1 if key == "subclass" else 0
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
    """An encoded picture, or the first frame of an animation, called ``name`` in errors.

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


def pixels_of(symbols: Images, levels: int) -> Images:
    """Symbols as 8-bit pixels: the highest level is white."""
    return symbols * np.uint8(255 // (levels - 1))


def png_size(symbols: Images, levels: int) -> int:
    """Bytes of a picture ``[H, W, C]`` as Pillow's optimised PNG, which has one bit a pixel for two levels."""
    pixels = pixels_of(symbols, levels)
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
