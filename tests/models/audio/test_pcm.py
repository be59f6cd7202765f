"""16 bits: every sample comes back from floating point."""

from __future__ import annotations

import numpy as np

from ancestral.models.audio.pcm import from_int16, to_int16


def test_every_sample_comes_back() -> None:
    samples = np.arange(-32768, 32768).astype(np.int16)
    wave = from_int16(samples)
    assert wave.dtype == np.float32
    assert np.array_equal(to_int16(wave), samples)


def test_what_is_too_loud_is_clipped() -> None:
    assert to_int16(np.float32([-8.0, -1.0, 0.0, 1.0, 8.0])).tolist() == [-32768, -32767, 0, 32767, 32767]
