"""Pictures of one's own: a folder, with labels from its sub-folders or a csv, becomes a set to train on."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ancestral.models.files import read_file
from ancestral.models.palette import WHITE
from ancestral.models.spec import ImageSpec, check_attributes
from ancestral.training.corpora.archive import Attributes, Part, part_of, write_pictures
from ancestral.training.corpora.palette import colour_codes, make_palette, to_indices, with_alpha
from ancestral.training.data.images import SUFFIXES, Images, PicturesError, decoded
from ancestral.training.evaluation.judges import nearest

LEAST_PICTURES = 50
MAX_SIDE = 64
_MIN_SIDE = 8
_MAX_BYTES = 16 << 20
"""Largest file."""
_MAX_PIXELS = 100_000_000
"""Most pixels of all pictures: some GB of memory."""
_MAX_VALUES = 256
"""Most values of an attribute."""
_COLOURS = 256
"""Pictures with no more get a palette of exactly these."""
_NEAR_DUPLICATE = 8.0
"""The root mean square of the differences of two pictures, 0 to 255, up to which they are one: a few pixels differ, or
all a little."""
_HALF_OPAQUE = 128


@dataclass(frozen=True)
class OwnPictures:
    """The pictures of a folder."""

    images: Images
    """``[N, H, W, 4]``, RGBA."""
    attributes: Attributes
    labels: NDArray[np.int16]
    """``[N, attributes]``, -1 where none is given."""


def read_own_pictures(folder: Path, table: Path | None, name: str) -> OwnPictures:
    """Read all pictures of a folder.

    Args:
        folder: of pictures of one size. Links are left out; in themes they are other names of the same pictures.
        table: a csv file: a header, then the file of a picture, below ``folder``, and a value of each attribute that
            the header names. None: the first sub-folder that a picture is in is its ``class``.
        name: of the only class, where there are no sub-folders.

    Raises:
        PicturesError: a file is missing or no picture, or pictures differ in size; the message names the file.
        SpecError: a name of an attribute or of a value cannot be used.
    """
    labelled = _from_folders(folder, name) if table is None else _from_table(folder, table)
    if len(labelled) < LEAST_PICTURES:
        raise PicturesError(f"{table or folder}: {len(labelled)} pictures; at least {LEAST_PICTURES} are needed")
    labels, attributes = _numbered(list(labelled.values()))
    images = _read(list(labelled))
    distinct = {image.tobytes() + row.tobytes(): i for i, (image, row) in enumerate(zip(images, labels, strict=True))}
    kept = list(distinct.values())
    return OwnPictures(images[kept], attributes, labels[kept])


def _from_folders(folder: Path, name: str) -> dict[Path, Mapping[str, str]]:
    found: dict[Path, Mapping[str, str]] = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix.lower() in SUFFIXES and not path.is_symlink() and not any(part[0] == "." for part in parts):
            found[path] = {"class": parts[0] if len(parts) > 1 else ""}
    return found if any(row["class"] for row in found.values()) else {path: {"class": name} for path in found}


def _from_table(folder: Path, table: Path) -> dict[Path, Mapping[str, str]]:
    try:
        text = read_file(table, _MAX_BYTES).decode("utf-8-sig")
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (OSError, ValueError, csv.Error) as error:
        raise PicturesError(f"{table}: not a csv file with a header ({error})") from error
    names, root = [name.strip() for name in header], folder.resolve()
    if len(names) < 2 or len({name.casefold() for name in names}) < len(names):
        raise PicturesError(f"{table}: the header must name the column of files and at least one attribute, each once")
    found: dict[Path, Mapping[str, str]] = {}
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        where = f"{table.name}, row {number}"
        if len(row) != len(names):
            raise PicturesError(f"{where}: {len(row)} columns, but the header has {len(names)}")
        path = (root / row[0].strip()).resolve()
        if not path.is_relative_to(root):
            raise PicturesError(f"{where}: {row[0]!r} is not in {folder}")
        if not path.is_file():
            raise PicturesError(f"{where}: {folder / row[0].strip()} is missing")
        if path in found:
            raise PicturesError(f"{where}: {row[0]!r} has two rows")
        found[path] = {name: value.strip() for name, value in zip(names[1:], row[1:], strict=True)}
    return found


def _numbered(labelled: Sequence[Mapping[str, str]]) -> tuple[NDArray[np.int16], Attributes]:
    """The labels as numbers. Values that two attributes share (``yes``) are called by both names (``hat yes``)."""
    given = {name: {row[name] for row in labelled} - {""} for name in labelled[0]}
    owners = Counter(value.casefold() for values in given.values() for value in {v.casefold() for v in values})
    said = {
        name: {value: f"{name} {value}" if owners[value.casefold()] > 1 else value for value in sorted(values)}
        for name, values in given.items()
    }
    attributes = {name: tuple(values.values()) for name, values in said.items()}
    check_attributes(tuple(attributes.items()))
    for name, values in attributes.items():
        if len(values) > _MAX_VALUES:
            raise PicturesError(f"{name}: {len(values)} values; an attribute has at most {_MAX_VALUES}")
    numbers = {name: {value: index for index, value in enumerate(values)} for name, values in said.items()}
    rows = [[known.get(row[name], -1) for name, known in numbers.items()] for row in labelled]
    return np.array(rows, np.int16), attributes


def _read(files: Sequence[Path]) -> Images:
    images: list[Images] = []
    for file in files:
        try:
            data = read_file(file, _MAX_BYTES)
        except OSError as error:
            raise PicturesError(f"{file}: {error.strerror}") from error
        images.append(np.asarray(decoded(data, str(file), MAX_SIDE).convert("RGBA")))
        (height, width, _), (first_height, first_width, _) = images[-1].shape, images[0].shape
        if min(height, width) < _MIN_SIDE:
            raise PicturesError(f"{file}: {width} x {height} pixels; at least {_MIN_SIDE} x {_MIN_SIDE} are needed")
        if (height, width) != (first_height, first_width):
            expected = f"{first_width} x {first_height}"
            raise PicturesError(f"{file}: {width} x {height} pixels, but {files[0]} has {expected}")
        if len(images) * height * width > _MAX_PIXELS:
            raise PicturesError(f"{file}: more than {_MAX_PIXELS} pixels in all")
    return np.stack(images)


def write_own_pictures(own: OwnPictures, out: Path, source: str, colours: int | None, *, mirrored: bool) -> None:
    """Write ``out/pictures.npz``: one picture in ten is for the test, one in twenty for validation.

    A picture's own bytes decide which, and none of these nearly equals one that is trained on.

    Args:
        own: the pictures.
        out: the folder.
        source: credits and licence.
        colours: the size of the palette. None: pictures that are partly transparent, or have at most 256 colours, get
            one, of at most 256; others are grey or RGB.
        mirrored: whether pictures are trained on mirrored, too.

    Raises:
        PicturesError: nearly all pictures are alike.
    """
    rgba = own.images.copy()
    rgba[..., 3] = np.where(rgba[..., 3] < _HALF_OPAQUE, 0, WHITE)
    symbols, palette = _symbols(rgba, colours)
    seen = np.where(rgba[..., 3:] == 0, np.uint8(WHITE), rgba[..., :3])
    which = _divided(own.images, seen)
    parts = {}
    for part in ("train", "valid", "test"):
        images, labels = symbols[which == part], own.labels[which == part]
        if part == "train" and mirrored:
            images, labels = np.concatenate([images, images[:, :, ::-1]]), np.concatenate([labels, labels])
        if len(images):
            parts[part] = Part(images, labels)
    if "test" not in parts:
        raise PicturesError(f"{len(which)} pictures: nearly all are alike, so none can be held out")
    write_pictures(out, own.attributes, parts, source, palette)


def _symbols(rgba: Images, colours: int | None) -> tuple[Images, Images | None]:
    """What a network draws, and the palette if it has one: indices into it, grey or RGB."""
    seen, hidden = rgba[rgba[..., 3] > 0][:, :3], bool((rgba[..., 3] == 0).any())
    if colours is None and not hidden:
        if (seen == seen[:, :1]).all():
            return rgba[..., 0], None
        if len(np.unique(colour_codes(seen))) > _COLOURS:
            return rgba[..., :3], None
    palette = with_alpha(make_palette(rgba, (colours or _COLOURS) - hidden), transparent=hidden)
    return to_indices(rgba if hidden else rgba[..., :3], palette), palette


def _divided(images: Images, seen: Images) -> NDArray[np.str_]:
    """The part that each picture belongs to.

    Args:
        images: as they were read.
        seen: RGB of the same.
    """
    which = np.array([part_of(image.tobytes().hex()) for image in images])
    spec = ImageSpec(*seen.shape[1:])
    while (which != "train").any():
        held = np.flatnonzero(which != "train")
        _, distances = nearest(seen[held], seen[which == "train"], spec, 1)
        near = held[distances[:, 0] <= _NEAR_DUPLICATE]
        if not len(near):
            break
        which[near] = "train"
    return which
