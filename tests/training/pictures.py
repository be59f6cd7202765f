"""Small sets of pictures, and stand-ins for the registries that corpora come from, since no test may need a network."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ancestral_models.architectures.pixelcnn import PixelCNNSpec
from ancestral_training.corpora import build, expected
from ancestral_training.corpora.packages import Package, SourcePackage
from ancestral_training.data.images import Pictures, PictureSet, read_pictures

CLASSES, STYLES = ("cat", "dog"), ("oil", "ink", "wax")
SIDES, HEIGHTS = ("left", "right"), ("top", "bottom", "neither")
QUARTERS = (("side", SIDES), ("height", HEIGHTS))
COUNT = 23
SPEC = PixelCNNSpec(
    height=6, width=5, channels=1, levels=2, layers=2, features=4, first_kernel_size=3, output_features=5,
    attributes=(("class", CLASSES), ("style", STYLES)), label_rows=7, conditioning="class",
)  # fmt: skip
PALETTE = np.array([(9, 9, 9, 0), (0, 0, 0, 255), (255, 128, 0, 255), (255, 255, 255, 255)], np.uint8)
DEB822 = "# Debian's\nTypes: deb deb-src\nURIs: https://debian.invalid/debian\nSuites: trixie\nComponents: main\n"
Arrays = dict[str, np.ndarray]


def write_set(file: Path, attributes: Mapping[str, Any], train: Pictures, test: Pictures, **more: np.ndarray) -> Path:
    """A set of pictures in a file."""
    values = {f"values_{name}": np.array(names) for name, names in attributes.items()}
    np.savez(
        file, attributes=np.array([*attributes]), **values, x_train=train.images, labels_train=train.labels,
        x_test=test.images, labels_test=test.labels, **more,
    )  # fmt: skip
    return file


def random_arrays() -> Arrays:
    """What an npz with two attributes has in it, of which one is unknown once."""
    rng = np.random.default_rng(0)
    made: Arrays = {
        "attributes": np.array(["class", "style"]), "values_class": np.array(CLASSES), "values_style": np.array(STYLES),
        "source": np.array("Somebody"),
    }  # fmt: skip
    for part, count in (("train", COUNT), ("valid", 7), ("test", 8)):
        made[f"x_{part}"] = rng.integers(0, 256, (count, 6, 5, 1), np.uint8)
        made[f"labels_{part}"] = np.stack([rng.integers(0, 2, count), rng.integers(0, 3, count)], 1).astype(np.int8)
    made["labels_train"][4, 1] = -1
    return made


def quarters(count: int, seed: int) -> Pictures:
    """Grey pictures of 8 × 8 pixels with a light half left or right, of which the top or the bottom is lightest."""
    rng = np.random.default_rng(seed)
    side, height = rng.integers(0, 2, count), rng.integers(0, 3, count)
    light = np.arange(8) // 4 == side[:, None]
    lightest = np.arange(8) // 4 == height[:, None]
    images = np.where(light[:, None], rng.integers(90, 130, (count, 8, 8)), 10)
    images = np.where(light[:, None] & lightest[:, :, None], 250, images)[..., None].astype(np.uint8)
    return Pictures(images, np.stack([side, height], axis=1))


def built(name: str, folder: Path, attributes: Mapping[str, Sequence[str]]) -> PictureSet:
    """A corpus of small transparent pictures, which is the same if it is built again."""
    told = list[int]()
    made = build(name, folder / "out", 0, told.append)
    found = read_pictures(folder / "out")
    sizes = [len(part.images) for part in (found.train, found.valid, found.test)]
    assert sum(sizes) == made <= told[-1] <= expected(name)
    assert sizes[0] > sizes[2] > 0 < sizes[1]
    assert (found.shape, found.palette[0], "CC0" in found.source) == ((32, 32, 1), "#00000000", True)
    assert found.attributes == tuple((name, tuple(values)) for name, values in attributes.items())
    build(name, folder / "again", 0)
    assert np.array_equal(read_pictures(folder / "again").train.images, found.train.images), "a seed decides everything"
    return found


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def tile(colour: tuple[int, ...], box: Any = (0, 0, 32, 32), size: Any = (32, 32)) -> Image.Image:
    """Transparent but for a box."""
    image = Image.new("RGBA", size)
    image.paste((*colour, 255), box)
    return image


def command(directory: Path, name: str, script: str) -> None:
    """A stand-in for a package manager, which notes what it was asked for."""
    file = directory / name
    file.write_text(f'#!/bin/sh\necho "$@" >> {directory}/asked\n{script}\n')
    file.chmod(0o755)


def _tarball(file: Path, folder: str, files: Mapping[str, bytes]) -> str:
    """An archive that holds more than files, and its hash."""
    with tarfile.open(file, f"w:{'xz' if file.suffix == '.xz' else 'gz'}") as tar:
        for path, kind in ((folder, tarfile.DIRTYPE), (f"{folder}/source/rltiles/player/base/m.png", tarfile.SYMTYPE)):
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = kind, "/etc/passwd"
            tar.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(f"{folder}/{path}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return hashlib.sha256(file.read_bytes()).hexdigest()


def debian_package(directory: Path, files: Mapping[str, bytes]) -> SourcePackage:
    """A source package beside the stand-in for apt-get that brings it."""
    tarball = directory / "crawl_1.orig.tar.xz"
    command(directory, "apt-get", f'case "$*" in *" source "*) cp {tarball} .;; esac')
    return SourcePackage("crawl", "1-1", _tarball(tarball, "crawl-1", files))


def npm_package(directory: Path, name: str, files: Mapping[str, bytes]) -> Package:
    """A package beside the stand-in for npm that packs it."""
    command(directory, "npm", f'cp "{directory}/$(echo "$3" | sed "s/@1.0.0//; s#/#+#").tgz" .')
    return Package(name, "1.0.0", _tarball(directory / f"{name.replace('/', '+')}.tgz", "package", files))
