"""Cloaks of two colours, on made pictures."""

from __future__ import annotations

import math

import numpy as np

from ancestral.models.spec import ImageSpec
from ancestral.training.data.images import Pictures
from ancestral.training.evaluation.cloaks import CloakSides, coloured

CLOAKS = ("red cloak", "blue cloak", "scarf", "no cloak")
ATTRIBUTES = (("weapon", ("sword", "bow")), ("cloak", CLOAKS))
NOTHING, BODY, RED, BLUE, SHIELD = range(5)
PALETTE = ("#00000000", "#804020", "#ff0000", "#0000ff", "#808080")
SPEC = ImageSpec(8, 8, 1, 5, PALETTE, ATTRIBUTES)
LEFT, RIGHT = slice(1, 3), slice(5, 7)
"""Columns that a cloak covers."""


def dolls(count: int, seed: int) -> Pictures:
    """A body, in half of the pictures a shield over a part of the right side, and a cloak left and right of it."""
    rng = np.random.default_rng(seed)
    cloak = rng.integers(0, len(CLOAKS), count)
    images = np.zeros((count, 8, 8, 1), np.uint8)
    images[:, 2:, 3:5] = rng.choice([BODY, SHIELD], (count, 6, 2, 1))
    for label, colour in enumerate((RED, BLUE)):
        for side in (LEFT, RIGHT):
            images[cloak == label, 3:, side] = colour
    images[::2, 3:6, 5:7] = SHIELD
    return Pictures(images, np.stack([rng.integers(0, 2, count), cloak], axis=1))


def test_which_values_are_cloaks_of_a_colour() -> None:
    kinds = coloured(ATTRIBUTES)
    assert kinds is not None
    assert kinds.tolist() == [True, True, False, False]
    assert coloured(ATTRIBUTES[:1]) is None


def test_each_side_is_told_by_itself_and_two_colours_are_counted() -> None:
    cloaks, test = CloakSides(dolls(400, 0), SPEC, ATTRIBUTES), dolls(100, 1)
    worn = test.labels[:, 1] < 2
    assert (cloaks.sides(test.images)[worn] == test.labels[worn, 1:]).all()
    assert cloaks.two_coloured(test) == 0.0
    red = np.flatnonzero(test.labels[:, 1] == 0)
    made = Pictures(test.images[red].copy(), test.labels[red])
    torn = made.images[: len(red) // 2, :, RIGHT]
    torn[torn == RED] = BLUE
    assert cloaks.two_coloured(made) == (len(red) // 2) / len(red)
    assert cloaks.sides(made.images)[0].tolist() == [0, 1]


def test_a_cloak_of_one_side_has_not_two_colours() -> None:
    cloaks, test = CloakSides(dolls(400, 0), SPEC, ATTRIBUTES), dolls(100, 1)
    test.images[:, :, RIGHT] = NOTHING
    assert cloaks.two_coloured(test) == 0.0


def test_without_a_coloured_cloak_there_is_no_share() -> None:
    cloaks, test = CloakSides(dolls(400, 0), SPEC, ATTRIBUTES), dolls(20, 1)
    bare = test.labels[:, 1] >= 2
    assert math.isnan(cloaks.two_coloured(Pictures(test.images[bare], test.labels[bare])))
    unknown = test.labels.copy()
    unknown[:, 1] = len(CLOAKS)
    assert math.isnan(cloaks.two_coloured(Pictures(test.images, unknown)))
