"""Sizes of pictures that are sent and taken: a model's own, or a whole multiple of it."""

from __future__ import annotations

from typing import Final

from models.spec import ImageSpec

MAX_SIDE: Final = 4096
"""Pixels each way of the largest picture."""


def multiple(spec: ImageSpec, width: int, height: int) -> int | None:
    """How many pixels each way stand for one of the model's; None if no whole number of them does."""
    scale = width // spec.width
    return scale if scale > 0 and (width, height) == (scale * spec.width, scale * spec.height) else None
