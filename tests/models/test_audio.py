"""Sound: mels and levels, mu-law, 16 bits, linear prediction, harmonics, the correction of mels."""

import itertools

import numpy as np
import pytest

from ancestral_models.audio import features, mu_law, shaping
from ancestral_models.audio.features import harmonic_ripple
from ancestral_models.audio.mu_law import from_int16, to_int16
from ancestral_models.audio.resampler import BANDS, INPUTS, HighBand
from ancestral_models.audio.shaping import LIMIT_DB, MelCorrection, tables
from ancestral_models.spec import FeatureSpec
from tests.models.instructions import MORE_THAN_ONE, each_variant
from tests.training.sounds import FEATURES, RATE, tone


@pytest.mark.parametrize("hz", [300.0, 1000.0, 3000.0, 6000.0])
def test_a_sine_peaks_in_its_band(hz):
    ends = 2595.0 * np.log10(1.0 + np.array([FEATURES.mel_low_hz, FEATURES.mel_high_hz]) / 700.0)
    centres = 700.0 * (10.0 ** (np.linspace(*ends, FEATURES.mel_bands + 2)[1:-1] / 2595.0) - 1.0)
    bands = features.log_mel(tone(0.5, hz), FEATURES)[5:-5].argmax(axis=1)
    assert (bands == bands[0]).all()
    assert abs(int(bands[0]) - int(np.abs(centres - hz).argmin())) <= 1


def test_ten_times_the_sound_is_a_constant_more_and_silence_lies_on_the_floor():
    wave = np.random.default_rng(0).normal(0.0, 0.3, RATE).astype(np.float32)
    difference = features.log_mel(wave, FEATURES) - features.log_mel(wave / 10, FEATURES)
    # All but the few that would lie under the floor.
    assert (np.abs(difference - np.log(10) / 2.0) < 1e-3).mean() > 0.99

    frames = features.log_mel(np.zeros(RATE, np.float32), FEATURES)
    assert frames == pytest.approx((np.log(FEATURES.floor) + 6.5) / 2.0)


@pytest.mark.parametrize("frame", [0, 7, 23, 49])
def test_an_impulse_lands_in_its_frame(frame):
    wave = np.zeros(50 * FEATURES.hop + 37, np.float32)
    wave[frame * FEATURES.hop + FEATURES.hop // 2] = 1.0
    energy = features.log_mel(wave, FEATURES).mean(axis=1)
    assert (len(energy), energy.argmax()) == (50, frame)


@pytest.mark.parametrize("gain", [0.003, 0.1, 1.0, 3.0])
def test_every_clip_is_brought_to_one_level(gain):
    level = features.normalize_level(tone(1.0, 200) * gain, RATE)
    assert np.sqrt((level**2).mean()) == pytest.approx(0.1, rel=0.01)
    # The pauses do not count.
    paused = features.normalize_level(np.concatenate([tone(1.0, 200) * gain, np.zeros(3 * RATE, np.float32)]), RATE)
    assert np.abs(paused).max() == pytest.approx(np.abs(level).max(), rel=0.01)


def test_level_keeps_the_peak_in_range():
    wave = tone(1.0, 200, level=0.001)
    wave[8000] = 0.5
    assert np.abs(features.normalize_level(wave, RATE)).max() == pytest.approx(0.97)
    assert not features.normalize_level(np.zeros(RATE, np.float32), RATE).any()
    assert features.normalize_level(np.zeros(10, np.float32), RATE).shape == (10,)


SPEC = FeatureSpec()


def sounding(hz, seed):
    """Mean log-mels of harmonics of equal power and random phases, with noise between them."""
    t, rng = np.arange(16000) / SPEC.sample_rate, np.random.default_rng(seed)
    phases = rng.uniform(0.0, 2.0 * np.pi, int(SPEC.sample_rate / 2 / hz))
    wave = sum(np.cos(2.0 * np.pi * hz * (k + 1) * t + phase) for k, phase in enumerate(phases))
    noisy = 0.02 * np.asarray(wave) + rng.normal(0.0, 0.01, len(t))
    return features.log_mel(noisy.astype(np.float32), SPEC)[20:80].mean(axis=0).astype(np.float64)


@pytest.mark.parametrize("hz", [110.0, 131.0, 178.0, 210.0])
def test_the_ripple_is_that_of_harmonics(hz):
    low = slice(8, 28)  # 300 to 1500 Hz
    real = np.mean([sounding(hz, seed) for seed in range(4)], axis=0)[low]
    flat = np.log(np.mean([np.exp(sounding(f, 0)) for f in np.linspace(90, 230, 29)], axis=0))[low]
    pitch = (np.log([hz]) - features.LOG_F0_MEAN) / features.LOG_F0_SCALE
    expected = harmonic_ripple(pitch, np.ones(1), SPEC)[0, low]
    assert np.corrcoef(real - flat, expected)[0, 1] > 0.8


NEPER_DB = 20.0 / np.log(10.0)
BELOW = len(tables(SPEC).spans)
"""Bands that are corrected."""


def sound(frames=60, seed=0):
    """Noise and a tone, both swelling, after silence."""
    time = np.arange(frames * SPEC.hop) / SPEC.sample_rate
    noise = np.random.default_rng(seed).normal(0.0, 0.02, len(time))
    swell = np.clip(4.0 * time - 0.3, 0.0, 1.0)
    return (swell * (noise + 0.1 * np.sin(2.0 * np.pi * 440.0 * time))).astype(np.float32)


def corrected(wave, frames, strength):
    correction = MelCorrection(frames, SPEC, strength)
    correction.push(wave)
    return correction.pull(len(wave))


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_it_is_what_numpy_computes(strength):
    """The same analysis, gains and overlap-add with numpy's transform, all frames at once."""
    wave, wanted = sound(seed=0), features.log_mel(sound(seed=1), SPEC) + 0.3
    window, size, before = np.hanning(SPEC.window + 1)[:-1], features.fft_size(SPEC), (SPEC.window - SPEC.hop) // 2
    padded = np.pad(wave.astype(np.float64), SPEC.window)
    starts = SPEC.window - before + SPEC.hop * np.arange(-2, len(wanted) + 2)
    spectra = np.fft.rfft([padded[i : i + SPEC.window] * window for i in starts], size, axis=1)
    bands = np.maximum(np.abs(spectra) / window.sum() @ features.mel_bank(SPEC, size), SPEC.floor)
    found = (np.log(bands[2:-2]) + 6.5) / features.LOG_MEL_SCALE
    limit = LIMIT_DB / NEPER_DB
    gains = np.exp(strength * np.clip((wanted - found) * features.LOG_MEL_SCALE, -limit, limit))
    gains[:, BELOW:] = 1.0
    below, shares = shaping.bin_weights(SPEC)
    spectra[2:-2] *= gains[:, below] * (1.0 - shares) + gains[:, below + 1] * shares
    expected = np.zeros(len(padded))
    for i, frame in zip(starts, np.fft.irfft(spectra, size, axis=1), strict=True):
        expected[i : i + SPEC.window] += frame[: SPEC.window] * window / 1.5
    assert np.abs(expected).max() > 0.1
    inside = expected[SPEC.window : SPEC.window + len(wave)]
    np.testing.assert_allclose(corrected(wave, wanted, strength), inside, rtol=1e-5, atol=1e-6)


def test_what_is_right_stays_as_it_is():
    wave = sound()
    np.testing.assert_allclose(corrected(wave, features.log_mel(wave, SPEC), 1.0), wave, rtol=0.0, atol=1e-6)
    assert corrected(wave, np.zeros((60, 64)), 0.0).tobytes() == wave.tobytes(), "off: bit for bit"
    silence = np.zeros(len(wave), np.float32)
    assert not corrected(silence, features.log_mel(wave, SPEC), 1.0).any()


@pytest.mark.parametrize("strength", [0.0, 0.7])
def test_neither_chunks_nor_restarts_change_a_bit(strength):
    wave, frames = sound()[:-37], features.log_mel(sound(seed=1), SPEC)
    whole, rng = corrected(wave, frames, strength), np.random.default_rng(0)
    for _ in range(10):
        correction, given, pieces = MelCorrection(frames, SPEC, strength), 0, []
        while correction.position < len(wave):
            count = min(int(rng.integers(0, 700)), len(wave) - correction.position)
            until = min(max(correction.needed(count), given) + int(rng.integers(0, 99)), len(wave))
            correction.push(wave[given:until])
            given = until
            if strength:
                assert correction.needed(count) - correction.position - count <= SPEC.window
            if rng.random() < 0.5:
                correction = MelCorrection(frames, SPEC, strength, correction.held.copy(), given)
            pieces.append(correction.pull(count))
        assert np.concatenate(pieces).tobytes() == whole.tobytes()


def test_the_code_is_monotonic_symmetric_and_within_half_a_cell():
    symbols, x = np.arange(256), np.linspace(-1, 1, 10_001)
    levels = mu_law.mu_law_decode(symbols)
    assert np.array_equal(mu_law.mu_law_encode(levels), symbols)
    assert (np.diff(levels) > 0).all()
    assert np.array_equal(levels, -levels[::-1])
    assert mu_law.mu_law_encode(np.array([-7.0, -1.0, 0.0, 1.0, 7.0])).tolist() == [0, 0, mu_law.SILENCE, 255, 255]
    assert abs(levels[mu_law.SILENCE]) < 1e-4
    found, widths = mu_law.mu_law_encode(x), np.diff(levels.astype(np.float64), prepend=-1.0, append=1.0)
    assert (np.abs(levels[found] - x) <= np.maximum(widths[found], widths[found + 1]) + 1e-7).all()


def test_deemphasis_inverts_preemphasis():
    wave = tone(1.0, 200, 5)
    assert np.allclose(mu_law.Deemphasis(0.85, 2.0)(mu_law.preemphasize(wave, 0.85, 2.0)), wave, atol=1e-5)
    assert np.array_equal(mu_law.preemphasize(wave, 0.0, 1.0), wave)
    decoded = mu_law.decode_wave(mu_law.encode_wave(wave, 0.85, 2.0), 0.85, 2.0)
    assert decoded.dtype == np.float32
    assert 10 * np.log10(((decoded - wave) ** 2).mean() / (wave**2).mean()) < -25


@pytest.mark.parametrize("chunk", [1, 7, 160, 4096])
def test_chunks_and_restarts_are_deemphasized_like_the_whole_in_double_precision(chunk):
    emphasized = mu_law.mu_law_decode(mu_law.encode_wave(tone(0.3, 200, 5), 0.85, 2.0))
    y = 0.0
    expected = [y := e * 0.5 + 0.85 * y for e in emphasized.tolist()]
    assert np.array_equal(mu_law.Deemphasis(0.85, 2.0)(emphasized), np.array(expected, np.float32))
    deemphasis, parts = mu_law.Deemphasis(0.85, 2.0), []
    for start in range(0, len(emphasized), chunk):
        assert deemphasis(np.empty(0, np.float32)).shape == (0,)
        parts.append(deemphasis(emphasized[start : start + chunk]))
        if start % 2:
            deemphasis = mu_law.Deemphasis(0.85, 2.0, memory=deemphasis.memory)
    assert np.array_equal(np.concatenate(parts), np.array(expected, np.float32))


def test_every_sample_comes_back_from_16_bits_and_what_is_too_loud_is_clipped():
    samples = np.arange(-32768, 32768).astype(np.int16)
    wave = from_int16(samples)
    assert wave.dtype == np.float32
    assert np.array_equal(to_int16(wave), samples)
    assert to_int16(np.float32([-8.0, -1.0, 0.0, 1.0, 8.0])).tolist() == [-32768, -32767, 0, 32767, 32767]


@pytest.fixture(scope="module")
def wave():
    """Pulses at a gliding pitch and some breath, through three resonances, swelling and falling."""
    rng, count = np.random.default_rng(0), round(1.5 * SPEC.sample_rate)
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
def mels(wave):
    return features.log_mel(wave.astype(np.float32), SPEC)


@pytest.fixture(scope="module")
def filters(mels):
    return shaping.predictor(mels, SPEC)


def snr(clean, other):
    return float(10.0 * np.log10((clean**2).sum() / ((clean - other) ** 2).sum()))


def test_sound_comes_back_through_8_bits(wave, filters):
    symbols = shaping.encode_excitation(wave, filters)
    sound = shaping.decode_excitation(symbols, filters)
    assert (symbols.dtype, sound.dtype) == (np.uint8, np.float32)
    assert snr(wave, sound) >= 38.0
    # Without a quantiser the filters are inverse.
    assert snr(wave, shaping.Synthesis(filters)(shaping.analyse(wave, filters))) > 100.0


def test_silence_is_silence():
    silence = np.zeros(1600)
    filters = shaping.predictor(features.log_mel(silence.astype(np.float32), SPEC), SPEC)
    symbols = shaping.encode_excitation(silence, filters)
    assert (symbols == mu_law.SILENCE).all()
    assert np.abs(shaping.decode_excitation(symbols, filters)).max() < 1e-4


@pytest.mark.parametrize("kind", ["noise", "extremes", "peaks", "zeros"])
def test_whatever_the_frames_the_filter_is_stable(kind):
    rng = np.random.default_rng(2)
    shape = (100, SPEC.mel_bands)
    frames = {
        "noise": rng.normal(0.0, 2.0, shape),
        "extremes": rng.choice([-1.35, 3.5], shape),
        "peaks": np.where(np.arange(SPEC.mel_bands) == rng.integers(0, SPEC.mel_bands, (100, 1)), 3.5, -1.35),
        "zeros": np.zeros(shape),
    }[kind]
    filters = shaping.predictor(frames, SPEC)
    assert np.isfinite(filters.coefficients).all()
    for row in filters.coefficients[::20]:
        assert np.abs(np.roots([1.0, *row])).max() < 1.0
    excitation = mu_law.mu_law_decode(rng.integers(0, 256, 16000))
    sound = shaping.Synthesis(filters)(excitation)
    assert np.abs(sound).max() <= shaping.LIMIT
    if kind == "peaks":  # no sound's frames: the limit is reached
        return
    # What was put in dies away.
    tail = shaping.Synthesis(filters, sound[-shaping.ORDER :], 0)(np.zeros(16000))
    assert np.abs(tail[-160:]).max() < 1e-3 * np.abs(sound).max()


@pytest.mark.parametrize("chunk", [1, 7, 40, 160, 4096])
def test_chunks_are_filtered_like_the_whole_bit_for_bit(wave, filters, chunk):
    excitation = mu_law.mu_law_decode(shaping.encode_excitation(wave, filters))
    whole = shaping.Synthesis(filters)(excitation)
    parts, memory, position = [], None, 0
    for start in range(0, len(excitation), chunk):
        # Another process goes on with what this one noted down.
        filtering = shaping.Synthesis(filters, memory, position)
        parts.append(filtering(excitation[start : start + chunk]))
        memory, position = np.frombuffer(filtering.memory.tobytes()), filtering.position
    assert memory.shape == (shaping.ORDER,)
    assert np.array_equal(np.concatenate(parts), whole)


def test_the_filter_is_the_loop_that_its_formula_says(wave, filters):
    excitation = mu_law.mu_law_decode(shaping.encode_excitation(wave, filters)[:4000]).astype(np.float64)
    found, expected = np.zeros(shaping.ORDER + 4000), np.zeros(shaping.ORDER + 4000)
    shaping.all_pole(excitation, filters, 0, found)
    for t, sample in enumerate(excitation):
        value = sample * filters.levels[t // filters.hop]
        for k, coefficient in enumerate(filters.coefficients[t // filters.hop]):
            value -= coefficient * expected[shaping.ORDER + t - 1 - k]
        expected[shaping.ORDER + t] = min(max(value, -shaping.LIMIT), shaping.LIMIT)
    np.testing.assert_array_equal(found, expected)


@MORE_THAN_ONE
def test_all_instructions_filter_and_correct_alike(mels, wave, monkeypatch):
    frames, found = np.concatenate([mels, np.ones((len(mels), 1), np.float32)], axis=1), []
    for _ in each_variant(monkeypatch):
        filters = shaping.predictor(frames, SPEC, 2.0)
        sound = shaping.decode_excitation(shaping.encode_excitation(wave, filters), filters)
        correction = MelCorrection(frames, SPEC, 1.0)
        correction.push(sound)
        found.append((*filters[:2], sound, correction.pull(len(sound))))
    for other in found[1:]:
        for one, another in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, another)


@pytest.mark.parametrize("low_shelf_db", [0.0, 3.0, -6.0])
def test_the_predictor_is_that_of_the_interpolated_spectra(mels, low_shelf_db):
    frames = np.concatenate([mels, (np.arange(len(mels)) % 7 < 4).astype(np.float32)[:, None]], axis=1)
    centres = np.clip((np.arange(shaping.RENEWALS * len(frames)) + 0.5) / shaping.RENEWALS - 0.5, 0.0, len(frames) - 1)
    renewed = np.stack([np.interp(centres, np.arange(len(frames)), column) for column in frames.T], axis=1)
    bands, (below, shares) = features.log_magnitudes(renewed[:, : SPEC.mel_bands], SPEC), shaping.bin_weights(SPEC)
    spectra = bands[:, below] * (1.0 - shares) + bands[:, below + 1] * shares
    hertz = np.linspace(0.0, SPEC.sample_rate / 2, spectra.shape[1])
    spectra += low_shelf_db * np.log(10.0) / 20.0 / (1.0 + (hertz / 700.0) ** 4) * renewed[:, -1:]
    window = np.exp(-0.5 * (2.0 * np.pi * 40.0 / SPEC.sample_rate * np.arange(shaping.ORDER + 1)) ** 2)
    window[0] += 1e-4
    lags = np.fft.irfft(np.exp(2.0 * spectra), axis=1)[:, : shaping.ORDER + 1]
    coefficients, energies = shaping.levinson(lags * window)
    found = shaping.predictor(frames, SPEC, low_shelf_db)
    np.testing.assert_allclose(found.coefficients, coefficients, atol=1e-8)
    gain = shaping.LEVEL * features.window_gain(SPEC)
    np.testing.assert_allclose(found.levels, np.sqrt(energies) / gain, rtol=1e-8)


def test_a_part_has_the_filter_and_the_excitation_of_the_whole(mels, wave, filters):
    # With a frame of margin, since the mels are interpolated.
    part = shaping.section(shaping.predictor(mels[20:61], SPEC), 1, 39)
    rows = slice(21 * shaping.RENEWALS, 60 * shaping.RENEWALS)
    assert np.array_equal(part.coefficients, filters.coefficients[rows])
    assert np.array_equal(part.levels, filters.levels[rows])
    begin, end = 21 * SPEC.hop, 60 * SPEC.hop
    excitation = shaping.analyse(wave[begin:end], part, wave[begin - shaping.ORDER : begin])
    assert np.array_equal(excitation, shaping.analyse(wave, filters)[begin:end])


def test_the_recursion_solves_the_normal_equations():
    rng = np.random.default_rng(3)
    signals = rng.normal(size=(5, 400)).cumsum(axis=1)
    lags = np.stack([[(s[: len(s) - k] * s[k:]).sum() for k in range(9)] for s in signals])
    coefficients, energies = shaping.levinson(lags)
    for row, a, energy in zip(lags, coefficients, energies, strict=True):
        matrix = row[np.abs(np.subtract.outer(np.arange(8), np.arange(8)))]
        assert np.linalg.solve(matrix, -row[1:]) == pytest.approx(a, rel=1e-6)
        assert energy == pytest.approx(row[0] + a @ row[1:], rel=1e-6)


# The band above 8 kHz


def high_band_of(table, rate, sizes, wave):
    band, ends = HighBand(table, FEATURES, rate), itertools.accumulate(itertools.cycle(sizes))
    pieces = np.split(wave, [*itertools.takewhile(lambda end: end < len(wave), ends)])
    return np.concatenate([*map(band.push, pieces), band.finish(len(wave) * rate // RATE)])


NOISE = (0.05 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)


@pytest.mark.parametrize("rate", [22050, 24000, 44100, 48000])
def test_the_band_above_is_the_same_in_any_pieces(rate):
    table = (0.02 * np.random.default_rng(1).standard_normal((INPUTS, BANDS))).astype(np.float32)
    whole = high_band_of(table, rate, [RATE], NOISE)
    assert len(whole) == rate
    for sizes in ([1], [160, 800], [7, 333, 5000]):
        assert np.array_equal(high_band_of(table, rate, sizes, NOISE), whole), sizes


@pytest.mark.parametrize("rate", [24000, 48000])
def test_the_band_above_has_the_levels_that_the_map_says(rate):
    table, levels = np.zeros((INPUTS, BANDS), np.float32), np.linspace(-12.0, -5.0, BANDS)
    table[-1] = levels  # whatever the mels are
    made = high_band_of(table, rate, [800], np.tile(NOISE, 4))
    power = np.abs(np.fft.rfft(made)) ** 2 / len(made) * 24000 / rate
    hertz = np.fft.rfftfreq(len(made), 1 / rate)
    for k, level in enumerate(levels):
        inside = (hertz > 8020 + 500 * k) & (hertz < 8480 + 500 * k)
        assert np.log(power[inside].mean()) == pytest.approx(level, abs=0.15)
    assert power[(hertz < 7600) | (hertz > 12050)].sum() < 1e-4 * power.sum()
