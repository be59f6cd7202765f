"""Sets of pictures: npz files, picture files, sheets, palettes."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ancestral_models.architectures.pixelcnn import PixelCNNSpec
from ancestral_training.corpora import characters
from ancestral_training.corpora.characters import ATTRIBUTES, Parts, coloured, compose, drawn, read_parts
from ancestral_training.corpora.pictures import make_palette, to_indices
from ancestral_training.data.images import PicturesError, read_image, read_pictures, write_sheet
from tests.training.pictures import CLASSES, COUNT, PALETTE, STYLES, Arrays, built, debian_package, png, random_arrays

STORED = Image.fromarray(np.random.default_rng(2).integers(0, 256, (6, 7, 4), np.uint8))
IDENTITIES = {"train": np.arange(COUNT) // 2, "valid": np.full(7, 90), "test": np.arange(50, 58)}


def rgba(colours: np.ndarray) -> np.ndarray:
    """``[…, 3]``, opaque."""
    return np.concatenate([colours, np.full((*colours.shape[:-1], 1), 255, np.uint8)], axis=-1)


@pytest.fixture
def arrays() -> Arrays:
    return random_arrays()


@pytest.fixture
def data(arrays: Arrays, tmp_path: Path) -> Path:
    np.savez(tmp_path / "pictures.npz", **arrays)
    return tmp_path


def test_an_npz_is_read_alone_and_in_its_folder(data: Path, arrays: Arrays) -> None:
    for path in (data, data / "pictures.npz"):
        pictures = read_pictures(path)
        assert pictures.attributes == (("class", CLASSES), ("style", STYLES))
        assert (pictures.source, pictures.palette, pictures.shape) == ("Somebody", (), (6, 5, 1))
        assert np.array_equal(pictures.valid.images, arrays["x_valid"])
        assert np.array_equal(pictures.test.labels, arrays["labels_test"])
        assert pictures.train.labels[4].tolist() == [arrays["labels_train"][4, 0], len(STYLES)]


def test_the_spec_of_a_set_has_its_attributes_its_palette_and_its_label_rows(data: Path, arrays: Arrays) -> None:
    indexed = {name: array // 64 if name.startswith("x_") else array for name, array in arrays.items()}
    np.savez(data / "indexed.npz", palette=PALETTE, **indexed)
    pictures, plain = read_pictures(data / "indexed.npz"), read_pictures(data)
    assert pictures.palette == ("#09090900", "#000000", "#ff8000", "#ffffff")
    spec = PixelCNNSpec.for_pictures(pictures.shape, pictures.spec_fields, conditioning="class")
    assert (spec.levels, spec.transparent, spec.planes, spec.binary) == (4, True, 4, False)
    assert spec.conditions == (CLASSES, STYLES)
    rows = pictures.label_rows
    assert (rows.shape, rows[:, 2].sum(), (rows[:, 1] == -1).sum()) == ((spec.label_rows, 3), COUNT, 1)
    fields = {"levels": 2} | plain.spec_fields
    assert PixelCNNSpec.for_pictures(plain.shape, fields, conditioning="class").binary
    without = PixelCNNSpec.for_pictures(pictures.shape, pictures.spec_fields, conditioning="none")
    assert (without.attributes, without.label_rows, without.palette) == ((), 0, pictures.palette)


def test_what_is_optional_may_be_absent(arrays: Arrays, tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", **{name: arrays[name][..., 0] for name in ("x_train", "x_test")})
    pictures = read_pictures(tmp_path / "some.npz")
    train = pictures.train
    assert (pictures.attributes, train.labels.shape, train.images.shape) == ((), (COUNT, 0), (COUNT, 6, 5, 1))
    assert pictures.valid is pictures.test
    assert "person who trained" in pictures.source
    labels = {name: arrays[name][:, :1] for name in ("labels_train", "labels_valid", "labels_test")}
    np.savez(tmp_path / "one.npz", **arrays | labels | {"attributes": np.array("class")})
    assert read_pictures(tmp_path / "one.npz").attributes == (("class", CLASSES),)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("x_test", None, "x_test is missing"), ("values_style", None, "values_style is missing"),
        ("x_train", np.zeros((COUNT, 6, 5, 1)), "x_train: expected uint8"),
        ("x_train", np.zeros((COUNT, 6, 5, 2), np.uint8), "have 1 or 3 channels, not 2"),
        ("x_test", np.zeros((8, 6, 6, 1), np.uint8), "differ in shape"),
        ("labels_train", np.zeros((COUNT - 1, 2), np.int64), r"labels_train: expected whole numbers \[23, 2\]"),
        ("labels_train", np.zeros((COUNT, 2)), "labels_train: expected whole numbers"),
        ("labels_train", np.full((COUNT, 2), 2), "labels_train: class: must lie in -1 … 1"),
        ("labels_test", np.full((8, 2), -2), "labels_test: class: must lie in -1 … 1"),
        ("labels_valid", None, "labels_valid: expected whole numbers"),
        ("palette", np.zeros((4, 3), np.uint8), r"palette: expected uint8 \[P, 4\]"),
        ("palette", PALETTE[::-1], "palette: the first colour may be transparent"),
        ("palette", PALETTE, "x_train: must lie in 0 … 3, the indices of the palette"),
        ("identity_test", None, "identity_test is missing"),
        ("identity_train", np.arange(5), r"identity_train: expected whole numbers \[23\]"),
        ("identity_train", np.zeros(COUNT), "identity_train: expected whole numbers"),
        ("identity_test", np.full(8, 90), "identity_test: 90 is in identity_valid, too"),
    ],
)  # fmt: skip
def test_a_broken_npz(arrays: Arrays, tmp_path: Path, name: str, value: np.ndarray | None, message: str) -> None:
    if name.startswith("identity"):
        arrays |= {f"identity_{part}": numbers for part, numbers in IDENTITIES.items()}
    arrays |= {name: value}
    np.savez(tmp_path / "pictures.npz", **{key: array for key, array in arrays.items() if array is not None})
    with pytest.raises(PicturesError, match=message):
        read_pictures(tmp_path)


def test_what_is_no_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "object.npz", x_train=np.array([{}]))
    np.save(tmp_path / "array.npy", np.zeros(1))
    others = ((tmp_path / name).read_bytes() for name in ("object.npz", "array.npy"))
    for data in (b"", b"PK\3\4 and nothing else", *others):
        (tmp_path / "pictures.npz").write_bytes(data)
        with pytest.raises(PicturesError, match="not a npz file"):
            read_pictures(tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_is_read(tmp_path: Path, channels: int) -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, 8, 8, channels), np.uint8)
    for number, name in enumerate(("train/cat", "train/dog", "test/dog")):
        write_sheet(images[number : number + 1], 1, tmp_path / name / "a.png", border=0)
    (tmp_path / "train" / "dog" / "notes.txt").write_text("not a picture")
    pictures = read_pictures(tmp_path)
    assert pictures.attributes == (("class", ("cat", "dog")),)
    assert (pictures.train.labels.tolist(), pictures.test.labels.tolist()) == ([[0], [1]], [[1]])
    assert np.array_equal(pictures.train.images, np.broadcast_to(images[:2], (2, 8, 8, 3)))


def test_a_broken_folder_is_refused(tmp_path: Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(PicturesError, match=message):
            read_pictures(tmp_path)

    def write(name: str, height: int) -> None:
        write_sheet(np.zeros((1, height, 8, 3), np.uint8), 1, tmp_path / name, border=0)

    refused("expected train/CLASS/ and test/CLASS/")
    write("train/cat/a.png", 8)
    write("test/cat/a.png", 9)
    refused("differ in shape")
    write("train/cat/b.png", 9)
    refused(r"b\.png: .* but the first picture is")
    whole = (tmp_path / "train" / "cat" / "a.png").read_bytes()
    for broken in (b"\x89PNG, or so it says", b"", whole[:-30], whole.replace(b"IDAT", b"IDOT")):
        (tmp_path / "train" / "cat" / "b.png").write_bytes(broken)
        refused(r"b\.png: not a picture")


def test_what_would_take_much_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    STORED.save(tmp_path / "a.png")
    with pytest.raises(PicturesError, match=r"a\.png: Image size \(42 pixels\) exceeds limit"):
        read_image(tmp_path / "a.png")


def test_few_colours_are_kept_exactly_and_transparent_ones_do_not_count() -> None:
    colours = np.array([[[[9, 9, 9], [200, 0, 0], [0, 0, 90], [9, 9, 9]]]], np.uint8)
    palette = make_palette(rgba(colours), 255)
    assert palette.tolist() == [[9, 9, 9], [0, 0, 90], [200, 0, 0]]
    assert np.array_equal(palette[to_indices(colours, rgba(palette))], colours)
    images = rgba(colours)
    images[0, 0, 1:3, 3] = 0
    palette = make_palette(images, 255)
    assert palette.tolist() == [[9, 9, 9]]
    with_transparency = np.concatenate([np.zeros((1, 4), np.uint8), rgba(palette)])
    assert to_indices(images, with_transparency).tolist() == [[[1, 0, 0, 1]]]


def test_many_colours_become_near_ones() -> None:
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 240, (40, 3))
    colours = (centres[rng.integers(0, 40, (8, 16, 16))] + rng.integers(0, 6, (8, 16, 16, 3))).astype(np.uint8)
    palette = make_palette(rgba(colours), 64)
    assert palette.shape == (64, 3)
    errors = colours.astype(float) - palette[to_indices(colours, rgba(palette))]
    assert np.abs(errors).max() < 12.0
    assert (errors**2).mean() < 6.0, "uniform over 0 … 5 around its mean has 2.9 at the best"
    assert np.array_equal(make_palette(rgba(colours), 64), palette)
    tracemalloc.start()
    to_indices(np.broadcast_to(colours[:1], (20_000, 16, 16, 3)), rgba(palette))
    assert tracemalloc.get_traced_memory()[1] < 64 << 20, "tables of 32 MiB, and one byte a pixel"
    tracemalloc.stop()


# Characters: sprites laid over each other where the package says; tints; what is tinted; labels; the corpus.


RED, GREEN, BLUE, YELLOW, CYAN, MAGENTA = (
    tuple(255 * int(bit) for bit in code) for code in ("100", "010", "001", "110", "011", "101")
)
OFFSETS = {
    "Frame": {
        "Head": {"idle": [[0, 13]], "run": [[0, 13 + number % 2] for number in range(8)]},
        "Body": {"idle": [[0, 6]]}, "Legs": {"idle": [[0, 6]]}, "Gun": {"idle": [[0, 6]], "run": [[0, 6]] * 8},
    },
    "Dir": {"Gun": [[0, -2], [6, 0], [4, 2], [-1, 4], [-6, 2], [-6, -1], [-3, -3], [0, -3]]},
}  # fmt: skip
ORDER = [["gun_r", "legs", "body", "head"]] + [["legs", "body", "head", "gun_r"]] * 7
MAN = {
    "direction": "facing south", "head": "man", "body": "medium build", "skin": "pale skin", "headgear": "bald",
    "headgear_colour": "", "shirt": "red shirt", "trousers": "blue trousers", "weapon": "unarmed",
    "pose": "standing south",
}  # fmt: skip
LEGS = ((CYAN, (10, 16, 14, 20)), (MAGENTA, (10, 20, 14, 22)))
UPPER = ((YELLOW, (8, 8, 16, 16)), (BLUE, (6, 8, 8, 14)), (RED, (6, 14, 8, 16)))
HEAD, HAIR = ((RED, (2, 1, 8, 8)), (GREEN, (3, 3, 4, 4))), (((0, 130, 0), (2, 1, 8, 3)),)
GUN = (((90, 90, 90), (8, 8, 12, 10)), (RED, (8, 10, 10, 12)))
SHEETS = {
    "heads/jones_10x10 heads/ogre_10x10 heads/robot_10x8 heads/skull_12x12 heads/bugeye_10x10": HEAD,
    "heads/dog_12x11 heads/lady_14x12": HEAD, "hairs/widows_10x10 hairs/pigtails_14x12 hats/beret_10x10": HAIR,
    "hats/peak_cap_10x12 hats/helmet_10x12 hats/combat_helmet_12x12 hats/horns_10x12": HAIR,
    "guns/pistol_20x20 guns/raygun_20x20 guns/rocket_red_20x20 guns/chaingun_24x22": GUN,
}  # fmt: skip
SHIRT, SKIN = (218, 55, 49), (255, 227, 191)
Boxes = tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]


def sprites(rows: int, columns: int, name: str, boxes: Boxes) -> bytes:
    """Cells of the size in the name, each with boxes of a colour; a pixel that only one cell has says which it is."""
    width, height = map(int, name.rsplit("_", 1)[1].split("x"))
    image = Image.new("RGBA", (width * columns, height * rows))
    for x, y in ((column * width, row * height) for row in range(rows) for column in range(columns)):
        for colour, (left, top, right, bottom) in boxes:
            image.paste((*colour, 255), (x + left, y + top, x + right, y + bottom))
        image.putpixel((x + x // width, y), (*boxes[0][0], 255))
    return png(image)


@pytest.fixture(scope="module")
def files() -> Mapping[str, bytes]:
    """The files that are used, of the package's names and sizes: legs below a body, with a head on top."""
    found = {f"{name}.png": sprites(2, 8, name, boxes) for names, boxes in SHEETS.items() for name in names.split()}
    for body in ("base", "skinny", "big", "soldier"):
        found[f"bodies/{body}/data.json"] = json.dumps({"Order": ORDER, "Offsets": OFFSETS}).encode()
        for action, frames in (("idle", 1), ("run", 8)):
            for part, boxes in (("legs", LEGS), ("upper", UPPER), ("upper_handgun", UPPER)):
                name = "_".join([part[:5].strip("_"), action, *part.split("_")[1:], "24x24"])
                found[f"bodies/{body}/{name}.png"] = sprites(8, frames, name, boxes)
    return found


@pytest.fixture(scope="module")
def parts(files: Mapping[str, bytes]) -> Parts:
    return read_parts(files)


def shown(parts: Parts, **changed: str) -> np.ndarray:
    """A picture ``[32, 32, 4]`` of the man, with some other values."""
    named, palette = {**MAN, **changed}, characters.palette_of(parts)
    return palette[coloured(compose(named, parts), named, characters.tables_of(parts, palette))]


def colours_at(picture: np.ndarray, *places: tuple[int, int]) -> list[tuple[int, ...]]:
    """The colours at some (x, y); empty where it is transparent."""
    return [tuple(map(int, picture[y, x, :3])) if picture[y, x, 3] else () for x, y in places]


def test_each_part_has_its_own_tint(parts: Parts) -> None:
    # Cells of 24 × 24 lie with their centre 6 above the origin, (16, 25); the head, 10 × 10, 13 above it.
    shirt, sleeve, hand, trousers, shoes, head, eyes, nothing = (
        (16, 17), (11, 17), (11, 22), (16, 24), (16, 28), (16, 10), (14, 10), (0, 0),
    )  # fmt: skip
    picture = shown(parts)
    assert colours_at(picture, shirt, sleeve, hand, head, nothing) == [SHIRT, SHIRT, SKIN, SKIN, ()]
    assert colours_at(picture, trousers, shoes) == [(61, 104, 227), (110, 70, 45)]
    assert colours_at(picture, eyes) == [(255, 244, 214)], "a mark for the eyes, which is not tinted"
    other = shown(parts, skin="green skin", shirt="white shirt", trousers="black trousers")
    assert (other[..., 3] == picture[..., 3]).all()
    assert colours_at(other, shirt, hand) == [(250, 250, 254), (127, 189, 89)]
    assert colours_at(other, trousers, shoes) == [(70, 70, 81), (110, 70, 45)]


def test_labels_agree_with_each_other() -> None:
    rng, seen = np.random.default_rng(0), set()
    for _ in range(2000):
        named = drawn(rng)
        seen |= set(named.values())
        assert named["pose"].split()[1] == named["direction"].split()[1]
        colour = named["headgear_colour"]
        assert (colour == "") == (named["headgear"] == "bald")
        assert colour.endswith(" hair") == (named["headgear"] in ("short hair", "pigtails"))
    assert seen - {""} == {name for values in ATTRIBUTES.values() for name in values}


@pytest.mark.usefixtures("entries")
def test_the_corpus_is_built(files: Mapping[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    package = debian_package(tmp_path, {f"graphics/chars/{name}": content for name, content in files.items()})
    monkeypatch.setattr(characters, "_PACKAGE", package)
    monkeypatch.setattr(characters, "COUNT", 300)
    found = built("characters", tmp_path, ATTRIBUTES)
    parts = (found.train, found.valid, found.test)
    train, valid, test = ({tuple(row[1:-1]) for row in part.labels.tolist()} for part in parts)
    assert not train & (valid | test), "a character is in one part alone"
