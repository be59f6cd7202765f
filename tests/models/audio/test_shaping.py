"""Linear prediction from mel frames: sound comes back from its excitation; chunks change no bit."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from ancestral.models.audio.features import log_magnitudes, log_mel, window_gain
from ancestral.models.audio.mu_law import SILENCE, mu_law_decode
from ancestral.models.audio.shaping import (
    LEVEL,
    LIMIT,
    ORDER,
    RENEWALS,
    Predictor,
    Synthesis,
    all_pole,
    analyse,
    bin_weights,
    decode_excitation,
    encode_excitation,
    levinson,
    predictor,
    section,
)
from ancestral.models.spec import FeatureSpec

SPEC = FeatureSpec()
Wave = NDArray[np.float64]


def speechlike(seconds: float = 1.5, seed: int = 0) -> Wave:
    """Pulses at a gliding pitch and some breath, through three resonances, swelling and falling."""
    rng = np.random.default_rng(seed)
    count = round(seconds * SPEC.sample_rate)
    cycles = np.cumsum(np.linspace(110.0, 160.0, count)) / SPEC.sample_rate
    sound = np.diff(np.floor(cycles), prepend=0.0) + rng.normal(0.0, 0.02, count)
    for hz, width in ((600.0, 80.0), (1500.0, 120.0), (2900.0, 200.0)):
        radius = np.exp(-np.pi * width / SPEC.sample_rate)
        a1, a2 = -2.0 * radius * np.cos(2.0 * np.pi * hz / SPEC.sample_rate), radius**2
        one = two = 0.0
        for t in range(count):
            sound[t], two, one = (value := sound[t] - a1 * one - a2 * two), one, value
    swell = 0.15 + np.sin(np.linspace(0.0, 3.0 * np.pi, count)) ** 2
    return np.asarray(0.1 * sound * swell / sound.std())


@pytest.fixture(scope="module")
def wave() -> Wave:
    return speechlike()


@pytest.fixture(scope="module")
def filters(wave: Wave) -> Predictor:
    return predictor(log_mel(wave.astype(np.float32), SPEC), SPEC)


def snr(clean: Wave, other: NDArray[np.floating]) -> float:
    return float(10.0 * np.log10((clean**2).sum() / ((clean - other) ** 2).sum()))


def test_sound_comes_back_through_8_bits(wave: Wave, filters: Predictor) -> None:
    symbols = encode_excitation(wave, filters)
    assert symbols.dtype == np.uint8
    sound = decode_excitation(symbols, filters)
    assert sound.dtype == np.float32
    assert snr(wave, sound) >= 38.0


def test_without_a_quantiser_the_filters_are_inverse(wave: Wave, filters: Predictor) -> None:
    assert snr(wave, Synthesis(filters)(analyse(wave, filters))) > 100.0


def test_the_excitation_is_flat_and_level(wave: Wave, filters: Predictor) -> None:
    excitation = analyse(wave, filters)
    assert LEVEL / 2 < excitation.std() < 1.5 * LEVEL
    loud, quiet = wave[3000:6000], wave[7000:9000]
    assert loud.std() > 2.5 * quiet.std()
    assert 0.5 < excitation[3000:6000].std() / excitation[7000:9000].std() < 2.0

    def spread(signal: Wave) -> float:
        """Standard deviation of the mean spectrum's log, over the bands from 300 Hz to 5 kHz."""
        return float(log_magnitudes(log_mel(signal.astype(np.float32), SPEC), SPEC).mean(axis=0)[8:48].std())

    assert spread(wave) > 1.2
    assert spread(excitation) < 0.2


def test_noise_is_brought_to_the_nominal_level() -> None:
    for level in (0.003, 0.03, 0.2):
        noise = np.random.default_rng(1).normal(0.0, level, 16000)
        excitation = analyse(noise, predictor(log_mel(noise.astype(np.float32), SPEC), SPEC))
        # The mean of a magnitude is 0.89 of its root mean square.
        assert excitation.std() == pytest.approx(LEVEL / 0.89, rel=0.15)


def test_silence_is_silence() -> None:
    silence = np.zeros(1600)
    filters = predictor(log_mel(silence.astype(np.float32), SPEC), SPEC)
    symbols = encode_excitation(silence, filters)
    assert (symbols == SILENCE).all()
    assert np.abs(decode_excitation(symbols, filters)).max() < 1e-4


@pytest.mark.parametrize("width", [3, 13])
def test_blurred_frames_give_the_sound_back_too(wave: Wave, width: int) -> None:
    mels = np.pad(log_mel(wave.astype(np.float32), SPEC), ((0, 0), (width // 2, width // 2)), mode="edge")
    blurred = np.lib.stride_tricks.sliding_window_view(mels, width, axis=1).mean(axis=2)
    filters = predictor(blurred, SPEC)
    assert snr(wave, decode_excitation(encode_excitation(wave, filters), filters)) > 25.0


@pytest.mark.parametrize("gain", [-6.0, 4.0])
def test_a_low_shelf_moves_low_frequencies_of_voiced_frames_alone(wave: Wave, filters: Predictor, gain: float) -> None:
    mels = log_mel(wave.astype(np.float32), SPEC)
    voicing = (np.arange(len(mels)) >= len(mels) // 2).astype(np.float32)[:, None]
    shelved = predictor(np.concatenate([mels, voicing], axis=1), SPEC, gain)
    excitation = mu_law_decode(encode_excitation(wave, filters))
    plain, found = (Synthesis(f)(excitation) for f in (filters, shelved))
    half = len(mels) // 2 * SPEC.hop
    np.testing.assert_array_equal(found[: half - SPEC.hop], plain[: half - SPEC.hop])
    power = [np.abs(np.fft.rfft(sound[half + SPEC.hop :])) ** 2 for sound in (found, plain)]
    hertz = np.linspace(0.0, SPEC.sample_rate / 2.0, len(power[0]))
    change = {
        band: 10.0 * np.log10(power[0][inside].sum() / power[1][inside].sum())
        for band in ((100, 350), (1500, 6000))
        for inside in [(hertz >= band[0]) & (hertz < band[1])]
    }
    assert change[100, 350] == pytest.approx(gain, abs=1.0)
    assert change[1500, 6000] == pytest.approx(0.0, abs=0.7)


@pytest.mark.parametrize("kind", ["noise", "extremes", "peaks", "zeros"])
def test_whatever_the_frames_the_filter_is_stable(kind: str) -> None:
    rng = np.random.default_rng(2)
    shape = (100, SPEC.mel_bands)
    frames = {
        "noise": rng.normal(0.0, 2.0, shape),
        "extremes": rng.choice([-1.35, 3.5], shape),
        "peaks": np.where(np.arange(SPEC.mel_bands) == rng.integers(0, SPEC.mel_bands, (100, 1)), 3.5, -1.35),
        "zeros": np.zeros(shape),
    }[kind]
    filters = predictor(frames, SPEC)
    assert np.isfinite(filters.coefficients).all()
    for row in filters.coefficients[::20]:
        assert np.abs(np.roots([1.0, *row])).max() < 1.0
    excitation = mu_law_decode(rng.integers(0, 256, 16000))
    sound = Synthesis(filters)(excitation)
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() <= LIMIT
    if kind == "peaks":  # no sound's frames: the limit is reached
        return
    # What was put in dies away.
    tail = Synthesis(filters, sound[-ORDER:], 0)(np.zeros(16000))
    assert np.abs(tail[-160:]).max() < 1e-3 * np.abs(sound).max()


@pytest.mark.parametrize("chunk", [1, 7, 40, 160, 4096])
def test_chunks_are_filtered_like_the_whole_bit_for_bit(wave: Wave, filters: Predictor, chunk: int) -> None:
    excitation = mu_law_decode(encode_excitation(wave, filters))
    whole = Synthesis(filters)(excitation)
    parts, memory, position = [], None, 0
    for start in range(0, len(excitation), chunk):
        # Another process goes on with what this one noted down.
        filtering = Synthesis(filters, memory, position)
        parts.append(filtering(excitation[start : start + chunk]))
        memory, position = np.frombuffer(filtering.memory.tobytes()), filtering.position
    assert memory is not None
    assert memory.shape == (ORDER,)
    assert np.array_equal(np.concatenate(parts), whole)


def test_the_filter_means_the_same_when_it_is_not_compiled(wave: Wave, filters: Predictor) -> None:
    excitation = mu_law_decode(encode_excitation(wave, filters)[:4000]).astype(np.float64)
    compiled, interpreted = np.zeros(ORDER + 4000), np.zeros(ORDER + 4000)
    all_pole(excitation, *filters, 0, compiled)
    all_pole.py_func(excitation, *filters, 0, interpreted)
    np.testing.assert_array_equal(compiled, interpreted)


@pytest.mark.parametrize("low_shelf_db", [0.0, 3.0])
def test_the_predictor_is_that_of_the_interpolated_spectra(wave: Wave, low_shelf_db: float) -> None:
    mels = log_mel(wave.astype(np.float32), SPEC)
    frames = np.concatenate([mels, (np.arange(len(mels)) % 7 < 4).astype(np.float32)[:, None]], axis=1)
    centres = np.clip((np.arange(RENEWALS * len(frames)) + 0.5) / RENEWALS - 0.5, 0.0, len(frames) - 1)
    renewed = np.stack([np.interp(centres, np.arange(len(frames)), column) for column in frames.T], axis=1)
    bands, (below, shares) = log_magnitudes(renewed[:, : SPEC.mel_bands], SPEC), bin_weights(SPEC)
    spectra = bands[:, below] * (1.0 - shares) + bands[:, below + 1] * shares
    hertz = np.linspace(0.0, SPEC.sample_rate / 2, spectra.shape[1])
    spectra += low_shelf_db * np.log(10.0) / 20.0 / (1.0 + (hertz / 700.0) ** 4) * renewed[:, -1:]
    window = np.exp(-0.5 * (2.0 * np.pi * 40.0 / SPEC.sample_rate * np.arange(ORDER + 1)) ** 2)
    window[0] += 1e-4
    coefficients, energies = levinson(np.fft.irfft(np.exp(2.0 * spectra), axis=1)[:, : ORDER + 1] * window)
    found = predictor(frames, SPEC, low_shelf_db)
    np.testing.assert_allclose(found.coefficients, coefficients, atol=1e-8)
    np.testing.assert_allclose(found.levels, np.sqrt(energies) / (LEVEL * window_gain(SPEC)), rtol=1e-8)


def test_a_part_has_the_filter_and_the_excitation_of_the_whole(wave: Wave, filters: Predictor) -> None:
    mels = log_mel(wave.astype(np.float32), SPEC)
    # With a frame of margin, since the mels are interpolated.
    part = section(predictor(mels[20:61], SPEC), 1, 39)
    rows = slice(21 * RENEWALS, 60 * RENEWALS)
    assert np.array_equal(part.coefficients, filters.coefficients[rows])
    assert np.array_equal(part.levels, filters.levels[rows])
    begin, end = 21 * SPEC.hop, 60 * SPEC.hop
    excitation = analyse(wave[begin:end], part, wave[begin - ORDER : begin])
    assert np.array_equal(excitation, analyse(wave, filters)[begin:end])


def test_the_recursion_solves_the_normal_equations() -> None:
    rng = np.random.default_rng(3)
    signals = rng.normal(size=(5, 400)).cumsum(axis=1)
    lags = np.stack([[(s[: len(s) - k] * s[k:]).sum() for k in range(9)] for s in signals])
    coefficients, energies = levinson(lags)
    for row, a, energy in zip(lags, coefficients, energies, strict=True):
        matrix = row[np.abs(np.subtract.outer(np.arange(8), np.arange(8)))]
        assert np.linalg.solve(matrix, -row[1:]) == pytest.approx(a, rel=1e-6)
        assert energy == pytest.approx(row[0] + a @ row[1:], rel=1e-6)


def test_the_filter_of_a_long_sentence_takes_little_memory() -> None:
    frames = np.zeros((1500, FeatureSpec().channels), np.float32)
    tracemalloc.start()
    predictor(frames, FeatureSpec(), low_shelf_db=-6.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6  # the spectra of all its frames are 25 MB, and there are five of them
