"""Measures of the sharpness of mels."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral.models.spec import FeatureSpec
from ancestral.training.blur import smooth
from ancestral.training.metrics.mels import ripple_depth, variance_ratio

SPEC = FeatureSpec()


def test_the_depth_of_the_ripple() -> None:
    mels = np.tile(np.linspace(1.0, -1.0, SPEC.mel_bands, dtype=np.float32), (20, 1))
    voicing = np.tile([1.0, 0.0], 10)
    assert ripple_depth(mels, voicing, SPEC) == pytest.approx(0.0, abs=1e-5)
    wavy = mels + 0.3 * np.cos(np.pi * np.arange(SPEC.mel_bands), dtype=np.float32)
    wavy[1::2] = 9.0 * np.random.default_rng(0).standard_normal((10, SPEC.mel_bands))
    depth = ripple_depth(wavy, voicing, SPEC)
    assert depth == pytest.approx(0.3 * 4 / 5, rel=0.01), "unvoiced frames have no say"
    assert ripple_depth(smooth(wavy, 3), voicing, SPEC) < 0.5 * depth
    assert ripple_depth(mels, np.zeros(20), SPEC) == 0.0


def test_the_ratio_of_variances() -> None:
    natural = np.random.default_rng(0).standard_normal((400, SPEC.mel_bands))
    assert variance_ratio(natural, natural) == pytest.approx(1.0)
    assert variance_ratio(0.5 * natural + 3.0, natural) == pytest.approx(0.25)
