"""The colours of sprites' garments: their names, and tiles tinted in colours in which there is none."""

from __future__ import annotations

import colorsys
from functools import cache

import numpy as np
from PIL import Image

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
