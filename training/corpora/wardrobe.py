"""What sprites wear: the tiles of each layer, what a person would call them, and which species wears what.

Tiles are distinguished by the prefixes of their names. Species whose bodies are alike differ in hair, beard or dress,
so that each can be recognised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from ancestral.training.corpora.tint import COLOURS

LAYERS = (
    "cloak", "drcwing", "base", "legs", "boots", "body", "gloves", "hair", "beard", "drchead", "head", "hand1", "hand2",
)  # fmt: skip
"""Layers from the back to the front."""
HORNS = {"minotaur_brown": "horns3", "minotaur": "horns2"}
"""The tiles in ``head`` that are part of bodies, by the beginnings of their names."""
_FOLDERS = {"hand2/misc": "hand2", "hand2/doll_only": "hand2"} | {layer: layer for layer in LAYERS}
CHANCES = {
    "cloak": 0.4, "legs": 0.75, "boots": 0.7, "body": 0.9, "gloves": 0.3, "hair": 0.9, "beard": 0.35, "head": 0.55,
    "hand1": 0.85, "hand2": 0.6,
}  # fmt: skip

Groups = Mapping[str, tuple[str, ...]]
"""Prefixes of tiles by value; the longest prefix that fits a name decides."""
LABELLED: Mapping[str, tuple[str, Groups]] = {
    "body": ("garment", {
        "robe": ("gandalf", "monk_", "robe_", "saruman", "skirt_onep"),
        "dress": ("arwen", "china_red2", "dress_", "leather_short", "slit_black"),
        "coat": ("aragorn", "boromir", "coat_", "frodo", "gimli", "isildur", "merry", "pipin", "plate_and_cloth", "sam",
                 "shirt_black_and_cloth", "vanhel1"),
        "vest": ("jacket2", "jacket3", "leather2", "leather_jacket", "mesh_", "vest_"),
        "shirt": ("bloody", "china_red", "chunli", "green_susp", "karate", "legolas", "metal_blue", "shirt_", "susp_"),
        "plate armour": ("armour_", "bplate_", "crystal_plate", "half_plate", "kryias", "maxwell", "orange_crystal",
                         "plate", "talos"),
        "chain mail": ("chainmail", "ringmail", "scalemail"),
        "leather armour": ("deep_troll", "iron_troll", "jacket_stud", "leather_armour", "leather_green",
                           "leather_heavy", "leather_red", "leather_stud", "moon_troll", "troll_leather"),
        "dragon armour": ("dragonarm_", "faerie_dragon"),
        "animal skin": ("animal_skin", "troll_hide", "zhor"),
        "": ("robe_black_hood", "robe_jester", "robe_misfortune", "robe_of_night", "robe_rainbow", "shirt_check",
             "shirt_hawaii"),
    }),
    "hand1": ("weapon", {
        "sword": ("aragorn", "arwen", "black_sword", "blessed_blade", "boromir", "broadsword", "demonblade",
                  "double_sword", "falchion", "great_sword", "heavy_sword", "katana", "long_sword", "rapier",
                  "scimitar", "sword_", "triple_sword"),
        "dagger": ("dagger", "enchantress", "frodo", "knife", "short_sword", "sword_thief"),
        "axe": ("axe_", "battleaxe", "broad_axe", "hand_axe", "war_axe"),
        "mace": ("eveningstar", "great_mace", "large_mace", "mace", "morningstar"),
        "flail": ("flail_ball", "flail_great", "morningstar_two"),
        "club": ("club", "giant_club"),
        "bow": ("bow", "great_bow", "legolas", "storm_bow"),
        "crossbow": ("arbalest", "hand_crossbow", "triple_crossbow"),
        "staff": ("gandalf", "great_staff", "quarterstaff", "saruman", "staff"),
        "spear": ("pike", "spear"),
        "trident": ("fork", "pole_forked", "staff_evil", "staff_fork", "trident", "trishula"),
        "halberd": ("d_glaive", "glaive", "halberd"),
        "scythe": ("scythe",),
        "wand": ("rod_", "sceptre"),
        "whip": ("black_whip", "sacred_scourge", "whip"),
        "": ("mace_two",),
    }),
    "hand2": ("shield", {
        "buckler": ("buckler_", "kite_shield_bullseye"),
        "round shield": ("boromir", "kite_shield_gong", "kite_shield_middle_round", "kite_shield_of",
                         "kite_shield_round", "kite_shield_skull"),
        "kite shield": ("kite_shield",),
        "tower shield": ("tower_shield",),
        "orb": ("orb",),
        "book": ("book_",),
        "torch": ("torch",),
        "lantern": ("lantern",),
        "": ("buckler_warlock",),
    }),
    "head": ("headgear", {
        "headband": ("band",),
        "crown": ("crown_", "dyrovepreva", "eternal"),
        "wizard hat": ("gandalf", "wizard_"),
        "feathered hat": ("feather_",),
        "brimmed hat": ("hat_black", "hat_explorer", "straw"),
        "cap": ("cap_blue", "cone_", "hat_archer", "taiso_"),
        "jester hat": ("clown",),
        "turban": ("turban_",),
        "hood": ("hood_",),
        "helmet": ("brown_gold", "chain", "cheek_", "fhelm_gray", "full_", "helm_gimli", "helm_red", "iron", "isildur",
                   "yellow_wing"),
        "horned helmet": ("black_horn", "blue_horn", "fhelm_horn", "viking_"),
        "": ("hood_black2", "hood_white"),
    }),
    "cloak": ("cloak", {
        "black cloak": ("black",), "blue cloak": ("blue",), "brown cloak": ("brown", "ratskin"),
        "cyan cloak": ("cyan",), "grey cloak": ("gray",), "green cloak": ("green",), "purple cloak": ("magenta",),
        "red cloak": ("red",), "white cloak": ("white",), "yellow cloak": ("yellow",), "scarf": ("scarf_",),
    }),
}  # fmt: skip
"""For each layer the attribute that tells of it, and its values. Tiles of no value, or of the empty one, are not
worn."""
VISIBLE = {"body": 0.4, "hand1": 0.4, "hand2": 0.4, "head": 0.4, "cloak": 0.1}
"""The share of a tile's pixels that must be left visible. Most of a cloak is behind the body."""
NOTHING = {layer: f"no {name}" for layer, (name, _) in LABELLED.items()}
"""The value of each attribute for a doll without it."""
TOLD_COLOURS = {
    "dragonarm_gold": "yellow", "dragonarm_pearl": "white", "dragonarm_yellow": "yellow", "robe_brown": "brown",
    "robe_gray2": "grey", "sam": "brown",
}  # fmt: skip
"""Colours of garments whose colour is not that of most of their pixels."""
WAIST = 18
"""The first row in which a tail is visible below clothes."""

_ANY = ("",)
_UNWORN = {"boots": ("hooves",)}  # a mutation
_SKIRTS = ("skirt_", "metal_", "pants16")
"""Tiles that boots go under."""
_BOTH_HANDS = (
    "arbalest", "battleaxe", "bow", "broad_axe", "d_glaive", "fork", "gandalf", "giant_club", "glaive", "great_",
    "halberd", "legolas", "pike", "pole_", "quarterstaff", "saruman", "scythe", "staff", "storm_bow", "triple_",
    "axe_executioner",
)  # fmt: skip
_HATS = ("band_", "cap_blue", "clown", "cone_", "crown_", "feather_", "hat_", "straw", "taiso_", "turban_", "wizard_")
"""Hats that leave the face and the sides of the hair free."""
_HELMETS = (
    "black_horn", "blue_horn", "brown_gold", "chain", "cheek_", "fhelm_", "full_", "helm_", "hood_", "iron", "isildur",
    "viking_", "yellow_wing",
)  # fmt: skip
_FACELESS = ("fhelm_", "full_", "iron")
_OPEN_HELMETS = tuple(name for name in _HELMETS if name not in (*_FACELESS, "black_horn"))
"""Helmets that leave the face free."""
_ROUGH = (
    "animal_skin", "deep_troll", "iron_troll", "jacket_stud", "leather_heavy", "leather_stud", "moon_troll", "troll_",
    "zhor",
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
_BAREFOOT: Mapping[str, tuple[str, ...]] = {"boots": ()}
_HELMETED: Mapping[str, tuple[str, ...]] = {"head": _HATS + _OPEN_HELMETS}
SPECIES: Mapping[str, Species] = {
    "human": Species(
        ("human",),
        {"hair": _SHORT_HAIR + _LONG_HAIR, "beard": _STUBBLE + _COLOURED, "head": _HATS + _HELMETS},
        ("hair",),
    ),
    "elf": Species(("elf", "deep_elf"), {"hair": ("elf_", "legolas", "arwen", "fem_")}, ("hair",)),
    "dwarf": Species(
        ("dwarf", "deep_dwarf"),
        {"hair": _SHORT_HAIR, "beard": (*_COLOURED, "wizard"), "head": (*_HATS, "helm_gimli", "viking_")},
        ("beard",),
    ),
    "orc": Species(("orc",), _HELMETED),
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
    "minotaur": Species(("minotaur",), {**_BAREFOOT, "head": ()}),
    "demonspawn": Species(("demonspawn",), {"head": ()}),
    "gargoyle": Species(("gargoyle",), {**_HELMETED, "cloak": ()}),
    "mummy": Species(("mummy",), _HELMETED),
    "ghoul": Species(("ghoul",), _HELMETED),
    "vampire": Species(("vampire",), {"hair": ("arwen", "long_", "short_", "part"), "head": _HATS}),
    "tengu": Species(("tengu",), {**_BAREFOOT, "hair": ("tengu_comb",), "head": ("band_",)}),
    "merfolk": Species(("merfolk",), {**_HELMETED, "hair": ("green", "pigtails_green")}),
    "barachi": Species(("frog",), {**_BAREFOOT, **_HELMETED}),
    "vine stalker": Species(("vine_stalker",), _HELMETED),
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
