"""Emoji of seven styles on white, 32 × 32, labelled with class, subclass and style (the emoji set).

Made from npm packages. An emoji is held out from all emoji sets or from none, and variants with skin tones are left
out. Emoji sets with a share-alike licence are not used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ancestral.training.corpora.archive import Part, Progress, part_of, write_pictures
from ancestral.training.corpora.packages import Package
from ancestral.training.corpora.vector import Image, on_white, rendered

STYLES = {
    "noto": "Noto Emoji (Google, Apache-2.0)",
    "fluent-3d": "Fluent Emoji 3D (Microsoft, MIT)",
    "twemoji": "Twemoji (Twitter, CC-BY-4.0)",
    "fluent-flat": "Fluent Emoji Flat (Microsoft, MIT)",
    "noto-v1": "the first Noto Emoji (Google, Apache-2.0)",
    "emojione-v2": "EmojiOne 2 (Ranks.com, CC-BY-4.0)",
    "fxemoji": "Firefox OS Emoji (Mozilla, Apache-2.0)",
}
"""The styles, with their credits."""
FLAT = ("twemoji", "fluent-flat", "emojione-v2", "fxemoji")
"""The styles with few plain colours, which suit a small network best."""

_NOTO = Package("emoji-datasource-google", "16.0.0", "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438")
_FLUENT_3D = Package(
    "@lobehub/fluent-emoji-3d", "1.1.0", "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
)
_DRAWN = {
    "twemoji": Package(
        "@iconify-json/twemoji", "1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"
    ),
    "fluent-flat": Package(
        "@iconify-json/fluent-emoji-flat", "1.2.6", "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"
    ),
    "noto-v1": Package(
        "@iconify-json/noto-v1", "1.2.5", "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37"
    ),
    "emojione-v2": Package(
        "@iconify-json/emojione", "1.2.3", "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e"
    ),
    "fxemoji": Package(
        "@iconify-json/fxemoji", "1.2.2", "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef"
    ),
}
Drawn = tuple[str, str, Image]
"""The code of an emoji, its style, ``[32, 32, 3]``."""


def make(out: Path, progress: Progress, styles: Sequence[str] = tuple(STYLES)) -> int:
    """Write ``out/pictures.npz``; one emoji in ten is for the test, one in twenty for validation.

    Args:
        out: created, or its pictures replaced.
        progress: called with the number of pictures done.
        styles: the emoji sets to use, of :data:`STYLES`, in the order of their numbers.

    Returns:
        How many pictures there are.

    Raises:
        CorpusError: a package cannot be had.
        FileNotFoundError: npm is not installed.
        ImportError: resvg-py is not installed.
    """
    with _NOTO.files() as read:
        entries = json.loads(read("emoji.json"))
        subjects = {
            code(e["unified"]): (e["category"], e["subcategory"]) for e in entries if e["category"] != "Component"
        }
        pictures = list(_raster("noto", {code(e["unified"]): f"img/google/64/{e['image']}" for e in entries}, read))
    with _FLUENT_3D.files() as read:
        paths = {code(Path(name).stem): name for name in sorted(read.names) if name.endswith(".webp")}
        pictures += _raster("fluent-3d", {name: path for name, path in paths.items() if name in subjects}, read)
    for picture in _vector():
        pictures.append(picture)
        progress(len(pictures))
    kept: dict[bytes, Drawn] = {}
    for picture in pictures:
        # Fluent has no flags of countries: those in its package are from another source, whose licence is not stated.
        if picture[0] in subjects and (picture[1], subjects[picture[0]][0]) != ("fluent-3d", "Flags"):
            kept.setdefault(picture[2].tobytes(), picture)
    chosen = [picture for picture in kept.values() if picture[1] in styles]
    _write(out, chosen, subjects, styles)
    return len(chosen)


def code(text: str) -> str:
    """The characters of an emoji, in one spelling: lower case, four digits at least, without variation selectors."""
    parts = text.lower().replace("_", "-").split("-")
    return "-".join(part.zfill(4) for part in parts if part != "fe0f")


def _raster(style: str, paths: Mapping[str, str], read: Any) -> Iterator[Drawn]:
    for name, path in paths.items():
        if path in read.names:
            yield name, style, on_white(read(path))


def _vector() -> Iterator[Drawn]:
    """The SVG sets of iconify. Some list the characters of their icons, the others use the same names."""
    characters: dict[str, str] = {}
    for style, package in _DRAWN.items():
        with package.files() as read:
            icons = json.loads(read("icons.json"))
            own = {plain(name): code(text) for text, name in json.loads(read("chars.json")).items()}
        for alias, target in icons.get("aliases", {}).items():
            if plain(target["parent"]) in own and len(target) == 1:  # not a rotated or mirrored one
                own[plain(alias)] = own[plain(target["parent"])]
        characters |= {name: text for name, text in own.items() if name not in characters}
        for name, icon in icons["icons"].items():
            if plain(name) in characters:
                yield own.get(plain(name), characters[plain(name)]), style, _drawn(icon, icons)


def plain(name: str) -> str:
    """The name of an icon as all sets spell it."""
    return name.replace("-", "")


def _drawn(icon: Mapping[str, Any], defaults: Mapping[str, Any]) -> Image:
    left, top, width, height = (
        icon.get(key, defaults.get(key, other))
        for key, other in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    )
    side = max(width, height)
    box = f"{left - (side - width) / 2} {top - (side - height) / 2} {side} {side}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}"'
    return rendered(f'{head} width="{side}" height="{side}">{icon["body"]}</svg>')


def _write(out: Path, pictures: list[Drawn], subjects: Mapping[str, tuple[str, str]], styles: Sequence[str]) -> None:
    classes = sorted({category for category, _ in subjects.values()})
    subclasses = sorted({subjects[name][1] for name, _, _ in pictures if part_of(name) == "train"})
    parts = {}
    for which in ("train", "valid", "test"):
        chosen = [picture for picture in pictures if part_of(picture[0]) == which]
        labels = [_labels(picture, subjects, classes, styles, subclasses) for picture in chosen]
        parts[which] = Part(np.stack([image for _, _, image in chosen]), np.array(labels, np.int16))
    source = "Emoji without skin tones: " + ", ".join(STYLES[style] for style in styles)
    write_pictures(out, {"class": classes, "style": styles, "subclass": subclasses}, parts, source)


def _labels(
    picture: Drawn,
    subjects: Mapping[str, tuple[str, str]],
    classes: Sequence[str],
    styles: Sequence[str],
    subclasses: Sequence[str],
) -> tuple[int, int, int]:
    name, style, _ = picture
    category, subclass = subjects[name]
    kind = subclasses.index(subclass) if subclass in subclasses else -1
    return classes.index(category), styles.index(style), kind
