"""Characters that run, 32 × 32, transparent around: sprites of C-Dogs SDL in eight directions and nine frames.

Composed from Debian's source package ``cdogs-sdl``. A picture follows from its labels: the same character facing
elsewhere, or in another frame, has another pose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral_training.corpora import pictures
from ancestral_training.corpora.packages import SourcePackage, table
from ancestral_training.data.images import decoded

SIZE = 32
COUNT = 96_000
"""Pictures that are composed; equal ones are written once."""
_SEED = 0
_PACKAGE = SourcePackage(
    "cdogs-sdl", "2.1.0+dfsg-2", "f0b2a0a7a9015d194db30732709bf372045e7411d5987a3da511df5ce582d61a"
)
_FOLDER = "graphics/chars"

_TABLE: Final = table("characters")
_BODIES, _HEADS, _HAIRS, _HATS, _GUNS = (_TABLE[name] for name in ("bodies", "heads", "hairs", "hats", "guns"))
_LAYERS = ("legs_idle", "legs_run", "upper_idle", "upper_idle_handgun", "upper_run", "upper_run_handgun")
_BALD, _UNARMED = "bald", "unarmed"

_COLOURS, _SKINS, _HAIR_COLOURS = _TABLE["colours"], _TABLE["skins"], _TABLE["hair_colours"]
_HAT_COLOURS = {f"{name} headgear": _COLOURS[name] for name in ("red", "green", "blue", "black", "white")}
_SHOES = (104, 66, 42)
_TINTS = {
    **{f"{name} {worn}": colour for worn in ("shirt", "trousers") for name, colour in _COLOURS.items()},
    **_SKINS, **_HAIR_COLOURS, **_HAT_COLOURS, "shoes": _SHOES,
}  # fmt: skip
_DIRECTIONS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
"""The order of the package's sprites."""
_RUNNING = 8
"""Frames of a step with each foot."""


ATTRIBUTES: Mapping[str, Sequence[str]] = {
    "direction": tuple(f"facing {direction}" for direction in _DIRECTIONS),
    "head": tuple(_HEADS),
    "body": tuple(_BODIES),
    "skin": tuple(_SKINS),
    "headgear": (_BALD, *_HAIRS, *_HATS),
    "headgear_colour": (*_HAIR_COLOURS, *_HAT_COLOURS),
    "shirt": tuple(f"{name} shirt" for name in _COLOURS),
    "trousers": tuple(f"{name} trousers" for name in _COLOURS),
    "weapon": (_UNARMED, *_GUNS),
    "pose": tuple(
        f"running {direction} {number}" if number else f"standing {direction}"
        for direction in _DIRECTIONS
        for number in range(1 + _RUNNING)
    ),
}
"""The conditions of the corpus, and their values. Of a bald head the colour of headgear does not apply.

A direction follows from a pose. It is here for those who name no pose, and first because labels that are drawn agree
with the first one that is named (ancestral_models/conditioning.py).
"""
_SOURCE = (
    "Characters composed of sprites of C-Dogs SDL 2.1.0 (https://github.com/cxong/cdogs-sdl), from Debian's source "
    "package cdogs-sdl, tinted. All files used are by Cong Xu, CC0 1.0 according to its debian/copyright; from "
    "graphics/chars: bodies/{base, big, skinny, soldier}, guns/{chaingun, pistol, raygun, rocket_red}, "
    "hairs/{pigtails, widows}, hats/{beret, combat_helmet, helmet, horns, peak_cap}, heads/{bugeye, dog, jones, lady, "
    "ogre, robot, skull}"
)

_CHANNELS = {(1, 0, 0): 0, (0, 1, 0): 1, (1, 1, 0): 2, (0, 0, 1): 2, (0, 1, 1): 3, (1, 0, 1): 4}
"""What a hue of the package stands for: skin, hair or hat, shirt (its sleeves have a hue of their own), legs, feet."""
_TINTED = 5
_SKIN = 0
_DARK = 5
"""Brightness below which a pixel is an outline."""
_SHADES = (0.30, 0.52, 0.72, 0.90, 1.06)
"""Brightness of the shades of a tint."""
_LIMITS = (60, 105, 146, 185)
"""Brightness in the package from which the next shade is taken."""
_LIMITS_ON_TOP = (80, 120, 142, 162)
"""The limits of hair and hats, which are drawn in a narrower range."""
_FIXED = 24
"""Colours of what is not tinted: eyes, teeth, metal."""
_ORIGIN = (16, 25)
"""x and y of the package's origin, between the feet, in the picture."""

Codes = NDArray[np.uint8]
"""0: transparent; then the shades of each tint; then the colours that are not tinted."""
_FIRST_FIXED = 1 + _TINTED * len(_SHADES)


@dataclass(frozen=True)
class Parts:
    """The package's sprites as codes."""

    cells: Mapping[str, Codes]
    """Cells by file, ``[rows, columns, H, W]``: of bodies directions and frames, of others in the first row all
    directions."""
    bodies: Mapping[str, Mapping[str, Any]]
    """The order of drawing and the offsets of each body."""
    fixed: NDArray[np.uint8]
    """``[n, 3]``, the colours that are not tinted."""


def make(out: Path, progress: pictures.Progress) -> int:
    """Write ``out/pictures.npz``; one character in ten is for the test, one in twenty for validation.

    Args:
        out: created, or its pictures replaced.
        progress: called with the number of pictures done.

    Returns:
        How many pictures there are.

    Raises:
        CorpusError: the source package cannot be had.
        FileNotFoundError: this is not Debian.
    """
    parts = read_parts(_PACKAGE.files(_FOLDER))
    palette, rng, made = palette_of(parts), np.random.default_rng(_SEED), dict[tuple[str, ...], NDArray[np.uint8]]()
    tables = tables_of(parts, palette)
    for done in range(1, COUNT + 1):
        named = drawn(rng)
        made[tuple(named.values())] = coloured(compose(named, parts), named, tables)
        progress(done)
    _write(out, made, palette)
    return len(made)


def drawn(rng: np.random.Generator) -> dict[str, str]:
    """A value of each attribute: the direction of the pose, the colour of hair or of a hat, and none of a bald head."""
    named = {name: values[int(rng.integers(len(values)))] for name, values in ATTRIBUTES.items()}
    named["direction"] = f"facing {named['pose'].split()[1]}"
    colours = [*(_HAIR_COLOURS if named["headgear"] in _HAIRS else _HAT_COLOURS)]
    named["headgear_colour"] = "" if named["headgear"] == _BALD else colours[int(rng.integers(len(colours)))]
    return named


def read_parts(files: Mapping[str, bytes]) -> Parts:
    """The sprites that are used, of the package's files by their paths below ``graphics/chars``."""
    names = [*_HEADS.values(), *_HAIRS.values(), *_HATS.values(), *_GUNS.values()]
    names += [f"bodies/{body}/{layer}_24x24" for body in _BODIES.values() for layer in _LAYERS]
    images = {name: np.array(decoded(files[f"{name}.png"], name).convert("RGBA")) for name in names}
    untinted = [_untinted(name, image) for name, image in images.items()]
    fixed = pictures.make_palette(np.concatenate([image.reshape(-1, 1, 4) for image in untinted]), _FIXED)
    palette = pictures.with_alpha(fixed, transparent=True)
    cells = {}
    for (name, image), rest in zip(images.items(), untinted, strict=True):
        codes = _tinted(name, image)
        codes = np.where(rest[..., 3] > 0, pictures.to_indices(rest, palette) + np.uint8(_FIRST_FIXED - 1), codes)
        width, height = (int(side) for side in name.rsplit("_", 1)[1].split("x"))
        rows, columns = codes.shape[0] // height, codes.shape[1] // width
        cells[name] = codes.reshape(rows, height, columns, width).swapaxes(1, 2)
    return Parts(cells, {body: json.loads(files[f"bodies/{body}/data.json"]) for body in _BODIES.values()}, fixed)


def _channel(name: str, image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The tint that each pixel of a file takes, ``[H, W]``; -1: none."""
    rgb = image[..., :3].astype(np.int64)
    least, most = rgb.min(axis=2), rgb.max(axis=2)
    strong = rgb > (least + most)[..., None] / 2
    purest = 4 if name.startswith("guns/") else most / 2  # metal has hues, too; only the hand that holds it is tinted
    channel = np.full(most.shape, -1)
    for hue, number in _CHANNELS.items():
        channel[(strong == hue).all(axis=2)] = number
    plain = (image[..., 3] == 0) | (most < _DARK) | (least > purest)
    if name.startswith(("heads/", "guns/")):
        plain |= channel != _SKIN
    return np.where(plain, -1, channel)


def _tinted(name: str, image: NDArray[np.uint8]) -> Codes:
    """The codes of the pixels of a file that are tinted, ``[H, W]``, and 0 for others."""
    channel = _channel(name, image)
    limits = _LIMITS_ON_TOP if name.startswith(("hairs/", "hats/")) else _LIMITS
    shade = np.digitize(image[..., :3].max(axis=2), limits)
    return np.where(channel < 0, 0, 1 + channel * len(_SHADES) + shade).astype(np.uint8)


def _untinted(name: str, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The other pixels of a file, ``[H, W, 4]``; the marks for eyes and muzzles, which are green, become bone."""
    rest = np.where(_channel(name, image)[..., None] < 0, image, 0)
    if name.startswith("heads/"):
        green = (rest[..., 1] > rest[..., 0]) & (rest[..., 1] > rest[..., 2])
        bone = (rest[..., 1:2] * np.array([1.0, 0.96, 0.84])).astype(np.uint8)
        rest[..., :3] = np.where(green[..., None], bone, rest[..., :3])
    return rest


def compose(named: Mapping[str, str], parts: Parts) -> Codes:
    """Lay the sprites of one picture over each other, as the game does.

    Args:
        named: a value of each attribute.
        parts: of the package.

    Returns:
        Codes ``[32, 32]``.
    """
    body = _BODIES[named["body"]]
    direction, number = divmod(ATTRIBUTES["pose"].index(named["pose"]), 1 + _RUNNING)
    action, frame = ("idle", 0) if number == 0 else ("run", number - 1)
    armed = named["weapon"] != _UNARMED
    layers = {
        "legs": [(f"bodies/{body}/legs_{action}_24x24", frame, "Legs")],
        "body": [(f"bodies/{body}/upper_{action}{'_handgun' * armed}_24x24", frame, "Body")],
        "head": [(_HEADS[named["head"]], direction, "Head")],
    }
    if named["headgear"] != _BALD:
        layers["head"].append(((_HAIRS | _HATS)[named["headgear"]], direction, "Head"))
    if armed:
        layers["gun_r"] = [(_GUNS[named["weapon"]], direction, "Gun")]
    data, canvas = parts.bodies[body], np.zeros((SIZE, SIZE), np.uint8)
    for layer in data["Order"][direction]:
        for file, column, part in layers.get(layer, ()):
            cell = parts.cells[file][direction if file.startswith("bodies/") else 0, column]
            moved = data["Offsets"]["Frame"][part]
            raised = moved.get(action, moved["idle"])
            shift = data["Offsets"]["Dir"].get(part, [[0, 0]] * len(_DIRECTIONS))[direction]
            x = _ORIGIN[0] - cell.shape[1] // 2 - raised[frame % len(raised)][0] + shift[0]
            y = _ORIGIN[1] - cell.shape[0] // 2 - raised[frame % len(raised)][1] + shift[1]
            _lay(canvas, cell, x, y)
    return canvas


def _lay(canvas: Codes, cell: Codes, x: int, y: int) -> None:
    """Put a sprite's pixels at ``x``, ``y``; what is outside of the canvas is cut off."""
    top, left = max(y, 0), max(x, 0)
    cell = cell[top - y : SIZE - y, left - x : SIZE - x]
    below = canvas[top : top + cell.shape[0], left : left + cell.shape[1]]
    below[cell > 0] = cell[cell > 0]


def _shades(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """``[shades, 3]``."""
    shades = np.minimum(np.outer(_SHADES, np.array(colour)), 255.0)
    return np.asarray(np.round(shades), np.uint8)


def palette_of(parts: Parts) -> NDArray[np.uint8]:
    """RGBA ``[P, 4]``: transparent, then all colours that a picture can have, by brightness."""
    every = np.concatenate([*(_shades(colour) for colour in _TINTS.values()), parts.fixed])
    colours = pictures.make_palette(np.insert(every, 3, 255, axis=1)[None, None], 255)
    return pictures.with_alpha(colours, transparent=True)


def tables_of(parts: Parts, palette: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    """The indices into ``palette`` of the shades of every tint, and of the colours that are not tinted (``fixed``)."""
    tables = {name: pictures.to_indices(_shades(colour), palette) for name, colour in _TINTS.items()}
    return tables | {"fixed": pictures.to_indices(parts.fixed, palette)}


def coloured(codes: Codes, named: Mapping[str, str], tables: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The codes of one picture as indices into the palette."""
    tints = (named["skin"], named["headgear_colour"] or named["shirt"], named["shirt"], named["trousers"], "shoes")
    table = np.concatenate([np.zeros(1, np.uint8), *(tables[tint] for tint in (*tints, "fixed"))])
    return np.asarray(table[codes])


def _write(out: Path, made: Mapping[tuple[str, ...], NDArray[np.uint8]], palette: NDArray[np.uint8]) -> None:
    columns = [{name: index for index, name in enumerate(values)} for values in ATTRIBUTES.values()]
    labels = np.array([[c.get(v, -1) for c, v in zip(columns, named, strict=True)] for named in made], np.int16)
    characters = ["|".join(named[1:-1]) for named in made]
    parts = pictures.divided(np.stack([*made.values()]), labels, characters)
    pictures.write_pictures(out, ATTRIBUTES, parts, _SOURCE, palette)
