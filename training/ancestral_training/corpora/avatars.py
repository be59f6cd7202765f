"""Avatars of eight styles, 32 × 32 on white: people drawn by DiceBear and facesjs, several pictures of each.

What a person looks like is chosen here and told to the generators, so that the labels are known; expression and clothes
are left to them. Made from npm packages, which node runs (avatars.mjs). tables/avatars.toml says which options make
which hair, glasses and beard.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral_training.corpora import pictures
from ancestral_training.corpora.packages import CorpusError, Package, table
from ancestral_training.data.images import decoded

Options = Mapping[str, tuple[str, ...]]
"""Names of variants, by value of an attribute."""

_TABLE: Final = table("avatars")
HAIR: tuple[str, ...] = _TABLE["hair"]
HAIR_COLOURS: Options = _TABLE["hair_colours"]
"""Examples of each, `rrggbb`; another colour has the name of the nearest one."""
GLASSES: tuple[str, ...] = _TABLE["glasses"]
BEARDS: tuple[str, ...] = _TABLE["beards"]
SKINS: Mapping[str, int] = _TABLE["skins"]
"""Lowest brightness of each skin, of 255."""


@dataclass(frozen=True)
class Style:
    """One way to draw people."""

    name: str
    package: Package
    credit: str
    hair: Options
    hair_colours: tuple[str, ...]
    skins: tuple[str, ...]
    glasses: Options = field(default_factory=dict)
    beards: Options = field(default_factory=dict)
    hair_option: str = "hair"
    skin_option: str = "skinColor"
    glasses_option: str = "glasses"
    beard_option: str = "facialHair"
    colour_option: str = "hairColor"
    fixed: Mapping[str, object] = field(default_factory=dict)
    """Further options of all its avatars."""
    black: tuple[str, ...] = ()
    """Hair that is black in whatever colour is asked for."""


LIBRARIES = tuple(Package(**package) for package in _TABLE["libraries"])
"""What the styles need to run."""
STYLES = tuple(Style(**style | {"package": Package(**style["package"])}) for style in _TABLE["styles"])
DICEBEAR, FACES = STYLES[:-1], STYLES[-1]

PEOPLE = 2500
"""People of each style."""
PICTURES = 4
"""Pictures of each person."""
ATTRIBUTES: Mapping[str, Sequence[str]] = {
    "style": tuple(style.name for style in STYLES),
    "hair": HAIR,
    "hair_colour": tuple(HAIR_COLOURS),
    "glasses": GLASSES,
    "beard": BEARDS,
    "skin": tuple(SKINS),
}
"""The conditions of the corpus, and their values. Without visible hair there is no colour of it."""

Image = NDArray[np.uint8]

_SIZE = 32
_COLOURS = 256
_WHITE = (255, 255, 255)
_SEED = 0
_RENDERER = Path(__file__).with_suffix(".mjs")
_COVERED = ("bald", "hat")
_MASCULINE = ("short hair", "curly hair", "mohawk", *_COVERED)
"""Hair with which a beard is likely; with other hair it is rare."""
_VIEW = re.compile(r'viewBox="[^"]*"')
_FACE = 'viewBox="-20 75 440 440"'
"""The part of a picture of facesjs, 400 × 600, that is shown."""
_SHIRTS = (("#89bfd3", "#7a1319", "#07364f"), ("#d63c2a", "#ffffff", "#222222"), ("#3f8f3f", "#f5d547", "#ffffff"))
_MOUTHS = ("angry", "closed", "mouth", "mouth2", "smile", "smile2", "smile3", "straight", "side")
_JERSEYS = ("baseball", "football", "hockey", "jersey", "jersey2", "jersey3")


@dataclass(frozen=True)
class Person:
    """One identity: what stays the same in all its pictures."""

    number: int
    style: Style
    hair: str
    variant: str
    colour: str
    skin: str
    glasses: str
    beard: str
    worn: Mapping[str, str]
    """The variants of glasses and beard, by the option of the style."""

    @property
    def labels(self) -> list[int]:
        """One index for each of ``ATTRIBUTES``."""
        colour = "000000" if self.variant in self.style.black else self.colour
        named = {
            "style": self.style.name,
            "hair": self.hair,
            "hair_colour": None if self.hair in _COVERED else colour_name(colour),
            "glasses": self.glasses,
            "beard": self.beard,
            "skin": skin_name(self.skin),
        }
        return [-1 if named[name] is None else values.index(named[name]) for name, values in ATTRIBUTES.items()]


def make(out: Path, progress: pictures.Progress, indexed: bool = True) -> int:
    """Write ``out/pictures.npz``; one person in ten is for the test, one in twenty for validation.

    Args:
        out: created, or its pictures replaced.
        progress: called with the number of pictures done.
        indexed: whether to write indices into a palette of 256 colours, or RGB.

    Returns:
        How many pictures there are.

    Raises:
        CorpusError: a package cannot be had, or node fails.
        FileNotFoundError: npm or node is not installed.
        ImportError: resvg-py is not installed.
    """
    chosen = list(people(np.random.default_rng(_SEED)))
    requests = [request(person, picture) for person in chosen for picture in range(PICTURES)]
    kept: dict[bytes, tuple[Person, Image]] = {}
    for done, svg in enumerate(_drawn(requests), 1):
        image = rendered(_VIEW.sub(_FACE, svg, count=1) if requests[done - 1]["style"] == "facesjs" else svg)
        kept.setdefault(image.tobytes(), (chosen[(done - 1) // PICTURES], image))
        progress(done)
    _write(out, list(kept.values()), indexed)
    return len(kept)


def people(rng: np.random.Generator) -> Iterator[Person]:
    """:data:`PEOPLE` of every style."""
    for number in range(PEOPLE * len(STYLES)):
        yield _person(number, STYLES[number // PEOPLE], rng)


def _person(number: int, style: Style, rng: np.random.Generator) -> Person:
    def one(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    hair = one(list(style.hair))
    glasses = str(rng.choice(GLASSES, p=(0.25, 0.12, 0.63)))
    beard = str(rng.choice(BEARDS, p=(0.28, 0.16, 0.56) if hair in _MASCULINE else (0.02, 0.01, 0.97)))
    worn = {}
    if glasses in style.glasses:
        worn[style.glasses_option] = one(style.glasses[glasses])
    else:
        glasses = GLASSES[-1]
    if beard in style.beards and style.beard_option not in worn:
        worn[style.beard_option] = one(style.beards[beard])
    else:
        beard = BEARDS[-1]
    variant, colour, skin = one(style.hair[hair]), one(style.hair_colours), one(style.skins)
    return Person(number, style, hair, variant, colour, skin, glasses, beard, worn)


def request(person: Person, picture: int) -> dict[str, Any]:
    """What avatars.mjs is asked for one picture of a person."""
    return _of_facesjs(person, picture) if person.style is FACES else _of_dicebear(person, picture)


def _of_dicebear(person: Person, picture: int) -> dict[str, Any]:
    style, colour = person.style, [person.colour]
    options: dict[str, Any] = {
        "seed": f"{person.number}-{picture}", style.skin_option: [person.skin], style.colour_option: colour,
        "facialHairColor": colour, style.hair_option: [person.variant], "hatProbability": 0, "rearHairProbability": 0,
    }  # fmt: skip
    if person.variant.startswith(("variant", "shoulder", "neck", "long")) and style.name in ("pixel art", "toon head"):
        options |= _over_hair(person)
    for option in (style.glasses_option, style.beard_option):
        options[f"{option}Probability"] = 0
    if style.glasses_option == "eyes":
        options["eyes"] = ["open", "happy", "wink", "sleep"]
    for option, variant in person.worn.items():
        options |= {option: [variant], f"{option}Probability": 100}
    return {"style": style.package.name.removeprefix("@dicebear/"), "options": {**options, **style.fixed}}


def _over_hair(person: Person) -> dict[str, Any]:
    """The options for hats over hair and for hair behind the head."""
    if person.hair == "hat":
        return {"hair": ["short01", "long07"], "hat": [person.variant], "hatProbability": 100}
    if person.style.name == "toon head":
        return {"hair": ["sideComed"], "rearHair": [person.variant], "rearHairProbability": 100}
    return {}


def _of_facesjs(person: Person, picture: int) -> dict[str, Any]:
    rng = np.random.default_rng([person.number, picture])
    hat, female = person.hair == "hat", person.variant.startswith("female")
    behind = ("female2", "female3", "female5")[person.number % 3] if person.hair == "long hair" else "none"
    overrides = {
        "hair": {"id": "short" if hat else person.variant, "color": f"#{person.colour}"},
        "hairBg": {"id": behind},
        "accessories": {"id": person.variant if hat else "none"},
        "body": {"color": f"#{person.skin}"},
        "glasses": {"id": person.worn.get("glasses", "none")},
        "facialHair": {"id": person.worn.get("facialHair", "none")},
        "mouth": {"id": str(rng.choice(_MOUTHS))},
        "jersey": {"id": str(rng.choice(_JERSEYS))},
        "eyebrow": {"angle": int(rng.integers(-15, 20))},
        "teamColors": _SHIRTS[rng.integers(len(_SHIRTS))],
    }
    gender = "female" if female else "male"
    return {"style": "facesjs", "seed": person.number, "gender": gender, "overrides": overrides}


def colour_name(colour: str) -> str:
    """What a person would call a colour of hair, ``rrggbb``."""
    apart = {
        name: min(np.abs(_rgb(colour) - _rgb(example)).sum() for example in examples)
        for name, examples in HAIR_COLOURS.items()
    }
    return min(apart, key=apart.__getitem__)


def skin_name(colour: str) -> str:
    """The name of a colour of skin."""
    brightness = _rgb(colour) @ np.array([0.299, 0.587, 0.114])
    return next(name for name, least in SKINS.items() if brightness >= least)


def _rgb(colour: str) -> NDArray[np.float64]:
    return np.array([*bytes.fromhex(colour)], np.float64)


def _drawn(requests: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The SVG of each request."""
    node = shutil.which("node")
    if node is None:
        raise FileNotFoundError("node: not found (apt-get install nodejs)")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for package in (*LIBRARIES, FACES.package, *(style.package for style in DICEBEAR)):
            package.unpack(folder / "node_modules" / package.name)
        script, asked = folder / _RENDERER.name, folder / "requests"
        script.write_bytes(_RENDERER.read_bytes())
        asked.write_text("".join(json.dumps(one) + "\n" for one in requests))
        with asked.open() as source, (folder / "errors").open("w+") as errors:
            command = [node, script.name]
            with subprocess.Popen(command, stdin=source, stdout=-1, stderr=errors, cwd=folder, text=True) as process:
                assert process.stdout is not None
                yield from map(json.loads, process.stdout)
            errors.seek(0)
            if process.returncode:
                why = errors.read().strip().splitlines() or ["no message"]
                raise CorpusError(f"node failed: {next((line for line in why if 'Error' in line), why[-1])}")


def rendered(svg: str) -> Image:
    """An SVG of equal width and height, on white: ``[32, 32, 3]``, the means of 2 × 2 pixels.

    Raises:
        ImportError: resvg-py is not installed.
    """
    resvg: Any = import_module("resvg_py")  # imported here, since only corpora need it
    return on_white(
        bytes(resvg.svg_to_bytes(svg_string=svg, width=2 * _SIZE, height=2 * _SIZE, skip_system_fonts=True))
    )


def on_white(data: bytes) -> Image:
    """An encoded picture on white, reduced to 32 × 32 by averaging squares; it is cropped to whole squares first."""
    pixels = np.asarray(decoded(data, "picture").convert("RGBA"), np.float64)
    side = min(pixels.shape[:2]) // _SIZE * _SIZE
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    pixels = pixels[top : top + side, left : left + side]
    opacity = pixels[..., 3:] / 255.0
    laid = pixels[..., :3] * opacity + 255.0 * (1.0 - opacity)
    step = side // _SIZE
    return np.asarray(np.round(laid.reshape(_SIZE, step, _SIZE, step, 3).mean(axis=(1, 3))).astype(np.uint8))


def _write(out: Path, made: Sequence[tuple[Person, Image]], indexed: bool) -> None:
    images = np.stack([image for _, image in made])
    palette = None
    if indexed:
        opaque = np.full((*images.shape[:3], 1), 255, np.uint8)
        colours = pictures.make_palette(np.concatenate([images, opaque], axis=3), _COLOURS, _WHITE)
        palette = pictures.with_alpha(colours, transparent=False)
        images = pictures.to_indices(images, palette)
    labels = np.array([person.labels for person, _ in made], np.int16)
    identities = np.array([person.number for person, _ in made], np.int32)
    parts = pictures.divided(images, labels, map(str, identities), identity=identities)
    credit = ", ".join(style.credit for style in STYLES)
    pictures.write_pictures(
        out, ATTRIBUTES, parts, f"Avatars drawn by DiceBear 9.4.3 (MIT) and facesjs 5.0.3: {credit}", palette
    )
