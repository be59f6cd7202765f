"""Characters: sprites laid over each other where the package says; tints; what is tinted; labels; the corpus."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ancestral.training.corpora import build, characters, expected
from ancestral.training.corpora.characters import (
    ATTRIBUTES,
    Parts,
    coloured,
    compose,
    drawn,
    palette_of,
    read_parts,
    value_in,
)
from ancestral.training.data.images import read_pictures
from tests.training.apt import packed

NORTH, EAST, SOUTH = 0, 2, 4
RED, GREEN, BLUE, YELLOW, CYAN, MAGENTA = (
    tuple(255 * int(bit) for bit in code) for code in ("100", "010", "001", "110", "011", "101")
)
GREY = (90, 90, 90)
OFFSETS = {
    "Frame": {
        "Head": {"idle": [[0, 13]], "run": [[0, 13 + number % 2] for number in range(8)]},
        "Body": {"idle": [[0, 6]]},
        "Legs": {"idle": [[0, 6]]},
        "Gun": {"idle": [[0, 6]], "run": [[0, 6]] * 8},
    },
    "Dir": {"Gun": [[0, -2], [6, 0], [4, 2], [-1, 4], [-6, 2], [-6, -1], [-3, -3], [0, -3]]},
}
ORDER = [["gun_r", "legs", "body", "head"]] + [["legs", "body", "head", "gun_r"]] * 7
MAN = {
    "direction": "facing south", "head": "man", "body": "medium build", "skin": "pale skin", "headgear": "bald",
    "headgear_colour": "", "shirt": "red shirt", "trousers": "blue trousers", "weapon": "unarmed",
    "pose": "standing south",
}  # fmt: skip


def sprites(rows: int, columns: int, size: tuple[int, int], *boxes: tuple[tuple[int, ...], tuple[int, ...]]) -> bytes:
    """Cells of one size, each with boxes of a colour; a pixel that only one cell has says which one it is."""
    width, height = size
    image = Image.new("RGBA", (width * columns, height * rows))
    for row in range(rows):
        for column in range(columns):
            for colour, (left, top, right, bottom) in boxes:
                corner = (column * width, row * height) * 2
                image.paste((*colour, 255), tuple(map(sum, zip(corner, (left, top, right, bottom), strict=True))))
            image.putpixel((column * width + column, row * height), (*boxes[0][0], 255))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def files() -> Mapping[str, bytes]:
    """The files that are used, of the package's names and sizes: legs below a body, with a head on top."""
    found = {}
    for body in ("base", "skinny", "big", "soldier"):
        folder = f"bodies/{body}"
        found[f"{folder}/data.json"] = json.dumps({"Order": ORDER, "Offsets": OFFSETS}).encode()
        for action, frames in (("idle", 1), ("run", 8)):
            legs = ((CYAN, (10, 16, 14, 20)), (MAGENTA, (10, 20, 14, 22)))
            found[f"{folder}/legs_{action}_24x24.png"] = sprites(8, frames, (24, 24), *legs)
            for grip in ("", "_handgun"):
                upper = ((YELLOW, (8, 8, 16, 16)), (BLUE, (6, 8, 8, 14)), (RED, (6, 14, 8, 16)))
                found[f"{folder}/upper_{action}{grip}_24x24.png"] = sprites(8, frames, (24, 24), *upper)
    for name in ("jones_10x10", "ogre_10x10", "robot_10x8", "skull_12x12", "bugeye_10x10", "dog_12x11", "lady_14x12"):
        size = tuple(map(int, name.rsplit("_", 1)[1].split("x")))
        head = ((RED, (2, 1, 8, 8)), (GREEN, (3, 3, 4, 4)))
        found[f"heads/{name}.png"] = sprites(2, 8, (size[0], size[1]), *head)
    for name in ("hairs/widows_10x10", "hairs/pigtails_14x12", "hats/beret_10x10", "hats/peak_cap_10x12",
                 "hats/helmet_10x12", "hats/combat_helmet_12x12", "hats/horns_10x12"):  # fmt: skip
        size = tuple(map(int, name.rsplit("_", 1)[1].split("x")))
        found[f"{name}.png"] = sprites(2, 8, (size[0], size[1]), ((0, 130, 0), (2, 1, 8, 3)))
    for name in ("pistol_20x20", "raygun_20x20", "rocket_red_20x20", "chaingun_24x22"):
        size = tuple(map(int, name.rsplit("_", 1)[1].split("x")))
        found[f"guns/{name}.png"] = sprites(2, 8, (size[0], size[1]), (GREY, (8, 8, 12, 10)), (RED, (8, 10, 10, 12)))
    return found


@pytest.fixture(scope="module")
def parts(files: Mapping[str, bytes]) -> Parts:
    return read_parts(files)


def shown(parts: Parts, **changed: str) -> np.ndarray:
    """A picture ``[32, 32, 4]`` of the man, with some other values."""
    named, palette = {**MAN, **changed}, palette_of(parts)
    return palette[coloured(compose(named, parts), named, characters.tables_of(parts, palette))]


def colour_at(picture: np.ndarray, x: int, y: int) -> str:
    """The nearest channel of a pixel, by its brightest parts; empty where it is transparent."""
    red, green, blue, alpha = map(int, picture[y, x])
    return "" if not alpha else f"{red}, {green}, {blue}"


def test_names_of_values_are_unique() -> None:
    names = [name for values in ATTRIBUTES.values() for name in values]
    assert len(names) == len(set(names))
    assert (len(ATTRIBUTES["direction"]), len(ATTRIBUTES["pose"])) == (8, 72)


def test_each_part_has_its_own_tint(parts: Parts) -> None:
    picture = shown(parts)
    # Cells of 24 × 24 lie with their centre 6 above the origin, (16, 25); the head, 10 × 10, 13 above it.
    assert colour_at(picture, 16, 17) == "218, 55, 49"  # the shirt
    assert colour_at(picture, 11, 17) == "218, 55, 49"  # its sleeves
    assert colour_at(picture, 11, 22) == "255, 227, 191"  # a hand
    assert colour_at(picture, 16, 24) == "61, 104, 227"  # trousers
    assert colour_at(picture, 16, 28) == "110, 70, 45"  # shoes
    assert colour_at(picture, 16, 10) == "255, 227, 191"  # the head
    assert colour_at(picture, 14, 10) == "255, 244, 214"  # a mark for the eyes, which is not tinted
    assert colour_at(picture, 0, 0) == ""
    other = shown(parts, skin="green skin", shirt="white shirt", trousers="black trousers")
    assert (other[..., 3] == picture[..., 3]).all()
    assert colour_at(other, 16, 17) == "250, 250, 254"
    assert colour_at(other, 11, 22) == "127, 189, 89"
    assert colour_at(other, 16, 24) == "70, 70, 81"
    assert colour_at(other, 16, 28) == "110, 70, 45"


def test_headgear_has_colours_of_hair_or_of_hats(parts: Parts) -> None:
    def crown(**changed: str) -> str:
        return colour_at(shown(parts, **changed), 16, 9)

    assert crown(headgear="short hair", headgear_colour="blond hair") == "171, 147, 84"
    assert crown(headgear="beret", headgear_colour="red headgear") == "148, 37, 33"
    assert crown() == "255, 227, 191"


def test_cells_follow_from_direction_and_frame(parts: Parts) -> None:
    body = parts.cells["bodies/base/upper_run_24x24"]
    assert body.shape == (8, 8, 24, 24)
    frames = [compose({**MAN, "pose": pose}, parts) for pose in ATTRIBUTES["pose"]]
    # The marks of body and legs lie in the first row of their cells, the frame's number from the left.
    first = 25 - 12 - 6
    assert [int(np.flatnonzero(frame[first, 4:])[0]) for frame in frames[:9]] == [0, *range(8)]
    heads = [int(np.flatnonzero(frame[25 - 5 - 13, 11:21])[0]) for frame in frames[::9]]
    assert heads == [*range(8)], "each direction has a column"


def test_guns_are_held_behind_or_before(parts: Parts) -> None:
    # 20 × 20, 6 above the origin, moved by (-6, 2) towards the south; its colour is no tint, the hand's is.
    south = shown(parts, weapon="pistol")
    assert colour_at(shown(parts), 11, 19) == "218, 55, 49"
    assert colour_at(south, 11, 19) == "90, 90, 90"
    assert colour_at(south, 8, 21) == "255, 227, 191"
    north = {"direction": "facing north", "pose": "standing north"}
    behind, alone = shown(parts, weapon="pistol", **north), shown(parts, **north)
    assert colour_at(behind, 16, 15) == colour_at(alone, 16, 15) == "218, 55, 49", "the body covers it"


def test_labels_agree_with_each_other(parts: Parts) -> None:
    rng, seen = np.random.default_rng(0), set()
    for _ in range(2000):
        named = drawn(rng)
        seen |= set(named.values())
        assert named["pose"].split()[1] == named["direction"].split()[1]
        colour = named["headgear_colour"]
        assert (colour == "") == (named["headgear"] == "bald")
        assert colour.endswith(" hair") == (named["headgear"] in ("short hair", "pigtails"))
    assert seen - {""} == {name for values in ATTRIBUTES.values() for name in values}


def test_headgear_keeps_a_colour_that_it_may_have() -> None:
    man = {**MAN, "headgear": "beret", "headgear_colour": "red headgear"}
    assert value_in(man, "headgear", "bald")["headgear_colour"] == ""
    assert value_in(value_in(man, "headgear", "bald"), "headgear", "pigtails")["headgear_colour"] == "black hair"
    assert value_in(man, "shirt", "white shirt") == {**man, "shirt": "white shirt"}


def test_the_corpus_is_built(
    files: Mapping[str, bytes], tmp_path: Path, entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    package = packed(tmp_path, {f"graphics/chars/{name}": content for name, content in files.items()})
    monkeypatch.setattr(characters, "_PACKAGE", package)
    monkeypatch.setattr(characters, "COUNT", 300)
    told: list[int] = []
    made = build("characters", tmp_path / "out", 0, told.append)
    assert expected("characters") == told[-1] == 300 >= made
    pictures = read_pictures(tmp_path / "out")
    sets = {"train": pictures.train, "valid": pictures.valid, "test": pictures.test}
    assert sum(len(part.images) for part in sets.values()) == made
    assert min(len(part.images) for part in sets.values()) > 0
    assert pictures.shape == (32, 32, 1)
    assert pictures.attributes == tuple((name, tuple(values)) for name, values in ATTRIBUTES.items())
    assert pictures.palette[0] == "#00000000"
    assert "CC0" in pictures.source
    looks = {which: {tuple(row[1:-1]) for row in part.labels.tolist()} for which, part in sets.items()}
    assert not looks["train"] & (looks["valid"] | looks["test"]), "a character is in one part alone"
    build("characters", tmp_path / "again", 0)
    assert np.array_equal(read_pictures(tmp_path / "again").train.images, pictures.train.images)
