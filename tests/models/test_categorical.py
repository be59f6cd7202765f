"""Logits of classifier-free guidance. What the engines draw from them: test_pictures.py."""

import numpy as np
import pytest

from ancestral.models.categorical import GUIDED_MIN_P, guide

RNG = np.random.default_rng(0)
CONDITIONAL, UNCONDITIONAL = 3 * RNG.normal(size=(50, 16)), 3 * RNG.normal(size=(50, 16))


@pytest.mark.parametrize(("guidance", "expected"), [(0.0, UNCONDITIONAL), (1.0, CONDITIONAL)])
def test_guidance_of_0_and_1_gives_the_logits_of_a_pass(guidance, expected):
    np.testing.assert_allclose(guide(CONDITIONAL, UNCONDITIONAL, guidance), expected)


def test_guidance_above_1_leaves_out_what_is_unlikely_under_the_conditions():
    guided = guide(CONDITIONAL, UNCONDITIONAL, 3.0)
    shares = np.exp(CONDITIONAL - CONDITIONAL.max(axis=1, keepdims=True))
    assert np.array_equal(np.isneginf(guided), shares < GUIDED_MIN_P)
    kept = shares >= GUIDED_MIN_P
    np.testing.assert_allclose(guided[kept], (3 * CONDITIONAL - 2 * UNCONDITIONAL)[kept])


def test_guidance_is_that_of_each_row():
    strengths = np.linspace(0.0, 4.0, len(CONDITIONAL))
    guided = guide(CONDITIONAL, UNCONDITIONAL, strengths)
    for row, strength in enumerate(strengths):
        assert np.array_equal(guided[row], guide(CONDITIONAL[row : row + 1], UNCONDITIONAL[row : row + 1], strength)[0])
