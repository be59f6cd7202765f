"""Folders of people's own pictures: what is read, how it is divided, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ancestral.models.spec import SpecError
from ancestral.training.data.images import PicturesError, PictureSet, read_pictures
from ancestral.training.picture_folder import OwnPictures, read_own_pictures, write_own_pictures

COUNT = 60
COLOURS = np.array([[10, 20, 30], [250, 0, 0], [0, 200, 90], [255, 255, 255]], np.uint8)


def painted(count: int = COUNT, height: int = 8, width: int = 12) -> np.ndarray:
    """Pictures of blocks of four colours, RGBA, none like another; the upper row is transparent."""
    rng = np.random.default_rng(1)
    blocks = COLOURS[rng.integers(0, 4, (count, height // 4, width // 4))].repeat(4, axis=1).repeat(4, axis=2)
    rgb = blocks.copy()
    for image in rgb:
        rows, columns = rng.integers(0, height, 9), rng.integers(0, width, 9)
        image[rows, columns] = COLOURS[rng.integers(0, 4, 9)]
    alpha = np.full((*rgb.shape[:3], 1), 255, np.uint8)
    alpha[:, 0] = 0
    return np.concatenate([rgb, alpha], axis=-1)


def stored(folder: Path, images: np.ndarray, name: Callable[[int], str] = "{}.png".format) -> Path:
    for number, image in enumerate(images):
        path = folder / name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, **({"lossless": True, "exact": True} if path.suffix == ".webp" else {}))
    return folder


def read_back(images: np.ndarray, tmp_path: Path, colours: int | None = None, *, mirrored: bool = False) -> PictureSet:
    own = OwnPictures(images, {"class": ("a",)}, np.zeros((len(images), 1), np.int16))
    write_own_pictures(own, tmp_path / "set", "ours", colours, mirrored=mirrored)
    return read_pictures(tmp_path / "set")


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    images = painted()
    folder = stored(tmp_path, images, lambda n: f"{'tree' if n % 2 else 'house'}/deep/{n}.{'webp' if n % 3 else 'png'}")
    stored(tmp_path, images[:1], lambda _: "no class.png")
    stored(tmp_path, images, lambda n: f".hidden/{n}.png")
    (tmp_path / "tree" / "link.png").symlink_to(tmp_path / "no class.png")
    (tmp_path / "tree" / "notes.txt").write_text("no picture")
    stored(tmp_path / "tree", images[1:2], lambda _: "the same again.png")
    own = read_own_pictures(folder, None, "mine")
    assert own.attributes == {"class": ("house", "tree")}
    assert len(own.images) == COUNT + 1, "a picture twice in one class is one"
    numbers = {image.tobytes(): number for number, image in enumerate(images)}
    expected = sorted([(number, number % 2) for number in range(COUNT)] + [(0, -1)])
    found = zip(own.images, own.labels[:, 0].tolist(), strict=True)
    assert sorted((numbers[image.tobytes()], label) for image, label in found) == expected


def test_without_sub_folders_there_is_one_class(tmp_path: Path) -> None:
    own = read_own_pictures(stored(tmp_path, painted()), None, "mine")
    assert (own.attributes, own.labels.tolist()) == ({"class": ("mine",)}, [[0]] * COUNT)


def test_a_csv_names_attributes(tmp_path: Path) -> None:
    stored(tmp_path / "art", painted())
    rows = [
        f"{n}.png, {('elf', 'orc', '')[n % 3]} ,{'yes' if n % 2 else 'no'},{'Yes' if n % 5 else 'none'}"
        for n in range(55)
    ]
    (tmp_path / "labels.csv").write_text("\ufefffile,species,hat,beard\r\n" + "\r\n".join(rows) + "\r\n\r\n", "utf-8")
    own = read_own_pictures(tmp_path / "art", tmp_path / "labels.csv", "mine")
    assert own.attributes == {"species": ("elf", "orc"), "hat": ("no", "hat yes"), "beard": ("beard Yes", "none")}
    assert own.labels.tolist() == [[(0, 1, -1)[n % 3], n % 2, 0 if n % 5 else 1] for n in range(55)]


def test_few_colours_and_transparency_make_a_palette(tmp_path: Path) -> None:
    found = read_back(painted(), tmp_path)
    assert found.palette[0] == "#00000000"
    assert {bytes.fromhex(colour[1:]) for colour in found.palette[1:]} == {bytes(colour) for colour in COLOURS}
    assert (found.train.images[:, 0] == 0).all()


def test_half_transparent_pixels_are_opaque_or_not(tmp_path: Path) -> None:
    images = painted()
    images[:, 0, :, 3], images[:, 1, :, 3] = 127, 128
    found = read_back(images, tmp_path)
    assert (found.train.images[:, 0] == 0).all()
    assert (found.train.images[:, 1:] > 0).all()


def test_opaque_pictures_are_indexed_grey_or_rgb(tmp_path: Path) -> None:
    images = painted()
    images[..., 3] = 255
    assert len(read_back(images, tmp_path).palette) == 4
    grey = images.copy()
    grey[..., :3] = grey[..., :1]
    found = read_back(grey, tmp_path)
    assert (found.shape, found.palette) == ((8, 12, 1), ())
    many = images.copy()
    many[..., 1] = np.random.default_rng(0).integers(0, 256, many.shape[:3])
    assert read_back(many, tmp_path).shape == (8, 12, 3)
    assert len(read_back(many, tmp_path, colours=16).palette) == 16


def test_mirrored_pictures_are_trained_on_besides(tmp_path: Path) -> None:
    plain, both = (read_back(painted(), tmp_path, mirrored=mirrored) for mirrored in (False, True))
    assert np.array_equal(both.train.images[len(plain.train.images) :], plain.train.images[:, :, ::-1])
    assert np.array_equal(both.test.images, plain.test.images)


def test_a_picture_keeps_its_part_when_others_come(tmp_path: Path) -> None:
    images = painted(200)
    some, more = read_back(images[:120], tmp_path), read_back(images, tmp_path)
    assert 4 <= len(some.test.images) <= 25
    assert {x.tobytes() for x in some.test.images} <= {x.tobytes() for x in more.test.images}


def test_near_duplicates_are_not_held_out(tmp_path: Path) -> None:
    images = painted(200)
    near = images[:100].copy()
    near[:, 4, 4, :3] ^= 16
    found = read_back(np.concatenate([images, near]), tmp_path, colours=256)
    pixels = {part: getattr(found, part).images[..., 0] for part in ("train", "valid", "test")}
    for part in ("valid", "test"):
        differ = (pixels[part][:, None] != pixels["train"][None]).sum(axis=(2, 3))
        assert (differ > 1).all()
    assert sum(map(len, pixels.values())) == 300


def test_pictures_that_are_all_alike_are_refused(tmp_path: Path) -> None:
    images = painted(1).repeat(COUNT, axis=0)
    images[:, 4, 4, 0] = np.arange(COUNT)
    with pytest.raises(PicturesError, match="60 pictures: nearly all are alike"):
        read_back(images, tmp_path)


def _png(size: tuple[int, int]) -> bytes:
    return _encoded(Image.new("RGB", size))


def _encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.png", b"no picture", r"a\.png: not a picture"),
        ("a.webp", b"", r"a\.webp: not a picture"),
        ("a.png", _encoded(Image.fromarray(painted(1)[0]))[:100], r"a\.png: not a picture"),
        ("z.png", _png((12, 9)), r"z\.png: 12 x 9 pixels, but .*0\.png has 12 x 8"),
        ("a.png", _png((7, 9)), r"a\.png: 7 x 9 pixels; at least 8 x 8"),
        ("a.png", _png((65, 8)), r"a\.png: 65 x 8 pixels; at most 64 x 64"),
        ("a.png", _png((30000, 30000)), r"a\.png: "),
        ("a.png", bytes(17 << 20), r"a\.png: larger than 16777216 bytes"),
        ("a, b/1.png", _png((12, 8)), "'a, b' is no name"),
    ],
)
def test_pictures_that_cannot_be_used(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    stored(tmp_path, painted())
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(data)
    with pytest.raises((PicturesError, SpecError), match=message):
        read_own_pictures(tmp_path, None, "mine")


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PicturesError, match="49 pictures; at least 50"):
        read_own_pictures(stored(tmp_path, painted(49)), None, "mine")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "not a csv file with a header"),
        ('file,a\n"0.png,x\n', "not a csv file with a header"),
        ("file\n0.png\n", "at least one attribute"),
        ("file,a,A\n0.png,x,y\n", "each once"),
        ("file,a\n0.png,x,y\n", "row 2: 3 columns, but the header has 2"),
        ("file,a\n\n0.png\n", "row 3: 1 columns, but the header has 2"),
        ("file,a\n0.png,x\nnothing.png,x\n", r"row 3: .*nothing\.png is missing"),
        ("file,a\n../secret.png,x\n", r"row 2: '\.\./secret\.png' is not in"),
        ("file,a\n/etc/passwd,x\n", "row 2: '/etc/passwd' is not in"),
        ("file,a\nlink.png,x\n", r"row 2: 'link\.png' is not in"),
        ("file,a\n0.png,x\n0.png,y\n", r"row 3: '0\.png' has two rows"),
        ("file,a\n0.png,x\n", "1 pictures; at least 50"),
        ("file,a\n" + "".join(f"{n}.png,\n" for n in range(COUNT)), "each must have a value"),
        ("file,a\n" + "".join(f"{n}.png,\"x, y\"\n" for n in range(COUNT)), "'x, y' is no name"),
        ("file,a\n" + "".join(f"{n}.png,{'Elf' if n else 'elf'}\n" for n in range(COUNT)), "two values have one name"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used(tmp_path: Path, table: str, message: str) -> None:
    folder = stored(tmp_path / "art", painted())
    stored(tmp_path, painted(1), lambda _: "secret.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises((PicturesError, SpecError), match=message):
        read_own_pictures(folder, tmp_path / "labels.csv", "mine")


def test_an_attribute_has_at_most_256_values(tmp_path: Path) -> None:
    stored(tmp_path / "art", painted(257))
    (tmp_path / "labels.csv").write_text("file,title\n" + "".join(f"{n}.png,picture {n}\n" for n in range(257)))
    with pytest.raises(PicturesError, match="title: 257 values"):
        read_own_pictures(tmp_path / "art", tmp_path / "labels.csv", "mine")
