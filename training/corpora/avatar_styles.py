"""The eight styles of avatars: which options of DiceBear and facesjs make which hair, glasses and beard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ancestral.training.corpora.packages import Package
from ancestral.training.corpora.tables import table

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
