"""mu-law and pre-emphasis: exact where they can be, and the same however a stream is cut."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral.models.audio.mu_law import (
    SILENCE,
    Deemphasis,
    decode_wave,
    encode_wave,
    mu_law_decode,
    mu_law_encode,
    preemphasize,
)


def speechlike(length: int = 20_000) -> np.ndarray:
    time = np.arange(length) / 16000
    rng = np.random.default_rng(0)
    wave = 0.4 * np.sin(2 * np.pi * 140 * time) + 0.1 * np.sin(2 * np.pi * 2500 * time)
    return (wave * np.abs(np.sin(2 * np.pi * 3 * time)) + 1e-3 * rng.standard_normal(length)).astype(np.float32)


def test_every_symbol_survives_the_round_trip() -> None:
    symbols = np.arange(256)
    assert np.array_equal(mu_law_encode(mu_law_decode(symbols)), symbols)


def test_the_code_is_monotonic_and_symmetric() -> None:
    levels = mu_law_decode(np.arange(256))
    assert (np.diff(levels) > 0).all()
    assert np.array_equal(levels, -levels[::-1])
    assert mu_law_encode(np.array([-1.0, 0.0, 1.0])).tolist() == [0, SILENCE, 255]
    assert mu_law_encode(np.array([-7.0, 7.0])).tolist() == [0, 255]
    assert abs(levels[SILENCE]) < 1e-4


def test_the_quantisation_error_is_at_most_half_a_cell() -> None:
    x = np.linspace(-1, 1, 10_001)
    levels = mu_law_decode(np.arange(256)).astype(np.float64)
    cells = np.abs(mu_law_decode(mu_law_encode(x)) - x)
    widths = np.diff(levels, prepend=-1.0, append=1.0)
    symbols = mu_law_encode(x)
    assert (cells <= np.maximum(widths[symbols], widths[symbols + 1]) + 1e-7).all()


def test_deemphasis_inverts_preemphasis() -> None:
    wave = speechlike()
    assert np.allclose(Deemphasis(0.85, 2.0)(preemphasize(wave, 0.85, 2.0)), wave, atol=1e-5)
    assert np.array_equal(preemphasize(wave, 0.0, 1.0), wave)


@pytest.mark.parametrize("chunk", [1, 7, 160, 4096])
def test_chunks_are_filtered_like_the_whole_bit_for_bit(chunk: int) -> None:
    emphasized = mu_law_decode(encode_wave(speechlike(), 0.85, 2.0))
    whole = Deemphasis(0.85, 2.0)(emphasized)
    deemphasis = Deemphasis(0.85, 2.0)
    parts = [deemphasis(emphasized[i : i + chunk]) for i in range(0, len(emphasized), chunk)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_the_memory_carries_a_stream_over_a_restart() -> None:
    emphasized = mu_law_decode(encode_wave(speechlike(1000), 0.85, 2.0))
    first = Deemphasis(0.85, 2.0)
    first(emphasized[:400])
    resumed = Deemphasis(0.85, 2.0, memory=first.memory)(emphasized[400:])
    assert np.array_equal(resumed, Deemphasis(0.85, 2.0)(emphasized)[400:])


def test_the_recursion_runs_in_double_precision() -> None:
    emphasized = mu_law_decode(encode_wave(speechlike(500), 0.85, 2.0))
    y, expected = 0.0, []
    for e in emphasized.tolist():
        y = e * 0.5 + 0.85 * y
        expected.append(y)
    assert np.array_equal(Deemphasis(0.85, 2.0)(emphasized), np.array(expected, np.float32))


def test_an_empty_chunk_changes_nothing() -> None:
    deemphasis = Deemphasis(0.85, 2.0, memory=0.25)
    assert deemphasis(np.empty(0, np.float32)).shape == (0,)
    assert deemphasis.memory == 0.25


def test_a_wave_survives_coding() -> None:
    wave = speechlike()
    decoded = decode_wave(encode_wave(wave, 0.85, 2.0), 0.85, 2.0)
    assert decoded.dtype == np.float32
    noise = float(((decoded - wave) ** 2).mean() / (wave**2).mean())
    assert 10 * np.log10(noise) < -25
