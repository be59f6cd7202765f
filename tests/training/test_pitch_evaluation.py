"""Whether a voice has the F0 that its frames ask for."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral.models.audio.features import LOG_F0_MEAN, LOG_F0_SCALE
from ancestral.training.evaluation.pitch import f0_response, measure_pitch
from tests.training.sounds import FEATURES, RATE, Wave, tone


def frames(hz: float, count: int = 100, voiced: float = 1.0) -> np.ndarray:
    made = np.zeros((count, FEATURES.channels), np.float32)
    made[:, -2], made[:, -1] = (np.log(hz) - LOG_F0_MEAN) / LOG_F0_SCALE, voiced
    return made


def noise(seconds: float, level: float) -> Wave:
    return np.random.default_rng(0).normal(0.0, level, round(seconds * RATE)).astype(np.float32)


def test_pitch_and_voicing_of_a_voice() -> None:
    half = np.concatenate([tone(1.0, 150.0, 12), noise(1.0, 0.2)])
    quiet = np.concatenate([tone(1.0, 150.0, 12), noise(1.0, 0.001)])
    measured, silent = measure_pitch([half, half], FEATURES), measure_pitch([quiet], FEATURES)
    assert measured.median_f0 == pytest.approx(150.0, rel=0.01)
    assert measured.voiced_share == pytest.approx(0.5, abs=0.05)
    assert silent.voiced_share > 0.95, "quiet frames do not count"
    assert measure_pitch([noise(1.0, 0.2)], FEATURES).voiced_share < 0.1


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.15, 1.4])
def test_the_response_to_f0(factor: float) -> None:
    sounds = [tone(1.0, 140.0 * factor, 12), tone(1.0, 160.0 * factor, 12)]
    assert f0_response(sounds, [frames(140.0 * factor), frames(160.0 * factor)], FEATURES) == pytest.approx(1, abs=0.01)
    kept = f0_response(sounds, [frames(140.0), frames(160.0)], FEATURES)
    assert kept == pytest.approx(factor, abs=0.01)


def test_a_response_needs_voice() -> None:
    assert f0_response([tone(1.0, 150.0, 12)], [frames(150.0, voiced=0.0)], FEATURES) == 0.0
