"""`ancestral.load(…).draw(…)`, with the bundled models."""

import json
import math

import numpy as np
import pytest
from PIL import Image

import ancestral


@pytest.fixture(scope="module")
def digits():
    return ancestral.load("pixelcnn-digits")


@pytest.fixture(scope="module")
def sprites():
    return ancestral.load("pixelcnn-sprites")


def test_draw_is_the_first_of_draw_many(digits):
    pictures = digits.draw_many("7", 3, seed=5)
    assert len(pictures) == len({picture.seed for picture in pictures}) == 3
    assert np.array_equal(pictures[0].array, digits.draw("7", seed=5).array)
    assert np.array_equal(pictures[2].array, digits.draw("7", seed=pictures[2].seed).array)
    assert pictures[1].image.size == (28, 28)
    assert [picture.seed for picture in pictures[1:]] == [pictures[1].seed, pictures[-1].seed]


def test_rows_are_counted_while_they_are_sampled(digits):
    pictures = digits.draw_many("any", 2, seed=1)
    assert list(pictures.rows()) == list(range(1, 29))
    assert list(pictures.rows()) == []


def test_bits_are_those_of_the_score(digits):
    picture = digits.draw("3", seed=2)
    assert digits.score(picture, "3") == digits.score(picture.image, "3")
    assert picture.bits * math.log(2) == pytest.approx(digits.score(picture.image, "3")["nats"], abs=0.01)
    assert picture.bits < digits.score(picture.image, "8")["nats"] / math.log(2)


def test_attributes_are_asked_for_or_drawn(sprites):
    elf = sprites.draw("elf, robe", seed=7)
    assert (elf.attributes["species"], elf.attributes["garment"]) == ("elf", "robe")
    assert elf.attributes.keys() == sprites.attributes.keys()
    assert elf.image.mode == "RGBA"


def test_files_say_what_made_them_and_jpeg_is_opaque(sprites, tmp_path):
    elf = sprites.draw("elf", seed=7)
    elf.save(tmp_path / "elf.png", scale=3)
    with Image.open(tmp_path / "elf.png") as image:
        assert image.size == (96, 96)
        assert json.loads(image.info["recipe"])["seed"] == 7
        assert np.array_equal(np.array(image.convert("RGBA"))[::3, ::3], elf.array)
    elf.save(tmp_path / "elf.jpg")
    with Image.open(tmp_path / "elf.jpg") as image:
        clear = np.array(image)[elf.array[..., 3] == 0]
    assert np.median(clear) == 255, "transparent becomes white, but for JPEG's ringing around what is drawn"
    with pytest.raises(ancestral.InvalidRequest):
        elf.save(tmp_path / "elf.gif")


def test_a_sheet_has_an_atlas(sprites, tmp_path):
    sprites.draw_many("dwarf", 4, seed=1).save_sheet(tmp_path / "s.png", columns=2, scale=2)
    with Image.open(tmp_path / "s.png") as image:
        assert image.size == (128, 128)
    atlas = json.loads((tmp_path / "s.json").read_text())
    assert [sprite["attributes"]["species"] for sprite in atlas["frames"].values()] == ["dwarf"] * 4


def test_complete_keeps_the_first_rows(digits, tmp_path):
    seven = digits.draw("7", seed=3)
    seven.save(tmp_path / "seven.png")
    (rest,) = digits.complete(str(tmp_path / "seven.png"), rows=10, seed=9)
    assert np.array_equal(rest.array[:10], seven.array[:10])
    assert not np.array_equal(rest.array, seven.array)


def test_reconstruct_encode_and_interpolate(digits):
    autoencoder = ancestral.load("pixelcnn-autoencoder-digits")
    three, eight = (digits.draw(name, seed=1).image for name in ("3", "8"))
    first, second = autoencoder.reconstruct(three, 2, seed=1)
    assert not np.array_equal(first.array, second.array)
    ends = [autoencoder.encode(image).tolist() for image in (three, eight)]
    between = autoencoder.interpolate(*ends, steps=3, seed=1)
    assert np.array_equal(between[0].array, first.array), "the same vector, the same seed"
    assert len(digits.interpolate("3", "8", steps=4)) == 4


def test_errors_name_the_argument(digits):
    for wrong, param in (
        (lambda: digits.draw("eleven"), "prompt"),
        (lambda: digits.draw(), "prompt"),
        (lambda: digits.voice(), "model"),
        (lambda: digits.score(Image.new("L", (5, 5))), "image"),
        (lambda: digits.draw("7", background="transparent"), "background"),
        (lambda: digits.draw("7", background="red"), "background"),
        (lambda: digits.draw("7").save("a.png", scale=0), "scale"),
        (lambda: digits.draw("7", guidance=float("inf")), "guidance"),
        (lambda: digits.draw_many("7", 0), "n"),
        (lambda: digits.draw(5), "prompt"),
        (lambda: digits.draw("7", seed=1.5), "seed"),
        (lambda: digits.draw("7", size=3), "size"),
        (lambda: digits.draw("7", size="0x28"), "size"),
        (lambda: digits.draw_many("7", 2).save_sheet("a.png", 0), "columns"),
        (lambda: digits.draw_many("7", 2).save_sheet("a.png", 1, padding=65), "padding"),
        (lambda: digits.draw_many("7", 2).save_sheet("a.png", 1, atlas="unity"), "atlas"),
        (lambda: digits.complete(Image.new("L", (28, 28)), rows=29), "rows"),
        (lambda: digits.interpolate("3", "8", steps=1), "steps"),
    ):
        with pytest.raises(ancestral.InvalidRequest) as refused:
            wrong()
        assert refused.value.param == param
