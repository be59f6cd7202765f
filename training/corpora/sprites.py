"""Sprites of 22 species, 32 × 32, transparent around: the dolls of Dungeon Crawl Stone Soup, dressed at random.

Made from the tiles in Debian's source package ``crawl``: what a doll wears is one tile a layer (wardrobe.py), laid over
each other as the game lays them. Labels say what can be seen: a tile of which too little is left visible is taken off.

Half of the dolls wear what the game lets their species wear. The others wear what somebody may ask for: each attribute
has any of its values, whatever the others are. Where no tile of a garment has the colour, one is tinted (tint.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ancestral.training.corpora.archive import Part, Progress, part_of, write_pictures
from ancestral.training.corpora.packages import SourcePackage
from ancestral.training.corpora.palette import make_palette, to_indices, with_alpha
from ancestral.training.corpora.tint import COLOURS, OPAQUE, colour_of, tinted
from ancestral.training.corpora.wardrobe import (
    ATTRIBUTES,
    CHANCES,
    LABELLED,
    LAYERS,
    NOTHING,
    SPECIES,
    TOLD_COLOURS,
    VISIBLE,
    WAIST,
    WORN,
    Species,
    conflicts,
    draconian,
    horns_of,
    layer_of,
    order,
    tailed,
    value,
)
from ancestral.training.data.images import decoded

SIZE = 32
DRAWN = 6000
"""Different dolls of each species that wear what the game lets them, and of those that wear anything."""
_TRIES = 20
"""Times as many may be dressed to find so many different ones."""
_PALETTE = 255
"""Colours, besides the transparent entry."""
_SAMPLED = 20_000
"""Dolls whose colours decide the palette."""

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
    """Layers that no other one excludes, and whose value is "nothing" as often as it is each other one."""


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
        return "|".join([self.worn["base"], *(self.worn.get(layer, "") for layer in LABELLED)])


def make(out: Path, progress: Progress) -> int:
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
    for doll in dolls(layers, _SEED, game_wardrobe):
        made.append(doll)
        progress(len(made))
    palette = _palette(made)
    for doll in dolls(with_tints(layers), _SEED, any_wardrobe):
        made.append(doll)
        progress(len(made))
    return _write(out, made, palette, layers["horns"])


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
    has."""
    body = dict(layers["body"])
    for names in _grouped("body", layers["body"]).values():
        worn = {_colour(name, layers) for name in names}
        for colour in (colour for colour in COLOURS if colour not in worn):
            made = {f"{name} {colour}": tinted(layers["body"][name], colour) for name in names}
            body |= {name: tile for name, tile in made.items() if tile}
    return {**layers, "body": body}


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
    """Anything, where an attribute tells of it; garments in groups of one value and one colour."""
    free = {layer: list(_grouped(layer, layers[layer]).values()) for layer in LABELLED}
    garments: dict[tuple[str | None, str], list[str]] = {}
    for name in layers["body"]:
        garments.setdefault((value("body", name), _colour(name, layers)), []).append(name)
    own = game_wardrobe(species, layers).choices
    return Wardrobe({**own, **free, "body": list(garments.values())}, frozenset(LABELLED))


def dressed(species: Species, wardrobe: Wardrobe, rng: np.random.Generator) -> dict[str, str]:
    """The tiles of one doll: their names by layer."""
    worn = {}
    for layer, groups in wardrobe.choices.items():
        chance = 1.0 if layer in ("base", *species.always) else CHANCES[layer]
        if layer in wardrobe.free:
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
        if layer == "body" and tailed(worn["base"]):
            tile = tile.crop((0, 0, SIZE, WAIST))
        image.alpha_composite(tile)
        opaque = np.asarray(tile)[..., 3] >= OPAQUE
        owners[: len(opaque)][opaque] = number
        areas.append(opaque.sum())
    counts = np.bincount(owners.ravel(), minlength=len(present) + 1)[1:]
    return image, {layer: float(n / max(a, 1)) for layer, n, a in zip(present, counts, areas, strict=True)}


def _palette(made: Sequence[Doll]) -> Pixels:
    """RGBA colours ``[_PALETTE + 1, 4]``, the first of which is transparent."""
    sampled = np.random.default_rng(_SEED).permutation(len(made))[:_SAMPLED]
    colours = make_palette(np.stack([made[index].pixels for index in sampled]), _PALETTE)
    return with_alpha(colours, transparent=True)


def _write(out: Path, made: Sequence[Doll], palette: Pixels, horns: Mapping[str, Image.Image]) -> int:
    images = np.stack([doll.pixels for doll in made])
    indexed = to_indices(images, palette)
    for name, tile in horns.items():
        pixels = np.asarray(tile)
        own = np.array([horns_of(doll.worn["base"]) == name for doll in made])
        indexed[own] = np.where(pixels[..., 3] >= OPAQUE, to_indices(pixels[None], palette), indexed[own])
    # Pictures that differ in RGB, or where horns are, may be the same in the palette.
    _, first = np.unique(indexed.reshape(len(indexed), -1), axis=0, return_index=True)
    kept = np.sort(first)
    labels = np.array([doll.labels for doll in made], np.int16)
    of_part = np.array([part_of(doll.outfit) for doll in made])
    parts = {}
    for which in ("train", "valid", "test"):
        chosen = kept[of_part[kept] == which]
        parts[which] = Part(indexed[chosen], labels[chosen])
    write_pictures(out, ATTRIBUTES, parts, _SOURCE, palette)
    return len(kept)
