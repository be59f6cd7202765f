"""Sprites of 22 species, 32 × 32, transparent around: the dolls of Dungeon Crawl Stone Soup, dressed at random.

Made from the tiles in Debian's source package ``crawl``: what a doll wears is one tile a layer (tables/sprites.toml),
laid over each other as the game lays them. Labels say what can be seen: a tile of which too little is left visible is
taken off.

Half of the dolls wear what the game lets their species wear. The others wear what somebody may ask for: each attribute
has any of its values, whatever the others are. Where no tile of a garment has the colour, one is tinted. Species whose
bodies are alike differ in hair, beard or dress, so that each can be recognised.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from ancestral_training.corpora import pictures
from ancestral_training.corpora.packages import SourcePackage, table
from ancestral_training.data.images import decoded

SIZE = 32
DRAWN = 6000
"""Different dolls of each species that wear what the game lets them, and of those that wear anything."""
_TRIES = 20
"""Times as many may be dressed to find so many different ones."""

_CRAWL = SourcePackage("crawl", "2:0.28.0-1.1", "5a6be168f8888b84bdb199184ca20bd8636f77ba7e9e0124ebee8850092f2f47")
_TILES = "source/rltiles/player"
_SOURCE = (
    "Dolls composed of tiles of Dungeon Crawl Stone Soup 0.28.0, from Debian's source package crawl. By its LICENSE "
    "file most tiles are CC0 or in the public domain (RLTiles, http://rltiles.sf.net), the game as a whole is "
    "GPL-2.0-or-later, and the licence of some older tiles is not recorded (https://github.com/crawl/tiles). "
    "Folders of tiles used: source/rltiles/player/{base, beard, body, boots, cloak, drchead, drcwing, gloves, hair, "
    "hand1, hand2, head, legs}"
)
_SEED = 0

Layers = Mapping[str, Mapping[str, Image.Image]]
"""Tiles by layer and name."""
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Wardrobe:
    """What dolls of one species may wear."""

    choices: Mapping[str, list[list[str]]]
    """By layer, groups of names of tiles: first a group is drawn, then one of its tiles."""
    free: frozenset[str] = frozenset()
    """Layers that no other one excludes, and whose value is "nothing" as often as it is each other one; boots and
    gloves are worn as often as in the game, so that of most bodies something is seen."""


@dataclass(frozen=True)
class Doll:
    """One sprite."""

    species: str
    worn: Mapping[str, str]
    """The names of its tiles by layer; those that an attribute tells of are visible."""
    colour: str | None
    """Colour of its garment."""
    pixels: Pixels
    """``[32, 32, 4]``, RGBA, alpha 0 or 255, without horns: they are laid over it at the end."""

    @property
    def labels(self) -> list[int]:
        """One index for each of ``ATTRIBUTES``."""
        values: dict[str, str | None] = {"species": self.species, "colour": self.colour}
        for layer, (name, _) in LABELLED.items():
            values[name] = value(layer, self.worn[layer]) if layer in self.worn else NOTHING[layer]
        named = [(known, values[name]) for name, known in ATTRIBUTES.items()]
        return [-1 if chosen is None else known.index(chosen) for known, chosen in named]

    @property
    def outfit(self) -> str:
        """What decides between training and test: of dolls with the same outfit, none is in both."""
        return "|".join([self.worn["base"], *(self.worn.get(layer, "") for layer in _OUTFIT)])


def make(out: Path, progress: pictures.Progress) -> int:
    """Write ``out/pictures.npz``; one outfit in ten is for the test, one in twenty for validation.

    Args:
        out: created, or its pictures replaced.
        progress: called with the number of sprites done.

    Returns:
        How many sprites there are.

    Raises:
        CorpusError: the source package cannot be had.
        FileNotFoundError: this is not Debian.
    """
    layers, made = tiles(_CRAWL.files(_TILES)), list[Doll]()
    for worn, wardrobe in ((layers, game_wardrobe), (with_tints(layers), any_wardrobe)):
        for doll in dolls(worn, _SEED, wardrobe):
            made.append(doll)
            progress(len(made))
    return _write(out, made, layers["horns"])


def tiles(files: Mapping[str, bytes]) -> Layers:
    """The tiles of dolls, decoded, without tiles of another size and those that no value of an attribute names."""
    layers: dict[str, dict[str, Image.Image]] = {layer: {} for layer in (*LAYERS, "horns")}
    for file in sorted(files):
        path = PurePosixPath(file)
        layer = layer_of(str(path.parent), path.stem)
        if layer and path.suffix == ".png":
            image = decoded(files[file], file).convert("RGBA")
            if image.size == (SIZE, SIZE):
                layers[layer][path.stem] = image
    return layers


def dolls(layers: Layers, seed: int, wardrobe: Callable[[Species, Layers], Wardrobe]) -> Iterator[Doll]:
    """:data:`DRAWN` different dolls of every species, in turn, or as many as there are.

    Args:
        layers: their tiles.
        seed: of what they wear.
        wardrobe: what a species may wear.
    """
    rng, known = np.random.default_rng(seed), set[bytes]()
    left = dict.fromkeys(SPECIES, DRAWN)
    wardrobes = {name: wardrobe(species, layers) for name, species in SPECIES.items()}
    for _ in range(DRAWN * _TRIES):
        for name in [name for name, count in left.items() if count]:
            doll = compose(name, dressed(SPECIES[name], wardrobes[name], rng), layers)
            pixels = doll.pixels.tobytes()
            if pixels not in known:
                known.add(pixels)
                left[name] -= 1
                yield doll


def with_tints(layers: Layers) -> Layers:
    """The layers with garments of every kind in every colour: tiles of the kind are tinted in those that none of them
    has; and with all hair in every colour."""
    hair, body = dict(layers["hair"]), dict(layers["body"])
    for name, tile in layers["hair"].items():
        made = {f"{name} {word}": tinted(tile, _DYES.get(word, word.split()[0])) for word in LABELLED["hair"][1]}
        hair |= {dyed: tile for dyed, tile in made.items() if tile}
    for names in _grouped("body", layers["body"]).values():
        worn = {_colour(name, layers) for name in names}
        for colour in (colour for colour in COLOURS if colour not in worn):
            made = {f"{name} {colour}": tinted(layers["body"][name], colour) for name in names}
            body |= {name: tile for name, tile in made.items() if tile}
    return {**layers, "body": body, "hair": hair}


def _grouped(layer: str, names: Iterable[str]) -> dict[str | None, list[str]]:
    """The names of tiles by their values."""
    groups: dict[str | None, list[str]] = {}
    for name in names:
        groups.setdefault(value(layer, name), []).append(name)
    return groups


def game_wardrobe(species: Species, layers: Layers) -> Wardrobe:
    """What the game lets a species wear, in groups of one value."""
    found: dict[str, list[list[str]]] = {}
    for layer, beginnings in {"base": species.base, **WORN, **species.wears}.items():
        names = [name for name in layers[layer] if beginnings and name.startswith(beginnings)]
        found[layer] = list(_grouped(layer, names).values())
    return Wardrobe(found)


def any_wardrobe(species: Species, layers: Layers) -> Wardrobe:
    """Anything, where an attribute tells of it; garments in groups of one value and one colour, hair as the species
    has it, dyed in the colours that none of its own has."""
    own = game_wardrobe(species, layers).choices
    free = {layer: list(_grouped(layer, layers[layer]).values()) for layer in LABELLED}
    free["hair"] = [[name for name in names if " " not in name] or names for names in own["hair"] or free["hair"]]
    garments: dict[tuple[str | None, str], list[str]] = {}
    for name in layers["body"]:
        garments.setdefault((value("body", name), _colour(name, layers)), []).append(name)
    return Wardrobe({**own, **free, "body": list(garments.values())}, frozenset(LABELLED))


def dressed(species: Species, wardrobe: Wardrobe, rng: np.random.Generator) -> dict[str, str]:
    """The tiles of one doll: their names by layer."""
    worn = {}
    for layer, groups in wardrobe.choices.items():
        chance = 1.0 if layer in ("base", *species.always) else CHANCES[layer]
        if layer in wardrobe.free - {"boots", "gloves"}:
            values = len(ATTRIBUTES[LABELLED[layer][0]])
            chance = (values - 1) / values
        if groups and (chance == 1.0 or rng.random() < chance):
            names = groups[rng.integers(len(groups))]
            worn[layer] = names[rng.integers(len(names))]
    for layer in set(conflicts(species, worn)) - wardrobe.free:
        worn.pop(layer, None)
    return worn | draconian(worn["base"])


def compose(species: str, worn: Mapping[str, str], layers: Layers) -> Doll:
    """Lay the tiles over each other, and take off those that attributes tell of but that can hardly be seen."""
    worn = dict(worn)
    while True:
        image, shares = _laid(worn, layers)
        hidden = [layer for layer in LABELLED if shares.get(layer, 1.0) < VISIBLE[layer]]
        if not hidden:
            break
        worn.pop(hidden[0])
    pixels = np.array(image)
    pixels[..., 3] = np.where(pixels[..., 3] >= OPAQUE, 255, 0)
    pixels[pixels[..., 3] == 0] = 0
    return Doll(species, worn, _colour(worn["body"], layers) if "body" in worn else None, pixels)


def _colour(garment: str, layers: Layers) -> str:
    return TOLD_COLOURS.get(garment) or colour_of(layers["body"][garment].tobytes())


def _laid(worn: Mapping[str, str], layers: Layers) -> tuple[Image.Image, dict[str, float]]:
    """The picture, and the share of each tile that is visible, by layer."""
    image = Image.new("RGBA", (SIZE, SIZE))
    owners = np.zeros((SIZE, SIZE), np.int8)
    present = [layer for layer in order(worn) if layer in worn]
    areas = []
    for number, layer in enumerate(present, 1):
        tile = layers[layer][worn[layer]]
        if layer in ("body", "boots") and tailed(worn["base"]):
            tile = tile.crop((0, 0, SIZE, WAIST))
        image.alpha_composite(tile)
        opaque = np.asarray(tile)[..., 3] >= OPAQUE
        owners[: len(opaque)][opaque] = number
        areas.append(opaque.sum())
    counts = np.bincount(owners.ravel(), minlength=len(present) + 1)[1:]
    return image, {layer: float(n / max(a, 1)) for layer, n, a in zip(present, counts, areas, strict=True)}


def _write(out: Path, made: Sequence[Doll], horns: Mapping[str, Image.Image]) -> int:
    indexed = pictures.to_indices(np.stack([doll.pixels for doll in made]), PALETTE)
    for name, tile in horns.items():
        pixels = np.asarray(tile)
        own = np.array([horns_of(doll.worn["base"]) == name for doll in made])
        indexed[own] = np.where(pixels[..., 3] >= OPAQUE, pictures.to_indices(pixels[None], PALETTE), indexed[own])
    # Pictures that differ in RGB, or where horns are, may be the same in the palette.
    _, first = np.unique(indexed.reshape(len(indexed), -1), axis=0, return_index=True)
    kept = np.sort(first)
    labels = np.array([doll.labels for doll in made], np.int16)
    parts = pictures.divided(indexed[kept], labels[kept], (made[number].outfit for number in kept))
    pictures.write_pictures(out, ATTRIBUTES, parts, _SOURCE, PALETTE)
    return len(kept)


COLOURS = ("red", "yellow", "green", "cyan", "blue", "purple", "brown", "white", "grey", "black")
OPAQUE = 128
"""The alpha from which a pixel is not transparent."""
_OUTLINE = 0.13
"""The brightness up to which a pixel is an outline."""
_PALE = 0.22
"""The saturation below which a pixel has no hue."""
_SAME = 35 / 360
"""The distance of hues in one cloth."""
_HUES = ((18, "red"), (45, "brown"), (68, "yellow"), (160, "green"), (198, "cyan"), (258, "blue"), (330, "purple"))
"""The names of hues below so many degrees."""
_TINTS = {
    "red": (0, 0.8, 0.35, 0.85), "yellow": (55, 0.75, 0.55, 1.0), "green": (110, 0.65, 0.25, 0.75),
    "cyan": (185, 0.65, 0.4, 0.9), "blue": (225, 0.7, 0.35, 0.9), "purple": (285, 0.6, 0.35, 0.85),
    "brown": (30, 0.6, 0.25, 0.6), "white": (0, 0.03, 0.75, 1.0), "grey": (0, 0.05, 0.4, 0.7),
    "black": (0, 0.1, 0.15, 0.34),
}  # fmt: skip
"""The hue in degrees, the saturation, and the brightness of the darkest and of the lightest pixel of a cloth."""
_DYES = {"blond hair": "yellow"}
"""Colours of hair that have another name as colours of clothes."""


@cache
def colour_of(tile: bytes) -> str:
    """The colour that most pixels of a tile have, of RGBA ``tile``; outlines do not count."""
    votes = dict.fromkeys(COLOURS, 0)
    for red, green, blue, alpha in np.frombuffer(tile, np.uint8).reshape(-1, 4):
        hue, saturation, brightness = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
        if alpha >= OPAQUE and brightness > _OUTLINE:
            votes[_name(hue, saturation, brightness)] += 1
    return max(votes, key=votes.__getitem__)


def _name(hue: float, saturation: float, brightness: float) -> str:
    if saturation < _PALE:
        return "white" if brightness > 0.72 else "grey" if brightness > 0.36 else "black"
    name = next((name for limit, name in _HUES if hue * 360 < limit), "red")
    dull = name in ("red", "yellow") and saturation < 0.55 and brightness < 0.7
    return "brown" if dull else name


def tinted(tile: Image.Image, colour: str) -> Image.Image | None:
    """A tile whose cloth, the pixels like most of it, has another colour; None if it cannot be told by that colour."""
    pixels = np.array(tile)
    worn = colour_of(pixels.tobytes())
    flat = pixels.reshape(-1, 4)
    hsv = np.array([colorsys.rgb_to_hsv(*(rgb / 255)) for rgb in flat[:, :3]])
    drawn = (flat[:, 3] >= OPAQUE) & (hsv[:, 2] > _OUTLINE)
    named = drawn & [_name(*each) == worn for each in hsv]
    if not named.any():
        return None
    if worn in ("white", "grey", "black"):
        cloth = drawn & (hsv[:, 1] < _PALE)
    else:
        apart = np.abs(hsv[:, 0] - np.median(hsv[named, 0]))
        cloth = named | (drawn & (hsv[:, 1] >= _PALE) & (np.minimum(apart, 1.0 - apart) < _SAME))
    hue, saturation, darkest, lightest = _TINTS[colour]
    low, high = hsv[cloth, 2].min(), hsv[cloth, 2].max()
    light = darkest + (lightest - darkest) * (hsv[cloth, 2] - low) / max(high - low, 1e-6)
    flat[cloth, :3] = [[round(255 * x) for x in colorsys.hsv_to_rgb(hue / 360, saturation, value)] for value in light]
    return Image.fromarray(pixels) if colour_of(pixels.tobytes()) == colour else None


_TABLE: Final = table("sprites")
LAYERS: tuple[str, ...] = _TABLE["layers"]
"""Layers from the back to the front."""
PALETTE: Pixels = np.array([(*ImageColor.getrgb(name), 255)[:4] for name in _TABLE["palette"]], np.uint8)
"""RGBA colours ``[256, 4]``, the first of which is transparent."""
HORNS = {"minotaur_brown": "horns3", "minotaur": "horns2"}
"""The tiles in ``head`` that are part of bodies, by the beginnings of their names."""
_FOLDERS = {"hand2/misc": "hand2", "hand2/doll_only": "hand2"} | {layer: layer for layer in LAYERS}
CHANCES: Mapping[str, float] = _TABLE["chances"]

Groups = Mapping[str, tuple[str, ...]]
"""Prefixes of tiles by value; the longest prefix that fits a name decides."""
LABELLED: Mapping[str, tuple[str, Groups]] = {
    layer: (named["attribute"], named["groups"]) for layer, named in _TABLE["labelled"].items()
}
"""For each layer the attribute that tells of it, and its values. Tiles of no value, or of the empty one, are not
worn."""
VISIBLE = {
    "body": 0.4, "hand1": 0.4, "hand2": 0.4, "head": 0.4, "cloak": 0.1, "boots": 0.25, "gloves": 0.4, "hair": 0.4,
}  # fmt: skip
"""The share of a tile's pixels that must be left visible. Most of a cloak is behind the body."""
_OUTFIT = ("body", "hand1", "hand2", "head", "cloak")
"""The layers that decide between training and test: fewer than are labelled, so that weights that were trained before
boots, gloves and hair had labels have seen none of the test's outfits."""
NOTHING = {layer: f"no {name}" for layer, (name, _) in LABELLED.items()}
"""The value of each attribute for a doll without it."""
TOLD_COLOURS: Mapping[str, str] = _TABLE["told_colours"]
"""Colours of garments whose colour is not that of most of their pixels."""
WAIST = 18
"""The first row in which a tail is visible below clothes."""

_ANY = ("",)
_SKIRTS: tuple[str, ...] = _TABLE["skirts"]
"""Tiles that boots go under."""
_BOTH_HANDS: tuple[str, ...] = _TABLE["both_hands"]
_HATS: tuple[str, ...] = _TABLE["hats"]
"""Hats that leave the face and the sides of the hair free."""
_HELMETS: tuple[str, ...] = _TABLE["helmets"]
_FACELESS: tuple[str, ...] = _TABLE["faceless"]
_OPEN_HELMETS = tuple(name for name in _HELMETS if name not in (*_FACELESS, "black_horn"))
"""Helmets that leave the face free."""


@dataclass(frozen=True)
class Species:
    """The appearance of the dolls of one species."""

    base: tuple[str, ...]
    """Tiles of their bodies."""
    wears: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Choices of tiles for a layer of their own, instead of the common one."""
    always: tuple[str, ...] = ()
    """The layers that all of them have."""


WORN: Mapping[str, tuple[str, ...]] = {
    "cloak": _ANY, "legs": _ANY, "boots": _ANY, "body": _ANY, "gloves": ("glove", "gauntlet"), "hair": (), "beard": (),
    "head": _HATS, "hand1": _ANY, "hand2": _ANY,
}  # fmt: skip
"""The tiles of each layer that any species may wear."""


def _prefixes(names: tuple[str, ...]) -> tuple[str, ...]:
    """Prefixes of tiles; `$hats` stands for the list of this name."""
    lists = {**_TABLE, "open_helmets": _OPEN_HELMETS}
    return tuple(prefix for name in names for prefix in (lists[name[1:]] if name[:1] == "$" else (name,)))


SPECIES: Mapping[str, Species] = {
    name: Species(
        species["base"],
        {layer: _prefixes(names) for layer, names in species.get("wears", {}).items()},
        species.get("always", ()),
    )
    for name, species in _TABLE["species"].items()
}
"""Every class, and what its dolls look like."""

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "species": tuple(SPECIES),
    **{name: (*(v for v in groups if v), NOTHING[layer]) for layer, (name, groups) in LABELLED.items()},
    "colour": COLOURS,
}
"""The conditions of the corpus, and their values. The colour is that of the garment; without one it does not apply."""


def layer_of(folder: str, name: str) -> str | None:
    """The layer of a tile, ``horns`` for horns; None for what is not worn."""
    if folder == "head" and name in HORNS.values():
        return "horns"
    layer = _FOLDERS.get(folder)
    return None if layer is None or value(layer, name) is None else layer


def horns_of(base: str) -> str | None:
    """The tile with the horns of a body."""
    return next((tile for beginning, tile in HORNS.items() if base.startswith(beginning)), None)


@cache
def value(layer: str, name: str) -> str | None:
    """What a person would call a tile; None if it is not worn. Layers without an attribute have one value, ``""``."""
    if layer not in LABELLED:
        return ""
    _, groups = LABELLED[layer]
    if (dyed := name.partition(" ")[2]) and dyed in groups:
        return dyed
    fitting = [(len(p), v) for v, prefixes in groups.items() for p in prefixes if name.startswith(p)]
    return max(fitting)[1] or None if fitting else None


def conflicts(species: Species, worn: Mapping[str, str]) -> Iterator[str]:
    """The layers that another one excludes."""
    if tailed(worn["base"]):
        yield from ("legs", "boots")
    if "beard" not in species.always and not worn["base"].endswith("_m"):
        yield "beard"
    if worn.get("head", "").startswith(_HELMETS):
        yield "hair"
    if worn.get("head", "").startswith(_FACELESS):
        yield "beard"
    if worn.get("hand1", "").startswith(_BOTH_HANDS):
        yield "hand2"


def order(worn: Mapping[str, str]) -> list[str]:
    """The layers from the back to the front: scarves lie over clothes, boots under skirts."""
    layers = list(LAYERS)
    if worn.get("cloak", "").startswith("scarf"):
        layers.remove("cloak")
        layers.insert(layers.index("gloves") + 1, "cloak")
    if worn.get("legs", "").startswith(_SKIRTS):
        layers.remove("boots")
        layers.insert(layers.index("legs"), "boots")
    return layers


def tailed(base: str) -> bool:
    """Whether a body ends in a tail, over which no clothes go."""
    return base.startswith(("naga", "merfolk_water"))


def draconian(base: str) -> dict[str, str]:
    """The head and the wings of a draconian, in the colour of the body; nothing for others."""
    if not base.startswith("draconian"):
        return {}
    words = base.split("_")
    colour = words[1] if len(words) == 3 else "brown"
    colour = {"gold": "yellow", "gray": "grey"}.get(colour, colour)
    return {"drcwing": f"drcwing_{colour}", "drchead": f"drchead_{colour}"}
