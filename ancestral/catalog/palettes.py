"""Palettes that pictures are put into after they have been sampled: by name, from files, or as lists of colours.

Lists of colours are facts; who made each is named here. Distances are those of OKLab
(https://bottosson.github.io/posts/oklab/), in which equal steps look equal. There is no dithering.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import InvalidRequest, check_type

MAX_COLOURS: Final = 255
"""Most colours of a palette: a PNG has 256, of which one may be transparent."""
_MAX_BYTES: Final = 64 << 10
_COLOUR: Final = re.compile("#[0-9a-fA-F]{6}")
_HEX: Final = re.compile(r"#?([0-9a-fA-F]{6})")
_GIMP_HEAD: Final = "GIMP Palette"
_GIMP_FIELD: Final = re.compile(r"#|[A-Za-z]+:")
_GIMP_COLOUR: Final = re.compile(r"(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})(\s.*)?")


def _named(colours: str) -> tuple[str, ...]:
    return tuple(f"#{colour}" for colour in colours.split())


PALETTES: Final[dict[str, tuple[str, ...]]] = {
    "1-bit": _named("000000 ffffff"),
    # The screen of Nintendo's DMG-01, as emulators show it.
    "game-boy": _named("0f380f 306230 8bac0f 9bbc0f"),
    # Joseph White (Lexaloffle), https://www.lexaloffle.com/pico-8.php
    "pico-8": _named(
        "000000 1d2b53 7e2553 008751 ab5236 5f574f c2c3c7 fff1e8 "
        "ff004d ffa300 ffec27 00e436 29adff 83769c ff77a8 ffccaa"
    ),
    # Richard "DawnBringer" Fhager, http://pixeljoint.com/forum/forum_posts.asp?TID=12795
    "db16": _named(
        "140c1c 442434 30346d 4e4a4e 854c30 346524 d04648 757161 "
        "597dce d27d2c 8595a1 6daa2c d2aa99 6dc2ca dad45e deeed6"
    ),
    # The same, http://pixeljoint.com/forum/forum_posts.asp?TID=16247
    "db32": _named(
        "000000 222034 45283c 663931 8f563b df7126 d9a066 eec39a "
        "fbf236 99e550 6abe30 37946e 4b692f 524b24 323c39 3f3f74 "
        "306082 5b6ee1 639bff 5fcde4 cbdbfc ffffff 9badb7 847e87 "
        "696a6a 595652 76428a ac3232 d95763 d77bba 8f974a 8a6f30"
    ),
}


def check_palette(palette: str | Path | Sequence[str]) -> str | tuple[str, ...]:
    """A palette as requests have it: a name of :data:`PALETTES`, or colours like ``#00ff7f``.

    Args:
        palette: the same, or a file that :func:`read_palette` reads.

    Raises:
        InvalidRequest: there is no such palette, or it is none; ``param`` is ``palette``.
        OSError: the file cannot be read.
    """
    if isinstance(palette, Path):
        with palette.open("rb") as file:
            return read_palette(file.read(_MAX_BYTES + 1))
    if isinstance(palette, str):
        if palette not in PALETTES:
            names = ", ".join(PALETTES)
            raise _refused(f"no palette is called {palette!r:.40}; there are {names}; or give a list of colours")
        return palette
    check_type("palette", palette, Sequence, "a name, a file or a list of colours")
    colours = tuple(dict.fromkeys(str(colour).lower() for colour in palette))
    wrong = next((colour for colour in colours if not _COLOUR.fullmatch(colour)), None)
    if wrong is not None:
        raise _refused(f"{wrong!r:.40} is not a colour like #00ff7f")
    return _counted(colours)


def read_palette(data: bytes) -> tuple[str, ...]:
    """The colours of a GIMP palette (``.gpl``), or of a list with ``RRGGBB`` on each line (Lospec's ``.hex``).

    Raises:
        InvalidRequest: it is neither, or too large, or has too few or too many colours; ``param`` is ``palette``.
    """
    if len(data) > _MAX_BYTES:
        raise _refused(f"the file has more than {_MAX_BYTES >> 10} KiB")
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise _refused("the file is not text: .gpl and .hex are read") from None
    is_gimp = bool(lines) and lines[0] == _GIMP_HEAD
    read = _gimp_colour if is_gimp else _hex_colour
    colours = [read(number, line) for number, line in enumerate(lines, 1) if line and not (is_gimp and number == 1)]
    return _counted(tuple(dict.fromkeys(colour for colour in colours if colour is not None)))


def write_palette(name: str, colours: NDArray[np.uint8]) -> bytes:
    """A GIMP palette of colours, RGBA ``[P, 4]``; the transparent one, which the format does not know, is left out."""
    lines = [_GIMP_HEAD, f"Name: {name}", "#"]
    lines += [f"{red:3} {green:3} {blue:3}\tUntitled" for red, green, blue, alpha in colours.tolist() if alpha]
    return ("\n".join(lines) + "\n").encode()


def colours_of(palette: str | tuple[str, ...]) -> NDArray[np.uint8]:
    """The colours ``[P, 3]`` of a palette that :func:`check_palette` gave."""
    codes = PALETTES[palette] if isinstance(palette, str) else palette
    return np.array([[*bytes.fromhex(code[1:])] for code in codes], np.uint8)


def nearest(pixels: NDArray[np.uint8], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The index ``[...]`` of the nearest of ``colours`` ``[P, 3]`` for each of ``pixels`` ``[..., 3]``; of several that
    are as near, the first."""
    flat, where = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    apart = ((_oklab(flat)[:, None] - _oklab(colours)[None]) ** 2).sum(axis=2)
    found: NDArray[np.uint8] = apart.argmin(axis=1).astype(np.uint8)[where.reshape(-1)]
    return found.reshape(pixels.shape[:-1])


_TO_CONES: Final = np.array([
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
])  # fmt: skip
_TO_LAB: Final = np.array([
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
])  # fmt: skip


def _oklab(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """sRGB ``[N, 3]`` as OKLab ``[N, 3]``."""
    levels = colours / 255.0
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.cbrt(linear @ _TO_CONES.T) @ _TO_LAB.T)


def _gimp_colour(number: int, line: str) -> str | None:
    if _GIMP_FIELD.match(line):
        return None
    found = _GIMP_COLOUR.fullmatch(line)
    levels = [int(level) for level in found.groups()[:3]] if found else []
    if not levels or max(levels) > 255:
        raise _refused(f"line {number} of the file is not a colour like 255 128 0")
    return f"#{bytes(levels).hex()}"


def _hex_colour(number: int, line: str) -> str:
    if not (found := _HEX.fullmatch(line)):
        raise _refused(f"line {number} of the file is not a colour like ff8000")
    return f"#{found[1].lower()}"


def _counted(colours: tuple[str, ...]) -> tuple[str, ...]:
    if not 2 <= len(colours) <= MAX_COLOURS:
        raise _refused(f"it has {len(colours)} colours; 2 to {MAX_COLOURS} are taken")
    return colours


def _refused(message: str) -> InvalidRequest:
    return InvalidRequest(f"palette: {message}", param="palette", code="invalid_palette")
