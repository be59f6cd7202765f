"""Sprites: a source package as apt brings it; dolls that wear what their species wears, in the game's order; labels."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ancestral.training.corpora import CorpusError, build, expected, sprites
from ancestral.training.corpora.debian import SourcePackage, prepared
from ancestral.training.corpora.sprites import any_wardrobe, compose, dressed, game_wardrobe, tiles, with_tints
from ancestral.training.corpora.tint import COLOURS, colour_of, tinted
from ancestral.training.corpora.wardrobe import ATTRIBUTES, LABELLED, SPECIES, value
from ancestral.training.data.images import PicturesError, read_pictures
from tests.training.apt import DEB822, apt, packed

LINES = "# deb https://debian.invalid/debian old main\ndeb https://debian.invalid/debian trixie main\n"
Layers = Mapping[str, Mapping[str, Image.Image]]


def test_a_source_package_is_read_below_a_folder(
    tmp_path: Path, entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    package = packed(tmp_path, {"a/b/c.png": b"one", "a/d.png": b"two", "ab/e.png": b"three", "../../a/f.png": b"four"})
    assert package.files("a") == {"b/c.png": b"one", "d.png": b"two"}
    update, source = (tmp_path / "asked").read_text().splitlines()
    assert update.endswith(" update")
    assert source.endswith(" source --download-only --tar-only crawl=1-1")
    for line in (update, source):
        assert "-o Dir::Etc::sourceparts=/dev/null" in line
        assert "-o Dir::State::lists=" in line
    assert entries.read_text() == DEB822


def test_a_source_package_that_cannot_be_had_is_told(
    tmp_path: Path, entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = packed(tmp_path, {"a/b.png": b""})
    other = SourcePackage("crawl", "1-1", "0" * 64)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(CorpusError, match="crawl=1-1: the package is not the one that this corpus was made from"):
        other.files("a")
    apt(tmp_path, 'case "$*" in *" source "*) echo E: no such version >&2; exit 100;; esac')
    with pytest.raises(CorpusError, match="crawl=1-1: apt-get source failed: E: no such version"):
        package.files("a")
    apt(tmp_path, "echo E: no network >&2; exit 100")
    with pytest.raises(CorpusError, match="crawl=1-1: apt-get update failed: E: no network"):
        package.files("a")
    entries.unlink()
    with pytest.raises(FileNotFoundError, match=r"debian\.sources or .*sources\.list: not found"):
        package.files("a")
    monkeypatch.setenv("PATH", str(tmp_path / "etc"))
    with pytest.raises(FileNotFoundError, match="apt-get: not found"):
        package.files("a")


@pytest.mark.parametrize(("name", "text"), [("debian.sources", DEB822), ("sources.list", LINES)])
def test_apt_understands_where_sources_are(tmp_path: Path, entries: Path, name: str, text: str) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("apt-get is not installed")
    entries.unlink()
    entries.with_name(name).write_text(text)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [*prepared(scratch), "indextargets", "--no-release-info", "--format", "$(CREATED_BY) $(URI)"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    assert listed == ["Sources https://debian.invalid/debian/dists/trixie/main/source/Sources", ""]


def test_tiles_are_sorted_into_layers() -> None:
    files = {
        "base/human_m.png": tile((1, 2, 3)),
        "head/horns1.png": tile((1, 2, 3)),
        "head/horns2.png": tile((1, 2, 3)),
        "base/tall.png": tile((1, 2, 3), size=(24, 30)),
        "base/notes.txt": b"",
        "boots/hooves.png": tile((1, 2, 3)),
        "body/robe_black_hood.png": tile((1, 2, 3)),
        "hand1/nunchaku.png": tile((1, 2, 3)),
        "felids/cat1.png": tile((1, 2, 3)),
        "hand1/misc/orb.png": tile((1, 2, 3)),
        "hand2/misc/book_red.png": tile((1, 2, 3)),
    }
    found = {layer: list(names) for layer, names in tiles(files).items() if names}
    assert found == {"base": ["human_m"], "hand2": ["book_red"], "horns": ["horns2"]}
    with pytest.raises(PicturesError, match=r"base/orc_m\.png: not a picture"):
        tiles({"base/orc_m.png": b"GIF89a"})


@pytest.mark.parametrize(
    ("layer", "name", "said"),
    [
        ("body", "robe_black", "robe"), ("body", "robe_black_hood", None), ("body", "plate", "plate armour"),
        ("body", "plate_and_cloth", "coat"), ("body", "sam", "coat"), ("body", "saruman", "robe"),
        ("body", "shirt_white1", "shirt"), ("body", "shirt_black_and_cloth", "coat"), ("body", "belt1", None),
        ("hand1", "sword_black", "sword"), ("hand1", "sword_thief", "dagger"), ("hand1", "mace_two", None),
        ("hand1", "staff_fork", "trident"), ("hand1", "hand_crossbow", "crossbow"), ("hand1", "hand_axe", "axe"),
        ("hand2", "kite_shield_round3", "round shield"), ("hand2", "kite_shield_kite1", "kite shield"),
        ("head", "hood_white2", None), ("head", "viking_gold", "horned helmet"), ("cloak", "magenta", "purple cloak"),
        ("gloves", "claws", ""), ("boots", "hooves", None),
    ],
)  # fmt: skip
def test_tiles_are_called_what_a_person_calls_them(layer: str, name: str, said: str | None) -> None:
    assert value(layer, name) == said


def test_names_of_values_are_unique() -> None:
    names = [name for values in ATTRIBUTES.values() for name in values]
    assert len(names) == len(set(names))
    assert len(ATTRIBUTES["species"]) == 22


def tile(
    colour: tuple[int, int, int], box: tuple[int, int, int, int] = (0, 0, 32, 32), size: tuple[int, int] = (32, 32)
) -> bytes:
    """A tile, transparent but for a box."""
    image = Image.new("RGBA", size)
    image.paste((*colour, 255), box)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def wardrobe() -> dict[str, bytes]:
    """Bodies of every species and a few tiles of every layer; each has a colour of its own, and places of its own."""
    names = [f"base/{species.base[0]}_{sex}" for species in SPECIES.values() for sex in "mf"]
    names += ["base/draconian_gold_m", "base/merfolk_water_m", "cloak/red", "cloak/scarf_red", "legs/skirt_red"]
    names += ["legs/pants_red", "boots/long_red", "body/robe_red", "body/animal_skin", "body/frodo", "gloves/glove_red"]
    names += ["gloves/claws", "hair/elf_red", "hair/short_red", "hair/frodo", "hair/troll", "beard/full_red"]
    names += ["drchead/drchead_brown", "drchead/drchead_yellow", "drcwing/drcwing_brown", "drcwing/drcwing_yellow"]
    names += ["head/wizard_red", "head/iron1", "head/viking_gold", "head/horns2", "head/band_red"]
    names += ["hand1/bow", "hand1/dagger", "hand1/giant_club", "hand2/misc/book_red"]
    layers = dict.fromkeys(name.split("/")[0] for name in names)
    rows = {layer: number for number, layer in enumerate(layers)}
    files = {}
    for number, name in enumerate(names):
        row = 2 * rows[name.split("/")[0]] if "horns" not in name else 28
        files[f"{name}.png"] = tile((50 + number, 0, 0), (0, row, 32, row + 2))
    return files


@pytest.fixture(scope="module")
def layers() -> Layers:
    return tiles(wardrobe())


def test_every_species_keeps_its_rules(layers: Layers) -> None:
    rng = np.random.default_rng(0)
    seen: dict[str, set[str]] = {}
    for name, species in SPECIES.items():
        for _ in range(200):
            worn = dressed(species, game_wardrobe(species, layers), rng)
            seen.setdefault(name, set()).update(f"{layer}/{tile}" for layer, tile in worn.items())
            assert worn["base"].startswith(species.base)
            assert not {"legs", "boots"} & set(worn) or not worn["base"].startswith(("naga", "merfolk_water"))
            assert "beard" not in worn or worn["base"].endswith("_m") or name == "dwarf"
            assert "hand2" not in worn or worn.get("hand1") not in ("bow", "giant_club")
            assert not {"hair", "beard"} & set(worn) or worn.get("head") != "iron1"
            assert "hair" not in worn or worn.get("head") != "viking_gold"
            if name == "draconian":
                colour = "yellow" if "gold" in worn["base"] else "brown"
                assert (worn["drchead"], worn["drcwing"]) == (f"drchead_{colour}", f"drcwing_{colour}")
    assert {"beard/full_red", "head/iron1", "hair/short_red", "hand2/book_red", "cloak/scarf_red"} <= seen["human"]
    assert "hair/short_red" not in seen["elf"]
    assert {t for t in seen["ogre"] if t.startswith(("body", "hand1"))} == {"body/animal_skin", "hand1/giant_club"}
    assert not {tile for tile in seen["minotaur"] if tile.startswith("head")}
    assert {name for name, tiles in seen.items() if "gloves/claws" in tiles} == {"troll"}


def test_who_may_wear_anything_does(layers: Layers) -> None:
    rng, all_tiles = np.random.default_rng(0), with_tints(layers)
    for name in ("minotaur", "ogre", "gargoyle", "halfling", "naga"):
        wardrobe = any_wardrobe(SPECIES[name], all_tiles)
        dolls = [dressed(SPECIES[name], wardrobe, rng) for _ in range(600)]
        for layer, (attribute, _) in LABELLED.items():
            seen = {value(layer, doll[layer]) for doll in dolls if layer in doll}
            assert seen == {value(layer, tile) for tile in layers[layer]}
            bare = sum(layer not in doll for doll in dolls) / len(dolls)
            assert bare == pytest.approx(1 / len(ATTRIBUTES[attribute]), abs=0.06), "as likely as any other value"
        assert any({"hand1", "hand2"} <= set(doll) and doll["hand1"] == "bow" for doll in dolls)
        assert not any({"legs", "boots"} & set(doll) for doll in dolls if name == "naga")
        assert not any("hair" in doll for doll in dolls if doll.get("head") == "viking_gold")


def test_garments_are_tinted_in_the_colours_that_are_missing() -> None:
    files = {
        "body/robe_a.png": tile((200, 30, 30)),
        "body/robe_b.png": tile((30, 30, 210)),
        "body/sam.png": tile((9, 9, 9)),
    }
    layers = with_tints(tiles(files))
    robes = {
        name: colour_of(image.tobytes()) for name, image in layers["body"].items() if value("body", name) == "robe"
    }
    assert (robes["robe_a"], robes["robe_b"]) == ("red", "blue"), "these are as they were"
    assert sorted(robes.values()) == sorted(["red", "blue", *2 * sorted(set(COLOURS) - {"red", "blue"})])
    assert {value("body", name) for name in layers["body"] if name.startswith("sam")} == {"coat"}
    made = [name.partition(" ")[2] for name in layers["body"] if name.startswith("robe_a ")]
    assert made == [colour for colour in COLOURS if colour not in ("red", "blue")], "in one order in every process"
    assert with_tints(layers)["body"].keys() == layers["body"].keys(), "none is missing any more"


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("worn", [(200, 30, 30), (90, 90, 90)])
def test_a_tint_leaves_all_but_the_cloth(worn: tuple[int, int, int], colour: str) -> None:
    image = square(worn, (0, 8, 32, 32))
    dark = tuple(level // 2 for level in worn)
    for colour_there, box in ((dark, (0, 8, 32, 12)), ((40, 180, 220), (0, 12, 8, 14)), ((0, 0, 0), (0, 14, 32, 15))):
        image.paste((*colour_there, 255), box)
    made = tinted(image, colour)
    assert made is not None
    assert colour_of(made.tobytes()) == colour
    before, after = np.asarray(image), np.asarray(made)
    kept = np.zeros((32, 32), bool)
    kept[:8] = kept[12:14, :8] = kept[14] = True
    assert np.array_equal(before[kept], after[kept])
    assert np.array_equal(before[..., 3], after[..., 3])
    assert after[20, 20, :3].max() > after[9, 9, :3].max(), "shades stay"


def square(colour: tuple[int, int, int], box: tuple[int, int, int, int] = (0, 0, 32, 32)) -> Image.Image:
    image = Image.new("RGBA", (32, 32))
    image.paste((*colour, 255), box)
    return image


@pytest.mark.parametrize(
    "names", ["cloak base legs boots body gloves hair beard head hand1 hand2", "drcwing base drchead"]
)
def test_later_layers_lie_over_earlier_ones(names: str) -> None:
    order = names.split()
    layers = {layer: {"it": square((number + 1, 0, 0))} for number, layer in enumerate(order)}
    for count in range(1, len(order) + 1):
        doll = compose("human", dict.fromkeys(order[:count], "it") | {"base": "it"}, layers)
        assert doll.pixels[0, 0, 0] == max(count, order.index("base") + 1)


def test_scarves_skirts_and_tails_are_laid_their_own_way() -> None:
    layers = {
        "base": {"human_m": square((1, 0, 0)), "naga_m": square((1, 0, 0))},
        "boots": {"long": square((2, 0, 0))},
        "legs": {"skirt_red": square((3, 0, 0)), "pants": square((3, 0, 0))},
        "body": {"robe": square((4, 0, 0))},
        "cloak": {"red": square((5, 0, 0), (0, 16, 32, 32)), "scarf_red": square((5, 0, 0), (0, 16, 32, 32))},
    }

    def on_top(**worn: str) -> list[int]:
        return [int(level) for level in compose("human", worn, layers).pixels[[0, 17, 18, 31], 0, 0]]

    assert on_top(base="human_m", boots="long", legs="pants") == [2] * 4
    assert on_top(base="human_m", boots="long", legs="skirt_red") == [3] * 4
    assert on_top(base="human_m", body="robe", cloak="red") == [4] * 4
    assert on_top(base="human_m", body="robe", cloak="scarf_red") == [4, 5, 5, 5]
    assert on_top(base="naga_m", body="robe") == [4, 4, 1, 1]


def named(doll: sprites.Doll) -> dict[str, str | None]:
    return {
        name: None if label < 0 else values[label]
        for (name, values), label in zip(ATTRIBUTES.items(), doll.labels, strict=True)
    }


def test_what_cannot_be_seen_is_taken_off_and_not_told() -> None:
    layers = {
        "base": {"orc_m": square((9, 9, 9), (8, 0, 24, 32))},
        "body": {"robe_red": square((200, 0, 0), (8, 8, 24, 32))},
        "cloak": {"blue": square((0, 0, 200), (6, 8, 26, 32)), "green": square((0, 200, 0), (9, 8, 23, 32))},
        "hand2": {"tower_shield": square((90, 90, 90), (0, 0, 32, 26))},
    }
    worn = {"base": "orc_m", "body": "robe_red", "cloak": "blue"}
    seen = compose("orc", worn, layers)
    assert named(seen) == {
        "species": "orc", "garment": "robe", "weapon": "no weapon", "shield": "no shield", "headgear": "no headgear",
        "cloak": "blue cloak", "colour": "red",
    }  # fmt: skip
    assert seen.pixels[20, 6].tolist() == [0, 0, 200, 255]
    behind = compose("orc", worn | {"cloak": "green"}, layers)
    assert (behind.worn, named(behind)["cloak"]) == ({"base": "orc_m", "body": "robe_red"}, "no cloak")
    covered = compose("orc", worn | {"hand2": "tower_shield"}, layers)
    assert "body" not in covered.worn
    assert (named(covered)["garment"], named(covered)["colour"]) == ("no garment", None)
    assert named(covered)["shield"] == "tower shield"


@pytest.mark.parametrize(
    ("rgb", "name"),
    [((200, 0, 0), "red"), ((250, 240, 20), "yellow"), ((20, 150, 20), "green"), ((20, 200, 220), "cyan"),
     ((0, 0, 200), "blue"), ((130, 20, 180), "purple"), ((130, 80, 30), "brown"), ((240, 240, 240), "white"),
     ((140, 140, 140), "grey"), ((60, 60, 60), "black")],
)  # fmt: skip
def test_colours_have_their_names(rgb: tuple[int, int, int], name: str) -> None:
    image = square(rgb, (0, 0, 20, 10))
    image.paste((0, 0, 0, 255), (0, 10, 32, 32))  # outlines do not count
    assert colour_of(image.tobytes()) == name


def test_what_no_tile_covers_is_transparent() -> None:
    files = {"base/orc_m.png": tile((9, 8, 7), box=(4, 5, 6, 7))}
    doll = compose("orc", {"base": "orc_m"}, tiles(files))
    assert np.argwhere(doll.pixels[..., 3]).tolist() == [[5, 4], [5, 5], [6, 4], [6, 5]]
    assert doll.pixels[5, 4].tolist() == [9, 8, 7, 255]
    assert not doll.pixels[doll.pixels[..., 3] == 0].any()


def test_sprites_are_built(tmp_path: Path, entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    files = {f"source/rltiles/player/{name}": content for name, content in wardrobe().items()}
    monkeypatch.setattr(sprites, "_CRAWL", packed(tmp_path, files))
    monkeypatch.setattr(sprites, "DRAWN", 30)
    told: list[int] = []
    made = build("sprites", tmp_path / "out", 0, told.append)
    pictures = read_pictures(tmp_path / "out")
    parts = {"train": pictures.train, "valid": pictures.valid, "test": pictures.test}
    images = np.concatenate([part.images for part in parts.values()])
    assert len(images) == made == len({image.tobytes() for image in images}) <= told[-1] <= expected("sprites")
    assert images.shape[1:] == (32, 32, 1)
    assert pictures.attributes == tuple(ATTRIBUTES.items())
    assert pictures.palette[0] == "#00000000"
    assert not images[:, 30:].any(), "no tile of this wardrobe reaches the last rows"
    assert len(parts["train"].images) > len(parts["test"].images) > 0 < len(parts["valid"].images)
    bodies = {level + 50: name for level, name in enumerate(wardrobe())}
    for part in parts.values():
        for image, labels in zip(part.images, part.labels, strict=True):
            colours = {int(pictures.palette[index][1:3], 16) for index in image[:2].ravel() if index}
            names = [bodies[red] for red in colours]
            base = tuple(f"base/{name}" for name in SPECIES[pictures.attributes[0][1][labels[0]]].base)
            assert [name.startswith(base) for name in names] == [True]
            assert image[28:30].any() == (names[0].startswith("base/minotaur"))
    assert "Stone Soup" in pictures.source
    assert "CC0" in pictures.source
    build("sprites", tmp_path / "again", 0)
    again = read_pictures(tmp_path / "again")
    assert np.array_equal(again.train.images, pictures.train.images), "a seed decides everything"
