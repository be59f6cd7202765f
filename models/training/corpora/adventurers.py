"""Adventurers of 22 species on black, 32 × 32: the dolls of Dungeon Crawl Stone Soup, dressed at random.

Made from the tiles in Debian's source package ``crawl``: what a doll wears is one tile a layer, laid over each other
as the game lays them. Species whose bodies are alike differ in hair, beard or dress, so that each can be recognised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.training.corpora.debian import SourcePackage
from models.training.corpora.emoji import part
from models.training.data.images import ARCHIVE, decoded

SIZE = 32
DRAWN = 1000
"""Dolls of each species; equal ones are kept once."""

_CRAWL = SourcePackage("crawl", "2:0.28.0-1.1", "5a6be168f8888b84bdb199184ca20bd8636f77ba7e9e0124ebee8850092f2f47")
_TILES = "source/rltiles/player"
_SOURCE = (
    "Dolls composed of the tiles of Dungeon Crawl Stone Soup 0.28.0 (its contributors and RLTiles; most tiles are CC0 "
    "or in the public domain), from Debian's source package crawl"
)
_SEED = 0

_LAYERS = (
    "cloak", "drcwing", "base", "legs", "boots", "body", "gloves", "hair", "beard", "drchead", "head", "hand1", "hand2",
)  # fmt: skip
_CHANCES = {
    "cloak": 0.35, "legs": 0.7, "boots": 0.65, "body": 0.85, "gloves": 0.35, "hair": 0.9, "beard": 0.35, "head": 0.3,
    "hand1": 0.75, "hand2": 0.5,
}  # fmt: skip
_WAIST = 18
"""The first row in which a tail is visible below clothes."""

# Tiles are distinguished by the prefixes of their names.
_ANY = ("",)
_UNWORN: Mapping[str, tuple[str, ...]] = {
    "boots": ("hooves",),  # a mutation
    "body": ("robe_black_hood", "robe_of_night"),  # they hide the head
    "hand1": ("lajatang",),  # they have stray pixels
}
_SKIRTS = ("skirt_", "metal_", "pants16")
"""What boots go under."""
_BOTH_HANDS = (
    "arbalest", "battleaxe", "bow", "broad_axe", "d_glaive", "fork", "fustibalus", "gandalf", "giant_club", "glaive",
    "great_", "halberd", "hook", "lance", "legolas", "pike", "pole_", "quarterstaff", "saruman", "scythe", "staff",
    "storm_bow", "triple_", "axe_executioner",
)  # fmt: skip
_HATS = ("band", "cap_blue", "clown", "cone_", "crown_", "feather_", "hat_", "straw", "taiso_", "turban_", "wizard_")
"""They leave the face and the sides of the hair free."""
_HELMETS = (
    "black_horn", "blue_horn", "brown_gold", "cap_black", "chain", "cheek_", "fhelm_", "full_", "healer", "helm_",
    "hood_", "iron", "isildur", "viking_", "yellow_wing",
)  # fmt: skip
_FACELESS = ("fhelm_", "full_", "iron")
_ROUGH = (
    "animal_skin", "belt", "deep_troll", "iron_troll", "jacket_stud", "leather_heavy", "leather_stud", "moon_troll",
    "neck", "shoulder_pad", "troll_", "zhor",
)  # fmt: skip
_WIELDED = ("club", "giant_club", "great_mace", "large_mace", "axe_executioner", "flail_great", "eveningstar")
_SHORT_HAIR = ("aragorn", "boromir", "brown", "full_brown", "headband", "pj", "short_", "topknot")
_LONG_HAIR = (
    "chopsticks", "hightail", "long_", "mountain_man", "part", "pigtail", "ponytail", "queue", "ribbons", "sweep",
)  # fmt: skip
_COLOURED = (
    "full_b", "full_r", "full_w", "garibaldi_b", "garibaldi_r", "garibaldi_w", "medium_b", "medium_r", "medium_w",
)  # fmt: skip
_STUBBLE = ("short_b", "short_r", "short_w", "stubble_b", "stubble_r", "stubble_w")


@dataclass(frozen=True)
class Species:
    """The appearance of the dolls of one species."""

    base: tuple[str, ...]
    """Their bodies."""
    wears: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Their own choice of tiles for a layer, instead of the common one."""
    always: tuple[str, ...] = ()
    """The layers that all of them have."""


_ALL: Mapping[str, tuple[str, ...]] = {
    "cloak": _ANY, "legs": _ANY, "boots": _ANY, "body": _ANY, "gloves": ("glove", "gauntlet"), "hair": (), "beard": (),
    "head": _HATS, "hand1": _ANY, "hand2": _ANY,
}  # fmt: skip
_BAREFOOT: Mapping[str, tuple[str, ...]] = {"boots": ()}
SPECIES: Mapping[str, Species] = {
    "human": Species(
        ("human",),
        {"hair": _SHORT_HAIR + _LONG_HAIR, "beard": _STUBBLE + _COLOURED, "head": _HATS + _HELMETS},
    ),
    "elf": Species(("elf", "deep_elf"), {"hair": ("elf_", "legolas", "arwen", "fem_")}, ("hair",)),
    "dwarf": Species(
        ("dwarf", "deep_dwarf"),
        {"hair": _SHORT_HAIR, "beard": (*_COLOURED, "wizard"), "head": (*_HATS, "helm_gimli", "viking_")},
        ("beard",),
    ),
    "orc": Species(("orc",)),
    "halfling": Species(
        ("halfling",),
        {
            **_BAREFOOT,
            "hair": ("curly_yellow", "frodo", "merry", "sam"),
            "head": ("feather_", "straw"),
            "legs": ("pants", "trouser"),
            "body": ("frodo", "merry", "pipin", "sam", "shirt_", "vest_", "green_susp", "susp_", "jacket"),
        },
        ("hair", "legs", "body"),
    ),
    "kobold": Species(("kobold",)),
    "gnoll": Species(("gnoll",), {"head": ("band_",)}),
    "ogre": Species(("ogre",), {"body": _ROUGH, "head": (), "hand1": _WIELDED, "hand2": (), "boots": ()}, ("hand1",)),
    "troll": Species(
        ("troll",), {**_BAREFOOT, "gloves": ("claws",), "hair": ("troll",), "head": ()}, ("gloves", "hair")
    ),
    "minotaur": Species(("minotaur",), {**_BAREFOOT, "head": ("horns2", "horns3")}, ("head",)),
    "demonspawn": Species(("demonspawn",), {"head": ()}),
    "gargoyle": Species(("gargoyle",), {"cloak": ()}),
    "mummy": Species(("mummy",)),
    "ghoul": Species(("ghoul",)),
    "vampire": Species(("vampire",), {"hair": ("arwen", "long_", "short_", "part"), "head": _HATS}),
    "tengu": Species(("tengu",), {**_BAREFOOT, "hair": ("tengu_comb",), "head": ("band_",)}),
    "merfolk": Species(("merfolk",), {"hair": ("green", "pigtails_green")}),
    "barachi": Species(("frog",), _BAREFOOT),
    "vine stalker": Species(("vine_stalker",)),
    "draconian": Species(("draconian",), {**_BAREFOOT, "cloak": (), "head": ()}),
    "naga": Species(("naga",), {**_BAREFOOT, "hair": ("part2_red", "long_", "short_"), "legs": ()}),
    "spriggan": Species(
        ("spriggan",),
        {
            "hair": ("spriggan",),
            "beard": ("bushy_green", "muttonchops_green", "full_green"),
            "head": ("band_", "feather_"),
        },
    ),
}
"""Every class, and what its dolls look like."""

Layers = Mapping[str, Mapping[str, Image.Image]]
"""By layer and name, the tiles."""
Doll = NDArray[np.uint8]


def make(out: Path) -> int:
    """Write ``out/pictures.npz``; one doll in ten is for the test, one in twenty for validation.

    Returns:
        How many dolls there are.

    Raises:
        CorpusError: the source package cannot be had.
        FileNotFoundError: this is not Debian.
    """
    kept: dict[bytes, tuple[str, Doll]] = {}
    for name, doll in dolls(tiles(_CRAWL.files(_TILES)), np.random.default_rng(_SEED)):
        kept.setdefault(doll.tobytes(), (name, doll))
    _write(out, kept)
    return len(kept)


def tiles(files: Mapping[str, bytes]) -> Layers:
    """The tiles of dolls, decoded, without tiles of another size and those that are excluded."""
    layers: dict[str, dict[str, Image.Image]] = {layer: {} for layer in _LAYERS}
    for file in sorted(files):
        path = PurePosixPath(file)
        layer = str(path.parent)
        if layer in layers and path.suffix == ".png" and not path.stem.startswith(_UNWORN.get(layer, ())):
            image = decoded(files[file], file).convert("RGBA")
            if image.size == (SIZE, SIZE):
                layers[layer][path.stem] = image
    return layers


def dolls(layers: Layers, rng: np.random.Generator) -> Iterator[tuple[str, Doll]]:
    """:data:`DRAWN` dolls of every species, in turn, so that the first ones are of all."""
    for _ in range(DRAWN):
        for name, species in SPECIES.items():
            yield name, laid(dressed(species, layers, rng), layers)


def dressed(species: Species, layers: Layers, rng: np.random.Generator) -> dict[str, str]:
    """The tiles of one doll: their names by layer."""

    def one(layer: str, beginnings: tuple[str, ...]) -> str | None:
        names = [name for name in layers[layer] if beginnings and name.startswith(beginnings)]
        return names[rng.integers(len(names))] if names else None

    base = one("base", species.base)
    assert base is not None, species.base
    worn = {"base": base}
    for layer, beginnings in {**_ALL, **species.wears}.items():
        if layer in species.always or rng.random() < _CHANCES[layer]:
            name = one(layer, beginnings)
            if name is not None:
                worn[layer] = name
    for layer in _without(species, worn):
        worn.pop(layer, None)
    return worn | (_draconian(base) if base.startswith("draconian") else {})


def _without(species: Species, worn: Mapping[str, str]) -> Iterator[str]:
    """The layers that exclude another."""
    if _tailed(worn["base"]):
        yield from ("legs", "boots")
    if "beard" not in species.always and not worn["base"].endswith("_m"):
        yield "beard"
    if worn.get("head", "").startswith(_HELMETS):
        yield "hair"
    if worn.get("head", "").startswith(_FACELESS):
        yield "beard"
    if worn.get("hand1", "").startswith(_BOTH_HANDS):
        yield "hand2"


def _tailed(base: str) -> bool:
    return base.startswith(("naga", "merfolk_water"))


def _draconian(base: str) -> dict[str, str]:
    """The head and the wings of a draconian, in the colour of the body."""
    words = base.split("_")
    colour = words[1] if len(words) == 3 else "brown"
    colour = {"gold": "yellow", "gray": "grey"}.get(colour, colour)
    return {"drcwing": f"drcwing_{colour}", "drchead": f"drchead_{colour}"}


def laid(worn: Mapping[str, str], layers: Layers) -> Doll:
    """The tiles that a doll wears, on black and over each other: ``[32, 32, 3]``."""
    order = list(_LAYERS)
    if worn.get("cloak", "").startswith("scarf"):
        order.remove("cloak")
        order.insert(order.index("gloves") + 1, "cloak")
    if worn.get("legs", "").startswith(_SKIRTS):
        order.remove("boots")
        order.insert(order.index("legs"), "boots")
    image = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 255))
    for layer in order:
        if layer in worn:
            tile = layers[layer][worn[layer]]
            if layer == "body" and _tailed(worn["base"]):
                tile = tile.crop((0, 0, SIZE, _WAIST))
            image.alpha_composite(tile)
    return np.asarray(image.convert("RGB"))


def _write(out: Path, kept: Mapping[bytes, tuple[str, Doll]]) -> None:
    classes = list(SPECIES)
    arrays: dict[str, NDArray[Any]] = {
        "attributes": np.array(["class"]), "values_class": np.array(classes), "source": np.array(_SOURCE),
    }  # fmt: skip
    parts = {pixels: part(pixels.hex()) for pixels in kept}
    for which in ("train", "valid", "test"):
        chosen = [kept[pixels] for pixels in kept if parts[pixels] == which]
        arrays[f"x_{which}"] = np.stack([doll for _, doll in chosen])
        arrays[f"labels_{which}"] = np.array([[classes.index(name)] for name, _ in chosen], np.int16)
    out.mkdir(parents=True, exist_ok=True)
    save: Callable[..., None] = np.savez_compressed
    save(out / ARCHIVE, **arrays)
