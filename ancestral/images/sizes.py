"""Sizes of files of pictures, and of the squares that pixels become in them."""

from __future__ import annotations

from typing import Final

from ancestral.models.spec import ImageSpec

MAX_SIDE: Final = 4096
"""The largest side of a picture, in pixels, that is taken or sent."""


def multiple(spec: ImageSpec, width: int, height: int) -> int | None:
    """The side, in pixels, that one pixel of the model has in a picture of this size; None if it is not whole."""
    scale = width // spec.width
    return scale if scale > 0 and (width, height) == (scale * spec.width, scale * spec.height) else None
