"""What sprites wear: the tiles of each layer, what a person would call them, and which species wears what.

Tiles are distinguished by the prefixes of their names. Species whose bodies are alike differ in hair, beard or dress,
so that each can be recognised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from ancestral.training.corpora.tables import table
from ancestral.training.corpora.tint import COLOURS

_TABLE: Final = table("sprites")
LAYERS: tuple[str, ...] = _TABLE["layers"]
"""Layers from the back to the front."""
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
VISIBLE = {"body": 0.4, "hand1": 0.4, "hand2": 0.4, "head": 0.4, "cloak": 0.1}
"""The share of a tile's pixels that must be left visible. Most of a cloak is behind the body."""
NOTHING = {layer: f"no {name}" for layer, (name, _) in LABELLED.items()}
"""The value of each attribute for a doll without it."""
TOLD_COLOURS: Mapping[str, str] = _TABLE["told_colours"]
"""Colours of garments whose colour is not that of most of their pixels."""
WAIST = 18
"""The first row in which a tail is visible below clothes."""

_ANY = ("",)
_UNWORN = {"boots": ("hooves",)}  # a mutation
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
        return None if name.startswith(_UNWORN.get(layer, ())) else ""
    _, groups = LABELLED[layer]
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
