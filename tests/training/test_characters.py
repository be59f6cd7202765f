"""Characters: sprites laid over each other where the package says; tints; what is tinted; labels; the corpus."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ancestral.training.corpora import build, characters, expected
from ancestral.training.corpora.characters import ATTRIBUTES, Parts, coloured, compose, drawn, read_parts, value_in
from ancestral.training.data.images import read_pictures
from tests.training.pictures import debian_package, png

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


def test_names_of_values_are_unique() -> None:
    names = [name for values in ATTRIBUTES.values() for name in values]
    assert len(names) == len(set(names))
    assert (len(ATTRIBUTES["direction"]), len(ATTRIBUTES["pose"])) == (8, 72)


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


def test_headgear_has_colours_of_hair_or_of_hats(parts: Parts) -> None:
    for headgear, colour, crown in (
        ("short hair", "blond hair", (171, 147, 84)), ("beret", "red headgear", (148, 37, 33)), ("bald", "", SKIN),
    ):  # fmt: skip
        assert colours_at(shown(parts, headgear=headgear, headgear_colour=colour), (16, 9)) == [crown]


def test_cells_follow_from_direction_and_frame(parts: Parts) -> None:
    assert parts.cells["bodies/base/upper_run_24x24"].shape == (8, 8, 24, 24)
    frames = [compose({**MAN, "pose": pose}, parts) for pose in ATTRIBUTES["pose"]]
    # The marks of body and legs lie in the first row of their cells, the frame's number from the left.
    assert [int(np.flatnonzero(frame[25 - 12 - 6, 4:])[0]) for frame in frames[:9]] == [0, *range(8)]
    heads = [int(np.flatnonzero(frame[25 - 5 - 13, 11:21])[0]) for frame in frames[::9]]
    assert heads == [*range(8)], "each direction has a column"


def test_guns_are_held_behind_or_before(parts: Parts) -> None:
    # 20 × 20, 6 above the origin, moved by (-6, 2) towards the south; its colour is no tint, the hand's is.
    assert colours_at(shown(parts), (11, 19)) == [SHIRT]
    assert colours_at(shown(parts, weapon="pistol"), (11, 19), (8, 21)) == [(90, 90, 90), SKIN]
    north = {"direction": "facing north", "pose": "standing north"}
    for weapon in ("pistol", "unarmed"):
        assert colours_at(shown(parts, weapon=weapon, **north), (16, 15)) == [SHIRT], "the body covers it"


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


def test_headgear_keeps_a_colour_that_it_may_have() -> None:
    man = {**MAN, "headgear": "beret", "headgear_colour": "red headgear"}
    assert value_in(man, "headgear", "bald")["headgear_colour"] == ""
    assert value_in(value_in(man, "headgear", "bald"), "headgear", "pigtails")["headgear_colour"] == "black hair"
    assert value_in(man, "shirt", "white shirt") == {**man, "shirt": "white shirt"}


@pytest.mark.usefixtures("entries")
def test_the_corpus_is_built(files: Mapping[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    package = debian_package(tmp_path, {f"graphics/chars/{name}": content for name, content in files.items()})
    monkeypatch.setattr(characters, "_PACKAGE", package)
    monkeypatch.setattr(characters, "COUNT", 300)
    told: list[int] = []
    made = build("characters", tmp_path / "out", 0, told.append)
    assert expected("characters") == told[-1] == 300 >= made
    pictures = read_pictures(tmp_path / "out")
    sets = {"train": pictures.train, "valid": pictures.valid, "test": pictures.test}
    assert sum(len(part.images) for part in sets.values()) == made
    assert min(len(part.images) for part in sets.values()) > 0
    assert (pictures.shape, pictures.palette[0], "CC0" in pictures.source) == ((32, 32, 1), "#00000000", True)
    assert pictures.attributes == tuple((name, tuple(values)) for name, values in ATTRIBUTES.items())
    looks = {which: {tuple(row[1:-1]) for row in part.labels.tolist()} for which, part in sets.items()}
    assert not looks["train"] & (looks["valid"] | looks["test"]), "a character is in one part alone"
    build("characters", tmp_path / "again", 0)
    assert np.array_equal(read_pictures(tmp_path / "again").train.images, pictures.train.images)
