"""Sets of pictures: npz files, folders, picture files, sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.training.data.images import (
    PicturesError,
    binarise,
    read_image,
    read_pictures,
    write_sheet,
)
from tests.training.picture_sets import CLASSES, COUNT, PALETTE, STYLES, Arrays


def test_an_npz_is_read_alone_and_in_its_folder(data: Path, arrays: Arrays) -> None:
    for path in (data, data / "pictures.npz"):
        pictures = read_pictures(path)
        assert pictures.attributes == (("class", CLASSES), ("style", STYLES))
        assert (pictures.source, pictures.palette, pictures.shape) == ("Somebody", (), (6, 5, 1))
        assert np.array_equal(pictures.valid.images, arrays["x_valid"])
        assert np.array_equal(pictures.test.labels, arrays["labels_test"])
        assert pictures.train.labels[4].tolist() == [arrays["labels_train"][4, 0], len(STYLES)]


def test_the_spec_of_a_set_has_its_attributes_its_palette_and_its_label_rows(indexed: Path, data: Path) -> None:
    pictures = read_pictures(indexed)
    assert pictures.palette == ("#09090900", "#000000", "#ff8000", "#ffffff")
    spec = PixelCNNSpec.for_pictures(pictures.shape, pictures.spec_fields, conditioning="class")
    assert (spec.levels, spec.transparent, spec.planes, spec.binary) == (4, True, 4, False)
    assert spec.conditions == (CLASSES, STYLES)
    rows = pictures.label_rows
    assert rows.shape == (spec.label_rows, 3)
    assert rows[:, 2].sum() == COUNT
    assert (rows[:, 1] == -1).sum() == 1
    plain = read_pictures(data)
    fields = {"levels": 2} | plain.spec_fields
    assert PixelCNNSpec.for_pictures(plain.shape, fields, conditioning="class").binary
    without = PixelCNNSpec.for_pictures(pictures.shape, pictures.spec_fields, conditioning="none")
    assert (without.attributes, without.label_rows, without.palette) == ((), 0, pictures.palette)


def test_identities_are_read_and_those_of_the_parts_are_apart(arrays: Arrays, tmp_path: Path) -> None:
    arrays |= {
        "identity_train": np.arange(COUNT) // 2,
        "identity_valid": np.full(7, 90),
        "identity_test": np.arange(50, 58),
    }
    np.savez(tmp_path / "pictures.npz", **arrays)
    pictures = read_pictures(tmp_path)
    for part, read in (("train", pictures.train), ("valid", pictures.valid), ("test", pictures.test)):
        assert read.identities is not None
        assert read.identities.tolist() == arrays[f"identity_{part}"].tolist()
    for name, value, message in (
        ("identity_test", None, "identity_test is missing"),
        ("identity_train", np.arange(5), r"identity_train: expected whole numbers \[23\]"),
        ("identity_train", np.zeros(COUNT), "identity_train: expected whole numbers"),
        ("identity_test", np.full(8, 90), "identity_test: 90 is in identity_valid, too"),
    ):
        check_refused(arrays, tmp_path, name, value, message)


def check_refused(arrays: Arrays, path: Path, name: str, value: np.ndarray | None, message: str) -> None:
    """That an npz is refused in which one array is another, or none."""
    changed = {key: array for key, array in arrays.items() if key != name} | ({} if value is None else {name: value})
    np.savez(path / "pictures.npz", **changed)
    with pytest.raises(PicturesError, match=message):
        read_pictures(path)


def test_what_is_optional_may_be_absent(arrays: Arrays, tmp_path: Path) -> None:
    for name in [name for name in arrays if not name.startswith("x_") or "valid" in name]:
        del arrays[name]
    arrays["x_train"], arrays["x_test"] = arrays["x_train"][..., 0], arrays["x_test"][..., 0]
    np.savez(tmp_path / "some.npz", **arrays)
    pictures = read_pictures(tmp_path / "some.npz")
    assert pictures.attributes == ()
    assert pictures.train.labels.shape == (COUNT, 0)
    assert pictures.train.images.shape == (COUNT, 6, 5, 1)
    assert pictures.valid is pictures.test
    assert "person who trained" in pictures.source


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("x_test", None, "x_test is missing"),
        ("values_style", None, "values_style is missing"),
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
    ],
)
def test_a_broken_npz_is_refused(
    arrays: Arrays, tmp_path: Path, name: str, value: np.ndarray | None, message: str
) -> None:
    check_refused(arrays, tmp_path, name, value, message)


def test_what_is_no_npz_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pictures.npz").write_bytes(b"PK\3\4 and nothing else")
    with pytest.raises(PicturesError, match="not a npz file"):
        read_pictures(tmp_path)
    np.savez(tmp_path / "pictures.npz", x_train=np.array([{}]))
    with pytest.raises(PicturesError, match="not a npz file"):
        read_pictures(tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_is_read(tmp_path: Path, channels: int) -> None:
    rng = np.random.default_rng(1)
    written = {}
    for part, name in (("train", "dog"), ("train", "cat"), ("test", "dog")):
        image = rng.integers(0, 256, (1, 8, 8, channels), np.uint8)
        written[part, name] = image
        write_sheet(image, 1, tmp_path / part / name / "a.png", border=0)
    (tmp_path / "train" / "dog" / "notes.txt").write_text("not a picture")
    pictures = read_pictures(tmp_path)
    assert pictures.attributes == (("class", ("cat", "dog")),)
    assert pictures.train.labels.tolist() == [[0], [1]]
    assert pictures.test.labels.tolist() == [[1]]
    wanted = np.concatenate([written["train", "cat"], written["train", "dog"]])
    assert np.array_equal(pictures.train.images, np.broadcast_to(wanted, (2, 8, 8, 3)))


def test_a_broken_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PicturesError, match=r"expected train/CLASS/ and test/CLASS/"):
        read_pictures(tmp_path)
    for part, size in (("train", 8), ("test", 9)):
        write_sheet(np.zeros((1, size, 8, 3), np.uint8), 1, tmp_path / part / "cat" / "a.png", border=0)
    with pytest.raises(PicturesError, match="differ in shape"):
        read_pictures(tmp_path)
    write_sheet(np.zeros((1, 9, 8, 3), np.uint8), 1, tmp_path / "train" / "cat" / "b.png", border=0)
    with pytest.raises(PicturesError, match=r"b\.png: .* but the first picture is"):
        read_pictures(tmp_path)
    whole = (tmp_path / "train" / "cat" / "a.png").read_bytes()
    for broken in (b"\x89PNG, or so it says", b"", whole[:-30], whole.replace(b"IDAT", b"IDOT")):
        (tmp_path / "train" / "cat" / "b.png").write_bytes(broken)
        with pytest.raises(PicturesError, match=r"b\.png: not a picture"):
            read_pictures(tmp_path)


COLOURS = np.random.default_rng(2).integers(0, 256, (6, 7, 4), np.uint8)
STORED = Image.fromarray(COLOURS)


@pytest.mark.parametrize("form", ["png", "webp", "bmp"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_a_picture_is_read_as_it_is_stored(mode: str, form: str, tmp_path: Path) -> None:
    image = STORED.convert("RGB").convert("P") if mode == "P" else STORED.convert(mode)
    image.save(tmp_path / f"a.{form}", **({"lossless": True, "exact": True} if form == "webp" else {}))
    read = read_image(tmp_path / f"a.{form}")
    assert read.shape[2] == (1 if mode in ("1", "L") and form != "webp" else 3)
    assert np.array_equal(np.broadcast_to(read, (6, 7, 3)), image.convert("RGB"))


def test_a_palette_may_be_transparent_and_grey_may_have_sixteen_bits(tmp_path: Path) -> None:
    palette = STORED.quantize(8)
    palette.save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), np.asarray(palette.convert("RGBA"))[..., :3])
    deep = COLOURS[..., :1].astype(np.uint16) * 256 + COLOURS[..., 1:2]
    Image.fromarray(deep[..., 0]).save(tmp_path / "b.png")
    assert np.array_equal(read_image(tmp_path / "b.png"), COLOURS[..., :1])


def test_what_would_take_much_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    STORED.save(tmp_path / "a.png")
    with pytest.raises(PicturesError, match=r"a\.png: Image size \(42 pixels\) exceeds limit"):
        read_image(tmp_path / "a.png")


def test_a_sheet_shows_every_picture_in_its_place(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 1), np.uint8)
    write_sheet(images, 3, tmp_path / "sheets" / "a.png")
    sheet = read_image(tmp_path / "sheets" / "a.png")
    assert sheet.shape == (2 * 5 + 2, 3 * 6 + 2, 3)
    assert np.array_equal(sheet[7:10, 8:12, 0], images[4, ..., 0])
    assert np.array_equal(sheet[:2], np.full((2, 20, 3), 128))


def test_binarising_draws_with_the_grey_level_as_probability() -> None:
    greys = np.repeat(np.array([0, 51, 255], np.uint8), 20_000)
    drawn = binarise(greys, np.random.default_rng(0)).reshape(3, -1).mean(axis=1)
    assert drawn[0] == 0.0
    assert drawn[1] == pytest.approx(0.2, abs=0.01)
    assert drawn[2] == 1.0
